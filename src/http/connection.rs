//! Serves one connection: makes its TLS handshake, reads its requests, and ends it after a timeout or in favour of
//! another connection.

use std::{
    convert::Infallible,
    error::Error,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use super::{
    activity::Activity, body::ResponseBody, lifecycle::Peer, limits_and_timeouts::Settings,
    router::Router, timeout_stream::TimeoutStream,
};
use crate::{shutdown::CancellationToken, telemetry::labels::ConnectionOutcome};

/// Maximum number of bytes that the kernel holds before it sends them to a client.
const UNSENT_BYTES: u32 = 16 * 1024;

/// Maximum number of bytes of a response over HTTP/2 that wait in this process, besides the last piece.
const WAITING_BYTES: usize = 64 * 1024;

/// Maximum number of requests at the same time on one connection with HTTP/2.
const MAX_STREAMS: u32 = 8;

/// The time between two checks whether a connection that is to end still sends a response.
const CLOSING_CHECK: Duration = Duration::from_millis(100);

/// Serves one connection until the client or the server ends it. After `shutdown`, the server finishes a response in
/// progress and drops an incomplete request. After an eviction, the server drops both.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    router: Arc<Router>,
    settings: Arc<Settings>,
    activity: Arc<Activity>,
    peer: Peer,
    shutdown: CancellationToken,
) {
    // Without this option, the kernel can hold the end of a response until the client acknowledges earlier
    // data. An error means that the socket is broken. In this case, the first read also fails.
    let _ = stream.set_nodelay(true);
    // Without this option, the kernel takes megabytes at once, and a slow client looks like one that reads nothing.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let service = Answering {
        router,
        activity: Arc::clone(&activity),
        peer,
    };
    let max_head_bytes = settings.max_head_bytes;
    let mut stream = TimeoutStream::new(stream, Arc::clone(&activity), settings);
    let Some(tls) = tls else {
        return serve_http1(stream, service, max_head_bytes, shutdown).await;
    };
    stream.begin_handshake();
    let handshake = tokio::select! {
        biased;
        done = TlsAcceptor::from(tls).accept(stream) => done,
        () = activity.evicted() => return,
        () = shutdown.cancelled() => return,
    };
    let Ok(mut stream) = handshake else {
        // Load balancers open and close connections to check the port. After a timeout, the stream has recorded another
        // outcome.
        if activity.has_moved() {
            activity.end_as(ConnectionOutcome::TlsFailed);
        }
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    stream.get_mut().0.end_handshake(is_http2);
    if is_http2 {
        serve_http2(stream, service, max_head_bytes, shutdown).await;
    } else {
        serve_http1(stream, service, max_head_bytes, shutdown).await;
    }
}

pub(super) async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Answering,
    max_head_bytes: usize,
    shutdown: CancellationToken,
) {
    let activity = Arc::clone(&service.activity);
    let mut protocol = http1::Builder::new();
    protocol
        // Without this setting, hyper copies all pieces into one buffer before it writes them.
        .writev(true)
        .half_close(true)
        .max_header_size(max_head_bytes)
        .header_read_timeout(None);
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    let close = http1::Connection::graceful_shutdown;
    run(connection, close, &activity, &shutdown).await;
}

pub(super) async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Answering,
    max_head_bytes: usize,
    shutdown: CancellationToken,
) {
    let activity = Arc::clone(&service.activity);
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(WAITING_BYTES)
        .max_header_list_size(u32::try_from(max_head_bytes).unwrap_or(u32::MAX));
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    let close = http2::Connection::graceful_shutdown;
    run(connection, close, &activity, &shutdown).await;
}

/// Runs a connection to its end. `close` ends it after the responses in progress.
async fn run<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    close: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    shutdown: &CancellationToken,
) {
    let mut connection = pin!(connection);
    // `select!` polls the connection first. So a request that arrives before the end gets its response.
    tokio::select! {
        biased;
        ended = connection.as_mut() => return record_error(ended, activity),
        () = activity.evicted() => {}
        () = activity.closed() => {}
        () = shutdown.cancelled() => {}
    }
    close(connection.as_mut());
    if connection.as_mut().now_or_never().is_some() {
        return;
    }
    // A client could keep its connection open by HTTP/2: the library waits until the client has acknowledged the end.
    while activity.is_sending() {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = activity.evicted() => return,
            () = sleep(CLOSING_CHECK) => {}
        }
    }
}

/// Answers the requests of one connection.
pub(super) struct Answering {
    pub(super) router: Arc<Router>,
    pub(super) activity: Arc<Activity>,
    pub(super) peer: Peer,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // The server ignores the body of a request, so the body is dropped unread.
        let (request, _) = request.into_parts();
        let (router, activity) = (Arc::clone(&self.router), Arc::clone(&self.activity));
        let peer = self.peer;
        async move { Ok(router.respond(request, &activity, peer).await) }.boxed()
    }
}

/// Records that the client sent invalid HTTP. Other errors of a connection (reset, timeout) affect only its client,
/// and the stream has recorded a timeout.
fn record_error(ended: hyper::Result<()>, activity: &Activity) {
    let Err(error) = ended else { return };
    let http2 = error.source().and_then(|source| source.downcast_ref());
    // This library finds the errors that a client makes in HTTP/2.
    if error.is_parse() || http2.is_some_and(h2::Error::is_library) {
        activity.end_as(ConnectionOutcome::BadRequest);
    }
}

//! Serves one connection: reads its requests, and ends it after a timeout or in favour of another connection.

use std::{convert::Infallible, pin::pin, sync::Arc};

use futures_util::FutureExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{
    activity::Activity, limits_and_timeouts::Settings, router::Router,
    timeout_stream::TimeoutStream,
};
use crate::{shutdown::CancellationToken, telemetry::labels::ConnectionOutcome};

/// Maximum number of bytes that the kernel holds before it sends them to a client.
const UNSENT_BYTES: u32 = 128 * 1024;

/// Serves one connection until the client or the server ends it. After `shutdown`, the server finishes a response in
/// progress and drops an incomplete request. After an eviction, the server drops both.
pub(super) async fn serve(
    stream: TcpStream,
    router: Arc<Router>,
    settings: Arc<Settings>,
    activity: Arc<Activity>,
    shutdown: CancellationToken,
) {
    // Without this option, the kernel can hold the end of a response until the client acknowledges earlier
    // data. An error means that the socket is broken. In this case, the first read also fails.
    let _ = stream.set_nodelay(true);
    // Without this option, the kernel takes megabytes at once, and a slow client looks like one that reads nothing.
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let service = service_fn(|request: Request<Incoming>| {
        // The server ignores the body of a request, so the body is dropped unread.
        let (request, _) = request.into_parts();
        let response = router.respond(request, &activity);
        async { Ok::<_, Infallible>(response.await) }
    });
    let mut protocol = http1::Builder::new();
    protocol
        // Without this setting, hyper copies all pieces into one buffer before it writes them.
        .writev(true)
        .half_close(true)
        .max_header_size(settings.max_head_bytes)
        .header_read_timeout(None);
    let stream = TimeoutStream::new(stream, Arc::clone(&activity), settings);
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));

    // `select!` polls the connection first. So a request that arrives before the end gets its response.
    tokio::select! {
        biased;
        ended = connection.as_mut() => return record_error(ended, &activity),
        () = activity.evicted() => {}
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    if connection.as_mut().now_or_never().is_some() || !activity.has_response() {
        return;
    }
    tokio::select! {
        _ = connection => {}
        () = activity.evicted() => {}
    }
}

/// Records that the client sent invalid HTTP. Other errors of a connection (reset, timeout) affect only its client,
/// and the stream has recorded a timeout.
fn record_error(ended: hyper::Result<()>, activity: &Activity) {
    if ended.is_err_and(|error| error.is_parse()) {
        activity.end_as(ConnectionOutcome::BadRequest);
    }
}

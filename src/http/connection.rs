//! Answers the requests of one connection, and ends the connection after a timeout.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::FutureExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{limits_and_timeouts::Settings, router::Router};
use crate::shutdown::CancellationToken;

/// Maximum number of bytes that are read and discarded at the end of a connection.
const DISCARDED_BYTES: usize = 64 * 1024;

/// Serves one connection until the client or the server ends it. Each response in progress holds a `Weak` of
/// `responses`. After `close`, the server finishes a response in progress and drops an incomplete request.
pub(super) async fn serve(
    stream: TcpStream,
    router: Arc<Router>,
    settings: Arc<Settings>,
    responses: Arc<()>,
    close: CancellationToken,
) {
    // Without this option, the kernel can hold the end of a response until the client acknowledges earlier
    // data. An error means that the socket is broken. In this case, the first read also fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        // The server ignores the body of a request, so the body is dropped unread.
        let (request, _) = request.into_parts();
        let response = router.respond(request, Arc::downgrade(&responses));
        async { Ok::<_, Infallible>(response.await) }
    });
    let mut protocol = http1::Builder::new();
    protocol
        // Without this setting, hyper copies all pieces into one buffer before it writes them.
        .writev(true)
        .half_close(true)
        .max_header_size(settings.max_head_bytes)
        .header_read_timeout(None);
    let stream = TimeoutStream::new(stream, Arc::clone(&responses), settings);
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));

    // An error of a connection (reset, invalid head, timeout) affects only its client and is ignored.
    // `select!` polls the connection first. So a request that arrives before `close` gets its response.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = close.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let ended = connection.as_mut().now_or_never();
    if ended.is_none() && Arc::weak_count(&responses) > 0 {
        let _ = connection.await;
    }
}

/// The stream of a connection. It fails with [`io::ErrorKind::TimedOut`] after a timeout of [`Settings`].
///
/// hyper's own timeout for request heads also counts the idle time between two requests. A scraper with an
/// interval above hyper's timeout would need a new connection for each scrape.
#[derive(Debug)]
pub(super) struct TimeoutStream<T> {
    stream: T,
    /// Each response in progress holds a `Weak` of this `Arc`.
    responses: Arc<()>,
    settings: Arc<Settings>,
    /// True from the first byte of a request head until its response begins, and on a new connection.
    in_head: bool,
    /// A head starts the head timeout. A write, or the timer's end during a response, starts the idle timeout.
    read_timer: Pin<Box<Sleep>>,
    /// `Some` while the socket accepts no bytes because the client does not read its response.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<T> TimeoutStream<T> {
    /// The stream of a new connection. The time for its first request head starts now.
    pub(super) fn new(stream: T, responses: Arc<()>, settings: Arc<Settings>) -> Self {
        Self {
            stream,
            responses,
            in_head: true,
            read_timer: Box::pin(sleep(settings.head_timeout)),
            write_timer: None,
            settings,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimeoutStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && !self.in_head {
                self.in_head = true;
                let deadline = Instant::now() + self.settings.head_timeout;
                self.read_timer.as_mut().reset(deadline);
            }
            return Poll::Ready(read);
        }
        while self.read_timer.as_mut().poll(cx).is_ready() {
            if Arc::weak_count(&self.responses) == 0 {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // The client waits for a response, so it is not idle. The idle timeout starts again.
            let deadline = Instant::now() + self.settings.idle_timeout;
            self.read_timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimeoutStream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        chunks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, chunks);
        if written.is_pending() {
            let stall_timeout = self.settings.stall_timeout;
            let timer = self
                .write_timer
                .get_or_insert_with(|| Box::pin(sleep(stall_timeout)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.write_timer = None;
        // Each write starts the idle timeout again, so this timeout begins at the last byte of the response.
        self.in_head = false;
        let deadline = Instant::now() + self.settings.idle_timeout;
        self.read_timer.as_mut().reset(deadline);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Closes the sending direction and discards up to `DISCARDED_BYTES` received bytes. Closing a socket with
    /// unread bytes would reset the connection, and the client could lose the end of the response.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        let mut discarded = [0; 4096];
        for _ in 0..DISCARDED_BYTES / discarded.len() {
            let mut buffer = ReadBuf::new(&mut discarded);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

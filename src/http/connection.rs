//! The parts of one connection: the settings, its activity, its response bodies and its stream with
//! timeouts.

use std::{
    convert::Infallible,
    io, iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// The settings of the server. Only the first two have flags. The defaults of the others fit every
/// installation; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--web.telemetry-path`: begins with a slash. The path of a request must be equal to it.
    pub telemetry_path: String,
    /// `--web.max-requests`: concurrent scrapes; 0 means no limit.
    pub max_requests: usize,
    /// Open connections, at least 1. Above it, the oldest connection without a response in progress
    /// is evicted. If every connection has one, new connections wait in the operating system's queue.
    /// The default is half of the usual limit of 1,024 file descriptors.
    pub max_connections: usize,
    /// Concurrent probes. Fewer than connections, so that probes of an API that hangs leave
    /// connections for scrapes.
    pub max_probes: usize,
    /// Bytes of a request head. The response to a longer one is 431.
    pub max_head_bytes: usize,
    /// Time for a whole request head, from its first byte, or from the start of a connection.
    pub head_timeout: Duration,
    /// Idle time between two requests. Longer than the five minutes after which Prometheus drops an
    /// idle connection, so that no scrape meets a connection that is being closed.
    pub idle_timeout: Duration,
    /// Time in which a client must read at least one byte of its response.
    pub stall_timeout: Duration,
    /// Time for the responses in progress at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            max_requests: 40,
            max_connections: 512,
            max_probes: 256,
            max_head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(6 * 60),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// The activity of a connection: counts of its requests and of its finished responses.
#[derive(Debug, Default)]
pub(super) struct Activity {
    requests: AtomicU32,
    responses: AtomicU32,
}

impl Activity {
    /// Whether a response is in progress: its request is read, its last byte is not yet sent.
    pub(super) fn is_responding(&self) -> bool {
        self.requests.load(Ordering::Acquire) != self.responses.load(Ordering::Acquire)
    }
}

/// Exists from the end of a request head until the socket has taken the last byte of the response.
#[derive(Debug)]
pub(super) struct ResponseGuard {
    /// The permit of a scrape or of a probe.
    permit: Option<OwnedSemaphorePermit>,
    activity: Arc<Activity>,
}

impl ResponseGuard {
    /// Counts a request of the connection.
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        Self {
            permit: None,
            activity: Arc::clone(activity),
        }
    }

    /// Takes a permit until the end of the response; false if there is none.
    pub(super) fn acquire(&mut self, permits: &Arc<Semaphore>) -> bool {
        self.permit = Arc::clone(permits).try_acquire_owned().ok();
        self.permit.is_some()
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.activity.responses.fetch_add(1, Ordering::AcqRel);
    }
}

/// The chunks of a response. Like every iterator, they do not wait.
pub type Chunks = Box<dyn Iterator<Item = Bytes> + Send>;

/// The body of a response.
///
/// hyper reads a body to its end before the socket has taken it. The guard therefore moves into the
/// last chunk, and hyper drops that chunk when the socket has taken it.
pub(super) struct ResponseBody {
    chunks: Chunks,
    /// Bytes that hyper has not read yet.
    remaining: u64,
    guard: Option<ResponseGuard>,
}

impl ResponseBody {
    pub(super) fn new(length: u64, chunks: Chunks) -> Self {
        Self {
            chunks,
            remaining: length,
            guard: None,
        }
    }

    /// Keeps `guard` until the socket has taken the last byte.
    pub(super) fn set_guard(&mut self, guard: ResponseGuard) {
        self.guard = Some(guard);
    }

    /// Removes the bytes, for the response to `HEAD`, and returns their number.
    pub(super) fn clear(&mut self) -> u64 {
        std::mem::take(&mut self.remaining)
    }
}

impl From<Bytes> for ResponseBody {
    fn from(page: Bytes) -> Self {
        Self::new(page.len() as u64, Box::new(iter::once(page)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(chunk) = self.chunks.next().filter(|_| self.remaining > 0) else {
            return Poll::Ready(None);
        };
        self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
        let is_last = self.remaining == 0;
        let chunk = match self.guard.take_if(|_| is_last) {
            Some(guard) => Bytes::from_owner(LastChunk(chunk, guard)),
            None => chunk,
        };
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

struct LastChunk(
    Bytes,
    #[expect(dead_code, reason = "its drop counts")] ResponseGuard,
);

impl AsRef<[u8]> for LastChunk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes that are read and discarded at the end of a connection.
const DISCARDED_BYTES: usize = 64 * 1024;

/// The stream of a connection, which fails with [`io::ErrorKind::TimedOut`] after a timeout of
/// [`Settings`].
///
/// hyper's own timeout for request heads also counts the idle time between two requests. A scraper with
/// a longer interval would need a new connection for each scrape. This stream separates the two times.
#[derive(Debug)]
pub(super) struct TimeoutStream<T> {
    stream: T,
    activity: Arc<Activity>,
    settings: Arc<Settings>,
    /// One timer for all waits. It changes only if a wait needs an earlier deadline, so a request with a
    /// prompt response touches no timer.
    timer: Pin<Box<Sleep>>,
    /// The number of requests at the start of the current read.
    requests: u32,
    read_deadline: ReadDeadline,
    /// Set while the client reads nothing of its response.
    write_deadline: Option<Instant>,
}

#[derive(Debug)]
enum ReadDeadline {
    /// A response is in progress, or the wait for the next request has not started.
    None,
    /// Of the first byte of a request head.
    Idle(Instant),
    /// Of the last byte of a request head.
    Head(Instant),
}

impl<T> TimeoutStream<T> {
    /// The stream of a new connection. The time for its first request head starts now.
    pub(super) fn new(stream: T, activity: Arc<Activity>, settings: Arc<Settings>) -> Self {
        let deadline = Instant::now() + settings.head_timeout;
        Self {
            stream,
            activity,
            settings,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            requests: 0,
            read_deadline: ReadDeadline::Head(deadline),
            write_deadline: None,
        }
    }

    /// Pending until the deadline, then a timeout error.
    fn poll_timeout<R>(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<R>> {
        while Instant::now() < deadline {
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Called while the client sends nothing.
    fn poll_read_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_responding() {
            self.read_deadline = ReadDeadline::None;
            return Poll::Pending;
        }
        let deadline = match self.read_deadline {
            ReadDeadline::Idle(deadline) | ReadDeadline::Head(deadline) => deadline,
            ReadDeadline::None => {
                let deadline = Instant::now() + self.settings.idle_timeout;
                self.read_deadline = ReadDeadline::Idle(deadline);
                deadline
            }
        };
        self.poll_timeout(cx, deadline)
    }

    /// Returns the result of a write. While the write is pending, the stall timeout runs.
    fn check_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let stall_timeout = self.settings.stall_timeout;
        let deadline = self.write_deadline;
        let deadline = deadline.unwrap_or_else(|| Instant::now() + stall_timeout);
        self.write_deadline = Some(deadline);
        self.poll_timeout(cx, deadline)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimeoutStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let requests = self.activity.requests.load(Ordering::Acquire);
        if self.requests != requests {
            self.requests = requests;
            self.read_deadline = ReadDeadline::None;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return self.poll_read_timeout(cx);
        }
        let is_head = matches!(self.read_deadline, ReadDeadline::Head(_));
        if buffer.filled().len() > before && !is_head {
            self.read_deadline = ReadDeadline::Head(Instant::now() + self.settings.head_timeout);
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimeoutStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        chunks: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, chunks);
        self.check_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends the connection and discards received bytes. Otherwise the close of a socket with unread
    /// bytes would reset the connection, and the client could lose the end of the response.
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

//! The stream of a connection, which fails after a timeout and counts the bytes that move.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{activity::Activity, limits_and_timeouts::Settings};
use crate::telemetry::labels::ConnectionOutcome;

/// Maximum number of bytes of one read. hyper grows the buffer of a connection while reads fill it, up to 400 KB.
const READ_BYTES: usize = 8 * 1024;

/// Maximum number of bytes that are read and discarded at the end of a connection.
const DISCARDED_BYTES: usize = 64 * 1024;

/// The stream of a connection. It fails with [`io::ErrorKind::TimedOut`] after a timeout of [`Settings`].
///
/// hyper's own timeout for request heads also counts the idle time between two requests. A scraper with an
/// interval above hyper's timeout would need a new connection for each scrape.
#[derive(Debug)]
pub(super) struct TimeoutStream<T> {
    stream: T,
    activity: Arc<Activity>,
    settings: Arc<Settings>,
    /// Whether received bytes outside a response begin a request head. With HTTP/2, they may belong to no request.
    has_heads: bool,
    /// During a TLS handshake, a write does not end the time of the head.
    in_handshake: bool,
    /// The time of the first byte of an incomplete request head. A new connection begins with a head.
    head_since: Option<Instant>,
    /// The time since which the socket accepts no bytes, because the client does not read its response.
    blocked_since: Option<Instant>,
    /// It may end before the deadline, but never after it.
    timer: Pin<Box<Sleep>>,
}

impl<T> TimeoutStream<T> {
    /// The stream of a new connection. The time for its first request head starts now.
    pub(super) fn new(stream: T, activity: Arc<Activity>, settings: Arc<Settings>) -> Self {
        let now = Instant::now();
        Self {
            stream,
            activity,
            has_heads: true,
            in_handshake: false,
            head_since: Some(now),
            blocked_since: None,
            timer: Box::pin(sleep(settings.head_timeout)),
            settings,
        }
    }

    /// Begins a TLS handshake. It has the time of a request head.
    pub(super) fn begin_handshake(&mut self) {
        self.in_handshake = true;
    }

    /// Ends the TLS handshake. With HTTP/2, received bytes need not begin a request head.
    pub(super) fn end_handshake(&mut self, is_http2: bool) {
        self.in_handshake = false;
        self.head_since = Some(Instant::now());
        self.has_heads = !is_http2;
    }

    /// The end of the present state of the connection, and its outcome after that. `None` while a request waits for the
    /// server: for the API, for the check of a password, or for a permit.
    fn deadline(&self) -> Option<(Instant, ConnectionOutcome)> {
        let Settings {
            head_timeout,
            idle_timeout,
            stall_timeout,
            ..
        } = *self.settings;
        if self.activity.has_response() {
            let stalled = self.blocked_since.map(|since| since + stall_timeout);
            let stalled = stalled.map(|end| (end, ConnectionOutcome::Stalled));
            let answer = self.activity.answer_end();
            let answer = answer.map(|end| (end, ConnectionOutcome::TooSlow));
            return stalled.into_iter().chain(answer).min();
        }
        Some(if let Some(since) = self.blocked_since {
            (since + stall_timeout, ConnectionOutcome::Stalled)
        } else if let Some(since) = self.head_since {
            (since + head_timeout, ConnectionOutcome::RequestTimeout)
        } else {
            (
                self.activity.idle_since() + idle_timeout,
                ConnectionOutcome::IdleTimeout,
            )
        })
    }

    /// Fails after the deadline, and otherwise waits for it.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let now = Instant::now();
            let end = match self.deadline() {
                Some((end, outcome)) if end <= now => {
                    self.activity.end_as(outcome);
                    return Poll::Ready(io::ErrorKind::TimedOut.into());
                }
                Some((end, _)) => end,
                None => now + self.settings.idle_timeout,
            };
            // A later deadline needs no new timer before the present one ends.
            if end < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(end);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimeoutStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = buffer.remaining().min(READ_BYTES);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut part) {
            let bytes = part.filled().len();
            buffer.advance(bytes);
            if bytes > 0 {
                self.activity.moved(bytes);
                if self.has_heads {
                    self.head_since.get_or_insert_with(Instant::now);
                }
            }
            return Poll::Ready(read);
        }
        self.poll_deadline(cx).map(Err)
    }
}

impl<T: AsyncWrite + Unpin> TimeoutStream<T> {
    /// Records the result of a write or of a flush.
    fn after_write<V>(&mut self, cx: &mut Context<'_>, written: Poll<V>) -> Poll<io::Result<V>> {
        if let Poll::Ready(value) = written {
            if self.blocked_since.take().is_some() {
                self.activity.set_blocked(false);
            }
            return Poll::Ready(Ok(value));
        }
        if self.blocked_since.is_none() {
            self.blocked_since = Some(Instant::now());
            self.activity.set_blocked(true);
        }
        self.poll_deadline(cx).map(Err)
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
        let written = ready!(self.after_write(cx, written))?;
        if let Ok(bytes) = written {
            self.activity.moved(bytes);
        }
        // The head has ended.
        if !self.in_handshake {
            self.head_since = None;
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.after_write(cx, flushed))?.into()
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

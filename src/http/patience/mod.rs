//! A stream that loses its patience: with a head that does not come, with a reader that takes nothing.
//!
//! hyper's own limit for heads also counts the rest between two requests, so that every scraper with a
//! longer interval would have to connect anew for each scrape. Here the two are told apart.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::{connection::Pulse, settings::Limits};

/// Bytes that are read and thrown away when a connection ends.
const LEFTOVER: usize = 64 * 1024;

/// A connection's stream with its time limits. Bytes go through as they are, vectored writes too.
#[derive(Debug)]
pub(super) struct Patient<T> {
    stream: T,
    pulse: Arc<Pulse>,
    limits: Arc<Limits>,
    alarm: Alarm,
    /// How many requests had been read when the present wait began.
    asked: u32,
    reading: Reading,
    /// When the reader has taken nothing for too long; `None` while it takes.
    stalled_at: Option<Instant>,
}

#[derive(Debug)]
enum Reading {
    /// Nothing is awaited: an answer is on its way.
    Nothing,
    /// The first byte of a head must come until then.
    Idle(Instant),
    /// The whole head must come until then.
    Head(Instant),
}

impl<T> Patient<T> {
    /// A fresh connection: its first head is awaited from now on.
    pub(super) fn new(stream: T, pulse: Arc<Pulse>, limits: Arc<Limits>) -> Self {
        let until = Instant::now() + limits.head_time;
        Self {
            stream,
            pulse,
            alarm: Alarm::new(until),
            asked: 0,
            reading: Reading::Head(until),
            stalled_at: None,
            limits,
        }
    }

    /// The other side sends nothing for now: how long may that last?
    fn wait_for_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pulse.is_answering() {
            self.reading = Reading::Nothing;
            return Poll::Pending;
        }
        let until = match self.reading {
            Reading::Idle(until) | Reading::Head(until) => until,
            Reading::Nothing => {
                let until = Instant::now() + self.limits.idle_time;
                self.reading = Reading::Idle(until);
                until
            }
        };
        ready!(self.alarm.poll(cx, until));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Passes on how a write went, unless it has been stuck for too long.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.stalled_at = None;
            return outcome;
        }
        let stall_time = self.limits.stall_time;
        let until = *self
            .stalled_at
            .get_or_insert_with(|| Instant::now() + stall_time);
        ready!(self.alarm.poll(cx, until));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let asked = this.pulse.requests();
        if asked != this.asked {
            this.asked = asked;
            this.reading = Reading::Nothing;
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Pending => this.wait_for_bytes(cx),
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().len() > before;
                if came && !matches!(this.reading, Reading::Head(_)) {
                    this.reading = Reading::Head(Instant::now() + this.limits.head_time);
                }
                Poll::Ready(Ok(()))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends the connection, and takes what has arrived and will not be read: closing a socket with
    /// unread bytes resets the connection, and the reset would overtake the end of our answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        let mut waste = [0; 4096];
        for _ in 0..LEFTOVER / waste.len() {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// One timer for all waits of a connection. It is moved forward only when a wait needs it sooner, and
/// looks at the clock when it rings too soon: a request that is answered at once touches no timer.
#[derive(Debug)]
struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    fn new(at: Instant) -> Self {
        Self(Box::pin(tokio::time::sleep_until(at)))
    }

    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        loop {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            if self.0.is_elapsed() || self.0.deadline() > until {
                self.0.as_mut().reset(until);
            }
            ready!(self.0.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests;

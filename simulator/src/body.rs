//! A response body as a sequence of steps, so that a fault can act in the middle of it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// One step in sending a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send these bytes.
    Data(Bytes),
    /// Send these bytes this many times.
    Repeat(Bytes, u64),
    /// Wait, so that the connection can send the previous bytes.
    Wait(Duration),
    /// Send no further bytes and keep the connection open.
    Stall,
    /// Close the connection.
    Close,
    /// Reset the connection.
    Reset,
}

/// The body of a response. It keeps its guard until the last byte is read.
pub(super) struct StepBody<T> {
    steps: VecDeque<Step>,
    /// The `Content-Length`; `None` for a chunked body.
    length: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
    reset: Arc<AtomicBool>,
    _guard: T,
}

impl<T> StepBody<T> {
    pub(super) fn new(
        steps: Vec<Step>,
        length: Option<u64>,
        reset: Arc<AtomicBool>,
        guard: T,
    ) -> Self {
        Self {
            steps: steps.into(),
            length,
            pause: None,
            reset,
            _guard: guard,
        }
    }
}

impl<T: Unpin> Body for StepBody<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            match this.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Repeat(_, 0)) => {}
                Some(Step::Repeat(data, times)) => {
                    this.steps.push_front(Step::Repeat(data.clone(), times - 1));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Step::Wait(span)) => this.pause = Some(Box::pin(sleep(span))),
                Some(Step::Stall) => {
                    // No wake-up is registered: the connection ends when the client closes it.
                    this.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::Close) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
                }
                Some(Step::Reset) => {
                    this.reset.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

//! The body of a response as a sequence of steps. This module applies gzip and transfer faults.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::fault::Effect;

/// One step in sending a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send these bytes.
    Data(Bytes),
    /// Send these bytes this many times.
    Repeat(Bytes, u64),
    /// Wait for this duration before the next step.
    Wait(Duration),
    /// Send no further bytes and keep the connection open.
    Stall,
    /// Close the connection.
    Close,
    /// Reset the connection.
    Reset,
}

/// A response body. After its last byte or an error, hyper drops it and the in-flight guard.
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
                    // Hyper drops the body when the client disconnects, so the step needs no waker.
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

/// The steps and the encoding of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) steps: Vec<Step>,
    /// The `Content-Length`; `None` for a chunked body.
    pub(super) length: Option<u64>,
    /// Whether the response has `Content-Encoding: gzip`.
    pub(super) gzip: bool,
}

const PIECE: usize = 64 * 1024;
const BOMB_PIECE: usize = 1024 * 1024;
/// The pause before the body returns an error. In this pause, hyper sends the preceding bytes.
const FLUSH: Duration = Duration::from_millis(5);

impl Transfer {
    /// Builds the steps of a body. `gzip` is true if the client and the options allow gzip.
    pub(super) fn of(body: Vec<u8>, gzip: bool, effect: Option<&Effect>) -> Self {
        match effect {
            Some(Effect::Oversized(size)) => return Self::oversized(body, *size),
            Some(Effect::GzipBomb(size)) => return Self::bomb(&body, *size),
            _ => {}
        }
        let gzip = gzip && !body.is_empty();
        let mut body = body;
        if let Some(Effect::Partial(bytes)) = effect {
            body.truncate(*bytes);
        }
        let body = Bytes::from(if gzip { compressed(&body) } else { body });
        let length = Some(body.len() as u64);
        let head = |bytes: usize| body.slice(..bytes.min(body.len()));
        let steps = match effect {
            Some(Effect::Drip(piece, every)) => body
                .chunks((*piece).max(1))
                .flat_map(|part| [Step::Wait(*every), Step::Data(body.slice_ref(part))])
                .collect(),
            Some(Effect::StallAfter(bytes)) => vec![Step::Data(head(*bytes)), Step::Stall],
            Some(Effect::Truncate(bytes)) => {
                vec![Step::Data(head(*bytes)), Step::Wait(FLUSH), Step::Close]
            }
            Some(Effect::ResetAfter(bytes)) => {
                vec![Step::Data(head(*bytes)), Step::Wait(FLUSH), Step::Reset]
            }
            _ if body.is_empty() => Vec::new(),
            _ => vec![Step::Data(body)],
        };
        Self {
            steps,
            length,
            gzip,
        }
    }

    fn oversized(body: Vec<u8>, size: u64) -> Self {
        let spaces = Bytes::from(vec![b' '; PIECE]);
        let times = size.div_ceil(PIECE as u64);
        let steps = vec![Step::Repeat(spaces, times), Step::Data(body.into())];
        Self {
            steps,
            length: None,
            gzip: false,
        }
    }

    /// Builds a valid gzip stream. Its content is `size` bytes of spaces, rounded up to mebibytes,
    /// and then the body.
    fn bomb(body: &[u8], size: u64) -> Self {
        let spaces = vec![b' '; BOMB_PIECE];
        let times = size.div_ceil(BOMB_PIECE as u64);
        let piece = Bytes::from(fragment(&spaces));
        let mut piece_crc = Crc::new();
        piece_crc.update(&spaces);
        let mut crc = Crc::new();
        for _ in 0..times {
            crc.combine(&piece_crc);
        }
        crc.update(body);
        let mut end = deflated(body);
        end.extend_from_slice(&crc.sum().to_le_bytes());
        end.extend_from_slice(&crc.amount().to_le_bytes());
        let head = Bytes::from_static(&GZIP_HEAD);
        let length = head.len() as u64 + times * piece.len() as u64 + end.len() as u64;
        let steps = vec![
            Step::Data(head),
            Step::Repeat(piece, times),
            Step::Data(end.into()),
        ];
        Self {
            steps,
            length: Some(length),
            gzip: true,
        }
    }
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(body);
    let mut out = GZIP_HEAD.to_vec();
    out.extend_from_slice(&deflated(body));
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

fn deflated(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("memory takes all that is written")
}

/// Compresses data as a part of a deflate stream. The part refers to no earlier data and ends at a
/// byte boundary, so a stream can repeat it.
fn fragment(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 100 + 1024);
    let mut compress = Compress::new(Compression::best(), false);
    compress
        .compress_vec(data, &mut out, FlushCompress::Full)
        .expect("compressing memory into memory");
    out
}

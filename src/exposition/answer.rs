//! One answer to a scrape.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};
use http_body::{Frame, SizeHint};

use super::published::Member;

/// The text format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// How an answer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Plain.
    Identity,
    /// One gzip member.
    Gzip,
}

/// One answer to a scrape: its exact length and its bytes.
#[derive(Debug)]
pub struct Answer {
    /// `Content-Length`.
    pub length: u64,
    /// The bytes, as an `http_body::Body`.
    pub body: AnswerBody,
}

impl Answer {
    pub(super) fn new(member: &Member, encoding: Encoding) -> Self {
        let pieces = Arc::clone(&member.pieces);
        let (length, form) = match encoding {
            Encoding::Gzip => (member.packed_length, Form::Packed { next: 0 }),
            Encoding::Identity => (member.text_length, Form::Text(Inflation::new())),
        };
        Self {
            length,
            body: AnswerBody {
                pieces,
                left: length,
                form,
            },
        }
    }
}

/// The bytes of an [`Answer`]: finished pieces, or text that is inflated from them while it is
/// sent, a small portion at a time.
#[derive(Debug)]
pub struct AnswerBody {
    pieces: Arc<[Bytes]>,
    /// Bytes that are still to be given.
    left: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Packed { next: usize },
    Text(Inflation),
}

impl AnswerBody {
    fn next_piece(&mut self) -> Option<Bytes> {
        let piece = match &mut self.form {
            Form::Packed { next } => {
                let piece = self.pieces.get(*next).cloned();
                *next += 1;
                piece
            }
            Form::Text(inflation) => inflation.next(&self.pieces, self.left),
        };
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        piece
    }
}

/// The bytes without waiting, for whoever does not serve them.
impl Iterator for AnswerBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.next_piece()
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Text is handed out in portions of this size.
const PORTION: usize = 32 * 1024;

/// Length of a gzip header without a name, which is how our members begin.
const HEADER: usize = 10;

/// A walk through a member's pieces that gives its text.
#[derive(Debug)]
struct Inflation {
    inflate: Decompress,
    piece: usize,
    /// Bytes of that piece that were read.
    read: usize,
}

impl Inflation {
    fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            piece: 0,
            read: HEADER,
        }
    }

    /// The next portion, where `left` bytes are still owed.
    fn next(&mut self, pieces: &[Bytes], left: u64) -> Option<Bytes> {
        let wanted = usize::try_from(left).map_or(PORTION, |left| left.min(PORTION));
        let mut text = Vec::with_capacity(wanted);
        while text.len() < wanted {
            let packed = pieces.get(self.piece)?;
            let before = (self.inflate.total_in(), text.len());
            // Our own bytes cannot be wrong; if they were, the answer would end too early, and
            // everybody would see that by its length.
            self.inflate
                .decompress_vec(&packed[self.read..], &mut text, FlushDecompress::None)
                .ok()?;
            let taken = self.inflate.total_in() - before.0;
            self.read += usize::try_from(taken).unwrap_or(packed.len());
            if self.read >= packed.len() {
                self.piece += 1;
                self.read = 0;
            } else if taken == 0 && text.len() == before.1 {
                return None;
            }
        }
        (!text.is_empty()).then(|| text.into())
    }
}

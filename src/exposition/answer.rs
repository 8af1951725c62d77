//! Placeholder of the seam towards http/.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;

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

/// See [`Answer::body`].
#[derive(Debug)]
pub struct AnswerBody {
    pieces: std::collections::VecDeque<Bytes>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(
            self.pieces
                .pop_front()
                .map(|piece| Ok(http_body::Frame::data(piece))),
        )
    }
}

/// One account in words, for the landing page.
#[derive(Debug, Clone)]
pub struct AccountSummary {
    /// Its configured name.
    pub name: String,
    /// Its state in a sentence.
    pub state: String,
}

/// Everything that scrapes are answered from.
#[derive(Debug, Default)]
pub struct Exposition {}

impl Exposition {
    /// The answer to one scrape, now.
    pub fn answer(&self, _format: Format, _encoding: Encoding) -> Answer {
        Answer {
            length: 0,
            body: AnswerBody {
                pieces: std::collections::VecDeque::new(),
            },
        }
    }

    /// Has every account finished its first walk, well or badly? Once true, true for good.
    pub fn is_ready(&self) -> bool {
        false
    }

    /// Every account, in the configuration's order.
    pub fn accounts(&self) -> Vec<AccountSummary> {
        Vec::new()
    }
}

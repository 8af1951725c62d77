//! The body of an answer, which knows when its last byte has left.
//!
//! A body that hyper has read to its end is not yet sent: its pieces wait for the socket. Whoever
//! must be released with the last byte (the permit of a scrape, the connection that counts as being
//! answered) therefore travels inside the last piece, and is dropped when the socket has taken it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Pulse;

/// Held from the moment a request is read until the last byte of its answer is taken.
#[derive(Debug)]
pub(super) struct Ticket {
    /// One of the scrapes that may be answered at the same time.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pulse: Arc<Pulse>,
}

impl Ticket {
    /// A request has been read from this connection.
    pub(super) fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.asked();
        Self {
            permit: None,
            pulse: Arc::clone(pulse),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pulse.answered();
    }
}

/// The body of an answer: `left` bytes of a small page, or of a scrape.
#[derive(Debug)]
pub(super) struct Body<B> {
    content: Content<B>,
    left: u64,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
enum Content<B> {
    Page(Bytes),
    Scrape(B),
}

impl<B> Body<B> {
    pub(super) fn page(page: Bytes, ticket: Ticket) -> Self {
        Self {
            left: page.len() as u64,
            content: Content::Page(page),
            ticket: Some(ticket),
        }
    }

    pub(super) fn scrape(length: u64, body: B, ticket: Ticket) -> Self {
        Self {
            left: length,
            content: Content::Scrape(body),
            ticket: Some(ticket),
        }
    }

    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// What `HEAD` gets: the answer without its bytes.
    pub(super) fn withheld(self) -> Self {
        Self {
            content: Content::Page(Bytes::new()),
            left: 0,
            ticket: self.ticket,
        }
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Unpin,
{
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let this = &mut *self;
        let bytes = match &mut this.content {
            Content::Page(page) if page.is_empty() => return Poll::Ready(None),
            Content::Page(page) => std::mem::take(page),
            Content::Scrape(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Ok(frame)) => {
                        // Nothing but data has a meaning in an answer of known length.
                        if let Ok(bytes) = frame.into_data() {
                            break bytes;
                        }
                    }
                }
            },
        };
        this.left = this.left.saturating_sub(bytes.len() as u64);
        let ticket = if this.left == 0 {
            this.ticket.take()
        } else {
            None
        };
        Poll::Ready(Some(Ok(Frame::data(Piece {
            bytes,
            _ticket: ticket,
        }))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Some bytes of an answer; the last ones carry the ticket.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    _ticket: Option<Ticket>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

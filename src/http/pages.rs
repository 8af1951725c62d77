//! What the front door shows, as a trait, so that a test can put anything behind it.

use std::convert::Infallible;

use bytes::Bytes;

use crate::exposition::{AccountSummary, EncodedBody, Encoding, Exposition, Format};

/// Everything that an answer is made of. No method waits.
pub trait Pages: Send + Sync + 'static {
    /// The bytes of a scrape.
    type Body: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// A scrape's exact length in bytes, and its bytes.
    fn metrics(&self, format: Format, encoding: Encoding) -> (u64, Self::Body);

    /// Has every account finished its first walk? Once true, true for good.
    fn is_ready(&self) -> bool;

    /// Every account and its state in words.
    fn accounts(&self) -> Vec<AccountSummary>;
}

impl Pages for Exposition {
    type Body = EncodedBody;

    fn metrics(&self, format: Format, encoding: Encoding) -> (u64, EncodedBody) {
        let body = self.body(format, encoding);
        (body.content_length(), body)
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn accounts(&self) -> Vec<AccountSummary> {
        self.accounts()
    }
}

//! The client of the API. Each request gives validated records or one typed error.
//!
//! No other module reads the JSON of the API. A page keeps an unreadable row as a rejection, so the row does
//! not affect other rows. Unknown keys are ignored. Ids are text. Rows contain passwords, which no record
//! stores. [`Client`] repeats a request once if the connection breaks without a response. [`RateLimiter`]
//! decides when a request may start. [`RetryPolicy`] decides whether the caller may repeat a failed request.

mod client;
mod error;
mod json;
mod retry_and_rate_limit;
mod row;
#[cfg(test)]
mod tests;

pub use client::{Client, Transports};
pub use error::{ClientError, Error};
pub use retry_and_rate_limit::{Paused, Permit, RateLimiter, RateLimiters, Retry, RetryPolicy};
pub use row::{Application, Endpoint, Fields, Page, Row, RowKey};
// The fuzz target for pages calls these functions.
#[cfg(any(test, fuzzing))]
pub use row::{read_endpoint, read_page};

pub use crate::telemetry::{Capability, ErrorKind, Field, Rejection};

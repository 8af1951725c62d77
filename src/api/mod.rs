//! The client of the API. Each request gives validated records or one typed error.
//!
//! No other module reads the JSON of the API. An unreadable row is counted and does not affect other rows.
//! Unknown keys are ignored. Ids are text. Rows contain passwords, which the client never stores. [`Client`]
//! repeats a request once if its connection breaks. [`RateLimiter`] decides when a request may start.
//! [`RetryPolicy`] decides whether the caller repeats a failed request.

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

pub use crate::telemetry::{Capability, ErrorKind, Field, Rejection};

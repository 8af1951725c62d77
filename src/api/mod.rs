//! The client of the API. Each request gives validated records or one typed error.
//!
//! No other module reads the JSON of the API. An unreadable row is counted and does not affect other rows.
//! Unknown keys are ignored. Ids are text. Secrets in rows are never stored. [`Client`] makes exactly one
//! attempt per call. The caller decides about further attempts.

mod client;
mod error;
mod json;
mod row;
#[cfg(test)]
mod tests;
mod transport;

pub use client::Client;
pub use error::{ClientError, Error};
pub use row::{Application, Endpoint, Fields, Page, Row, RowKey};
pub use transport::Transports;

pub use crate::telemetry::{Capability, ErrorKind, Field, Rejection};

//! The client of the API: each request becomes clean records, or one typed error.
//!
//! No other module knows the JSON of the API. A row that cannot be read costs only that row and is
//! counted; unknown keys are ignored; ids are text; secrets in rows are never kept. [`Client`] makes
//! exactly one attempt per call: its caller decides about another one.

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

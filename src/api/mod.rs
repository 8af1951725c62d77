//! The letterbox: bytes from the vendor become clean records, or one typed error.
//!
//! The vendor's shapes end in this room. A row that cannot be read costs that row and is counted;
//! unknown keys are ignored; ids are text; secrets in rows are never kept. [`Client`] makes exactly
//! one attempt per call: when to ask again, and how often, is decided by the caller.

mod answer;
mod client;
mod credential;
mod decode;
mod error;
mod page;
mod record;
mod refusal;
mod roots;
mod transport;

pub use client::Client;
pub use error::{ClientError, Error, ErrorKind};
pub use page::{ApplicationForm, Page, Rejection, Row, RowKey, RowShape};
pub use record::{Application, Capability, Endpoint, Field, Fields};
pub use transport::Transports;

//! The letterbox: bytes from the vendor become clean records, or one typed error.
//!
//! The vendor's shapes end in this room. A row that cannot be read costs that row and is counted;
//! unknown keys are ignored; ids are text; secrets in rows are never kept.

mod error;
mod page;
mod record;

pub use error::{Error, ErrorKind};
pub use page::{Page, Rejection, Row, RowKey};
pub use record::{Application, Capability, Endpoint, Field, Fields};

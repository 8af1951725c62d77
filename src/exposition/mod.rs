//! Builds expositions. Sample lines are compressed when their data changes, and copied for a scrape.
//!
//! A sample reaches the response in these steps:
//!
//! 1. `families` writes the sample lines of one account, family by family, with the [`FamilyWriter`] of
//!    `lines`; `gzip` compresses each family into a `Chunk`. `cache` keeps a chunk until its data changes.
//! 2. `cache` joins the chunks of all accounts, so that all samples of a family are consecutive.
//! 3. `cache` encodes the exporter's own metrics after each change, and for scrapes at most once a second.
//!    It puts all families into one exposition per format, in the order of the catalogue of metrics.
//! 4. [`DataSource::body`] returns the finished bytes.
//!
//! Both text formats and both encodings use the same chunks. Only metadata lines differ between the
//! formats. A body without compression is inflated while it is sent.

mod cache;
mod families;
mod gzip;
mod lines;

pub use cache::{AccountSummary, DataSource, Exposition, single_run};
pub use gzip::{EncodedBody, Encoding};
pub use lines::{FamilyWriter, Format, Value};

#[cfg(test)]
mod tests;

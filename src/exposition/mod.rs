//! Expositions for Prometheus. Sample lines are compressed when data changes, and copied for a scrape.
//!
//! The path of a sample:
//!
//! 1. `families` writes the lines of one account, family by family, with the [`FamilyWriter`] of
//!    `lines`; `gzip` compresses each family into a `Chunk`. `cache` keeps the chunks until the
//!    snapshot changes.
//! 2. `cache` joins the chunks of all accounts in the order of the catalogue, once per format. In
//!    an exposition all samples of a family are consecutive.
//! 3. `cache` appends the exporter's own counters and histograms, at most once a second.
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

//! Builds expositions. The exporter renders an account's samples once for each new state, not for each scrape.
//!
//! A sample reaches the response in these steps:
//!
//! 1. `families` and `judgements` write the sample lines of one account, one family after another, with a
//!    [`FamilyWriter`].
//!    `gzip` makes a `Chunk` of each family. `account` keeps the chunk until the family has new data.
//! 2. `cache` joins the chunks of all accounts, so that all samples of a family are consecutive.
//! 3. `cache` encodes the exporter's own metrics after a new state. A scrape renews them after a second, or
//!    when the clock alone changes the condition or a judgement of an account. Then `cache` builds an exposition in each format, with families in the order of `Metric`.
//! 4. [`DataSource::body`] returns the finished bytes.
//!
//! Both text formats and both encodings use the same chunks. The formats differ only in metadata lines and in
//! the last line. For a client that does not accept gzip, the server inflates the body portion by portion.

mod account;
mod cache;
mod endpoint_samples;
mod families;
mod gzip;
mod judgements;
mod lines;

pub use account::AccountSummary;
pub use cache::{DataSource, Exposition, single_run};
pub use endpoint_samples::endpoint_samples;
pub use gzip::{EncodedBody, Encoding};
pub use lines::{FamilyWriter, Format, Value};

#[cfg(test)]
mod tests;

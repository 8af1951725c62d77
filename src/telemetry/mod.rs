//! The exporter about itself: the catalogue of every metric, counters and histograms, logs.

pub mod catalogue;
mod instruments;
pub mod labels;
pub mod logs;
pub mod process;
#[cfg(test)]
mod tests;

pub use catalogue::Metric;
pub use instruments::{AccountInstruments, Instruments};
pub use labels::{Capability, ErrorKind, Field, Operation, Rejection, RereadReason, ThrottleCause};

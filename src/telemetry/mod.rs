//! The exporter about itself: the catalogue of every metric, counters and histograms, logs.

pub mod catalogue;
mod instruments;
pub mod logs;
mod process;
#[cfg(test)]
mod tests;

pub use catalogue::{Operation, RereadReason, ThrottleCause};
pub use instruments::{AccountInstruments, Instruments};

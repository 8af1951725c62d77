//! Data about the exporter itself: counters, histograms and logs. The catalogue describes every metric.

pub mod catalogue;
mod instruments;
pub mod labels;
pub mod logs;
pub mod process;
#[cfg(test)]
mod tests;

pub use catalogue::Metric;
pub use instruments::{AccountInstruments, Instruments};
pub use labels::{
    Capability, Condition, ErrorKind, Field, Operation, Rejection, RereadReason, ThrottleCause,
};

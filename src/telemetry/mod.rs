//! The exporter about itself: the catalogue of every metric, our own instruments, the logs.

mod instruments;
pub mod logs;

pub use instruments::{AccountInstruments, Instruments, Operation, ThrottleCause};

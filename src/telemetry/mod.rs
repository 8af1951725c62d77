//! The exporter about itself: the catalogue of every metric, our own instruments, the logs.

pub mod catalogue;
mod instruments;
pub mod logs;
mod process;

pub use instruments::{AccountInstruments, Instruments, Operation, ThrottleCause};

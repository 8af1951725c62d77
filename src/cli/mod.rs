//! The command line: flags in the house style of Prometheus, read into one value.
//!
//! Nothing here prints or leaves the process. [`Arguments::read`] gives what was asked for, or clap's
//! own error, whose `exit()` prints and leaves (2 for wrong usage, 0 for `--help` and `--version`);
//! [`completion`] and [`manual`] give bytes to print.

mod arguments;
mod line;
mod listen;
mod pages;
mod telemetry_path;

pub use arguments::{Arguments, Check, Task};
pub use clap_complete::Shell;
pub use line::{Demo, Log, LogFormat, LogLevel, RowShape, Simulate, Web};
pub use listen::ListenAddress;
pub use pages::{completion, manual};
pub use telemetry_path::TelemetryPath;

#[cfg(test)]
mod tests;

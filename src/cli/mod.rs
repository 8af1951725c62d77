//! The command line: flags in the naming style of Prometheus.
//!
//! Nothing here prints or ends the process. [`Cli::read`] returns the parsed flags, or clap's own
//! error. [`completion`] and [`manual`] return bytes to print.

mod args;
mod values;

pub use args::{
    Cli, Command, DemoArgs, LogArgs, LogFormat, LogLevel, ServeArgs, WebArgs, completion, manual,
};
pub use clap_complete::Shell;
pub use values::TelemetryPath;

pub use crate::http::ListenAddress;

#[cfg(test)]
mod tests;

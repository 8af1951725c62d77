//! The composition root: the only module that imports all others and connects them.
//!
//! [`run()`] executes what the command line selects. This module and the HTTP server start every task
//! of the process; all tasks share one [`CancellationToken`](crate::shutdown::CancellationToken).
//!
//! - `run`: runtime, logging, signals, selection of the command;
//! - `serve`, with `systemd` (`sd_notify`): pollers of all accounts, rendering, HTTP server;
//! - `once`, `check` and `demo`: the other commands.

mod check;
mod demo;
mod error;
mod once;
mod run;
mod serve;
mod systemd;

pub use error::ExitError;
pub use run::run;

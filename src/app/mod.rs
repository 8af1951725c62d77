//! The composition root: the only module that imports all others and connects them.
//!
//! [`run()`] executes the selected command. This module and the HTTP server start every task of the
//! process; all tasks share one [`CancellationToken`](crate::shutdown::CancellationToken).

mod check;
mod demo;
mod error;
mod once;
mod run;
mod serve;
mod systemd;

pub use error::ExitError;
pub use run::run;

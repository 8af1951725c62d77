//! The composition root: the only module that imports all others and connects them.
//!
//! [`run()`] executes the selected command. The walks and the servers of the command end when their shared
//! [`CancellationToken`](crate::shutdown::CancellationToken) is cancelled.

mod accounts;
mod check;
mod demo;
mod error;
mod once;
mod reload;
mod report;
mod run;
mod running;
mod serve;
mod servers;
mod stored_state;
mod systemd;

pub use error::ExitError;
pub use run::run;

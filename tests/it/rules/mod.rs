//! The shipped alerts and their related files: promtool cases, Alertmanager's example, runbooks.

mod alertmanager;
mod catalogue;
mod mutations;
mod promtool;
mod runbooks;
mod shipped;
mod text;

pub use catalogue::check;
pub use shipped::{ALERTMANAGER, PROMETHEUS, RULES, files, groups, path, read};
pub use text::{milliseconds, scaled};

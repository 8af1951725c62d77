//! Tests the shipped rules, their promtool cases and runbooks, and the example for Alertmanager.

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

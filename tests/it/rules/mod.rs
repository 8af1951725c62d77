//! Tests the shipped rules, their promtool cases and runbooks, and the example for Alertmanager.

mod alertmanager;
mod catalogue;
mod cost;
mod promtool;
mod runbooks;
mod shipped;
mod text;
mod thresholds;

pub use catalogue::check;
pub use shipped::{ALERTMANAGER, PROMETHEUS, RULES, files, path, read};
pub use text::{milliseconds, scaled};

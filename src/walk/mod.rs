//! This module starts walks. A walk reads the whole list, and proves that it misses no endpoint.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the list up to three times, until a proof succeeds.
//! Each account has a [`Poller`]. `schedule` decides when the next walk starts. `completeness` reads
//! overlapping pages with a `PageFetcher`. `overlap` detects rows missing between two pages. `confirm` decides
//! which walks wait for confirmation. `condition` logs changes of the account's condition. `judge` makes the
//! judgements about a snapshot. `record` keeps what a page shows of a walk. Rows may lack values, so `details` retrieves single records.

mod completeness;
mod condition;
mod confirm;
mod details;
mod fetch;
mod judge;
mod log;
mod overlap;
mod poller;
mod record;
mod schedule;
mod settings;

pub use condition::log_condition_changes;
pub use fetch::{PollerDeps, Reason, Source, WalkError};
pub use poller::Poller;
pub use schedule::{FIRST_WALKS_WITHIN, stagger};
pub use settings::{NewSettings, SettingsSender};

#[cfg(test)]
mod tests;

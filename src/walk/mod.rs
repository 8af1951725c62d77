//! This module starts walks, reads the whole list, and proves that the walk misses no endpoint.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the whole list once. Each account has one [`Poller`].
//! `schedule` decides when the next walk starts. `completeness` reads overlapping pages with a `PageFetcher`.
//! `overlap` checks that no row is missing between two pages. `confirm` decides which walks wait for
//! confirmation. Rows of the list lack some values, so `details` retrieves single records between walks.

mod completeness;
mod confirm;
mod details;
mod fetch;
mod log;
mod overlap;
mod poller;
mod schedule;

pub use fetch::{PollerDeps, Reason, Source, WalkError};
pub use poller::Poller;
pub use schedule::{FIRST_WALKS_WITHIN, stagger};

#[cfg(test)]
mod tests;

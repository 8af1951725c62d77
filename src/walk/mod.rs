//! Walks: the start of a walk, the reading of the whole list, and the proof that the list is complete.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the whole list once. Each account has one [`Poller`].
//! `schedule` decides when the next walk starts. `completeness` reads overlapping pages with a `PageFetcher`.
//! `overlap` checks that no row is missing between two pages. `confirm` decides which walks wait for
//! confirmation. Between walks, `details` retrieves endpoints, because rows of the list lack some values.

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

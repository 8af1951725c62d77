//! Walks: the start of a walk, the reading of the whole list, and the proof that the list is complete.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the whole list once. Each account has one [`Poller`].
//! `schedule` decides when its next walk starts. `list` reads overlapping pages with a `PageFetcher` and links
//! the pages by the rules of `overlap`. `confirm` decides which walks are published only after a later walk
//! agrees. Between two walks, `details` retrieves single endpoints for values that the list lacks.

mod confirm;
mod details;
mod fetch;
mod list;
mod log;
mod overlap;
mod poller;
mod schedule;

pub use fetch::{PollerDeps, Reason, Source, WalkError};
pub use poller::Poller;
pub use schedule::{FIRST_WALKS_WITHIN, stagger};

#[cfg(test)]
mod tests;

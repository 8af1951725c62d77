//! Walks: when to start one, how to read the whole list, and the proof that nothing was missed.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the whole list once. [`Poller`] exists once per
//! account and asks [`Schedule`] when the next walk starts. `list` reads overlapping pages with a
//! `PageFetcher` and links them by the arithmetic of `overlap`. Each request needs a permit of the
//! account's [`RateLimiter`]. `confirm` decides which walks are published only after a later one agrees.
//! Between two walks, `details` retrieves single endpoints for what the list does not say.

mod confirm;
mod details;
mod error;
mod fetch;
mod groups;
mod list;
mod overlap;
mod poller;
mod rate_limit;
mod report;
mod schedule;
mod token_file;

pub use error::{Reason, WalkError};
pub use fetch::Source;
pub use groups::group_of;
pub use poller::{Poller, PollerDeps};
pub use rate_limit::{RateLimiter, RateLimiters, Waited};
pub use schedule::Schedule;

#[cfg(test)]
mod tests;

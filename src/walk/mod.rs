//! Walks: when to start one, how to read the whole list, and the proof that nothing was missed.
//!
//! A *poll* is a tick of the schedule. A *walk* reads the whole list once. Each account has one
//! [`Poller`], and `schedule` decides when its next walk starts. `list` reads overlapping pages with
//! a `PageFetcher` and links them by the arithmetic of `overlap`. Each request needs a permit of the
//! account's [`RateLimiter`], and one [`RetryPolicy`] decides what follows a failure. `confirm` decides
//! which walks are published only after a later one agrees. Between two walks, `details` retrieves
//! single endpoints for what the list does not say.

mod confirm;
mod details;
mod fetch;
mod list;
mod overlap;
mod poller;
mod rate_limit;
mod report;
mod retry;
mod schedule;

pub use fetch::{PollerDeps, Reason, Source, WalkError};
pub use poller::Poller;
pub use rate_limit::{RateLimiter, RateLimiters};
pub use retry::{Retry, RetryPolicy};

#[cfg(test)]
mod tests;

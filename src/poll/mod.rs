//! The stairs: when to ask, how far to walk, and the proof that a walk is complete.
//!
//! Words: a *poll* is the schedule's tick, a *walk* reads the whole list once, a *snapshot* is what a
//! good walk publishes.
//!
//! The way through the room: [`Poller`] lives as long as the process and asks [`Schedule`] when to
//! start. A walk fetches overlapping pages and links them into a chain that reaches from the first
//! row to the last. Every request waits for its turn in the account's [`Pace`] and is retried where
//! that may help. `confirm` decides which walks are published only after a later one agrees. Between
//! two walks, `details` retrieves single endpoints for what the list does not say.

mod backoff;
mod chain;
mod confirm;
mod count;
mod details;
mod failure;
mod fetch;
mod groups;
mod pace;
mod pause;
mod poller;
mod reading;
mod repair;
mod report;
mod schedule;
mod source;
mod token;
mod walk;

pub use failure::{Failure, Reason};
pub use groups::group_of;
pub use pace::{Pace, Paces, Waited};
pub use poller::{Poller, Surroundings};
pub use schedule::Schedule;
pub use source::Source;

#[cfg(test)]
mod tests;

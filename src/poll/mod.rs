//! The stairs: when to ask, how far to walk, and the proof that a walk is complete.
//!
//! Words: a *poll* is the schedule's tick, a *walk* is one reading of the whole list (or two, when
//! the first wants confirming), a *picture* is what a good walk publishes.
//!
//! The way through the room: [`Poller`] lives as long as the process and asks [`Schedule`] when to
//! start; a walk takes readings until one can be believed; a reading fetches overlapping pages and
//! links them into a chain that reaches from the first row to the last; every request waits for
//! its turn in the account's [`Pace`] and is tried again where that may help. Between two walks,
//! `details` retrieves single endpoints for what the list does not say.

mod ask;
mod backoff;
mod chain;
mod count;
mod details;
mod failure;
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
pub use pace::{Pace, Paces};
pub use poller::{Poller, Surroundings};
pub use schedule::Schedule;
pub use source::Source;

#[cfg(test)]
mod tests;

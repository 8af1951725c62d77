//! The bell: is this phone registered now? One endpoint is asked for, at once, for one answer.
//!
//! Beside the walks and apart from them: nothing that is found here reaches a snapshot. The way of a
//! probe through the room:
//!
//! 1. [`Prober::answer`] reads the `question` and how much time there is (`allowance`);
//! 2. equal questions that come together become one `flight`, which waits for its account's share of
//!    requests, then for the same turn as walks do, and then asks once (`line`);
//! 3. everybody who waits for a flight has a deadline of their own, and an `outcome` in any case;
//! 4. the outcome becomes `samples`, or is told to a person in words (`telling`).

mod allowance;
mod flight;
mod line;
mod outcome;
mod prober;
mod progress;
mod question;
mod samples;
mod telling;

pub use line::Retrieve;
pub use prober::{Asked, Prober, Reply};

#[cfg(test)]
mod tests;

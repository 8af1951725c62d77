//! The gallery: one immutable picture per account, one writer, readers never wait.
//!
//! A [`Draft`] collects the rows of one reading, [`Draft::seal`] sorts it, and [`Sealed::paint`]
//! makes the [`Snapshot`] from it and the picture before: what only time can tell (when a
//! registration was lost, what is held, what has changed) is decided there and nowhere else. Beside
//! the picture stand the [`Details`] that single endpoints told of themselves.

mod changes;
mod details;
mod draft;
mod hold;
mod pack;
mod paint;
mod picture;
mod removed;
mod sealed;
mod state;
mod tally;

pub use changes::{Changes, Transition};
pub use details::{Detail, Details};
pub use draft::Draft;
pub use hold::Hold;
pub use picture::{EndpointView, Snapshot, WalkFacts};
pub use sealed::Sealed;
pub use state::{AccountState, Publisher, Reader, Shown, channel};
pub use tally::{Counts, Tallies};

/// The words that a picture is made from and described in, for whoever looks back only this far.
pub use crate::api::{Application, Capability, Endpoint, Field, Rejection, Row, RowKey};

#[cfg(test)]
mod tests;

//! The gallery: one immutable snapshot per account, one writer, readers never wait.
//!
//! A [`SnapshotBuilder`] collects the rows of one reading, [`SnapshotBuilder::finish`] sorts it, and [`EndpointList::build`]
//! makes the [`Snapshot`] from it and the snapshot before: what only time can tell (when a
//! registration was lost, what is retained, what has changed) is decided there and nowhere else. Beside
//! the snapshot stand the [`Details`] that single endpoints told of themselves.

mod build;
mod builder;
mod changes;
mod details;
mod list;
mod model;
mod packed;
mod removed;
mod retention;

mod state;
mod tally;

pub use builder::SnapshotBuilder;
pub use changes::{Changes, Transition};
pub use details::{Detail, Details};
pub use list::EndpointList;
pub use model::{EndpointView, Snapshot, WalkFacts};
pub use retention::Retention;
pub use state::{AccountState, Publisher, Reader, Shown, channel};
pub use tally::{Counts, SnapshotCounts};

/// The words that a snapshot is made from and described in, for whoever looks back only this far.
pub use crate::api::{Application, Capability, Endpoint, Field, Rejection, Row, RowKey};

#[cfg(test)]
mod tests;

//! One immutable snapshot per account: one writer, and readers that wait for no walk.
//!
//! A [`SnapshotBuilder`] collects the rows of a walk, [`SnapshotBuilder::finish`] sorts them, and
//! [`EndpointList::build`] merges them with the previous snapshot. Only there is decided since when a
//! registration is lost, which endpoints are retained, and what has changed. Beside the snapshot are
//! the [`Details`] of single endpoints.

mod build;
mod records;
mod retention;
#[expect(clippy::module_inception, reason = "the file of the type `Snapshot`")]
mod snapshot;
mod state;

pub use build::{Changes, SnapshotBuilder, Transition};
pub use records::EndpointView;
pub use retention::Retention;
pub use snapshot::{Counts, EndpointList, Snapshot, SnapshotCounts, WalkFacts};
pub use state::{AccountState, Detail, Details, Publisher, Reader, Shown, channel};

/// Types of `api` in the interface of this module, for modules that import only this one.
pub use crate::api::{Application, Capability, Endpoint, Field, Rejection, Row, RowKey};

#[cfg(test)]
mod tests;

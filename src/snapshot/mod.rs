//! The published snapshot of each account. One writer replaces it. Readers never wait for a walk.
//!
//! A [`SnapshotBuilder`] collects the rows of a walk, [`SnapshotBuilder::finish`] sorts them, and
//! [`EndpointList::build`] merges them with the previous snapshot. Only `build` decides when a registration was
//! lost, and which endpoints a walk adds, retains and removes. [`Details`] are not part of a snapshot.

mod condition;
mod counts;
mod history;
mod last_seen;
mod merge;
mod packed_records;
mod retention;
#[expect(clippy::module_inception, reason = "the file of the type `Snapshot`")]
mod snapshot;
mod state;
mod stored;
mod walks;

pub use counts::{Counts, CountsOfGroups, GroupCounts, SnapshotCounts};
pub use history::History;
pub use merge::{Changes, SnapshotBuilder, Transition};
pub use packed_records::{EndpointView, StoredEndpoint};
pub use retention::{RemovedEndpoint, Retention};
pub use snapshot::{EndpointList, Snapshot, WalkFacts};
pub use state::{
    AccountState, Detail, Details, LastSeen, LastSeenMap, LastSuccess, Publisher, Reader, Shown,
    channel,
};
pub use stored::StoredSnapshot;
pub use walks::{PublishedWalk, WalkHistory, WalkRecord, WalkResult};

/// Types of `api` that are part of the interface of this module.
pub use crate::api::{Application, Capability, Endpoint, Field, Rejection, Row, RowKey};

#[cfg(test)]
mod tests;

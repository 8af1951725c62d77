//! Makes the records of finished walks.

use std::time::Duration;

use super::{
    confirm,
    fetch::{WalkError, Work},
};
use crate::{
    clock::UnixMillis,
    snapshot::{Changes, PublishedWalk, Snapshot, WalkRecord, WalkResult},
};

/// The longest text of an error, in characters.
const LONGEST_DETAIL: usize = 300;

/// A walk that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// The wall time of its start.
    pub(super) started_at: UnixMillis,
    pub(super) took: Duration,
    pub(super) work: Work,
}

impl Ended {
    fn record(self, result: WalkResult) -> WalkRecord {
        WalkRecord {
            started_at: self.started_at,
            duration: self.took,
            pages: self.work.pages,
            retries: self.work.retries,
            result,
        }
    }

    /// The record of a walk whose list is published as `snapshot`.
    pub(super) fn published(self, snapshot: &Snapshot, changes: &Changes) -> WalkRecord {
        let registered = snapshot
            .endpoints()
            .filter(|one| one.registered == Some(true));
        self.record(WalkResult::Published(PublishedWalk {
            endpoints: snapshot.len() as u64,
            registered: registered.count() as u64,
            missing: snapshot.walk.missing,
            retained: snapshot.walk.retained,
            rejected_rows: snapshot.walk.rejected_rows.iter().sum(),
            added: changes.added,
            removed: changes.removed,
            lost: changes.lost,
            gained: changes.gained,
            application: changes.application,
        }))
    }

    /// The record of a walk that waits for confirmation.
    pub(super) fn unconfirmed(self, change: confirm::Change) -> WalkRecord {
        self.record(WalkResult::Unconfirmed {
            endpoints_before: change.before,
            removed: change.removed,
            registration_changed: change.flipped,
        })
    }

    /// The record of a walk that failed.
    pub(super) fn failed(self, failure: &WalkError) -> WalkRecord {
        let detail: String = failure.detail.chars().take(LONGEST_DETAIL).collect();
        self.record(WalkResult::Failed {
            reason: failure.reason.label(),
            status: failure.status,
            detail: detail.into(),
        })
    }
}

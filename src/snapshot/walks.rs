//! The last walks of an account, for people who ask why data is old.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::clock::UnixMillis;

/// The number of the last walks.
const MAX_RECENT: usize = 50;
/// The number of failed walks before them.
const MAX_FAILURES: usize = 20;

/// The last 50 walks of an account, and up to 20 failed walks before them. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub struct WalkHistory(Arc<Walks>);

#[derive(Debug, Clone, Default)]
struct Walks {
    /// Oldest first.
    recent: VecDeque<Arc<WalkRecord>>,
    /// Failed walks that are not in `recent` any more, oldest first.
    failures: VecDeque<Arc<WalkRecord>>,
}

/// A finished walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkRecord {
    /// The wall time of its start.
    pub started_at: UnixMillis,
    /// Its duration.
    pub duration: Duration,
    /// The number of received pages.
    pub pages: u64,
    /// The number of repeated requests.
    pub retries: u64,
    /// How it ended.
    pub result: WalkResult,
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalkResult {
    /// It was published.
    Published(PublishedWalk),
    /// It changed so much that it waits for confirmation.
    Unconfirmed {
        /// The number of endpoints of the snapshot before.
        endpoints_before: u64,
        /// Those of them that the walk did not find.
        removed: u64,
        /// Those of them whose registration changed.
        registration_changed: u64,
    },
    /// It failed.
    Failed {
        /// The `reason` label.
        reason: &'static str,
        /// The HTTP status of the response that ended the walk, if one did.
        status: Option<u16>,
        /// The text of the error, without secrets. At most 300 characters.
        detail: Box<str>,
    },
}

/// The numbers of endpoints of a published walk. The last five are the changes since the snapshot before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishedWalk {
    /// All endpoints of the snapshot.
    pub endpoints: u64,
    /// Those of them that are registered.
    pub registered: u64,
    /// The shortfall, as in [`WalkFacts::missing`](super::WalkFacts::missing).
    pub missing: u64,
    /// Retained endpoints.
    pub retained: u64,
    /// Rejected rows.
    pub rejected_rows: u64,
    /// New endpoints.
    pub added: u64,
    /// Removed endpoints.
    pub removed: u64,
    /// Endpoints that lost their registration.
    pub lost: u64,
    /// Endpoints that registered.
    pub gained: u64,
    /// Endpoints with another application.
    pub application: u64,
}

impl WalkRecord {
    /// Whether the walk failed.
    pub fn is_failure(&self) -> bool {
        matches!(self.result, WalkResult::Failed { .. })
    }
}

impl WalkHistory {
    /// The history with one walk more. A failed walk that it pushes out is kept among the failures.
    #[must_use]
    pub fn with(&self, walk: WalkRecord) -> Self {
        let mut walks = Walks::clone(&self.0);
        walks.recent.push_back(Arc::new(walk));
        if walks.recent.len() > MAX_RECENT {
            let oldest = walks.recent.pop_front();
            walks
                .failures
                .extend(oldest.filter(|walk| walk.is_failure()));
        }
        if walks.failures.len() > MAX_FAILURES {
            walks.failures.pop_front();
        }
        Self(Arc::new(walks))
    }

    /// The last walks, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &WalkRecord> {
        self.0.recent.iter().map(|walk| &**walk)
    }

    /// The failed walks before them, oldest first.
    pub fn failures(&self) -> impl DoubleEndedIterator<Item = &WalkRecord> {
        self.0.failures.iter().map(|walk| &**walk)
    }

    /// The last walk.
    pub fn last(&self) -> Option<&WalkRecord> {
        self.recent().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(number: u32, is_failure: bool) -> WalkRecord {
        let detail = number.to_string();
        WalkRecord {
            started_at: UnixMillis(i64::from(number)),
            duration: Duration::from_secs(1),
            pages: 1,
            retries: 0,
            result: if is_failure {
                let (reason, detail) = ("server_error", detail.into());
                let status = Some(503);
                WalkResult::Failed {
                    reason,
                    status,
                    detail,
                }
            } else {
                let (endpoints_before, removed, registration_changed) = (1, 1, 1);
                WalkResult::Unconfirmed {
                    endpoints_before,
                    removed,
                    registration_changed,
                }
            },
        }
    }

    #[test]
    fn fifty_walks_are_kept_and_twenty_failures_before_them() {
        let mut history = WalkHistory::default();
        assert_eq!(history.last(), None);
        for number in 0..200 {
            history = history.with(walk(number, number % 2 == 0));
        }
        let starts = |walks: Vec<&WalkRecord>| -> Vec<i64> {
            walks.into_iter().map(|walk| walk.started_at.0).collect()
        };
        assert_eq!(
            starts(history.recent().collect()),
            (150..200).collect::<Vec<_>>()
        );
        let failures: Vec<i64> = (110..150).step_by(2).collect();
        assert_eq!(starts(history.failures().collect()), failures);
        assert_eq!(history.last(), Some(&walk(199, false)));
    }
}

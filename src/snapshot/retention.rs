//! Decides which endpoints are retained although the last walk did not find them. Also keeps the histories of
//! removed endpoints, because these endpoints may return.
//!
//! The ages of retained endpoints are measured with Tokio's clock, so steps of the wall clock have no effect. The
//! times of removals are wall times, because they must survive a restart.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    history::History,
    packed_records::{Record, Texts},
};
use crate::{api::Rejection, clock::UnixMillis};

/// The limits for the retention of endpoints of the previous snapshot. The default retains no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The maximum time since a walk last found the endpoint.
    pub max_age: Duration,
    /// The maximum number of retained endpoints. Priority: already retained endpoints first, then by lowest id.
    pub at_most: u64,
    /// The maximum number of already retained endpoints that are retained again.
    pub again_at_most: u64,
}

impl Retention {
    /// The limits after a walk with this `shortfall`. `rejected` has the number of rows for each [`Rejection`].
    ///
    /// An *unreadable* row is a rejected row that is no duplicate. It may belong to a missing endpoint. Without
    /// a shortfall, at most one endpoint per unreadable row is retained; with a shortfall, any number. After
    /// several walks with this shortfall (`is_constant`), at most one per unreadable row is retained again.
    pub fn after_walk(
        shortfall: u64,
        is_constant: bool,
        rejected: &[u64; Rejection::ALL.len()],
        max_age: Duration,
    ) -> Self {
        let duplicates = rejected[Rejection::Duplicate as usize];
        let unreadable = rejected.iter().sum::<u64>() - duplicates;
        let (at_most, again_at_most) = match shortfall {
            0 => (unreadable, u64::MAX),
            _ if is_constant => (u64::MAX, unreadable),
            _ => (u64::MAX, u64::MAX),
        };
        Self {
            max_age,
            at_most,
            again_at_most,
        }
    }

    /// The number of `absent` endpoints that are removed because of `at_most` and `again_at_most`. `again` is
    /// the number of absent endpoints that are already retained.
    pub fn removed(self, absent: u64, again: u64) -> u64 {
        let may_stay = absent - again.saturating_sub(self.again_at_most);
        absent - may_stay.min(self.at_most)
    }

    /// Divides the records that a walk did not find into retained records and removed records. `absent` is
    /// sorted by id. `walk_started` is the start of the walk of the previous snapshot, and `passed` the time since
    /// its end.
    pub(super) fn divide(
        self,
        absent: Vec<&Record>,
        walk_started: UnixMillis,
        passed: Duration,
    ) -> (Vec<Record>, Vec<&Record>) {
        let is_young = |old: &&Record| old.unseen_for(passed) < self.max_age;
        let (young, mut removed): (Vec<_>, Vec<_>) = absent.into_iter().partition(is_young);
        let (mut stay, fresh): (Vec<_>, Vec<_>) = young.into_iter().partition(|old| old.retained);
        let mut limit = |stay: &mut Vec<_>, at_most| {
            let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
            removed.extend(stay.drain(at_most.min(stay.len())..));
        };
        limit(&mut stay, self.again_at_most);
        stay.extend(fresh);
        limit(&mut stay, self.at_most);
        let retained = stay.into_iter();
        let retained = retained.map(|old| old.retained(walk_started, passed));
        (retained.collect(), removed)
    }
}

/// The time for which the history of a removed endpoint is kept.
const REMEMBERED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// The maximum number of removed endpoints. Without it, new ids in each walk would fill the memory.
const MAX_REMEMBERED: usize = 100_000;

/// Removed endpoints by id.
///
/// A faulty API may show an empty list for a while. So an endpoint that reappears gets the history from its entry,
/// unless the entry has expired or was deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Removed(pub(super) BTreeMap<Box<str>, RemovedEndpoint>);

/// An endpoint that a walk no longer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedEndpoint {
    /// The history up to the removal.
    pub history: History,
    /// The end of the walk that no longer found the endpoint.
    pub removed_at: UnixMillis,
}

impl RemovedEndpoint {
    fn is_expired(&self, now: UnixMillis) -> bool {
        now.since(self.removed_at) >= REMEMBERED_FOR
    }
}

impl Removed {
    /// The id and the history of each of the removed `records`. `walk_started` is the start of the last walk that
    /// found them.
    pub(super) fn entries<'a>(
        records: &[&Record],
        texts: &'a Texts,
        walk_started: UnixMillis,
    ) -> Vec<(&'a str, History)> {
        let entry = |record: &&Record| (texts.get(record.id), record.history.after(walk_started));
        records.iter().map(entry).collect()
    }

    /// Adds `entries`, which are removed at the time `now`. Entries without a known registration are left out.
    /// Deletes expired entries, and the oldest entries above `MAX_REMEMBERED`. Snapshots share the map, so a copy is
    /// made only for a change.
    pub(super) fn add(this: &mut Arc<Self>, entries: Vec<(&str, History)>, now: UnixMillis) {
        let known = entries.into_iter();
        let known = known.filter(|(_, history)| history.last_known.is_some());
        let mut known = known.take(MAX_REMEMBERED).peekable();
        if known.peek().is_none() && !this.0.values().any(|removed| removed.is_expired(now)) {
            return;
        }
        let all = &mut Arc::make_mut(this).0;
        all.retain(|_, removed| !removed.is_expired(now));
        all.extend(known.map(|(id, history)| {
            let removed = RemovedEndpoint {
                history,
                removed_at: now,
            };
            (id.into(), removed)
        }));
        if let Some(excess) = all.len().checked_sub(MAX_REMEMBERED + 1) {
            let mut times: Vec<_> = all.values().map(|removed| removed.removed_at).collect();
            times.sort_unstable();
            all.retain(|_, removed| removed.removed_at > times[excess]);
        }
    }

    /// Deletes the entry of an endpoint that a walk finds again at the time `now`. Returns the history, unless there
    /// is no entry or the entry is expired.
    pub(super) fn take(this: &mut Arc<Self>, id: &str, now: UnixMillis) -> Option<History> {
        if !this.0.contains_key(id) {
            return None;
        }
        let removed = Arc::make_mut(this).0.remove(id)?;
        (!removed.is_expired(now)).then_some(removed.history)
    }
}

//! Decides which endpoints are retained although the last walk did not find them. Also stores the registrations
//! of removed endpoints, because these endpoints may return.
//!
//! This module measures ages with Tokio's clock, so steps of the wall clock have no effect.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::packed_records::{Record, Texts};
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
    /// sorted by id. `passed` is the time since the end of the walk of the previous snapshot.
    pub(super) fn divide(
        self,
        absent: Vec<&Record>,
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
        let retained = stay.into_iter().map(|old| old.retained(passed));
        (retained.collect(), removed)
    }
}

/// The time for which the registration of a removed endpoint is stored.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The maximum number of stored removed endpoints. Without it, new ids in each walk would fill the memory.
const MAX_REMEMBERED: usize = 100_000;

/// Removed endpoints by id.
///
/// A faulty API may show an empty list for a while. So an endpoint that reappears gets `last_known` and
/// `lost_at` from its entry, unless the entry has expired or was deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Removed(BTreeMap<Box<str>, RemovedEndpoint>);

/// The registration of an endpoint at its removal.
#[derive(Debug, Clone, Copy)]
struct RemovedEndpoint {
    last_known: Option<bool>,
    lost_at: Option<UnixMillis>,
    removed_at: Instant,
}

impl RemovedEndpoint {
    fn is_expired(&self, now: Instant) -> bool {
        now.duration_since(self.removed_at) >= REMEMBERED_FOR
    }
}

impl Removed {
    /// Adds the removed `records` whose `last_known` is true or false. Deletes expired entries, and the oldest
    /// entries above `MAX_REMEMBERED`. Snapshots share the map, so a copy is made only for a change.
    pub(super) fn add(this: &mut Arc<Self>, records: &[&Record], texts: &Texts, now: Instant) {
        let known = records.iter().filter(|record| record.last_known.is_some());
        let mut known = known.take(MAX_REMEMBERED).peekable();
        if known.peek().is_none() && !this.0.values().any(|removed| removed.is_expired(now)) {
            return;
        }
        let all = &mut Arc::make_mut(this).0;
        all.retain(|_, removed| !removed.is_expired(now));
        all.extend(known.map(|record| {
            let removed = RemovedEndpoint {
                last_known: record.last_known,
                lost_at: record.lost_at.get(),
                removed_at: now,
            };
            (texts.get(record.id).into(), removed)
        }));
        if let Some(excess) = all.len().checked_sub(MAX_REMEMBERED + 1) {
            let mut times: Vec<_> = all.values().map(|removed| removed.removed_at).collect();
            times.sort_unstable();
            all.retain(|_, removed| removed.removed_at > times[excess]);
        }
    }

    /// Removes the entry of an endpoint that a walk finds again at the time `now`. Returns the `last_known` and
    /// the `lost_at` of the entry. Both are `None` without an entry, or if the entry is expired.
    pub(super) fn take(
        this: &mut Arc<Self>,
        id: &str,
        now: Instant,
    ) -> (Option<bool>, Option<UnixMillis>) {
        if !this.0.contains_key(id) {
            return (None, None);
        }
        match Arc::make_mut(this).0.remove(id) {
            Some(removed) if !removed.is_expired(now) => (removed.last_known, removed.lost_at),
            _ => (None, None),
        }
    }
}

//! Endpoints that the last walk did not find: how long they are shown, and what is remembered.
//!
//! Ages are measured with Tokio's clock: a step of the wall clock changes none of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::records::{Record, Texts};
use crate::clock::UnixMillis;

/// How many endpoints of the previous snapshot are retained, of those that are absent from this walk. By
/// default none, as after a complete walk without rejected rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Each until a walk last had it this long ago.
    pub max_age: Duration,
    /// At most so many: first those that are retained already, then by id.
    pub at_most: u64,
    /// At most so many of those that are retained already.
    pub again_at_most: u64,
}

impl Retention {
    /// How many of `absent` endpoints are removed. `again` of them are retained already.
    pub fn removed(self, absent: u64, again: u64) -> u64 {
        let may_stay = absent - again.saturating_sub(self.again_at_most);
        absent - may_stay.min(self.at_most)
    }

    /// Divides records that are absent from a walk into those that are retained and those that are
    /// removed. The records are in the order of ids, and their walk ended `passed` before.
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

/// How long a removed endpoint is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The latest removals that are remembered. An API with new ids in every response must not fill the
/// memory.
const MAX_REMEMBERED: usize = 100_000;

/// Endpoints that were removed, by id.
///
/// A list that was empty for a while must not cost the times of losses: an endpoint that returns
/// within a day has its previous registration state.
#[derive(Debug, Clone, Default)]
pub(super) struct Removed(BTreeMap<Box<str>, RemovedEndpoint>);

/// The state of an endpoint at its removal.
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
    /// Adds records that are removed `now`, and forgets expired ones. Copies nothing if nothing
    /// changes.
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

    /// Removes an endpoint that returns `now`. Returns its last state that was true or false, and the
    /// time of its loss; neither if they are not known or expired.
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

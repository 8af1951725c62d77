//! Endpoints that the last walk did not find: how long they are shown, and what is remembered.
//!
//! Ages are measured with Tokio's clock: a step of the wall clock changes none of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::records::{Record, Texts};
use crate::clock::UnixMillis;

/// What happens to endpoints of the previous snapshot that are absent from this walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The walk is complete, and no row was rejected: they are removed.
    Nothing,
    /// The walk may lack existing endpoints: some are retained.
    UpTo {
        /// Each until a walk last had it this long ago.
        max_age: Duration,
        /// At most so many: first those that are retained already, then by id. `None` for no limit.
        at_most: Option<u64>,
    },
    /// The API's count is wrong by the same number in every walk: those that the previous walk found
    /// are retained.
    Once {
        /// Each until a walk last had it this long ago.
        max_age: Duration,
        /// The number of endpoints that are retained already and stay retained.
        at_most: u64,
    },
}

impl Retention {
    /// How many of `absent` endpoints are removed. `again` of them are retained already.
    pub fn removed(self, absent: u64, again: u64) -> u64 {
        match self {
            Self::Nothing => absent,
            Self::UpTo { at_most, .. } => absent.saturating_sub(at_most.unwrap_or(absent)),
            Self::Once { at_most, .. } => again.saturating_sub(at_most),
        }
    }

    /// Divides records that are absent from a walk into those that are retained and those that are
    /// removed. The records are in the order of ids, and their walk ended `passed` before.
    pub(super) fn divide(
        self,
        absent: Vec<&Record>,
        passed: Duration,
    ) -> (Vec<Record>, Vec<&Record>) {
        let (Self::UpTo { max_age, .. } | Self::Once { max_age, .. }) = self else {
            return (Vec::new(), absent);
        };
        let is_young = |old: &&Record| old.unseen_for(passed) < max_age;
        let (mut stay, mut removed): (Vec<_>, Vec<_>) = absent.into_iter().partition(is_young);
        let fresh = stay.iter().filter(|old| !old.retained).count() as u64;
        // A stable sort, which keeps the order of ids. The last ones are removed.
        let (limit, retained_last) = match self {
            Self::Once { at_most, .. } => (fresh + at_most, true),
            Self::UpTo { at_most, .. } => (at_most.unwrap_or(u64::MAX), false),
            Self::Nothing => (0, false),
        };
        stay.sort_by_key(|old| old.retained == retained_last);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        removed.extend(stay.drain(limit.min(stay.len())..));
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
pub(super) struct RemovedEndpoint {
    /// The last state that was true or false.
    pub(super) last_known: Option<bool>,
    pub(super) lost_at: Option<UnixMillis>,
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

    /// Removes and returns the state of an endpoint that returns `now`; `None` if it is expired.
    pub(super) fn take(this: &mut Arc<Self>, id: &str, now: Instant) -> Option<RemovedEndpoint> {
        if !this.0.contains_key(id) {
            return None;
        }
        let removed = Arc::make_mut(this).0.remove(id);
        removed.filter(|removed| !removed.is_expired(now))
    }
}

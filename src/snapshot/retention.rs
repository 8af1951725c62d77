//! Which endpoints are shown although the last walk did not find them, and for how long.
//!
//! Ages are measured with Tokio's clock: a step of the wall clock changes none of them.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Snapshot, WalkFacts, packed::Record, removed::Removed};

/// What becomes of endpoints that the snapshot before had and this walk lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The walk is complete, and every row of it was understood: they are removed.
    Nothing,
    /// The walk may lack existing endpoints: some stay.
    UpTo {
        /// Each stays until it was last seen this long ago.
        max_age: Duration,
        /// So many stay at most, those that are retained already before the others, then in the order
        /// of ids; `None` for all of them.
        at_most: Option<u64>,
    },
    /// The count is wrong by the same number in every walk: those stay that the walk before has found.
    Once {
        /// Each stays until it was last seen this long ago.
        max_age: Duration,
        /// So many of those that are retained already stay, too.
        at_most: u64,
    },
}

impl Retention {
    /// Of so many endpoints that the walk lacks, how many are removed. `again` of them are retained
    /// already.
    pub fn removed(self, lacking: u64, again: u64) -> u64 {
        match self {
            Self::Nothing => lacking,
            Self::UpTo { at_most, .. } => lacking.saturating_sub(at_most.unwrap_or(lacking)),
            Self::Once { at_most, .. } => again.saturating_sub(at_most),
        }
    }

    /// Of the records of `snapshot` that the walk lacks (in the order of ids), those that stay, and those
    /// that are removed.
    pub(super) fn retained<'a>(
        self,
        lacking: Vec<&'a Record>,
        snapshot: &Snapshot,
        walk: &WalkFacts,
    ) -> (Vec<Record>, Vec<&'a Record>) {
        let (Self::UpTo { max_age, .. } | Self::Once { max_age, .. }) = self else {
            return (Vec::new(), lacking);
        };
        let passed = snapshot.age(walk.ended);
        let is_young = |old: &&Record| old.unseen_for(passed) < max_age;
        let (mut stay, mut removed): (Vec<_>, Vec<_>) = lacking.into_iter().partition(is_young);
        let again = stay.iter().filter(|old| old.retained).count();
        let most = match self {
            Self::Once { at_most, .. } => Some((stay.len() - again) as u64 + at_most),
            Self::UpTo { at_most, .. } => at_most,
            Self::Nothing => Some(0),
        };
        if let Some(most) = most {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            // A stable sort, so that ids stay in order on both sides. The last ones are removed.
            let is_once = matches!(self, Self::Once { .. });
            stay.sort_by_key(|old| old.retained == is_once);
            removed.extend(stay.drain(most.min(stay.len())..));
            stay.sort_by(|a, b| a.id.of(&snapshot.texts).cmp(b.id.of(&snapshot.texts)));
        }
        let retained = stay.into_iter().map(|old| Record {
            retained: true,
            unseen_millis: millis(old.unseen_for(passed)),
            ..old.clone()
        });
        (retained.collect(), removed)
    }
}

impl Record {
    /// How long ago a walk had it, `passed` after its snapshot's walk.
    fn unseen_for(&self, passed: Duration) -> Duration {
        Duration::from_millis(self.unseen_millis).saturating_add(passed)
    }
}

impl Snapshot {
    /// This snapshot at `now` without those retained endpoints that were last seen `max_age` ago or
    /// earlier; `None` if it has none of them and can stay as it is.
    pub fn without_expired(&self, now: Instant, max_age: Duration) -> Option<Self> {
        let passed = self.age(now);
        let overdue = |record: &Record| record.retained && record.unseen_for(passed) >= max_age;
        let gone = self.records.iter().filter(|one| overdue(one)).count();
        if gone == 0 {
            return None;
        }
        let mut removed = Arc::clone(&self.removed);
        let leaving = self.records.iter().filter(|one| overdue(one));
        Removed::add(&mut removed, leaving.map(|one| (one, &*self.texts)), now);
        let stay = self.records.iter().filter(|one| !overdue(one));
        let mut records = Vec::with_capacity(self.records.len() - gone);
        records.extend(stay.cloned());
        Some(Self {
            records,
            texts: self.texts.clone(),
            words: self.words.clone(),
            application_names: self.application_names.clone(),
            removed,
            walk: WalkFacts {
                retained: self.walk.retained.saturating_sub(gone as u64),
                ..self.walk.clone()
            },
        })
    }

    /// How long ago its walk ended.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.walk.ended)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

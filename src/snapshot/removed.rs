//! What is remembered of endpoints that were removed.
//!
//! A list that was empty for a while, and was believed, must not cost the times of losses: an endpoint
//! that comes back within a day goes on where it was.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::packed::{MaybeTime, Record};

/// How long a removed endpoint is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);
/// No more are remembered, the latest: a vendor with new ids in every answer must not fill the memory.
const MOST_REMEMBERED: usize = 100_000;

/// Removed endpoints by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Removed(BTreeMap<Box<str>, Past>);

/// The state in which an endpoint was removed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    /// The last state that was true or false.
    pub(super) last_known: Option<bool>,
    pub(super) lost_at: MaybeTime,
    removed_at: Instant,
}

impl Removed {
    /// Adds records, each with the buffer of its texts, that are removed `now`, and forgets what is too
    /// old. Nothing is copied where nothing changes.
    pub(super) fn add<'a>(
        all: &mut Arc<Self>,
        records: impl Iterator<Item = (&'a Record, &'a str)>,
        now: Instant,
    ) {
        let is_old = |past: &Past| now.duration_since(past.removed_at) >= REMEMBERED_FOR;
        let mut records = records
            .filter(|(record, _)| record.last_known.is_some())
            .peekable();
        if records.peek().is_none() && !all.0.values().any(is_old) {
            return;
        }
        let known = &mut Arc::make_mut(all).0;
        known.retain(|_, past| !is_old(past));
        for (record, texts) in records.take(MOST_REMEMBERED) {
            let past = Past {
                last_known: record.last_known,
                lost_at: record.lost_at,
                removed_at: now,
            };
            known.insert(record.id.of(texts).into(), past);
        }
        if known.len() > MOST_REMEMBERED {
            let mut times: Vec<_> = known.values().map(|past| past.removed_at).collect();
            times.sort_unstable();
            let oldest = times[known.len() - MOST_REMEMBERED - 1];
            known.retain(|_, past| past.removed_at > oldest);
        }
    }

    /// The past of an endpoint that comes back `now`, which is not remembered any longer.
    pub(super) fn take(all: &mut Arc<Self>, id: &str, now: Instant) -> Option<Past> {
        let past = *all.0.get(id)?;
        Arc::make_mut(all).0.remove(id);
        (now.duration_since(past.removed_at) < REMEMBERED_FOR).then_some(past)
    }
}

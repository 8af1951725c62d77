//! The rendered families of one account: those of its state, and those that change with the wall clock.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{
    families,
    gzip::Chunk,
    judgements,
    lines::{Families, FamilyWriter, Value},
};
use crate::{
    clock::{Clock, UnixMillis},
    snapshot::{AccountState, Details, Snapshot, WalkHistory},
    telemetry::{Condition, catalogue::Metric},
};

/// A point in time, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) monotonic: Instant,
    wall: UnixMillis,
}

impl Now {
    pub(super) fn of(clock: &Clock) -> Self {
        Self {
            monotonic: Instant::now(),
            wall: clock.now(),
        }
    }
}

/// A number that no other account of the exposition has. An account that is removed and added again has another key.
pub(super) type Key = usize;

/// One account in an exposition.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) key: Key,
    /// Whether readiness waits for the first walk. It waits only for accounts that the exporter has from its start.
    is_awaited: bool,
    pub(super) rendered: Arc<RenderedAccount>,
    pub(super) judged: Arc<JudgedAccount>,
}

impl Account {
    pub(super) fn new(
        key: Key,
        is_awaited: bool,
        state: &AccountState,
        now: Now,
        writer: &mut FamilyWriter,
    ) -> Self {
        let rendered = RenderedAccount::new(state, None, writer);
        Self {
            key,
            is_awaited,
            judged: Arc::new(JudgedAccount::new(&rendered, now, writer)),
            rendered: Arc::new(rendered),
        }
    }

    /// Renders the judgements again, if they have changed by the clock.
    pub(super) fn judge(&mut self, now: Now, writer: &mut FamilyWriter) {
        if self
            .judged
            .until
            .is_some_and(|until| until <= now.monotonic)
        {
            self.judged = Arc::new(JudgedAccount::new(&self.rendered, now, writer));
        }
    }

    /// The samples of the family `metric` that the account shows at the time `now`.
    pub(super) fn chunk(&self, metric: Metric, now: Instant) -> Option<&Chunk> {
        let judged = self.judged.families.chunks.get(&metric);
        judged.or_else(|| self.rendered.chunk(metric, now))
    }

    pub(super) fn summary(&self, now: Instant) -> AccountSummary {
        let rendered = &self.rendered;
        let state = &rendered.state;
        AccountSummary {
            is_awaited: self.is_awaited && state.up.is_none(),
            has_walked: state.up.is_some(),
            failure: state.failure,
            is_withdrawn: state.is_withdrawn(now),
        }
    }

    /// The next time after `now` at which the account shows other chunks, unless it has a new state.
    pub(super) fn next_change(&self, now: Now) -> Option<Instant> {
        let change = self.rendered.state.next_change(now.monotonic);
        [change, self.judged.until].into_iter().flatten().min()
    }
}

/// The judgements about one account, which change with the wall clock, and the number of its series.
#[derive(Debug)]
pub(super) struct JudgedAccount {
    families: Families,
    /// The time until which these samples hold, unless the account has a new state; `None` if the clock changes nothing.
    until: Option<Instant>,
}

impl JudgedAccount {
    pub(super) fn new(rendered: &RenderedAccount, now: Now, writer: &mut FamilyWriter) -> Self {
        let state = &rendered.state;
        let groups = &state.shown.groups;
        let present = state.present(now.wall, now.monotonic);
        let end = judgements::write(state, &present, writer);
        let limited = groups.iter().filter(|group| group.duty.is_limited());
        let changes = limited.map(|group| group.duty.until(now.wall)).chain(end);
        let changes = changes.map(|at| now.monotonic + at.since(now.wall));
        let until = changes.chain(state.next_change(now.monotonic)).min();
        let series = rendered.samples(now.monotonic) + writer.families.samples + 1;
        let labels = [("account", &*state.account)];
        writer.sample(Metric::ExporterSeries, &labels, Value::Integer(series));
        Self {
            families: writer.finish(),
            until,
        }
    }
}

/// One account: its state, and the chunks of its families.
#[derive(Debug)]
pub(super) struct RenderedAccount {
    /// The state without its snapshot and details, so that an old rendering keeps no snapshot in memory.
    state: AccountState,
    /// The snapshot that `listed` and `detailed` show. [`Self::new`] compares snapshots by address. The `Weak`
    /// keeps the address in use, so that no new snapshot can have the same address.
    snapshot: Weak<Snapshot>,
    details: Weak<Details>,
    /// Families that do not depend on details. [`Self::new`] reuses these families for the same snapshot.
    listed: Families,
    /// Families that depend on the list and on details.
    detailed: Families,
    /// Families about walks. They are shown unless the snapshot is withdrawn.
    walks: Families,
    /// Families about walks. They are shown while the snapshot is withdrawn.
    walks_withdrawn: Families,
    /// The chunk of `vobiz_account_condition` for each condition, in the order of [`Condition::ALL`]. The chunks
    /// depend only on the name of the account, so all renderings of the account share them.
    conditions: Arc<[Chunk]>,
}

impl RenderedAccount {
    /// Renders `state`. Reuses endpoint families of the previous rendering `last` if their data is the same.
    pub(super) fn new(
        state: &AccountState,
        last: Option<&Self>,
        writer: &mut FamilyWriter,
    ) -> Self {
        let source = state.snapshot.as_ref();
        let snapshot = source.map_or_else(Weak::new, Arc::downgrade);
        let details = Arc::downgrade(&state.details);
        let conditions = last.map_or_else(
            || condition_chunks(&state.account, writer),
            |last| Arc::clone(&last.conditions),
        );
        let last = last
            .filter(|last| last.snapshot.ptr_eq(&snapshot))
            .filter(|last| Arc::ptr_eq(&last.state.shown, &state.shown));
        let listed = if let Some(last) = last {
            last.listed.clone()
        } else {
            if let Some(snapshot) = source {
                let counts = snapshot.counts(&state.shown.groups);
                families::write_endpoints(state, || snapshot.endpoints(), writer);
                families::write_counts(state, snapshot, &counts, writer);
            }
            writer.finish()
        };
        let detailed = if let Some(last) = last.filter(|last| last.details.ptr_eq(&details)) {
            last.detailed.clone()
        } else {
            if let Some(snapshot) = source {
                let endpoints = || snapshot.endpoints_with(&state.details);
                families::write_endpoint_details(state, endpoints, writer);
            }
            writer.finish()
        };
        families::write_walks(state, false, writer);
        let walks = writer.finish();
        families::write_walks(state, true, writer);
        Self {
            snapshot,
            details,
            listed,
            detailed,
            walks,
            walks_withdrawn: writer.finish(),
            conditions,
            state: AccountState {
                snapshot: None,
                details: Arc::default(),
                last_seen: Arc::default(),
                walks: WalkHistory::default(),
                ..state.clone()
            },
        }
    }

    /// The samples of the family `metric` that the account shows at the time `now`.
    pub(super) fn chunk(&self, metric: Metric, now: Instant) -> Option<&Chunk> {
        if metric == Metric::AccountCondition {
            return self.conditions.get(self.state.condition(now) as usize);
        }
        if self.state.is_withdrawn(now) {
            return self.walks_withdrawn.chunks.get(&metric);
        }
        let parts = [&self.detailed, &self.listed, &self.walks];
        parts.into_iter().find_map(|part| part.chunks.get(&metric))
    }

    /// The number of samples that the account shows at the time `now`, without those of judgements.
    fn samples(&self, now: Instant) -> u64 {
        let samples = if self.state.is_withdrawn(now) {
            self.walks_withdrawn.samples
        } else {
            self.detailed.samples + self.listed.samples + self.walks.samples
        };
        // Each chunk of `conditions` has a sample for each condition.
        samples + self.conditions.len() as u64
    }
}

/// The chunks of `vobiz_account_condition` for the account with this name, in the order of [`Condition::ALL`].
fn condition_chunks(account: &str, writer: &mut FamilyWriter) -> Arc<[Chunk]> {
    let chunk = |condition| {
        families::write_condition(account, condition, writer);
        let mut families = writer.finish().chunks;
        families.remove(&Metric::AccountCondition)
    };
    Condition::ALL.into_iter().filter_map(chunk).collect()
}

/// The status of one account, for systemd and for `/-/ready`.
#[derive(Debug, Clone, Default)]
pub struct AccountSummary {
    /// Whether the first walk since the start or since the addition of the account has finished. It may have failed.
    pub has_walked: bool,
    /// Whether `/-/ready` waits for the first walk. It does not wait for an account that a reload has added.
    pub is_awaited: bool,
    /// The `reason` label of the last walk if it failed. `None` after a success, and until the first walk ends.
    pub failure: Option<&'static str>,
    /// Whether the snapshot is withdrawn.
    pub is_withdrawn: bool,
}

//! One account: its compressed families, and its status as a sentence.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    families,
    gzip::Chunk,
    lines::{Families, FamilyWriter},
};
use crate::{
    snapshot::{AccountState, Counts, Details, Shown, Snapshot},
    telemetry::catalogue::Metric,
};

/// The rendered families of one account.
#[derive(Debug)]
pub(super) struct RenderedAccount {
    pub(super) status: AccountStatus,
    /// The source of `listed` and `detailed`. Weak: a replaced snapshot must not stay in memory. The
    /// allocation itself stays, so its address identifies the snapshot.
    snapshot: Weak<Snapshot>,
    shown: Arc<Shown>,
    details: Weak<Details>,
    /// Families that depend on the list alone; kept while only details change.
    listed: Arc<Families>,
    /// Families that depend on details, too.
    detailed: Arc<Families>,
    /// Families about walks, beside a snapshot that is shown (or before the first one).
    walks: Families,
    /// The same beside a withdrawn snapshot.
    walks_withdrawn: Families,
}

impl RenderedAccount {
    /// Renders a state. Families of `last` whose source is the same are not rendered again.
    pub(super) fn new(
        state: &AccountState,
        last: Option<&Self>,
        writer: &mut FamilyWriter,
    ) -> Self {
        let source = state.snapshot.as_ref();
        let snapshot = source.map_or_else(Weak::new, Arc::downgrade);
        let details = Arc::downgrade(&state.details);
        let last = last
            .filter(|last| last.snapshot.ptr_eq(&snapshot))
            .filter(|last| Arc::ptr_eq(&last.shown, &state.shown));
        let (listed, counts) = if let Some(last) = last {
            (Arc::clone(&last.listed), last.status.counts)
        } else {
            let counts = source.map(|snapshot| {
                let counts = snapshot.counts(state.shown.groups.len());
                families::write_endpoints(state, snapshot, writer);
                families::write_counts(state, snapshot, &counts, writer);
                counts.all
            });
            (Arc::new(writer.finish()), counts)
        };
        let detailed = if let Some(last) = last.filter(|last| last.details.ptr_eq(&details)) {
            Arc::clone(&last.detailed)
        } else {
            if let Some(snapshot) = source {
                families::write_endpoint_details(state, snapshot, writer);
            }
            Arc::new(writer.finish())
        };
        families::write_walks(state, Some(listed.samples + detailed.samples), writer);
        let walks = writer.finish();
        families::write_walks(state, None, writer);
        Self {
            status: AccountStatus::new(state, counts),
            snapshot,
            shown: Arc::clone(&state.shown),
            details,
            listed,
            detailed,
            walks,
            walks_withdrawn: writer.finish(),
        }
    }

    /// The samples of a family that the account shows at this moment.
    pub(super) fn chunk(&self, metric: Metric, now: Instant) -> Option<&Chunk> {
        if self.status.is_withdrawn(now) {
            return self.walks_withdrawn.chunks.get(&metric);
        }
        let parts = [&*self.detailed, &*self.listed, &self.walks];
        parts.into_iter().find_map(|part| part.chunks.get(&metric))
    }
}

/// The status of one account as a sentence, for the landing page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// Its configured name.
    pub name: String,
    /// Its state in a sentence.
    pub state: String,
    /// The id of an endpoint of the snapshot, as an example: ASCII letters and digits.
    pub endpoint_id: Option<Arc<str>>,
}

/// The source of an [`AccountSummary`]. Holds no snapshot, so that an old one is not kept in memory.
#[derive(Debug, Clone)]
pub(super) struct AccountStatus {
    account: Arc<str>,
    /// `None` until the first walk has finished.
    pub(super) up: Option<bool>,
    failure: Option<&'static str>,
    /// Endpoints of the snapshot.
    counts: Option<Counts>,
    endpoint_id: Option<Arc<str>>,
    max_age: Duration,
    pub(super) withdraw_at: Option<Instant>,
}

impl AccountStatus {
    fn new(state: &AccountState, counts: Option<Counts>) -> Self {
        // A link to /probe needs no escaping with such an id.
        let is_plain = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let snapshot = state.snapshot.iter();
        let mut endpoints = snapshot.flat_map(|snapshot| snapshot.endpoints());
        let example = endpoints.find(|endpoint| is_plain(endpoint.id));
        Self {
            account: Arc::clone(&state.account),
            up: state.up,
            failure: state.failure,
            counts,
            endpoint_id: example.map(|endpoint| endpoint.id.into()),
            max_age: state.max_age,
            withdraw_at: state.withdraw_at,
        }
    }

    fn is_withdrawn(&self, now: Instant) -> bool {
        self.withdraw_at.is_some_and(|at| now >= at)
    }

    pub(super) fn summary(&self, now: Instant) -> AccountSummary {
        AccountSummary {
            name: self.account.to_string(),
            state: self.sentence(now),
            endpoint_id: self.endpoint_id.clone(),
        }
    }

    fn sentence(&self, now: Instant) -> String {
        let Some(up) = self.up else {
            return "first walk under way".to_owned();
        };
        let is_withdrawn = self.is_withdrawn(now);
        let status = match (up, &self.counts, self.failure) {
            (true, Some(counts), _) if !is_withdrawn => {
                let (all, registered) = (counts.total(), counts.registered);
                let noun = if all == 1 { "endpoint" } else { "endpoints" };
                format!("up: {all} {noun}, {registered} registered")
            }
            (true, _, _) => "up".to_owned(),
            (false, _, Some(reason)) => format!("down ({reason})"),
            (false, _, None) => "down".to_owned(),
        };
        let prefix = if is_withdrawn { "withdrawn: " } else { "" };
        // The maximum age counts from the end of the last good walk.
        let walked_at = self.withdraw_at.and_then(|at| at.checked_sub(self.max_age));
        let walked = match walked_at.map(|at| rounded(now.saturating_duration_since(at))) {
            Some(age) if up && !is_withdrawn => format!("walked {age} ago"),
            Some(age) => format!("last good walk {age} ago"),
            None => "no good walk yet".to_owned(),
        };
        format!("{prefix}{status}, {walked}")
    }
}

fn rounded(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

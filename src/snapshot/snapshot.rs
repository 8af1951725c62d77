//! The snapshot: every endpoint of one account, sorted by id.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    packed_records::{EndpointView, Record, Texts},
    retention::Removed,
};
use crate::{
    api::{Field, Rejection},
    clock::UnixMillis,
};

/// The distinct endpoints of a list, sorted by id.
#[derive(Debug, Clone)]
pub struct EndpointList {
    /// False if the endpoints have no groups yet, because they come from the state database.
    pub(super) has_groups: bool,
    pub(super) records: Vec<Record>,
    pub(super) texts: Texts,
    /// The names of applications in the rows, by application id.
    pub(super) application_names: BTreeMap<String, String>,
}

impl Default for EndpointList {
    fn default() -> Self {
        Self {
            has_groups: true,
            records: Vec::new(),
            texts: Texts::default(),
            application_names: BTreeMap::new(),
        }
    }
}

impl EndpointList {
    /// The id and `sip_registered` of every endpoint, in the order of ids.
    pub fn registrations(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        let records = self.records.iter();
        records.map(|record| (self.texts.get(record.id), record.registered))
    }
}

/// One immutable snapshot of an account.
#[derive(Debug)]
pub struct Snapshot {
    /// The endpoints that the walk found, and the retained endpoints.
    pub(super) list: EndpointList,
    /// The history of each removed endpoint. It is kept because the endpoint may return.
    pub(super) removed: Arc<Removed>,
    /// The walk from which the snapshot was built.
    pub walk: WalkFacts,
    /// Differs between all snapshots of the process.
    pub(super) version: u64,
    pub(super) differences: Option<Differences>,
}

/// The endpoints whose stored form differs from that of an earlier snapshot. So the state database need not compare
/// both snapshots, which takes 20 ms for 100,000 endpoints.
#[derive(Debug)]
pub struct Differences {
    /// The version of the earlier snapshot.
    pub(super) from: u64,
    /// The endpoints that are new or changed.
    pub changed: Vec<Position>,
    /// The ids of endpoints that only the earlier snapshot has.
    pub gone: Vec<Box<str>>,
}

/// The place of one endpoint in two snapshots.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// The number of the endpoint in this snapshot.
    pub new: u32,
    /// Its number in the earlier snapshot; `None` for a new endpoint.
    pub old: Option<u32>,
}

/// A number that no other snapshot of the process has.
pub(super) fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Facts about the walk of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkFacts {
    /// Wall time of the start of the walk.
    pub started_at: UnixMillis,
    /// Wall time of the end of the walk.
    pub ended_at: UnixMillis,
    /// The monotonic time of the end of the walk. The ages of retained endpoints are computed from this time.
    pub ended: Instant,
    /// The duration of the walk.
    pub duration: Duration,
    /// The number of received pages, including pages that were read again.
    pub pages: u64,
    /// The `total_count` of the list, if present.
    pub reported: Option<u64>,
    /// The shortfall of the walk, in endpoints. 0 for a complete walk, and if several walks had this shortfall.
    pub missing: u64,
    /// The number of retained endpoints.
    pub retained: u64,
    /// The number of rejected rows for each reason, in the order of [`Rejection::ALL`].
    pub rejected_rows: [u64; Rejection::ALL.len()],
    /// The number of found endpoints with a dropped or cut value, by field in the order of [`Field::ALL`].
    pub rejected_values: [u64; Field::ALL.len()],
    /// The number of found endpoints with a time without a zone, by field in the order of [`Field::ALL`].
    pub assumed_values: [u64; Field::ALL.len()],
}

impl WalkFacts {
    /// Facts about a walk that ends now, at the wall time `ended_at`. `reported` is `None`. All counts are 0.
    pub fn new(started_at: UnixMillis, ended_at: UnixMillis, duration: Duration) -> Self {
        Self {
            started_at,
            ended_at,
            ended: Instant::now(),
            duration,
            pages: 0,
            reported: None,
            missing: 0,
            retained: 0,
            rejected_rows: [0; Rejection::ALL.len()],
            rejected_values: [0; Field::ALL.len()],
            assumed_values: [0; Field::ALL.len()],
        }
    }
}

impl Snapshot {
    /// The number of endpoints, including retained endpoints.
    pub fn len(&self) -> usize {
        self.list.records.len()
    }

    /// Whether the snapshot has no endpoint.
    pub fn is_empty(&self) -> bool {
        self.list.records.is_empty()
    }

    /// Every endpoint, in the order of ids.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = EndpointView<'_>> {
        self.views(0)
    }

    /// The endpoints from the position `first` on, in the order of ids.
    pub(super) fn views(&self, first: u32) -> impl ExactSizeIterator<Item = EndpointView<'_>> {
        let records = usize::try_from(first).ok();
        let records = records.and_then(|first| self.list.records.get(first..));
        let records = records.unwrap_or_default().iter();
        records.map(|record| record.view(&self.list.texts))
    }

    /// The first walk that listed one of the endpoints; `None` without endpoints.
    pub fn known_since(&self) -> Option<UnixMillis> {
        self.endpoints().map(|one| one.history.first_seen).min()
    }

    /// One endpoint by its id.
    pub fn endpoint(&self, id: &str) -> Option<EndpointView<'_>> {
        self.at(self.number(id)?)
    }

    /// The endpoint at the position `number` in the order of ids.
    pub fn at(&self, number: u32) -> Option<EndpointView<'_>> {
        let record = self.list.records.get(usize::try_from(number).ok()?)?;
        Some(record.view(&self.list.texts))
    }

    /// The position of the endpoint with this id, in the order of ids.
    pub fn number(&self, id: &str) -> Option<u32> {
        let EndpointList { records, texts, .. } = &self.list;
        let at = records.binary_search_by(|record| texts.get(record.id).cmp(id));
        u32::try_from(at.ok()?).ok()
    }

    /// The position of the first endpoint whose id is greater than `id`.
    pub fn number_after(&self, id: &str) -> u32 {
        let EndpointList { records, texts, .. } = &self.list;
        let at = records.partition_point(|record| texts.get(record.id) <= id);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// The names of applications in the rows, by application id.
    pub fn application_names(&self) -> &BTreeMap<String, String> {
        &self.list.application_names
    }

    /// A copy without the retained endpoints that no walk found for `max_age`. `None` if no endpoint expired.
    pub fn without_expired(&self, now: Instant, max_age: Duration) -> Option<Self> {
        let passed = now.saturating_duration_since(self.walk.ended);
        let is_expired = |record: &&Record| record.retained && record.unseen_for(passed) >= max_age;
        let EndpointList { records, texts, .. } = &self.list;
        let expired: Vec<_> = records.iter().filter(is_expired).collect();
        if expired.is_empty() {
            return None;
        }
        let mut removed = Arc::clone(&self.removed);
        let gone = Removed::entries(&expired, texts, self.walk.started_at);
        Removed::add(&mut removed, gone, self.walk.ended_at.plus(passed));
        let mut list = self.list.clone();
        list.records.retain(|record| !is_expired(&record));
        let mut walk = self.walk.clone();
        walk.retained = walk.retained.saturating_sub(expired.len() as u64);
        Some(Self::changed(list, removed, walk))
    }

    /// A snapshot that was not built by a walk.
    pub(super) fn changed(list: EndpointList, removed: Arc<Removed>, walk: WalkFacts) -> Self {
        Self {
            list,
            removed,
            walk,
            version: next_version(),
            differences: None,
        }
    }

    /// The differences from `earlier`, if this snapshot was built from it.
    pub fn differences_from(&self, earlier: &Self) -> Option<&Differences> {
        let known = self.differences.as_ref();
        known.filter(|known| known.from == earlier.version)
    }
}

//! The snapshot itself: every endpoint of one account, sorted by id.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    packed::{Interner, Record},
    removed::Removed,
};
use crate::{
    api::{Field, Rejection},
    clock::UnixMillis,
};

/// One immutable snapshot of an account.
#[derive(Debug)]
pub struct Snapshot {
    /// Sorted by id; every id once.
    pub(super) records: Vec<Record>,
    pub(super) texts: String,
    pub(super) words: Interner,
    pub(super) application_names: BTreeMap<String, String>,
    /// Endpoints that were in earlier snapshots.
    pub(super) removed: Arc<Removed>,
    /// The walk that gave it.
    pub walk: WalkFacts,
}

/// What is known about the walk behind a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkFacts {
    /// When it began.
    pub started_at: UnixMillis,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// When it ended, by the clock that nobody sets; ages are told from here.
    pub ended: Instant,
    /// How long it took.
    pub duration: Duration,
    /// Pages received, repairs and further readings included.
    pub pages: u64,
    /// The list's `total_count`, where it gave one.
    pub reported: Option<u64>,
    /// Owed by the count and not found; 0 when proven.
    pub missing: u64,
    /// Endpoints kept from an earlier snapshot; 0 when proven and every row was understood.
    pub retained: u64,
    /// Rows that gave no record, in the order of [`Rejection::ALL`].
    pub rejected_rows: [u64; Rejection::ALL.len()],
    /// Values dropped from good rows, in the order of [`Field::ALL`].
    pub rejected_values: [u64; Field::ALL.len()],
    /// Values read under an assumption, in the order of [`Field::ALL`].
    pub assumed_values: [u64; Field::ALL.len()],
}

impl WalkFacts {
    /// A walk that ends at this moment (it is wall time that is given), without a count, of which nothing is missing, retained, rejected or assumed.
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

/// One endpoint of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointView<'a> {
    /// `endpoint_id`.
    pub id: &'a str,
    /// "" when unknown.
    pub username: &'a str,
    /// "" when unknown.
    pub alias: &'a str,
    /// "" for the main account.
    pub sub_account: &'a str,
    /// Index into [`Shown::groups`](super::Shown::groups); `None` when no group matched.
    pub group: Option<u16>,
    /// `sip_registered`; `None` when neither true nor false.
    pub registered: Option<bool>,
    /// Start of the first walk that found it unregistered after one that found it registered;
    /// only while unregistered.
    pub lost_at: Option<UnixMillis>,
    /// When the registration expires, by its row or by its detail; only while registered.
    pub expires_at: Option<UnixMillis>,
    /// The client's own name.
    pub user_agent: Option<&'a str>,
    /// Id of the application attached; `None` for none, "" for one without an id.
    pub application: Option<&'a str>,
    /// The device's address, as it says itself.
    pub contact: Option<&'a str>,
    /// The device's address, as the registrar saw it.
    pub received: Option<&'a str>,
    /// `created_at`.
    pub created_at: Option<UnixMillis>,
    /// `updated_at`.
    pub updated_at: Option<UnixMillis>,
    /// `allow_*` in the order of [`Capability::ALL`](crate::api::Capability::ALL).
    pub allowed: [Option<bool>; 7],
    /// When the endpoint's own record was last retrieved, where one adds to this.
    pub detail_at: Option<UnixMillis>,
    /// Not in the last walk, but kept because that walk was short or had rows that gave no record.
    pub retained: bool,
}

/// Snapshots are equal when they show the same, wherever in memory their texts lie. The moment
/// [`WalkFacts::ended`] is not shown.
impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        let walk = WalkFacts {
            ended: other.walk.ended,
            ..self.walk.clone()
        };
        walk == other.walk
            && self.application_names == other.application_names
            && self.endpoints().eq(other.endpoints())
    }
}

impl Snapshot {
    /// Number of endpoints, retained ones included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Has it no endpoint at all?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every endpoint, in the order of ids.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = EndpointView<'_>> {
        self.records
            .iter()
            .map(|record| record.view(&self.texts, &self.words))
    }

    /// One endpoint by its id.
    pub fn endpoint(&self, id: &str) -> Option<EndpointView<'_>> {
        self.at(self.number(id)?)
    }

    /// The endpoint at this place of the order of ids.
    pub fn at(&self, number: u32) -> Option<EndpointView<'_>> {
        let record = self.records.get(usize::try_from(number).ok()?)?;
        Some(record.view(&self.texts, &self.words))
    }

    /// An endpoint's place in the order of ids.
    pub fn number(&self, id: &str) -> Option<u32> {
        let at = self
            .records
            .binary_search_by(|record| record.id.of(&self.texts).cmp(id));
        u32::try_from(at.ok()?).ok()
    }

    /// Names of applications that rows brought, by id.
    pub fn application_names(&self) -> &BTreeMap<String, String> {
        &self.application_names
    }
}

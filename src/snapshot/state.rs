//! The published state of one account: its snapshot and its details. Each publication replaces the whole state.
//!
//! Only the row in the API's list decides whether an endpoint is registered. A detail adds values that a row
//! may lack: the expiry, the user agent, and the address of the device.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{packed_records::EndpointView, snapshot::Snapshot, walks::WalkHistory};
use crate::{
    api::Endpoint,
    clock::UnixMillis,
    config::Group,
    judgement::{Judgements, Present},
};

/// The published state of one account. The poller replaces the state after a walk and after changes of details.
#[derive(Debug, Clone, Default)]
pub struct AccountState {
    /// The `account` label.
    pub account: Arc<str>,
    /// The settings that decide which values are exported.
    pub shown: Arc<Shown>,
    /// The last published snapshot. It is kept even if it is too old for export.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The details of the endpoints, by endpoint id.
    pub details: Arc<Details>,
    /// What the API said about unregistered endpoints while they were registered.
    pub last_seen: Arc<LastSeenMap>,
    /// The last walks of this process.
    pub walks: WalkHistory,
    /// The planned start of the next walk, without its jitter; `None` until a walk has ended.
    pub next_walk_at: Option<Instant>,
    /// The judgements about the endpoints and groups. They stay while the snapshot is withdrawn, and over a restart.
    pub judgements: Judgements,
    /// The number of wanted details that are missing or too old.
    pub details_pending: u64,
    /// Whether the last finished walk succeeded; `None` until the first walk has finished.
    pub up: Option<bool>,
    /// True while a walk with a large change waits for confirmation.
    pub confirming: bool,
    /// The `Date` of the API minus the local clock, in seconds, from the last successful walk with a `Date`.
    pub clock_offset: Option<f64>,
    /// The effective interval between the starts of walks.
    pub poll_interval: Duration,
    /// The effective maximum age of an exported snapshot.
    pub max_age: Duration,
    /// The last published walk, also of an earlier process; `None` if no walk was ever published.
    pub last_success: Option<LastSuccess>,
    /// The time from which the account is stale, unless a walk is published; `None` without a last success.
    pub stale_at: Option<Instant>,
    /// The time from which the snapshot is not exported; `None` without a last success.
    pub withdraw_at: Option<Instant>,
    /// The number of successive finished walks that ended with status 401, 402 or 403.
    pub refusals: u32,
    /// The `reason` label of the failure of the last walk; `None` after a successful walk or before any walk. The
    /// last walk may be one of an earlier process.
    pub failure: Option<&'static str>,
}

impl AccountState {
    /// What decides which judgements are shown, at the wall time `now` and the monotonic time `instant`.
    pub fn present(&self, now: UnixMillis, instant: Instant) -> Present<'_> {
        // A step of the wall clock does not change the age of the last walk.
        let last_success = self.last_success;
        let last_success = last_success.map(|last| now.minus(last.age(instant)));
        Present::new(now, &self.shown.groups, last_success)
    }

    /// Whether the snapshot is too old for export at `now`.
    pub fn is_withdrawn(&self, now: Instant) -> bool {
        self.withdraw_at.is_some_and(|at| now >= at)
    }
}

/// The end of the last published walk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastSuccess {
    /// The wall time.
    pub at: UnixMillis,
    /// The age at the time `known_since`. From then on, Tokio's clock measures it.
    age: Duration,
    known_since: Instant,
}

impl LastSuccess {
    /// A walk that ended at the wall time `at`, which is `age` ago.
    pub fn new(at: UnixMillis, age: Duration) -> Self {
        Self {
            at,
            age,
            known_since: Instant::now(),
        }
    }

    /// The time since the end of the walk.
    pub fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.known_since)
    }
}

/// The settings that decide which values are exported.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Shown {
    /// Whether the label `username` is exported.
    pub username: bool,
    /// Whether `vobiz_endpoint_user_agent_info` is exported.
    pub user_agent: bool,
    /// Whether the times of creation and update are exported.
    pub timestamps: bool,
    /// Whether `vobiz_endpoint_allowed` is exported.
    pub permissions: bool,
    /// Whether `vobiz_endpoint_contact_info` is exported.
    pub contact: bool,
    /// The configured groups. [`EndpointView::group`] is an index into this list.
    pub groups: Vec<Group>,
    /// The configured names of applications, by application id.
    pub applications: BTreeMap<String, String>,
}

/// The writing side of the channel of one account. It cannot be cloned, so an account has one writer.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Arc<AccountState>>);

/// The reading side of the channel of one account.
pub type Reader = watch::Receiver<Arc<AccountState>>;

/// Creates the channel of one account, with `state` as its first value.
pub fn channel(state: AccountState) -> (Publisher, Reader) {
    let (sender, receiver) = watch::channel(Arc::new(state));
    (Publisher(sender), receiver)
}

impl Publisher {
    /// The published state.
    pub fn current(&self) -> Arc<AccountState> {
        Arc::clone(&self.0.borrow())
    }

    /// Replaces the published state with `state`.
    pub fn publish(&mut self, state: impl Into<Arc<AccountState>>) {
        self.0.send_replace(state.into());
    }
}

/// The last values of an endpoint that is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// The user agent of the SIP client.
    pub user_agent: Option<Arc<str>>,
    /// The expiry of the lost registration.
    pub expires_at: Option<UnixMillis>,
}

/// The last values of the endpoints that are not registered, by endpoint id.
pub type LastSeenMap = BTreeMap<Box<str>, LastSeen>;

/// The values that an endpoint's own record adds to its row in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// The wall time of the retrieval. The exporter exports this time.
    pub retrieved_at: UnixMillis,
    /// The monotonic time of the retrieval. The age of the detail is measured from this time.
    pub retrieved: Instant,
    /// The expiry: `sip_expires` or, if it is unusable or absent, `sip_registration.expires`.
    pub expires_at: Option<UnixMillis>,
    user_agent: Option<Box<str>>,
    contact: Option<Box<str>>,
    received: Option<Box<str>>,
    /// [`EndpointView::fingerprint`] of the row at the time of the retrieval.
    fingerprint: u64,
}

impl Detail {
    /// Creates a detail from the record `endpoint` and its `row`. The age of the detail counts from now.
    /// Addresses of devices are stored only if `with_contact` is true.
    pub fn new(
        endpoint: Endpoint,
        row: &EndpointView<'_>,
        with_contact: bool,
        retrieved_at: UnixMillis,
    ) -> Self {
        let address = |text: Option<String>| text.filter(|_| with_contact).map(Into::into);
        Self {
            retrieved_at,
            retrieved: Instant::now(),
            expires_at: endpoint.expires_at,
            user_agent: endpoint.user_agent.map(Into::into),
            contact: address(endpoint.contact),
            received: address(endpoint.received),
            fingerprint: row.fingerprint(),
        }
    }

    /// The user agent of the record.
    pub(super) fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// Whether the row has the same alias, username, sub-account and application as at the retrieval.
    pub fn is_of(&self, row: &EndpointView<'_>) -> bool {
        self.fingerprint == row.fingerprint()
    }
}

/// The details of one account by endpoint id. A clone of the map clones only the `Arc`s.
pub type Details = BTreeMap<Arc<str>, Arc<Detail>>;

impl<'a> EndpointView<'a> {
    /// A hash of the alias, username, sub-account and application, valid within one process.
    fn fingerprint(&self) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one((self.names(), self.application))
    }

    /// Adds the values of `detail` that the row lacks. Only a registered endpoint gets an expiry. The expiry
    /// of `detail` replaces the expiry of the row, unless the detail was retrieved before `walk_started`.
    fn with(self, detail: &'a Detail, walk_started: UnixMillis) -> Self {
        let expires_at = detail.expires_at.filter(|_| self.registered == Some(true));
        let expires_at = if detail.retrieved_at >= walk_started {
            expires_at.or(self.expires_at)
        } else {
            self.expires_at.or(expires_at)
        };
        Self {
            expires_at,
            user_agent: self.user_agent.or(detail.user_agent.as_deref()),
            contact: self.contact.or(detail.contact.as_deref()),
            received: self.received.or(detail.received.as_deref()),
            detail_at: Some(detail.retrieved_at),
            ..self
        }
    }
}

impl Snapshot {
    /// One endpoint by its id, with the values that its detail adds.
    pub fn endpoint_with<'a>(&'a self, id: &str, details: &'a Details) -> Option<EndpointView<'a>> {
        let endpoint = self.endpoint(id)?;
        Some(match details.get(id) {
            Some(detail) => endpoint.with(detail, self.walk.started_at),
            None => endpoint,
        })
    }

    /// Every endpoint in the order of ids, with the values that its detail adds.
    pub fn endpoints_with<'a>(
        &'a self,
        details: &'a Details,
    ) -> impl Iterator<Item = EndpointView<'a>> {
        self.endpoints_from(0, details)
    }

    /// The endpoints from the position `first` on, in the order of ids, with the values that their details add.
    pub fn endpoints_from<'a>(
        &'a self,
        first: u32,
        details: &'a Details,
    ) -> impl Iterator<Item = EndpointView<'a>> {
        // Endpoints and details are sorted by id, so one pass over both finds all pairs.
        let from = self.at(first).map_or("", |endpoint| endpoint.id);
        let from = (Bound::Included(from), Bound::Unbounded);
        let mut details = details.range::<str, _>(from).peekable();
        self.views(first).map(move |endpoint| {
            while details.next_if(|(id, _)| &***id < endpoint.id).is_some() {}
            match details.next_if(|(id, _)| &***id == endpoint.id) {
                Some((_, detail)) => endpoint.with(detail, self.walk.started_at),
                None => endpoint,
            }
        })
    }
}

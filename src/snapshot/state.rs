//! The published state of one account, replaced as a whole: its snapshot, and details beside it.
//!
//! Only the list decides whether an endpoint is registered. A detail adds what a row may lack: when
//! the registration expires, the user agent, and the device's address.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{records::EndpointView, snapshot::Snapshot};
use crate::{api::Endpoint, clock::UnixMillis};

/// One account after its last finished walk (or at its start).
#[derive(Debug, Clone)]
pub struct AccountState {
    /// The `account` label.
    pub account: Arc<str>,
    /// What is exported.
    pub shown: Arc<Shown>,
    /// The last published snapshot; kept even when it is too old to be exported.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The endpoints' own records.
    pub details: Arc<Details>,
    /// Details that are wanted and not fresh.
    pub details_pending: u64,
    /// Whether the last finished walk succeeded; `None` until the first has finished.
    pub up: Option<bool>,
    /// The last walk changed so much that a later one must agree before it is published.
    pub confirming: bool,
    /// The API's `Date` minus the local clock in seconds, from the last response with one.
    pub clock_offset: Option<f64>,
    /// Effective time between walks.
    pub poll_interval: Duration,
    /// Effective time that a snapshot is exported without a new one.
    pub max_age: Duration,
    /// The snapshot is withdrawn from this time on; `None` without a snapshot.
    pub withdraw_at: Option<Instant>,
    /// The `reason` label of the last walk's failure; `None` after a good walk.
    pub failure: Option<&'static str>,
}

/// The configuration of what is exported.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Shown {
    /// The label `username`.
    pub username: bool,
    /// `vobiz_endpoint_user_agent_info`.
    pub user_agent: bool,
    /// Created and updated times.
    pub timestamps: bool,
    /// `vobiz_endpoint_allowed`.
    pub permissions: bool,
    /// `vobiz_endpoint_contact_info`.
    pub contact: bool,
    /// The configured groups in order: name and `watch` label.
    /// [`EndpointView::group`] is an index into it.
    pub groups: Vec<(String, &'static str)>,
    /// Configured application names by id.
    pub applications: BTreeMap<String, String>,
}

/// The writing side of one account. There is only one, because it cannot be cloned.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Arc<AccountState>>);

/// The reading side of one account.
pub type Reader = watch::Receiver<Arc<AccountState>>;

/// A channel of one account, with `state` as its first value.
pub fn channel(state: AccountState) -> (Publisher, Reader) {
    let (sender, receiver) = watch::channel(Arc::new(state));
    (Publisher(sender), receiver)
}

impl Publisher {
    /// The published state.
    pub fn current(&self) -> Arc<AccountState> {
        Arc::clone(&self.0.borrow())
    }

    /// Publishes `state` to all readers at once.
    pub fn publish(&mut self, state: AccountState) {
        self.0.send_replace(Arc::new(state));
    }
}

/// What an endpoint's own record adds to its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// Wall time of its retrieval; exported.
    pub retrieved_at: UnixMillis,
    /// The same moment by the monotonic clock, for ages.
    pub retrieved: Instant,
    /// `sip_registration.expires`, or `sip_expires`.
    pub expires_at: Option<UnixMillis>,
    user_agent: Option<Box<str>>,
    contact: Option<Box<str>>,
    received: Option<Box<str>>,
    /// [`EndpointView::fingerprint`] of its row.
    fingerprint: u64,
}

impl Detail {
    /// What `endpoint`, retrieved now, adds to `row`. Unless `with_contact`, addresses of devices are
    /// not stored.
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

    /// Whether the row, apart from its registration, is the same as at the retrieval.
    pub fn is_of(&self, row: &EndpointView<'_>) -> bool {
        self.fingerprint == row.fingerprint()
    }
}

/// The details of one account by endpoint id. A copy shares the details.
pub type Details = BTreeMap<Arc<str>, Arc<Detail>>;

impl<'a> EndpointView<'a> {
    /// A hash of [`Self::description`], valid within one process.
    fn fingerprint(&self) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(self.description())
    }

    /// Adds what the row lacks. Of two expiries the one that was read later is valid.
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
    /// Every endpoint in the order of ids, with what its detail adds.
    pub fn endpoints_with<'a>(
        &'a self,
        details: &'a Details,
    ) -> impl Iterator<Item = EndpointView<'a>> {
        // Both are in the order of ids.
        let mut details = details.iter().peekable();
        self.endpoints().map(move |endpoint| {
            while details.next_if(|(id, _)| &***id < endpoint.id).is_some() {}
            match details.next_if(|(id, _)| &***id == endpoint.id) {
                Some((_, detail)) => endpoint.with(detail, self.walk.started_at),
                None => endpoint,
            }
        })
    }
}

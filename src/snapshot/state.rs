//! What a reader sees of one account, swapped as a whole after every walk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{Details, Snapshot};

/// One account as of its last finished walk (or as of its start).
#[derive(Debug, Clone)]
pub struct AccountState {
    /// The `account` label.
    pub account: Arc<str>,
    /// What the operator wants to see.
    pub shown: Arc<Shown>,
    /// The last published snapshot; kept even when it is too old to be shown.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What single endpoints told of themselves since.
    pub details: Arc<Details>,
    /// Details that are wanted and not fresh.
    pub details_pending: u64,
    /// Did the last finished walk succeed? `None` until the first has finished.
    pub up: Option<bool>,
    /// The last walk changed so much that a later one must agree before it is published.
    pub confirming: bool,
    /// The vendor's `Date` minus our clock in seconds, from the last answer that had one.
    pub clock_offset: Option<f64>,
    /// Effective time between walks.
    pub poll_interval: Duration,
    /// Effective time that a snapshot is shown without a new one.
    pub max_age: Duration,
    /// From this moment on, the snapshot is withheld; `None` without a snapshot.
    pub withdraw_at: Option<Instant>,
    /// Why the last walk failed (the `reason` label's value), for people; `None` after a good one.
    pub failure: Option<&'static str>,
}

/// The part of the configuration that decides what a snapshot shows.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own for the operator"
)]
pub struct Shown {
    /// Usernames at all.
    pub username: bool,
    /// `vobiz_endpoint_user_agent_info`.
    pub user_agent: bool,
    /// Created and updated times.
    pub timestamps: bool,
    /// `vobiz_endpoint_allowed`.
    pub permissions: bool,
    /// `vobiz_endpoint_contact_info`.
    pub contact: bool,
    /// The operator's groups in order, for `vobiz_group_endpoints`: name and `watch` label.
    /// An endpoint's [`group`](super::EndpointView::group) points into it.
    pub groups: Vec<(String, &'static str)>,
    /// Configured application names by id.
    pub applications: BTreeMap<String, String>,
}

/// The writing side of one account; there is only one, because it cannot be cloned.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Arc<AccountState>>);

/// The reading side of one account.
#[derive(Debug, Clone)]
pub struct Reader(watch::Receiver<Arc<AccountState>>);

/// A gallery of one account, which starts with `state`.
pub fn channel(state: AccountState) -> (Publisher, Reader) {
    let (sender, receiver) = watch::channel(Arc::new(state));
    (Publisher(sender), Reader(receiver))
}

impl Publisher {
    /// The state that readers see now.
    pub fn current(&self) -> Arc<AccountState> {
        Arc::clone(&self.0.borrow())
    }

    /// Shows `state` to all readers at once.
    pub fn publish(&mut self, state: AccountState) {
        self.0.send_replace(Arc::new(state));
    }
}

impl Reader {
    /// The state now.
    pub fn current(&self) -> Arc<AccountState> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for a state that [`Self::next`] has not given yet; `None` when the writer is gone.
    pub async fn next(&mut self) -> Option<Arc<AccountState>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow_and_update()))
    }
}

//! Compares successive walks, and decides which of them are published.
//!
//! For some seconds, a faulty API may show an empty list, or every endpoint as unregistered. So a walk waits
//! for confirmation if more than `poll.flip_share` of the endpoints are removed or change their registration.
//! The published snapshot stays until another walk is published.

use std::time::Duration;

use tokio::time::Instant;

use super::schedule::confirmation_delay;
use crate::{
    config::Poll,
    snapshot::{EndpointList, Retention, Snapshot},
};

/// A walk needs no confirmation if [`Change::before`] is less than this number.
const FEWEST_ENDPOINTS: u64 = 2;

/// Decides whether a walk is published.
#[derive(Debug)]
pub(super) struct Confirmation {
    flip_share: f64,
    delay: Duration,
    pending: Option<Pending>,
}

/// A walk that waits for confirmation.
#[derive(Debug)]
struct Pending {
    /// The id and `sip_registered` of every endpoint, sorted by id.
    endpoints: Vec<(Box<str>, Option<bool>)>,
    /// The limits for retained endpoints.
    retention: Retention,
    /// The earliest start of the confirming walk.
    confirm_at: Instant,
}

/// The numbers of endpoints that differ between a list and an earlier list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The number of endpoints of the earlier list, except those that are retained after the later walk.
    pub(super) before: u64,
    /// The number of endpoints that the later list lacks and that are not retained.
    pub(super) removed: u64,
    /// The number of endpoints whose registration (true, false or unknown) differs between both lists.
    pub(super) flipped: u64,
}

impl Confirmation {
    pub(super) fn new(poll: &Poll) -> Self {
        Self {
            flip_share: poll.flip_share,
            delay: confirmation_delay(poll.interval),
            pending: None,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Compares a walk, which lasted from `started` until now, with the snapshot `previous`, which is withdrawn at
    /// `withdraw_at`. Returns `None` if the walk is to be published. If the walk waits for confirmation, returns
    /// its change and the earliest start of the confirming walk. `retention` has the limits for retained endpoints.
    pub(super) fn judge(
        &mut self,
        list: &EndpointList,
        retention: Retention,
        started: Instant,
        previous: Option<&Snapshot>,
        withdraw_at: Option<Instant>,
    ) -> Option<(Change, Instant)> {
        let change = previous.map(|snapshot| {
            let before = snapshot.endpoints();
            let before = before.map(|one| (one.id, one.registered, one.retained));
            Change::between(before, list.registrations(), retention)
        });
        let Some(change) = change.filter(|change| change.is_large(self.flip_share)) else {
            self.pending = None;
            return None;
        };
        let confirm_at = Instant::now() + self.delay;
        // If the snapshot is withdrawn before the next walk ends, this walk need not agree with `pending`. Any
        // list is better than no list.
        let next_walk_ends = confirm_at + started.elapsed();
        let is_last = withdraw_at.is_some_and(|at| at <= next_walk_ends);
        let agrees = |pending: &Pending| pending.agrees(list, retention, self.flip_share);
        let agreed = (self.pending.take()).filter(|pending| is_last || agrees(pending));
        if (agreed.as_ref()).is_some_and(|pending| started >= pending.confirm_at) {
            return None;
        }
        // A walk that agrees before `confirm_at` keeps `pending`. A walk that does not agree replaces it.
        let pending = agreed.unwrap_or_else(|| Pending {
            endpoints: (list.registrations())
                .map(|(id, registered)| (id.into(), registered))
                .collect(),
            retention,
            confirm_at,
        });
        let pending = self.pending.insert(pending);
        Some((change, pending.confirm_at))
    }
}

impl Pending {
    /// Whether two changes are small: from the pending list to `list`, and from `list` to the pending list.
    fn agrees(&self, list: &EndpointList, retention: Retention, flip_share: f64) -> bool {
        let endpoints = self.endpoints.iter();
        let before = endpoints.map(|(id, registered)| (&**id, *registered));
        let now = || list.registrations();
        let found = |(id, registered)| (id, registered, false);
        let forth = Change::between(before.clone().map(found), now(), retention);
        let back = Change::between(now().map(found), before, self.retention);
        !forth.is_large(flip_share) && !back.is_large(flip_share)
    }
}

impl Change {
    /// Compares the lists `before` and `after`, sorted by id. The third value of an item of `before` is true if
    /// the endpoint is already retained. `retention` limits how many missing endpoints are retained.
    fn between<'a>(
        before: impl Iterator<Item = (&'a str, Option<bool>, bool)>,
        after: impl Iterator<Item = (&'a str, Option<bool>)>,
        retention: Retention,
    ) -> Self {
        let (mut all, mut lacking, mut again, mut flipped) = (0, 0, 0, 0);
        let mut after = after.peekable();
        for (id, registered, is_retained) in before {
            all += 1;
            while after.next_if(|(other, _)| *other < id).is_some() {}
            match after.next_if(|(other, _)| *other == id) {
                None => {
                    lacking += 1;
                    again += u64::from(is_retained);
                }
                Some((_, now)) => flipped += u64::from(now != registered),
            }
        }
        let removed = retention.removed(lacking, again);
        Self {
            before: all - (lacking - removed),
            removed,
            flipped,
        }
    }

    fn is_large(&self, share: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
        let (changed, before) = ((self.removed + self.flipped) as f64, self.before as f64);
        self.before >= FEWEST_ENDPOINTS && changed > before * share
    }
}

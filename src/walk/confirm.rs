//! Which walks need a second one that agrees before they are published.
//!
//! A vendor that hiccups shows an empty list, or every endpoint unregistered, for some seconds. So a
//! walk that changes more than `poll.flip_share` of the endpoints waits for a later walk, and the
//! published snapshot stays until then.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::Poll,
    snapshot::{EndpointList, Retention, Snapshot},
};

/// The confirming walk starts no sooner than this after the walk that it confirms,
const LEAST_DELAY: Duration = Duration::from_secs(10);
/// and no sooner than this part of the interval.
const INTERVAL_PARTS: u32 = 4;
/// In a smaller snapshot, a share of endpoints means nothing.
const FEWEST_ENDPOINTS: u64 = 2;
/// A shortfall that is the same over this many walks counts as complete.
const SAME_SHORTFALLS: u32 = 3;

/// Decides whether a walk is published.
#[derive(Debug)]
pub(super) struct Confirmation {
    flip_share: f64,
    delay: Duration,
    pending: Option<Pending>,
}

/// A walk that waits for another one that agrees.
#[derive(Debug)]
struct Pending {
    /// Id and `sip_registered` of every endpoint, sorted by id.
    endpoints: Vec<(Box<str>, Option<bool>)>,
    /// The confirming walk starts no sooner.
    confirm_at: Instant,
}

/// What becomes of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Publish,
    /// A walk that starts at `confirm_at` or later must agree.
    Wait {
        confirm_at: Instant,
        change: Change,
    },
}

/// How a list differs from an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Endpoints before.
    pub(super) before: u64,
    /// Of these, those that the list has no more.
    pub(super) removed: u64,
    /// Of these, those with another registration state; unknown is a state.
    pub(super) flipped: u64,
}

impl Confirmation {
    pub(super) fn new(poll: &Poll) -> Self {
        Self {
            flip_share: poll.flip_share,
            delay: LEAST_DELAY.max(poll.interval / INTERVAL_PARTS),
            pending: None,
        }
    }

    /// Whether a walk waits for confirmation.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Judges a walk that started at `started` and ends now. `hold` tells which endpoints stay although
    /// the walk has not found them; `withdrawn` tells that `published` is hidden because of its age.
    pub(super) fn judge(
        &mut self,
        walk: &EndpointList,
        published: Option<&Snapshot>,
        retention: Retention,
        started: Instant,
        withdrawn: bool,
    ) -> Verdict {
        let change = published.map(|snapshot| {
            let before = snapshot.endpoints().map(|one| (one.id, one.registered));
            let mut change = Change::between(before, walk.registrations());
            change.removed = retention.removed(change.removed);
            change
        });
        let Some(change) = change.filter(|change| change.is_large(self.flip_share)) else {
            self.pending = None;
            return Verdict::Publish;
        };
        // What is hidden already is not protected by waiting again and again.
        let pending = self.pending.take();
        let agreed = pending.filter(|pending| withdrawn || pending.agrees(walk, self.flip_share));
        let pending = match agreed {
            Some(pending) if started >= pending.confirm_at => return Verdict::Publish,
            Some(pending) => pending,
            None => Pending {
                endpoints: walk
                    .registrations()
                    .map(|(id, registered)| (id.into(), registered))
                    .collect(),
                confirm_at: Instant::now() + self.delay,
            },
        };
        let confirm_at = pending.confirm_at;
        self.pending = Some(pending);
        Verdict::Wait { confirm_at, change }
    }
}

impl Pending {
    /// Neither list has much that the other one lacks or shows differently.
    fn agrees(&self, walk: &EndpointList, flip_share: f64) -> bool {
        let endpoints = self.endpoints.iter();
        let before = endpoints.map(|(id, registered)| (&**id, *registered));
        let forth = Change::between(before.clone(), walk.registrations());
        let back = Change::between(walk.registrations(), before);
        !forth.is_large(flip_share) && !back.is_large(flip_share)
    }
}

impl Change {
    /// Compares two lists, both sorted by id.
    fn between<'a>(
        before: impl Iterator<Item = (&'a str, Option<bool>)>,
        after: impl Iterator<Item = (&'a str, Option<bool>)>,
    ) -> Self {
        let mut change = Self {
            before: 0,
            removed: 0,
            flipped: 0,
        };
        let mut after = after.peekable();
        for (id, registered) in before {
            change.before += 1;
            while after.next_if(|(other, _)| *other < id).is_some() {}
            match after.next_if(|(other, _)| *other == id) {
                None => change.removed += 1,
                Some((_, now)) => change.flipped += u64::from(now != registered),
            }
        }
        change
    }

    fn is_large(&self, share: f64) -> bool {
        let common = self.before - self.removed;
        self.before >= FEWEST_ENDPOINTS
            && (exceeds(self.removed, self.before, share) || exceeds(self.flipped, common, share))
    }
}

fn exceeds(part: u64, whole: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
    let (part, whole) = (part as f64, whole as f64);
    part > whole * share
}

/// The shortfalls of the last walks: rows that `total_count` promised and the pages did not hold.
#[derive(Debug, Default)]
pub(super) struct Shortfalls {
    rows: u64,
    walks: u32,
}

impl Shortfalls {
    /// Notes the shortfall of a walk and returns what of it counts as missing. A shortfall that stays
    /// the same over walks that `overlapped` everywhere is an error of the count, or else deleted
    /// endpoints would never leave.
    pub(super) fn missing(&mut self, rows: u64, overlapped: bool) -> u64 {
        if !overlapped || rows != self.rows {
            self.walks = 0;
        }
        self.rows = rows;
        self.walks = self.walks.saturating_add(u32::from(overlapped));
        if self.walks >= SAME_SHORTFALLS {
            0
        } else {
            rows
        }
    }
}

//! Events about the walks of an account: when they begin to fail, and when one is published again.

use std::time::Duration;

use rusqlite::Transaction;

use super::events::{Event, EventKind};
use crate::{
    clock::UnixMillis,
    snapshot::{AccountState, Snapshot, WalkResult},
};

/// If no walk is published for this many intervals, the account is not seen from the last published one on. The machine may
/// have slept, or the disk may have refused the walks between.
pub const GAP: u32 = 3;

/// The detail of [`EventKind::Blind`] after such a gap.
const NO_WALK: &str = "no published walk";

/// What the event log says about the walks of an account. A report counts the time without published walks as unknown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Logged {
    /// Whether the last walks fail.
    pub(super) is_blind: bool,
    /// Whether a walk was published since the process polls the account, and none has failed since.
    pub(super) is_seeing: bool,
    /// The effective interval between two walks when the last one was published.
    pub(super) interval: Duration,
}

impl Logged {
    /// Writes what the new `state` adds to the log. `before` is the committed snapshot. The time of an event is the start of
    /// its walk, as that of a change of an endpoint, or else `now`.
    pub(super) fn write(
        mut self,
        change: &Transaction<'_>,
        before: Option<&Snapshot>,
        state: &AccountState,
        now: UnixMillis,
    ) -> rusqlite::Result<Self> {
        let account = &*state.account;
        let write = |kind, at, detail: Option<&str>| {
            let detail = detail.map(str::to_owned);
            let event = Event::of_account(at, account, kind);
            Event { detail, ..event }.write(change)
        };
        let walk = state.snapshot.as_ref().map(|one| one.walk.started_at);
        let is_new = walk != before.map(|one| one.walk.started_at);
        if let Some(at) = walk.filter(|_| is_new) {
            let last = before.map_or(at, |one| one.walk.ended_at);
            let longest = self.interval.max(state.poll_interval) * GAP;
            if self.is_seeing && at.since(last) > longest && !longest.is_zero() {
                write(EventKind::Blind, last, Some(NO_WALK))?;
                (self.is_blind, self.is_seeing) = (true, false);
            }
            if !self.is_seeing {
                let first = (!self.is_blind).then_some("the first of this run");
                write(EventKind::Seeing, at, first)?;
            }
            (self.is_blind, self.is_seeing) = (false, true);
            self.interval = state.poll_interval;
        }
        if let Some(reason) = state.failure.filter(|_| !self.is_blind) {
            let at = first_failure(state).unwrap_or(now);
            write(EventKind::Blind, at, Some(reason))?;
            (self.is_blind, self.is_seeing) = (true, false);
        }
        Ok(self)
    }
}

/// The start of the first failed walk since the last published one. `None` without a failed walk of this process.
fn first_failure(state: &AccountState) -> Option<UnixMillis> {
    let since = state.walks.recent().rev();
    let since = since.take_while(|walk| !matches!(walk.result, WalkResult::Published(_)));
    let failed = since.filter(|walk| walk.is_failure());
    failed.last().map(|walk| walk.started_at)
}

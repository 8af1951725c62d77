//! All accounts at one moment, as far as pages and the interface for programs may show them.
//!
//! - `filter` selects endpoints; `names` tells their names and groups.
//! - `threads` has the threads that render pages and answers.

mod filter;
mod names;
mod threads;

use std::sync::Arc;

use tokio::time::Instant;

pub use filter::{EndpointFilter, NONE, Selected, contains};
pub use names::{
    application_name, group_name, has_outage, name, registration, user_agent, username,
};
pub use threads::{FreeThread, NoResult, Threads, run_apart};

use crate::{
    clock::{Clock, UnixMillis},
    judgement::{Present, Shown},
    snapshot::{AccountState, Snapshot},
};

/// All accounts at one moment, in the configured order.
#[derive(Debug)]
pub struct Fleet {
    /// The published states.
    pub states: Vec<Arc<AccountState>>,
    /// The wall time of the moment.
    pub now: UnixMillis,
    /// The monotonic time of the moment.
    pub instant: Instant,
}

impl Fleet {
    /// The `states` at the present moment.
    pub fn new(states: Vec<Arc<AccountState>>, clock: &Clock) -> Self {
        Self {
            states,
            now: clock.now(),
            instant: Instant::now(),
        }
    }

    /// The account with this name.
    pub fn account(&self, name: &str) -> Option<&AccountState> {
        let mut states = self.states.iter();
        states
            .find(|state| *state.account == *name)
            .map(|state| &**state)
    }

    /// What decides which judgements about the account are shown.
    pub fn present<'a>(&self, state: &'a AccountState) -> Present<'a> {
        state.present(self.now, self.instant)
    }

    /// Each account with what decides which judgements about it are shown.
    pub fn presents(&self) -> Vec<(&AccountState, Present<'_>)> {
        let states = self.states.iter();
        states
            .map(|state| (&**state, self.present(state)))
            .collect()
    }

    /// The snapshot of the account that metrics show; `None` while it is withdrawn.
    pub fn snapshot<'a>(&self, state: &'a AccountState) -> Option<&'a Snapshot> {
        let snapshot = state.snapshot.as_deref();
        snapshot.filter(|_| !state.is_withdrawn(self.instant))
    }

    /// Why the endpoints of an account are not shown; `None` if they are.
    pub fn hidden(&self, state: &AccountState) -> Option<String> {
        if self.snapshot(state).is_some() {
            return None;
        }
        let reason = if state.snapshot.is_some() {
            "its data is too old"
        } else {
            "no walk has been published"
        };
        Some(format!(
            "The endpoints of the account {} are not shown: {reason}.",
            state.account
        ))
    }
}

/// The judgements about one account.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The account.
    pub state: &'a AccountState,
    /// The judgements that are shown.
    pub shown: Shown<'a>,
}

/// The judgements about each account.
pub fn judged<'a>(present: &'a [(&'a AccountState, Present<'a>)]) -> Vec<Judged<'a>> {
    let judged = |(state, present): &'a (&'a AccountState, Present<'a>)| Judged {
        state,
        shown: state.judgements.shown(present),
    };
    present.iter().map(judged).collect()
}

//! What is going to happen, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens to an account or to one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A device registers, for the first time or again.
    Register(Whom),
    /// A registered device renews its registration.
    Refresh(Whom),
    /// A device logs out.
    SignOff(Whom),
    /// The registrar clears away a registration that was not renewed.
    Lapse(Whom),
    /// An operator attaches an endpoint to another application.
    SwapApplication {
        /// The account's number.
        account: u32,
    },
    /// An operator deletes an endpoint and makes it anew.
    Recreate {
        /// The account's number.
        account: u32,
    },
    /// A site loses its line.
    SiteOutage {
        /// The account's number.
        account: u32,
    },
}

/// An endpoint and the turn of its life for which the event was planned: an event of an earlier
/// turn is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whom {
    /// The account's number.
    pub(super) account: u32,
    /// The endpoint's slot in the account.
    pub(super) slot: u32,
    /// The turn.
    pub(super) turn: u32,
}

/// A queue of events: by time in Unix seconds, then in the order they were planned.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(i64, u64, Event)>>,
    planned: u64,
}

impl Agenda {
    /// Plans an event.
    pub(super) fn plan(&mut self, at: i64, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// Takes the next event that is due at or before `until`.
    pub(super) fn next(&mut self, until: i64) -> Option<(i64, Event)> {
        if self.heap.peek()?.0.0 > until {
            return None;
        }
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((at, event))
    }
}

//! Planned events, sorted by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An event of an account or of one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A device registers or registers again.
    Register(EndpointRef),
    /// A registered device renews its registration.
    Refresh(EndpointRef),
    /// The user of a device logs out.
    SignOff(EndpointRef),
    /// The registrar removes a registration that was not renewed.
    Lapse(EndpointRef),
    /// An operator attaches an endpoint to another application.
    SwapApplication {
        /// The index of the account.
        account: u32,
    },
    /// An operator deletes an endpoint and creates it again.
    Recreate {
        /// The index of the account.
        account: u32,
    },
    /// A site loses its network.
    SiteOutage {
        /// The index of the account.
        account: u32,
    },
}

/// The endpoint of an event. The event has no effect if the endpoint has another generation by
/// then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointRef {
    /// The index of the account.
    pub(super) account: u32,
    /// The slot of the endpoint in the account.
    pub(super) slot: u32,
    /// The generation of the endpoint when the event was planned.
    pub(super) generation: u32,
}

/// A queue of events. It is sorted by time in Unix seconds, then by the order of planning.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Reverse<(i64, u64, Event)>>,
    planned: u64,
}

impl EventQueue {
    /// Adds an event for this time.
    pub(super) fn plan(&mut self, at: i64, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// Removes the next event that is due at or before `until`, and returns it.
    pub(super) fn next(&mut self, until: i64) -> Option<(i64, Event)> {
        if self.heap.peek()?.0.0 > until {
            return None;
        }
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((at, event))
    }
}

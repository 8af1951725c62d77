//! Planned events in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An event of an account or of one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A device registers, for the first time or again.
    Register(EndpointRef),
    /// A registered device renews its registration.
    Refresh(EndpointRef),
    /// A device logs out.
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

/// The endpoint of an event. The event is void if the generation of the endpoint has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointRef {
    /// The index of the account.
    pub(super) account: u32,
    /// The endpoint's slot in the account.
    pub(super) slot: u32,
    /// The generation for which the event was planned.
    pub(super) generation: u32,
}

/// A queue of events: by time in Unix seconds, then in the order they were planned.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Reverse<(i64, u64, Event)>>,
    planned: u64,
}

impl EventQueue {
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

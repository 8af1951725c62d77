//! The model: accounts, simulated time, and the queue of planned events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::account::Account;
use super::working_hours::INDIA;

/// The counts of simulated events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCounts {
    /// Registrations of unregistered endpoints, except the initial registrations.
    pub registrations: u64,
    /// Renewals of registrations. Each renewal sets a later expiry.
    pub refreshes: u64,
    /// Registrations that expired without a renewal.
    pub lapses: u64,
    /// Registrations of flapping endpoints that expired without a renewal. `lapses` includes them.
    pub flaps: u64,
    /// Replacements of a registration by the other of the two devices that share one endpoint.
    pub displacements: u64,
    /// Logouts of agents at the end of a shift.
    pub sign_offs: u64,
    /// Attachments of an endpoint to another application.
    pub application_swaps: u64,
    /// Endpoints that were deleted and created again with another id.
    pub recreations: u64,
    /// Network outages of sites.
    pub site_outages: u64,
    /// Registrations that were lost in outages of sites.
    pub site_losses: u64,
}

/// The vendor's accounts at one instant. Only simulated events and edits of callers change them.
#[derive(Debug)]
pub struct World {
    now: Timestamp,
    /// The offset of local time from UTC, in seconds.
    pub(super) zone: i64,
    pub(super) accounts: Vec<Account>,
    pub(super) rng: Rng,
    pub(super) events: EventQueue,
    pub(super) event_counts: EventCounts,
    responses: u64,
}

impl World {
    /// Creates a world without accounts. Its local time is Indian Standard Time.
    pub fn new(start: Timestamp, seed: u64) -> Self {
        Self {
            now: start,
            zone: INDIA,
            accounts: Vec::new(),
            rng: Rng::with_seed(seed),
            events: EventQueue::default(),
            event_counts: EventCounts::default(),
            responses: 0,
        }
    }

    /// Sets the offset of local time from UTC. Another 24 hours give the same hour of the next day.
    #[must_use]
    pub fn zone(mut self, ahead: SignedDuration) -> Self {
        self.zone = ahead.as_secs();
        self
    }

    /// The current simulated time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Applies the events until `to`, and sets the time to `to`. A `to` that is not after the
    /// simulated time has no effect.
    pub fn advance(&mut self, to: Timestamp) {
        if to <= self.now {
            return;
        }
        while let Some((at, event)) = self.events.next(to.as_second()) {
            self.apply(at, event);
        }
        self.now = to;
    }

    fn apply(&mut self, now: i64, event: Event) {
        match event {
            Event::Register(target) => self.register(now, target),
            Event::Refresh(target) => self.refresh(now, target),
            Event::SignOff(target) => self.sign_off(now, target),
            Event::Lapse(target) => self.lapse(now, target),
            Event::SwapApplication { account } => self.swap_application(now, account),
            Event::Recreate { account } => self.recreate(now, account),
            Event::SiteOutage { account } => self.site_outage(now, account),
        }
    }

    /// Advances the world by `span`.
    pub fn advance_by(&mut self, span: Duration) {
        self.advance(self.now.saturating_add(span).unwrap_or(Timestamp::MAX));
    }

    /// The counts of simulated events since the start of the world.
    pub fn event_counts(&self) -> EventCounts {
        self.event_counts
    }

    /// Adds an account, or replaces the account with the same auth id.
    pub fn add(&mut self, account: Account) {
        let known = self
            .accounts
            .iter_mut()
            .find(|known| known.auth_id == account.auth_id);
        match known {
            Some(known) => *known = account,
            None => self.accounts.push(account),
        }
    }

    /// All accounts, in the order of their addition.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account with this auth id.
    pub fn account(&self, auth_id: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|account| account.auth_id == auth_id)
    }

    /// The account with this auth id, for changes.
    pub fn account_mut(&mut self, auth_id: &str) -> Option<&mut Account> {
        self.accounts
            .iter_mut()
            .find(|account| account.auth_id == auth_id)
    }

    /// The first account.
    ///
    /// # Panics
    ///
    /// The world has no account.
    pub fn first(&self) -> &Account {
        self.accounts.first().expect("a world with an account")
    }

    /// The first account, for changes.
    ///
    /// # Panics
    ///
    /// The world has no account.
    pub fn first_mut(&mut self) -> &mut Account {
        self.accounts.first_mut().expect("a world with an account")
    }

    /// A random id of 15 digits that no endpoint of the account has.
    pub(super) fn fresh_id(&mut self, account: usize) -> String {
        loop {
            let id = self
                .rng
                .u64(100_000_000_000_000..=999_999_999_999_999)
                .to_string();
            let taken = self
                .accounts
                .get(account)
                .is_some_and(|account| account.endpoint(&id).is_some());
            if !taken {
                return id;
            }
        }
    }

    /// Counts a response and returns its number, the seed for its `api_id` and a random row order.
    pub(super) fn next_response_number(&mut self) -> u64 {
        self.responses += 1;
        self.responses
    }
}

/// Derives the `api_id` of a response, a UUID, from the number of the response.
pub(super) fn api_id(response_number: u64) -> String {
    let mut rng = Rng::with_seed(response_number);
    let mut id = String::with_capacity(36);
    let (high, low) = (rng.u64(..), rng.u64(..));
    // Writing to a string cannot fail.
    let _ = write!(
        id,
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    );
    id
}

/// An event of an account or of one of its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A device registers, for the first time or again.
    Register(EndpointRef),
    /// A renewal is due. If two devices share the endpoint, the other device registers instead.
    Refresh(EndpointRef),
    /// The user of a device logs out.
    SignOff(EndpointRef),
    /// The registrar removes a registration that was not renewed.
    Lapse(EndpointRef),
    /// The customer attaches an endpoint to another application.
    SwapApplication {
        /// The index of the account.
        account: u32,
    },
    /// The customer deletes an endpoint and creates it again.
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

/// The endpoint of an event. The event has no effect if the endpoint's generation has changed since
/// the planning of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointRef {
    /// The index of the account.
    pub(super) account: u32,
    /// The index of the endpoint in the slots of its account.
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

//! The model: accounts, simulated time, and events.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::account::Account;
use super::events::EventQueue;
use super::shift::INDIA;

/// Counts of simulated events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCounts {
    /// Devices that registered, for the first time or again.
    pub registrations: u64,
    /// Registrations renewed; each moves the expiry.
    pub refreshes: u64,
    /// Registrations that expired without renewal.
    pub lapses: u64,
    /// The same, of flapping endpoints.
    pub flaps: u64,
    /// Registrations replaced by a second device.
    pub displacements: u64,
    /// Agents that logged out at the end of their shift.
    pub sign_offs: u64,
    /// Endpoints attached to another application.
    pub application_swaps: u64,
    /// Endpoints deleted and created again with another id.
    pub recreations: u64,
    /// Outages of sites.
    pub site_outages: u64,
    /// Registrations lost in such outages.
    pub site_losses: u64,
}

/// The vendor's state at one instant. Only [`World::advance`] and direct edits change it.
#[derive(Debug)]
pub struct World {
    now: Timestamp,
    /// Local time minus UTC, in seconds.
    pub(super) zone: i64,
    pub(super) accounts: Vec<Account>,
    pub(super) rng: Rng,
    pub(super) events: EventQueue,
    pub(super) event_counts: EventCounts,
    answers: u64,
}

impl World {
    /// A world without accounts, in Indian Standard Time.
    pub fn new(start: Timestamp, seed: u64) -> Self {
        Self {
            now: start,
            zone: INDIA,
            accounts: Vec::new(),
            rng: Rng::with_seed(seed),
            events: EventQueue::default(),
            event_counts: EventCounts::default(),
            answers: 0,
        }
    }

    /// The same with local time ahead of UTC by this much. Whole days are valid: they move the weekday.
    #[must_use]
    pub fn zone(mut self, ahead: SignedDuration) -> Self {
        self.zone = ahead.as_secs();
        self
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Advances to `to`. An earlier instant changes nothing.
    pub fn advance(&mut self, to: Timestamp) {
        if to <= self.now {
            return;
        }
        while let Some((at, event)) = self.events.next(to.as_second()) {
            self.apply(at, event);
        }
        self.now = to;
    }

    /// Advances by `span`.
    pub fn advance_by(&mut self, span: Duration) {
        self.advance(self.now.saturating_add(span).unwrap_or(Timestamp::MAX));
    }

    /// Counts of events since the start.
    pub fn event_counts(&self) -> EventCounts {
        self.event_counts
    }

    /// Adds an account, or replaces the one of the same auth id.
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

    /// All accounts, in the order they were added.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account of this auth id.
    pub fn account(&self, auth_id: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|account| account.auth_id == auth_id)
    }

    /// The account of this auth id, mutable.
    pub fn account_mut(&mut self, auth_id: &str) -> Option<&mut Account> {
        self.accounts
            .iter_mut()
            .find(|account| account.auth_id == auth_id)
    }

    /// The first account.
    ///
    /// # Panics
    ///
    /// When the world has no account.
    pub fn first(&self) -> &Account {
        self.accounts.first().expect("a world with an account")
    }

    /// The first account, mutable.
    ///
    /// # Panics
    ///
    /// When the world has no account.
    pub fn first_mut(&mut self) -> &mut Account {
        self.accounts.first_mut().expect("a world with an account")
    }

    /// The running number of the next response, for `api_id` and for shuffling.
    pub(super) fn next_answer(&mut self) -> u64 {
        self.answers += 1;
        self.answers
    }
}

/// An `api_id`: a UUID, different for every response.
pub(super) fn api_id(answer: u64) -> String {
    let mut rng = Rng::with_seed(answer);
    let mut id = String::with_capacity(36);
    let (high, low) = (rng.u64(..), rng.u64(..));
    // Writing into a string cannot fail.
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

//! The model: accounts, simulated time, and events.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::account::Account;
use super::events::EventQueue;
use super::shift::INDIA;

/// Numbers of simulated events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCounts {
    /// Registrations, including repeated registrations after a loss.
    pub registrations: u64,
    /// Renewed registrations; each renewal moves the expiry.
    pub refreshes: u64,
    /// Registrations that expired without a renewal.
    pub lapses: u64,
    /// Registrations of flapping endpoints that expired without a renewal.
    pub flaps: u64,
    /// Registrations that a second device replaced.
    pub displacements: u64,
    /// Logouts of agents at the end of a shift.
    pub sign_offs: u64,
    /// Endpoints attached to another application.
    pub application_swaps: u64,
    /// Endpoints that were deleted and created again with another id.
    pub recreations: u64,
    /// Network outages of sites.
    pub site_outages: u64,
    /// Registrations that were lost in outages of sites.
    pub site_losses: u64,
}

/// The vendor's state at one instant. Only [`World::advance`] and direct edits change it.
#[derive(Debug)]
pub struct World {
    now: Timestamp,
    /// The offset of local time from UTC, in seconds.
    pub(super) zone: i64,
    pub(super) accounts: Vec<Account>,
    pub(super) rng: Rng,
    pub(super) events: EventQueue,
    pub(super) event_counts: EventCounts,
    answers: u64,
}

impl World {
    /// Creates a world without accounts, in Indian Standard Time.
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

    /// Sets the offset of local time from UTC. An offset of whole days moves the weekday.
    #[must_use]
    pub fn zone(mut self, ahead: SignedDuration) -> Self {
        self.zone = ahead.as_secs();
        self
    }

    /// The current time of the world.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Advances the world to `to`. An earlier instant changes nothing.
    pub fn advance(&mut self, to: Timestamp) {
        if to <= self.now {
            return;
        }
        while let Some((at, event)) = self.events.next(to.as_second()) {
            self.apply(at, event);
        }
        self.now = to;
    }

    /// Advances the world by `span`.
    pub fn advance_by(&mut self, span: Duration) {
        self.advance(self.now.saturating_add(span).unwrap_or(Timestamp::MAX));
    }

    /// Numbers of simulated events since the start.
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

    /// The number of the next response, for `api_id` and for shuffling.
    pub(super) fn next_answer(&mut self) -> u64 {
        self.answers += 1;
        self.answers
    }
}

/// Formats an `api_id`: a UUID that differs in every response.
pub(super) fn api_id(answer: u64) -> String {
    let mut rng = Rng::with_seed(answer);
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

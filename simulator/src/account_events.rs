//! Events of an account: application changes, re-created endpoints, site outages.

use std::ops::Range;

use super::endpoint::{Behaviour, instant};
use super::world::{EndpointRef, Event, World};

const HOUR: i64 = 3600;

// The time from the addition of an account to the first event of each kind, in seconds. The times
// are short, so that a short demonstration shows each of these kinds.
const FIRST_APPLICATION_SWAP: Range<i64> = 300..1800;
const FIRST_RECREATION: Range<i64> = 600..2700;
const FIRST_SITE_OUTAGE: Range<i64> = 240..540;
// The time between two events of the same kind, in seconds.
const APPLICATION_SWAP_INTERVAL: Range<i64> = HOUR..4 * HOUR;
const RECREATION_INTERVAL: Range<i64> = 2 * HOUR..5 * HOUR;
const SITE_OUTAGE_INTERVAL: Range<i64> = 4 * HOUR..10 * HOUR;
/// The duration of a site outage, in seconds.
const SITE_OUTAGE: Range<i64> = 300..2400;

impl World {
    /// Plans the first event of each kind for this account.
    pub(super) fn plan_account_events(&mut self, account: u32) {
        let now = self.now().as_second();
        let application_swap = now + self.rng.i64(FIRST_APPLICATION_SWAP);
        let recreation = now + self.rng.i64(FIRST_RECREATION);
        let site_outage = now + self.rng.i64(FIRST_SITE_OUTAGE);
        self.events
            .plan(application_swap, Event::SwapApplication { account });
        self.events.plan(recreation, Event::Recreate { account });
        self.events.plan(site_outage, Event::SiteOutage { account });
    }

    /// Attaches a random endpoint to another application, and plans the next event of this kind.
    pub(super) fn swap_application(&mut self, now: i64, account: u32) {
        let next = now + self.rng.i64(APPLICATION_SWAP_INTERVAL);
        self.events.plan(next, Event::SwapApplication { account });
        let Some(slot) = self.random_endpoint(account) else {
            return;
        };
        let Some(owner) = self.accounts.get_mut(account as usize) else {
            return;
        };
        let current = owner
            .slot(slot)
            .and_then(|endpoint| endpoint.application.clone());
        let others: Vec<_> = owner
            .applications
            .iter()
            .filter(|known| Some(&known.id) != current.as_ref())
            .collect();
        if others.is_empty() {
            return;
        }
        let chosen = others[self.rng.usize(..others.len())].id.clone();
        if let Some(endpoint) = owner.slot_mut(slot) {
            endpoint.application = Some(chosen);
            endpoint.updated = instant(now);
            self.event_counts.application_swaps += 1;
        }
    }

    /// Deletes a random endpoint and creates it again with the same alias. The id and the digits of
    /// the username change. Except for [`Behaviour::Never`], plans a registration within 5 minutes.
    pub(super) fn recreate(&mut self, now: i64, account: u32) {
        let next = now + self.rng.i64(RECREATION_INTERVAL);
        self.events.plan(next, Event::Recreate { account });
        let Some(slot) = self.random_endpoint(account) else {
            return;
        };
        let id = self.fresh_id(account as usize);
        let digits = self.rng.u64(1_000_000_000..9_999_999_999);
        let Some(owner) = self.accounts.get_mut(account as usize) else {
            return;
        };
        let Some(old) = owner.slot(slot).map(|endpoint| endpoint.id.clone()) else {
            return;
        };
        let Some(mut endpoint) = owner.remove(&old) else {
            return;
        };
        let base = endpoint
            .username
            .trim_end_matches(|digit: char| digit.is_ascii_digit());
        endpoint.username = format!("{base}{digits}");
        endpoint.id.clone_from(&id);
        endpoint.registration = None;
        endpoint.created = instant(now);
        endpoint.updated = instant(now);
        endpoint.simulation.generation = 0;
        let behaviour = endpoint.simulation.behaviour;
        owner.push(endpoint);
        self.event_counts.recreations += 1;
        let Some(slot) = owner.slot_of(&id) else {
            return;
        };
        let target = EndpointRef {
            account,
            slot,
            generation: 0,
        };
        match behaviour {
            Behaviour::Never | Behaviour::Still => {}
            _ => self
                .events
                .plan(now + self.rng.i64(60..300), Event::Register(target)),
        }
    }

    /// Simulates a network outage of one site. The site's endpoints with simulated events lose
    /// their registrations now, and register within three minutes after the end of the outage.
    pub(super) fn site_outage(&mut self, now: i64, account: u32) {
        let next = now + self.rng.i64(SITE_OUTAGE_INTERVAL);
        self.events.plan(next, Event::SiteOutage { account });
        let back = now + self.rng.i64(SITE_OUTAGE);
        let Some(owner) = self.accounts.get_mut(account as usize) else {
            return;
        };
        if owner.sites.is_empty() {
            return;
        }
        let site = self.rng.usize(..owner.sites.len());
        owner.sites[site].down_until = back;
        let mut losses = 0;
        for slot in owner.listed().to_vec() {
            let Some(endpoint) = owner.slot_mut(slot) else {
                continue;
            };
            let there = endpoint
                .simulation
                .site
                .is_some_and(|number| usize::from(number) == site);
            if !there
                || endpoint.simulation.behaviour == Behaviour::Still
                || endpoint.registration.is_none()
            {
                continue;
            }
            endpoint.registration = None;
            endpoint.simulation.generation += 1;
            losses += 1;
            let target = EndpointRef {
                account,
                slot,
                generation: endpoint.simulation.generation,
            };
            self.events
                .plan(back + self.rng.i64(0..180), Event::Register(target));
        }
        self.event_counts.site_outages += 1;
        self.event_counts.site_losses += losses;
    }

    /// The slot of a random endpoint; `None` if it is [`Behaviour::Still`] or the account is empty.
    fn random_endpoint(&mut self, account: u32) -> Option<u32> {
        let account = self.accounts.get(account as usize)?;
        if account.is_empty() {
            return None;
        }
        let slot = account.listed()[self.rng.usize(..account.len())];
        account
            .slot(slot)
            .filter(|endpoint| endpoint.simulation.behaviour != Behaviour::Still)
            .map(|_| slot)
    }
}

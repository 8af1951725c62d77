//! The events of registrations: registration, renewal, expiry, logout at the end of a shift.

use jiff::Timestamp;

use super::endpoint::{Behaviour, Endpoint, Simulation, instant};
use super::working_hours::Shift;
use super::world::{EndpointRef, Event, World};

/// An agent logs in at most this many seconds before the start of the shift.
const EARLIEST_LOGIN: i64 = 600;
/// The maximum time between the expiry of a registration and its removal, in seconds.
const EXPIRY_DELAY: i64 = 15;
/// The average number of renewals per failure, for an endpoint with [`Behaviour::AlwaysOn`].
const FAILURE_RATE: u32 = 400;

impl World {
    fn find(&mut self, target: EndpointRef) -> Option<&mut Endpoint> {
        let account = self.accounts.get_mut(target.account as usize)?;
        let endpoint = account.slot_mut(target.slot)?;
        (endpoint.simulation.generation == target.generation).then_some(endpoint)
    }

    /// Registers a device. If an outage or an absence prevents this, plans a later registration.
    pub(super) fn register(&mut self, now: i64, target: EndpointRef) {
        let Some(simulation) = self.find(target).map(|endpoint| endpoint.simulation) else {
            return;
        };
        if let Some(back) = self.site_restored_at(target.account, simulation, now) {
            let at = back + self.rng.i64(0..180);
            self.events.plan(at, Event::Register(target));
            return;
        }
        let mut until = simulation.until;
        if let Behaviour::Shift(shift) = simulation.behaviour
            && until <= now
        {
            let (start, end) = shift.around(now, self.zone);
            if start > now + EARLIEST_LOGIN {
                return self.plan_next_shift(now, target, shift);
            }
            if self.rng.u32(..100) < shift.absence(start, self.zone) {
                return self.plan_next_shift(end, target, shift);
            }
            until = end + self.rng.i64(-600..900);
        }
        // The NAT router assigns a new port for each registration.
        let port = self.rng.u16(20_000..60_000);
        let Some(endpoint) = self.find(target) else {
            return;
        };
        endpoint.simulation.until = until;
        endpoint.simulation.device.port = port;
        endpoint.registration = Some(endpoint.simulation.registration(now));
        self.event_counts.registrations += 1;
        self.plan_refresh(now, target);
    }

    /// Renews a registration, lets the other device replace it, or ends the renewals.
    pub(super) fn refresh(&mut self, now: i64, target: EndpointRef) {
        let Some(simulation) = self.find(target).map(|endpoint| endpoint.simulation) else {
            return;
        };
        let stops_refreshing = match simulation.behaviour {
            Behaviour::Flapping => self.rng.u32(..100) < 35,
            Behaviour::AlwaysOn => self.rng.u32(..FAILURE_RATE) == 0,
            _ => false,
        };
        if stops_refreshing {
            return self.stop_refreshing(now, target);
        }
        let Some(endpoint) = self.find(target) else {
            return;
        };
        if simulation.behaviour == Behaviour::Shared {
            endpoint.simulation.second = !simulation.second;
            endpoint.registration = Some(endpoint.simulation.registration(now));
            self.event_counts.displacements += 1;
        } else if let Some(registration) = &mut endpoint.registration {
            registration.expires = Some(instant(now + i64::from(simulation.lifetime)));
            self.event_counts.refreshes += 1;
        }
        self.plan_refresh(now, target);
    }

    /// Plans the next event of a registered device: a renewal, a logout or an expiry.
    fn plan_refresh(&mut self, now: i64, target: EndpointRef) {
        let Some(simulation) = self.find(target).map(|endpoint| endpoint.simulation) else {
            return;
        };
        let lifetime = i64::from(simulation.lifetime);
        let wait = match simulation.behaviour {
            Behaviour::Shared => self.rng.i64(20..50),
            _ => lifetime * self.rng.i64(50..95) / 100,
        };
        if matches!(simulation.behaviour, Behaviour::Shift(_)) && simulation.until <= now + wait {
            if self.rng.bool() {
                self.events
                    .plan(simulation.until.max(now + 1), Event::SignOff(target));
            } else {
                self.stop_refreshing(now, target);
            }
            return;
        }
        self.events.plan(now + wait, Event::Refresh(target));
    }

    /// Ends the renewals of a device. The registrar removes the registration soon after its expiry.
    fn stop_refreshing(&mut self, now: i64, target: EndpointRef) {
        let expires = self
            .find(target)
            .and_then(|endpoint| endpoint.registration.as_ref()?.expires);
        let expires = expires.map_or(now, Timestamp::as_second);
        let at = expires.max(now) + self.rng.i64(0..EXPIRY_DELAY);
        self.events.plan(at, Event::Lapse(target));
    }

    /// Removes a registration that was not renewed, and plans the next registration.
    pub(super) fn lapse(&mut self, now: i64, target: EndpointRef) {
        let Some(endpoint) = self.find(target) else {
            return;
        };
        endpoint.registration = None;
        let simulation = endpoint.simulation;
        self.event_counts.lapses += 1;
        let away = match simulation.behaviour {
            Behaviour::Flapping => {
                self.event_counts.flaps += 1;
                self.rng.i64(30..300)
            }
            Behaviour::Shift(shift) if simulation.until <= now => {
                return self.plan_next_shift(now, target, shift);
            }
            _ => self.rng.i64(60..1500),
        };
        self.events.plan(now + away, Event::Register(target));
    }

    /// Removes the registration of an agent at the end of a shift, and plans the next registration.
    pub(super) fn sign_off(&mut self, now: i64, target: EndpointRef) {
        let Some(endpoint) = self.find(target) else {
            return;
        };
        endpoint.registration = None;
        let behaviour = endpoint.simulation.behaviour;
        self.event_counts.sign_offs += 1;
        if let Behaviour::Shift(shift) = behaviour {
            self.plan_next_shift(now, target, shift);
        }
    }

    /// Plans a registration for the first shift that starts after `now`.
    pub(super) fn plan_next_shift(&mut self, now: i64, target: EndpointRef, shift: Shift) {
        let at = shift.next_start(now, self.zone) + self.rng.i64(-600..900);
        self.events.plan(at.max(now + 1), Event::Register(target));
    }

    /// The end of the current outage of the endpoint's site; `None` without an outage.
    fn site_restored_at(&self, account: u32, simulation: Simulation, now: i64) -> Option<i64> {
        let account = self.accounts.get(account as usize)?;
        let site = account.sites.get(usize::from(simulation.site?))?;
        (site.down_until > now).then_some(site.down_until)
    }
}

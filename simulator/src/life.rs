//! How the days of an endpoint pass.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::agenda::{Event, Whom};
use super::endpoint::{Endpoint, Registration};
use super::names::Shift;
use super::world::World;

/// What decides when an endpoint is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Nothing happens to it.
    Still,
    /// It is plugged in, and rarely loses its network.
    AlwaysOn,
    /// Its agent logs in and out.
    Shift(Shift),
    /// It loses its registration every few minutes.
    Flapping,
    /// Two devices take it from each other.
    Shared,
    /// The API never shows it as registered.
    Never,
}

/// The part of an endpoint that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) habit: Habit,
    /// The number of its site in the account.
    pub(super) site: Option<u8>,
    /// Lifetime of a registration, in seconds.
    pub(super) lifetime: u16,
    /// Events of another turn are void.
    pub(super) turn: u32,
    /// When its agent's shift ends, in Unix seconds; 0 before the first.
    pub(super) until: i64,
    pub(super) device: Device,
    /// Is the second device the one that is registered?
    pub(super) second: bool,
}

/// A device: what it calls itself and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) user_agent: &'static str,
    pub(super) private: [u8; 4],
    pub(super) public: [u8; 4],
    pub(super) port: u16,
}

/// A group of phones behind one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site {
    /// Down until this instant, in Unix seconds.
    pub(super) down_until: i64,
}

/// Agents log in at most so many seconds before their shift.
const EARLIEST: i64 = 600;
const SECOND_DEVICE: &str = "LinphoneiOS/5.2.3 (iPhone 15)";
/// A lapsed registration is cleared away up to so many seconds after its expiry.
const CLEAN_UP: i64 = 15;
/// One renewal in so many fails for a phone that is always on.
const MISHAP: u32 = 400;

impl Life {
    /// A life in which nothing happens.
    pub(super) fn still() -> Self {
        Self {
            habit: Habit::Still,
            site: None,
            lifetime: 300,
            turn: 0,
            until: 0,
            device: Device {
                user_agent: "Yealink SIP-T46U 108.86.0.20",
                private: [192, 168, 1, 100],
                public: [203, 0, 113, 42],
                port: 5060,
            },
            second: false,
        }
    }

    /// Ends all that was planned.
    pub(super) fn stand_still(&mut self) {
        self.habit = Habit::Still;
        self.turn += 1;
    }

    /// The registration its present device gets at `now`.
    pub(super) fn registration(&self, now: i64) -> Registration {
        let mut device = self.device;
        if self.second {
            device.user_agent = SECOND_DEVICE;
            device.private[3] ^= 1;
            device.port ^= 1;
        }
        let Device {
            user_agent,
            private,
            public,
            port,
        } = device;
        Registration {
            contact: format!("{}:{port}", Ipv4Addr::from(private)),
            expires: Some(instant(now + i64::from(self.lifetime))),
            user_agent: user_agent.to_owned(),
            received: format!("{}:{port}", Ipv4Addr::from(public)),
        }
    }
}

impl World {
    /// Lets one event happen.
    pub(super) fn live(&mut self, now: i64, event: Event) {
        match event {
            Event::Register(whom) => self.register(now, whom),
            Event::Refresh(whom) => self.refresh(now, whom),
            Event::SignOff(whom) => self.sign_off(now, whom),
            Event::Lapse(whom) => self.lapse(now, whom),
            Event::SwapApplication { account } => self.swap_application(now, account),
            Event::Recreate { account } => self.recreate(now, account),
            Event::SiteOutage { account } => self.site_outage(now, account),
        }
    }

    fn find(&mut self, whom: Whom) -> Option<&mut Endpoint> {
        let account = self.accounts.get_mut(whom.account as usize)?;
        let endpoint = account.slot_mut(whom.slot)?;
        (endpoint.life.turn == whom.turn).then_some(endpoint)
    }

    pub(super) fn register(&mut self, now: i64, whom: Whom) {
        let Some(life) = self.find(whom).map(|endpoint| endpoint.life) else {
            return;
        };
        if let Some(back) = self.site_back(whom.account, life, now) {
            let at = back + self.rng.i64(0..180);
            self.agenda.plan(at, Event::Register(whom));
            return;
        }
        let mut until = life.until;
        if let Habit::Shift(shift) = life.habit
            && until <= now
        {
            let (start, end) = shift.around(now, self.zone);
            if start > now + EARLIEST {
                return self.come_next_shift(now, whom, shift);
            }
            if self.rng.u32(..100) < shift.absence(start, self.zone) {
                return self.come_next_shift(end, whom, shift);
            }
            until = end + self.rng.i64(-600..900);
        }
        // A device gets another port from its router each time it comes back.
        let port = self.rng.u16(20_000..60_000);
        let Some(endpoint) = self.find(whom) else {
            return;
        };
        endpoint.life.until = until;
        endpoint.life.device.port = port;
        endpoint.registration = Some(endpoint.life.registration(now));
        self.happened.registrations += 1;
        self.plan_refresh(now, whom);
    }

    fn refresh(&mut self, now: i64, whom: Whom) {
        let Some(life) = self.find(whom).map(|endpoint| endpoint.life) else {
            return;
        };
        let falls_silent = match life.habit {
            Habit::Flapping => self.rng.u32(..100) < 35,
            Habit::AlwaysOn => self.rng.u32(..MISHAP) == 0,
            _ => false,
        };
        if falls_silent {
            return self.fall_silent(now, whom);
        }
        let Some(endpoint) = self.find(whom) else {
            return;
        };
        if life.habit == Habit::Shared {
            endpoint.life.second = !life.second;
            endpoint.registration = Some(endpoint.life.registration(now));
            self.happened.displacements += 1;
        } else if let Some(registration) = &mut endpoint.registration {
            registration.expires = Some(instant(now + i64::from(life.lifetime)));
            self.happened.refreshes += 1;
        }
        self.plan_refresh(now, whom);
    }

    /// Plans what a registered device does next: it renews, or its agent goes home.
    pub(super) fn plan_refresh(&mut self, now: i64, whom: Whom) {
        let Some(life) = self.find(whom).map(|endpoint| endpoint.life) else {
            return;
        };
        let lifetime = i64::from(life.lifetime);
        let wait = match life.habit {
            Habit::Shared => self.rng.i64(20..50),
            _ => lifetime * self.rng.i64(50..95) / 100,
        };
        if matches!(life.habit, Habit::Shift(_)) && life.until <= now + wait {
            if self.rng.bool() {
                self.agenda
                    .plan(life.until.max(now + 1), Event::SignOff(whom));
            } else {
                self.fall_silent(now, whom);
            }
            return;
        }
        self.agenda.plan(now + wait, Event::Refresh(whom));
    }

    /// The device is gone without a word: its registration stays until it runs out, and a little
    /// longer.
    fn fall_silent(&mut self, now: i64, whom: Whom) {
        let expires = self
            .find(whom)
            .and_then(|endpoint| endpoint.registration.as_ref()?.expires);
        let expires = expires.map_or(now, Timestamp::as_second);
        let at = expires.max(now) + self.rng.i64(0..CLEAN_UP);
        self.agenda.plan(at, Event::Lapse(whom));
    }

    fn lapse(&mut self, now: i64, whom: Whom) {
        let Some(endpoint) = self.find(whom) else {
            return;
        };
        endpoint.registration = None;
        let life = endpoint.life;
        self.happened.lapses += 1;
        let away = match life.habit {
            Habit::Flapping => {
                self.happened.flaps += 1;
                self.rng.i64(30..300)
            }
            Habit::Shift(shift) if life.until <= now => {
                return self.come_next_shift(now, whom, shift);
            }
            _ => self.rng.i64(60..1500),
        };
        self.agenda.plan(now + away, Event::Register(whom));
    }

    fn sign_off(&mut self, now: i64, whom: Whom) {
        let Some(endpoint) = self.find(whom) else {
            return;
        };
        endpoint.registration = None;
        let habit = endpoint.life.habit;
        self.happened.sign_offs += 1;
        if let Habit::Shift(shift) = habit {
            self.come_next_shift(now, whom, shift);
        }
    }

    /// Plans the log-in at the first shift that begins after `now`.
    pub(super) fn come_next_shift(&mut self, now: i64, whom: Whom, shift: Shift) {
        let at = shift.next_start(now, self.zone) + self.rng.i64(-600..900);
        self.agenda.plan(at.max(now + 1), Event::Register(whom));
    }

    /// When the site of an endpoint comes back, if it is down.
    fn site_back(&self, account: u32, life: Life, now: i64) -> Option<i64> {
        let account = self.accounts.get(account as usize)?;
        let site = account.sites.get(usize::from(life.site?))?;
        (site.down_until > now).then_some(site.down_until)
    }
}

/// Unix seconds as an instant.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

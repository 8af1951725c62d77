//! A fleet of 500 phones. Every absence of a phone is planned, so each alert has a known reason.
//!
//! The simulator's own events are for demonstrations: they lose more registrations than real phones do.

use std::{collections::HashMap, ops::Range};

use fastrand::Rng;
use jiff::{Timestamp, civil::date};
use vobiz_simulator::{Endpoint, Registration, Vendor, World};

use super::alerts::Firing;
use crate::harness::{auth_id, plan};

/// Monday 23 March 2026, 00:00 in India. On the Sunday of this week, the clocks in Europe change.
pub const START: i64 = 1_774_204_200;
pub const END: i64 = START + 7 * 24 * HOUR;
pub const HOUR: i64 = 60 * MINUTE;
pub const MINUTE: i64 = 60;

const INDIA: &str = "Asia/Kolkata";
const BERLIN: &str = "Europe/Berlin";
const OFFICE: Option<Hours> = Some(hours(INDIA, 5, (9, 0), 9 * 60));
const HOTLINE: Option<Hours> = Some(hours(BERLIN, 7, (8, 0), 12 * 60));

/// The sites: group, number of phones, habit, and times of duty. They agree with `exporter.yaml`.
const SITES: [(&str, u64, Habit, Option<Hours>); 13] = [
    ("reception", 10, Habit::Always, None),
    ("desk", 6, Habit::Always, HOTLINE),
    (
        "bangalore",
        60,
        Habit::Always,
        Some(hours(INDIA, 5, (8, 0), 11 * 60)),
    ),
    ("mumbai", 33, Habit::Always, OFFICE),
    ("delhi", 50, Habit::Always, None),
    ("berlin", 40, Habit::Shift(HOTLINE, -5..35), HOTLINE),
    ("pune", 60, Habit::Shift(OFFICE, 0..2), OFFICE),
    ("kochi", 30, Habit::Shift(NIGHT, 0..15), NIGHT),
    ("partner", 30, Habit::Shift(OFFICE, 0..2), None),
    ("warehouse", 20, Habit::Cordless, None),
    ("spare", 27, Habit::Spare, None),
    ("web", 40, Habit::Never, None),
    ("", 94, Habit::Always, None),
];
const NIGHT: Option<Hours> = Some(hours(INDIA, 5, (21, 0), 9 * 60));

/// When the phones of a site are registered.
#[derive(Clone)]
enum Habit {
    /// At all times, except for restarts, and for a few phones that somebody unplugs.
    Always,
    /// From shortly before the hours to this many minutes after them. Few agents are late or absent.
    Shift(Option<Hours>, Range<i64>),
    /// At all times with short losses. A few phones lose their registration for two hours again and again.
    Cordless,
    /// Twice in the week for some hours.
    Spare,
    /// Never, as the API shows WebRTC clients.
    Never,
}

/// Hours in a time zone, from Monday on.
#[derive(Clone, Copy)]
pub struct Hours {
    zone: &'static str,
    days: i8,
    start: (i8, i8),
    minutes: i64,
}

const fn hours(zone: &'static str, days: i8, start: (i8, i8), minutes: i64) -> Hours {
    Hours {
        zone,
        days,
        start,
        minutes,
    }
}

impl Hours {
    /// The hours of each day of the week, in Unix seconds.
    fn ranges(self) -> impl Iterator<Item = Range<i64>> {
        (0..self.days).map(move |day| {
            let (hour, minute) = self.start;
            let start = date(2026, 3, 23 + day).at(hour, minute, 0, 0);
            let start = start.in_tz(self.zone).unwrap().timestamp().as_second();
            start..start + self.minutes * MINUTE
        })
    }
}

/// A time without a registration.
#[derive(Debug, Clone)]
pub struct Absence {
    pub time: Range<i64>,
    /// Whether the phone is not the only one that is lost, so that the loss belongs to an outage.
    pub shared: bool,
}

#[derive(Debug, Clone)]
pub struct Phone {
    pub group: &'static str,
    pub alias: String,
    pub id: String,
    absences: Vec<Absence>,
    /// The start of the two hours in which a cordless phone loses its registration again and again.
    flaps_from: Option<i64>,
    duty: Vec<Range<i64>>,
}

/// A planned change of the vendor.
pub struct Change {
    pub at: i64,
    pub apply: Box<dyn FnOnce(&Vendor) + Send>,
}

/// The phones and the changes of a week.
#[derive(Default)]
pub struct Fleet {
    pub phones: Vec<Phone>,
    pub changes: Vec<Change>,
}

fn absence(from: i64, minutes: i64) -> Absence {
    Absence {
        time: from..from + minutes * MINUTE,
        shared: false,
    }
}

impl Phone {
    pub fn is_away(&self, at: i64) -> bool {
        self.absences.iter().any(|one| one.time.contains(&at))
    }

    /// Makes the phone lose its registration for this time, instead of what was planned for this time.
    pub fn lose(&mut self, absence: Absence) {
        let Range { start, end } = absence.time;
        assert!(!self.is_away(start) && !self.is_away(end), "{}", self.alias);
        self.absences
            .retain(|one| one.time.end < start || end < one.time.start);
        self.absences.push(absence);
    }

    /// The alert about this endpoint for each absence that is longer than `limit` minutes, while the phone is on duty.
    fn missed(&self, alert: &'static str, limit: i64) -> impl Iterator<Item = Firing> {
        // An endpoint that was never registered is not missed.
        let absences = self
            .absences
            .iter()
            .filter(|one| one.time.start > START && !one.shared);
        let times = absences.flat_map(|one| {
            let duty = self.duty.iter();
            duty.map(|duty| one.time.start.max(duty.start)..one.time.end.min(duty.end))
        });
        // A walk can find a return up to two minutes late.
        let long = times.filter(move |time| time.end - time.start >= (limit - 2) * MINUTE);
        long.map(move |time| {
            let time = time.start + limit * MINUTE..time.end;
            Firing::of(alert, self.group, &self.alias, time)
        })
    }
}

impl Fleet {
    /// A week without faults.
    pub fn quiet() -> Self {
        let (mut rng, mut phones) = (Rng::with_seed(7), Vec::new());
        for (group, count, habit, duty) in &SITES {
            for number in 1..=*count {
                let mut phone = Phone {
                    group,
                    alias: format!(
                        "{} {number:02}",
                        if group.is_empty() { "phone" } else { group }
                    ),
                    id: (100_000_000_000_000 + phones.len()).to_string(),
                    absences: Vec::new(),
                    flaps_from: None,
                    duty: match duty {
                        Some(duty) => duty.ranges().collect(),
                        None => std::iter::once(START..END).collect(),
                    },
                };
                habit.plan(&mut phone, number, &mut rng);
                phones.push(phone);
            }
        }
        Self {
            phones,
            changes: Vec::new(),
        }
    }

    /// The alias of each endpoint by its id.
    pub fn aliases(&self) -> HashMap<String, String> {
        let aliases = self
            .phones
            .iter()
            .map(|phone| (phone.id.clone(), phone.alias.clone()));
        aliases.collect()
    }

    /// The world at the start of the week. Nobody is registered yet.
    pub fn world(&self) -> World {
        let mut world = World::new(Timestamp::from_second(START).unwrap(), 7);
        world.settle(plan("main", 0));
        let account = world.account_mut(&auth_id("main")).unwrap();
        account.shape = vobiz_simulator::Shape::Plivo;
        let application = account.applications[0].id.clone();
        for phone in &self.phones {
            let endpoint = Endpoint::new(&*phone.id).alias(&*phone.alias);
            account.push(endpoint.application(&*application));
        }
        world
    }

    /// Makes the changes that are due at `now`.
    pub fn pass(&mut self, vendor: &Vendor, now: Timestamp) {
        let at = now.as_second();
        vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            for (number, phone) in (0..).zip(&self.phones) {
                let registered = account.endpoint(&phone.id).map(Endpoint::registered);
                let is_away = phone.is_away(at);
                // A tenth of the phones renews its registration in each minute.
                let renews = !is_away && (number + at / MINUTE) % 10 == 0;
                if registered == Some(is_away) || renews {
                    let until = now + jiff::SignedDuration::from_mins(15);
                    account.edit(&phone.id, |one| {
                        one.registration = (!is_away).then(|| Registration::until(until));
                    });
                }
            }
        });
        for due in self.changes.extract_if(.., |change| change.at <= at) {
            (due.apply)(vendor);
        }
    }

    /// The alerts about single endpoints that the absences of the phones must cause.
    pub fn expected(&self) -> Vec<Firing> {
        let mut expected = Vec::new();
        for phone in &self.phones {
            match phone.group {
                "reception" | "desk" => expected.extend(phone.missed("PagedEndpointMissed", 5)),
                "spare" | "web" | "partner" => {}
                _ => expected.extend(phone.missed("EndpointMissed", 15)),
            }
            if let Some(from) = phone.flaps_from {
                // The sixth change is after twelve minutes. An hour after the last change but two, fewer than three are left.
                let time = from + 12 * MINUTE..from + 2 * HOUR + 55 * MINUTE;
                expected.push(Firing::of(
                    "EndpointFlapping",
                    phone.group,
                    &phone.alias,
                    time,
                ));
            }
        }
        expected
    }
}

impl Habit {
    /// Plans the absences of a phone.
    fn plan(&self, phone: &mut Phone, number: u64, rng: &mut Rng) {
        // The first hours are without absences, because an endpoint is missed only if it was registered before.
        let some_time = |rng: &mut Rng| rng.i64(START + 2 * HOUR..END - 6 * HOUR);
        match self {
            Self::Always => {
                if rng.u8(..3) == 0 {
                    phone.absences.push(absence(some_time(rng), rng.i64(1..5)));
                }
                if phone.group != "reception" && phone.group != "desk" && rng.u8(..30) == 0 {
                    let long = absence(some_time(rng), rng.i64(25..90));
                    if !phone.is_away(long.time.start) && !phone.is_away(long.time.end) {
                        phone.lose(long);
                    }
                }
            }
            Self::Shift(hours, end) => {
                let mut since = START;
                for day in hours.iter().flat_map(|hours| hours.ranges()) {
                    if rng.u8(..40) == 0 {
                        continue;
                    }
                    let late = if rng.u8(..20) == 0 { 22 } else { 0 };
                    let login = day.start + rng.i64(-15 * MINUTE..-2 * MINUTE) + late * MINUTE;
                    phone
                        .absences
                        .push(absence(since, (login - since) / MINUTE));
                    since = day.end + rng.i64(end.start * MINUTE..end.end * MINUTE);
                }
                phone
                    .absences
                    .push(absence(since, (END - since) / MINUTE + 1));
            }
            Self::Cordless => {
                for _ in 0..3 {
                    phone.absences.push(absence(some_time(rng), rng.i64(1..4)));
                }
                if number.is_multiple_of(5) {
                    let from = some_time(rng);
                    let losses =
                        (0..24).map(|loss| absence(from + loss * 5 * MINUTE, rng.i64(2..4)));
                    phone.absences.extend(losses);
                    phone.flaps_from = Some(from);
                }
            }
            Self::Spare => {
                let (first, second) =
                    (some_time(rng) / 2 + START / 2, some_time(rng) / 2 + END / 2);
                phone
                    .absences
                    .push(absence(START, (first - START) / MINUTE));
                let back = first + 4 * HOUR;
                phone.absences.push(absence(back, (second - back) / MINUTE));
                let back = second + 2 * HOUR;
                phone
                    .absences
                    .push(absence(back, (END - back) / MINUTE + 1));
            }
            Self::Never => phone
                .absences
                .push(absence(START, (END - START) / MINUTE + 1)),
        }
    }
}

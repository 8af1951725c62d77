//! The endpoints of two accounts, whose absences are planned.

use std::ops::Range;

use fastrand::Rng;
use jiff::Timestamp;
use vobiz_simulator::{Endpoint, Vendor, World};

use crate::harness::{auth_id, plan};

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;

/// The account, the first word of the alias, which decides about the group, and the number of endpoints.
const SITES: [(&str, &str, u64); 6] = [
    ("main", "desk", 15),
    ("main", "night", 12),
    ("main", "hall", 8),
    ("main", "other", 4),
    ("branch", "desk", 4),
    ("branch", "other", 2),
];

struct Phone {
    account: &'static str,
    alias: String,
    id: String,
    /// The times without a registration, in seconds after the start.
    absences: Vec<Range<i64>>,
}

/// A change of the list at a time in seconds after the start: the account, the id, and what changes.
type Edit = (i64, &'static str, String, Change);

enum Change {
    Add,
    Remove,
    Rename(&'static str),
}

/// The endpoints and their plan.
pub struct Fleet {
    start: i64,
    phones: Vec<Phone>,
    edits: Vec<Edit>,
}

impl Fleet {
    pub fn new(start: i64) -> Self {
        let mut rng = Rng::with_seed(7);
        let mut phones = Vec::new();
        for (account, site, number) in SITES {
            for one in 1..=number {
                let mut phone = Phone {
                    account,
                    alias: format!("{site} {one:02}"),
                    id: (100_000_000_000_000 + phones.len()).to_string(),
                    absences: Vec::new(),
                };
                phone.plan(site, one, &mut rng);
                phones.push(phone);
            }
        }
        let id = |alias: &str| {
            let mut phones = phones.iter();
            phones
                .find(|one| one.account == "main" && one.alias == alias)
                .unwrap()
                .id
                .clone()
        };
        let edit =
            |day: i64, alias: &str, change| (day * DAY + 10 * HOUR, "main", id(alias), change);
        let mut edits = vec![
            // Its row is deleted a week later.
            edit(5, "desk 03", Change::Remove),
            edit(27, "desk 04", Change::Remove),
            edit(11, "hall 02", Change::Remove),
            edit(12, "hall 02", Change::Add),
            edit(14, "desk 07", Change::Rename("hall 77")),
            edit(21, "desk 07", Change::Rename("night 77")),
            edit(16, "other 02", Change::Rename("desk 82")),
            (DAY / 2, "main", id("desk 15"), Change::Remove),
            (9 * DAY + 7, "main", id("desk 15"), Change::Add),
        ];
        // While the walks fail, and while the exporter is stopped.
        edits.push((6 * DAY + 11 * HOUR, "main", id("night 05"), Change::Remove));
        edits.push((
            10 * DAY + 9 * HOUR + 600,
            "main",
            id("night 06"),
            Change::Remove,
        ));
        edits.push((
            13 * DAY,
            "branch",
            phones[phones.len() - 1].id.clone(),
            Change::Remove,
        ));
        Self {
            start,
            phones,
            edits,
        }
    }

    /// The world at the start.
    pub fn world(&self) -> World {
        let mut world = World::new(Timestamp::from_second(self.start).unwrap(), 7);
        for account in ["main", "branch"] {
            world.settle(plan(account, 0));
        }
        for phone in &self.phones {
            let account = world.account_mut(&auth_id(phone.account)).unwrap();
            account.push(Endpoint::new(&*phone.id).alias(&*phone.alias));
        }
        world
    }

    /// Makes the changes that are due at the Unix time `now`.
    pub fn pass(&mut self, vendor: &Vendor, now: i64) {
        let at = now - self.start;
        vendor.edit(|world| {
            for (_, name, id, change) in self.edits.extract_if(.., |one| one.0 <= at) {
                let account = world.account_mut(&auth_id(name)).unwrap();
                match change {
                    Change::Add => account.push(Endpoint::new(&*id).alias("hall added")),
                    Change::Remove => assert!(account.remove(&id).is_some(), "{id}"),
                    Change::Rename(alias) => {
                        assert!(account.edit(&id, |one| alias.clone_into(&mut one.alias)));
                    }
                }
            }
            let time = Timestamp::from_second(now).unwrap();
            for phone in &self.phones {
                let account = world.account_mut(&auth_id(phone.account)).unwrap();
                let is_away = phone.absences.iter().any(|one| one.contains(&at));
                if account.endpoint(&phone.id).map(Endpoint::registered) == Some(is_away) {
                    account.edit(&phone.id, |one| one.set_registered(!is_away, time));
                }
            }
        });
    }
}

impl Phone {
    fn plan(&mut self, site: &str, number: u64, rng: &mut Rng) {
        for _ in 0..rng.u8(4..20) {
            let from = rng.i64(-HOUR..30 * DAY);
            let length = if rng.u8(..4) == 0 { 6 * HOUR } else { HOUR };
            self.absences.push(from..from + rng.i64(60..length));
        }
        if site == "hall" && number == 1 {
            // A change with each walk.
            self.absences = (0..12)
                .map(|one| 3 * DAY + one * 1200..3 * DAY + one * 1200 + 600)
                .collect();
        }
        match site {
            "desk" => self.absences.push(8 * DAY + 11 * HOUR..8 * DAY + 13 * HOUR),
            "night" => self
                .absences
                .push(20 * DAY + 22 * HOUR..20 * DAY + 22 * HOUR + 1800),
            _ => {}
        }
        // So many losses need two walks.
        self.absences
            .push(15 * DAY + 9 * HOUR..15 * DAY + 10 * HOUR);
        if site == "other" && number == 1 {
            self.absences.clear();
            self.absences.push(-HOUR..31 * DAY);
        }
    }
}

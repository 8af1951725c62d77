//! What the numbers of a report must be, from what the vendor had at each walk. Nothing here uses the event log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use vobiz_exporter::{
    clock::UnixMillis,
    report::{Report, Times},
};
use vobiz_simulator::Vendor;

use crate::harness::auth_id;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Published,
    Unconfirmed,
    Failed,
}

/// A value from each time on, in milliseconds.
type Steps<T> = Vec<(i64, T)>;

/// The alias and the registration of each endpoint.
pub type Listed = BTreeMap<String, (String, bool)>;

#[derive(Default)]
struct Account {
    known: Steps<bool>,
    /// The registration of each endpoint, `None` while the list does not have it.
    endpoints: BTreeMap<String, Steps<Option<bool>>>,
    groups: BTreeMap<String, Steps<&'static str>>,
    /// The removed endpoints whose group the run knew at the removal. That of others is forgotten with their rows.
    with_group: BTreeSet<String>,
    /// The end of the last published walk.
    last_success: i64,
    /// Whether this run has published a walk. Before, it does not know the groups.
    has_walked: bool,
}

pub struct Oracle {
    /// The times of duty of the groups that have some, in milliseconds.
    duty: [(&'static str, Vec<(i64, i64)>); 2],
    accounts: BTreeMap<&'static str, Account>,
    /// The number of walks that waited for confirmation.
    pub unconfirmed: u64,
}

/// The value at the time `at`.
fn value<T: Copy>(steps: &Steps<T>, at: i64) -> Option<T> {
    let before = steps.iter().rev().find(|step| step.0 <= at);
    before.map(|step| step.1)
}

fn push<T: Copy + PartialEq>(steps: &mut Steps<T>, at: i64, new: T) {
    if steps.last().map(|step| step.1) != Some(new) {
        steps.push((at, new));
    }
}

/// The group of an alias. In the account `branch`, only `desk` is a group.
fn group(account: &str, alias: &str) -> &'static str {
    let groups: &[_] = if account == "main" {
        &["desk", "night", "hall"]
    } else {
        &["desk"]
    };
    let found = groups.iter().find(|group| alias.starts_with(**group));
    found.copied().unwrap_or("")
}

impl Oracle {
    pub fn new(start: i64) -> Self {
        let accounts = ["main", "branch"].map(|name| (name, Account::default()));
        Self {
            duty: ["desk", "night"].map(|group| (group, duty(start, group))),
            accounts: accounts.into(),
            unconfirmed: 0,
        }
    }

    /// What a walk of the account that starts now will find.
    pub fn look(vendor: &Vendor, name: &str) -> Listed {
        vendor.edit(|world| {
            let account = world.account(&auth_id(name)).unwrap();
            let row = |one: &vobiz_simulator::Endpoint| {
                (one.id().to_owned(), (one.alias.clone(), one.registered()))
            };
            account.endpoints().map(row).collect()
        })
    }

    /// A walk of the account between these times found the list.
    pub fn walked(
        &mut self,
        name: &'static str,
        walk: Walk,
        (from, until): (UnixMillis, UnixMillis),
        listed: Listed,
    ) {
        let account = self.accounts.get_mut(name).unwrap();
        match walk {
            Walk::Unconfirmed => {
                self.unconfirmed += 1;
                return;
            }
            Walk::Failed => return push(&mut account.known, from.0, false),
            Walk::Published => push(&mut account.known, from.0, true),
        }
        account.last_success = until.0;
        for (id, steps) in &mut account.endpoints {
            let was_listed = steps.last().is_some_and(|step| step.1.is_some());
            if was_listed && !listed.contains_key(id) {
                if account.has_walked {
                    account.with_group.insert(id.clone());
                }
                push(steps, until.0, None);
            }
        }
        for (id, (alias, registered)) in listed {
            let groups = account.groups.entry(id.clone()).or_default();
            let group = group(name, &alias);
            let is_listed = account
                .endpoints
                .get(&id)
                .is_some_and(|one| one.last().unwrap().1.is_some());
            if account.has_walked && is_listed {
                push(groups, from.0, group);
            } else if let Some(last) = groups.last_mut() {
                // A move that no run has seen counts from the beginning.
                last.1 = group;
            } else {
                groups.push((i64::MIN, group));
            }
            push(
                account.endpoints.entry(id).or_default(),
                from.0,
                Some(registered),
            );
        }
        account.has_walked = true;
    }

    /// The accounts are not seen from now on.
    pub fn ended(&mut self, names: &[&'static str], now: UnixMillis) {
        for name in names {
            push(
                &mut self.accounts.get_mut(name).unwrap().known,
                now.0,
                false,
            );
        }
    }

    /// The exporter has crashed. Nobody can know for how long it worked after its last walk.
    pub fn crashed(&mut self) {
        let last = self
            .accounts
            .values()
            .map(|one| one.last_success)
            .max()
            .unwrap();
        for account in self.accounts.values_mut() {
            push(&mut account.known, last, false);
        }
    }

    /// A run begins for these accounts.
    pub fn starts(&mut self, names: &[&'static str]) {
        for name in names {
            self.accounts.get_mut(name).unwrap().has_walked = false;
        }
    }

    /// Compares every number of the report.
    pub fn compare(&self, report: &Report) {
        let (from, until) = (report.covered.from.0, report.covered.until.0);
        let mut groups = BTreeMap::<(&str, &str), Times>::new();
        let mut found = report.endpoints.iter();
        for (name, account) in &self.accounts {
            for id in account.endpoints.keys() {
                let Some(expected) = self.endpoint(account, id, (from, until)) else {
                    continue;
                };
                let one = found.next().unwrap();
                assert_eq!((&*one.account, &one.id), (*name, id));
                let mut sum = Times::default();
                for (group, times) in &expected {
                    *groups.entry((name, group)).or_default() += *times;
                    sum += *times;
                }
                let shown = format!("{name} {} {} of {}", one.alias, one.id, one.group);
                assert_eq!(one.times, sum, "{shown}");
            }
        }
        assert_eq!(found.next(), None, "no other endpoints");
        let sums = report.groups.iter();
        let sums: BTreeMap<_, _> = sums
            .map(|one| ((&*one.account, &*one.name), one.times))
            .collect();
        assert_eq!(sums, groups);
    }

    /// The times of an endpoint in each of its groups. `None` if it did not exist in the period.
    fn endpoint(
        &self,
        account: &Account,
        id: &str,
        (from, until): (i64, i64),
    ) -> Option<BTreeMap<&'static str, Times>> {
        let (presences, groups) = (&account.endpoints[id], &account.groups[id]);
        // A week after its removal, the row is deleted with the names of the endpoint.
        let week = 7 * 24 * 3600 * 1000;
        let (removed_at, last) = *presences.last().unwrap();
        let is_forgotten = last.is_none()
            && account.last_success - removed_at >= week
            && !account.with_group.contains(id);
        let mut cuts: Vec<i64> = presences.iter().map(|step| step.0).collect();
        cuts.extend(groups.iter().map(|step| step.0));
        cuts.extend(account.known.iter().map(|step| step.0));
        for (_, duty) in &self.duty {
            cuts.extend(duty.iter().flat_map(|(from, until)| [*from, *until]));
        }
        cuts.retain(|cut| (from..until).contains(cut));
        cuts.extend([from, until]);
        cuts.sort_unstable();
        let mut times = BTreeMap::<_, Times>::new();
        for cut in cuts.windows(2) {
            let [from, until] = [cut[0], cut[1]];
            let Some(registered) = value(presences, from).flatten().filter(|_| from < until) else {
                continue;
            };
            let group = value(groups, from).filter(|_| !is_forgotten).unwrap_or("");
            let of_group = times.entry(group).or_default();
            let is_on = self
                .duty
                .iter()
                .find(|one| one.0 == group)
                .is_none_or(|one| one.1.iter().any(|duty| (duty.0..duty.1).contains(&from)));
            let length = Duration::from_millis((until - from).unsigned_abs());
            if !is_on {
                continue;
            }
            *match (value(&account.known, from), registered) {
                (Some(true), true) => &mut of_group.registered,
                (Some(true), false) => &mut of_group.unregistered,
                _ => &mut of_group.unknown,
            } += length;
        }
        (!times.is_empty()).then_some(times)
    }
}

/// The times of duty of a group around the month, in milliseconds.
fn duty(start: i64, group: &str) -> Vec<(i64, i64)> {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let first = Timestamp::from_second(start).unwrap();
    let first = berlin.to_datetime(first).date();
    let at = |date: Date, hour: i8| {
        let time = date.at(hour, 0, 0, 0).to_zoned(berlin.clone()).unwrap();
        time.timestamp().as_millisecond()
    };
    let days = (-1..33).map(|day| first.checked_add(day.days()).unwrap());
    let mut duty = Vec::new();
    for day in days {
        let next = day.tomorrow().unwrap();
        if group == "night" {
            duty.extend([(at(day, 0), at(day, 6)), (at(day, 20), at(next, 0))]);
        } else if day.weekday().to_monday_zero_offset() < 5 {
            duty.push((at(day, 8), at(day, 18)));
        }
    }
    duty
}

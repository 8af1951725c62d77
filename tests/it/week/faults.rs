//! Ten faults of a week, each with the alert that must report it.

use std::ops::Range;

use jiff::civil::date;
use vobiz_simulator::{Fault, FaultId, Vendor};

use super::{
    alerts::Firing,
    fleet::{Absence, Change, Fleet, MINUTE, Phone},
};
use crate::harness::auth_id;

/// A fault: when it is, and which firing reports it.
pub struct Planned {
    pub what: &'static str,
    pub firing: Firing,
    /// The longest time in minutes from the begin and the end of the fault to those of the firing.
    pub within: i64,
}

/// A time in India, on a day of the week of March 23.
fn time(day: i8, hour: i8, minute: i8) -> i64 {
    let at = date(2026, 3, 22 + day).at(hour, minute, 0, 0);
    at.in_tz("Asia/Kolkata").unwrap().timestamp().as_second()
}

/// Makes the phones that `is_one` accepts lose their registrations together. `start` has the time of each loss.
fn fall(fleet: &mut Fleet, is_one: impl Fn(&Phone) -> bool, start: impl Fn(i64) -> i64, end: i64) {
    let phones = fleet.phones.iter_mut().filter(|phone| is_one(phone));
    for (number, phone) in (0..).zip(phones) {
        let time = start(number)..end;
        // A phone that is away anyway is not lost.
        if !phone.is_away(time.start) && !phone.is_away(time.end) {
            phone.lose(Absence { time, shared: true });
        }
    }
}

fn lose_one(fleet: &mut Fleet, alias: &str, time: Range<i64>) {
    let phone = fleet
        .phones
        .iter_mut()
        .find(|phone| phone.alias == alias)
        .unwrap();
    phone.lose(Absence {
        time,
        shared: false,
    });
}

fn id_of(fleet: &Fleet, alias: &str) -> String {
    let phone = fleet.phones.iter().find(|phone| phone.alias == alias);
    phone.unwrap().id.clone()
}

fn change(fleet: &mut Fleet, at: i64, apply: impl FnOnce(&Vendor) + Send + 'static) {
    fleet.changes.push(Change {
        at,
        apply: Box::new(apply),
    });
}

/// The faults that are planned in a week.
struct Plan<'a> {
    fleet: &'a mut Fleet,
    planned: Vec<Planned>,
}

impl Plan<'_> {
    /// Expects one firing of an alert about a group or an endpoint.
    fn expect(
        &mut self,
        what: &'static str,
        alert: &str,
        [group, alias]: [&str; 2],
        times: Range<i64>,
        within: i64,
    ) {
        let firing = Firing::of(alert, group, alias, times);
        self.planned.push(Planned {
            what,
            firing,
            within,
        });
    }
}

/// Plans ten faults in a quiet week.
pub fn plan(fleet: &mut Fleet) -> Vec<Planned> {
    let mut plan = Plan {
        fleet,
        planned: Vec::new(),
    };
    of_sites(&mut plan);
    of_phones(&mut plan);
    of_the_vendor(&mut plan);
    of_edits(&mut plan);
    plan.planned
}

fn number(phone: &Phone) -> u32 {
    phone.alias.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn of_sites(plan: &mut Plan<'_>) {
    let (from, to) = (time(1, 11, 0), time(1, 11, 40));
    fall(plan.fleet, |phone| phone.group == "mumbai", |_| from, to);
    plan.expect(
        "a site falls during its hours",
        "Outage",
        ["mumbai", ""],
        from..to,
        4,
    );

    let (from, to) = (time(2, 3, 0), time(2, 4, 0));
    fall(plan.fleet, |phone| phone.group == "delhi", |_| from, to);
    plan.expect(
        "a site falls at night",
        "Outage",
        ["delhi", ""],
        from..to,
        4,
    );

    // A quarter of the site is lost after ten minutes.
    let (from, to) = (time(3, 10, 0), time(3, 11, 30));
    fall(
        plan.fleet,
        |phone| phone.group == "bangalore",
        |number| from + number * 40,
        to,
    );
    plan.expect(
        "the registrations of a site expire over 40 minutes",
        "Outage",
        ["bangalore", ""],
        from + 10 * MINUTE..to,
        4,
    );
}

fn of_phones(plan: &mut Plan<'_>) {
    let (from, to) = (time(4, 12, 0), time(4, 12, 30));
    lose_one(plan.fleet, "reception 03", from..to);
    plan.expect(
        "a paged phone is lost",
        "PagedEndpointMissed",
        ["reception", "reception 03"],
        from + 5 * MINUTE..to,
        3,
    );

    let (from, to) = (time(4, 15, 0), time(4, 17, 0));
    lose_one(plan.fleet, "phone 10", from..to);
    let id = id_of(plan.fleet, "phone 10");
    change(plan.fleet, time(4, 16, 0), move |vendor| {
        vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            assert!(account.edit(&id, |one| "bangalore renamed".clone_into(&mut one.alias)));
        });
    });
    plan.expect(
        "a phone is lost, and gets another name and group",
        "EndpointMissed",
        ["", "phone 10"],
        from + 15 * MINUTE..to,
        3,
    );

    let (from, to) = (time(5, 11, 0), time(5, 11, 30));
    let is_one =
        |phone: &Phone| !["spare", "web", "desk"].contains(&phone.group) && number(phone) % 5 < 2;
    fall(plan.fleet, is_one, |_| from, to);
    plan.expect(
        "two in five phones of all sites fall",
        "Outage",
        ["", ""],
        from..to,
        4,
    );
}

fn of_the_vendor(plan: &mut Plan<'_>) {
    let (from, to) = (time(5, 18, 30), time(5, 19, 30));
    let fault = std::sync::Arc::new(std::sync::Mutex::new(None::<FaultId>));
    let planned_fault = std::sync::Arc::clone(&fault);
    change(plan.fleet, from, move |vendor| {
        *planned_fault.lock().unwrap() = Some(vendor.plan(Fault::status(503)));
    });
    change(plan.fleet, to, move |vendor| {
        assert!(vendor.cancel(fault.lock().unwrap().take().unwrap()));
    });
    plan.expect(
        "the vendor is away, and the data is old",
        "DataStale",
        ["", ""],
        from + 3 * MINUTE..from + 5 * MINUTE,
        3,
    );
    plan.expect(
        "the vendor is away for an hour",
        "DataWithdrawn",
        ["", ""],
        from + 5 * MINUTE..to,
        4,
    );

    let (from, to) = (time(6, 10, 0), time(6, 10, 30));
    for (at, token) in [(from, "another-token"), (to, "token-of-main")] {
        change(plan.fleet, at, move |vendor| {
            vendor.edit(|world| {
                token.clone_into(&mut world.account_mut(&auth_id("main")).unwrap().token);
            });
        });
    }
    // After refusals, the exporter waits longer for its next attempt.
    plan.expect(
        "the token is revoked",
        "CredentialsRefused",
        ["", ""],
        from..to,
        8,
    );
}

fn of_edits(plan: &mut Plan<'_>) {
    let at = time(6, 14, 0);
    let id = id_of(plan.fleet, "phone 20");
    change(plan.fleet, at, move |vendor| {
        vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            assert!(account.edit(&id, |one| one.application = None));
        });
    });
    plan.expect(
        "a phone loses its application",
        "ApplicationLost",
        ["", ""],
        at..at + 60 * MINUTE,
        4,
    );

    let at = time(7, 12, 0);
    let gone = |phone: &Phone| phone.group.is_empty() && number(phone) > 30;
    let ids: Vec<_> = plan
        .fleet
        .phones
        .iter()
        .filter(|phone| gone(phone))
        .map(|phone| phone.id.clone())
        .collect();
    change(plan.fleet, at, move |vendor| {
        vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            for id in &ids {
                account.remove(id).unwrap();
            }
        });
    });
    plan.expect(
        "64 of 500 endpoints are deleted",
        "EndpointsRemoved",
        ["", ""],
        at..at + 60 * MINUTE,
        4,
    );
}

//! A simulated day of three accounts, for the images of `docs/dashboards.md`.

use std::{fs, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use vobiz_simulator::{
    Endpoint, Fault, FaultId, Login, PageFault, Registration, RetryAfter, Shape, Vendor, World,
};

use super::past::Past;
use crate::harness::{accounts_config, auth_id, lively};

/// `Captured` lacks the expiry, so the exporter retrieves details. `Plivo` has times without a zone.
const ACCOUNTS: [(&str, usize, Shape); 3] = [
    ("main", 430, Shape::Documented),
    ("branch", 50, Shape::Captured),
    ("depot", 20, Shape::Plivo),
];
/// The time between two walks, and between two scrapes.
pub const STEP: Duration = Duration::from_secs(120);
/// The endpoint of the account `main` that the endpoint dashboard shows.
const LOST: &str = "BLR-0008";

/// The groups of every account.
pub const GROUPS: &str = "groups: [\
    {name: reception, match: {alias: 'Reception.*'}, watch: page, min_registered: 1}, \
    {name: web, match: {alias: 'Web.*'}, watch: ignore}, \
    {name: spare, match: {alias: 'Spare.*'}, watch: ignore}, \
    {name: bengaluru, match: {alias: 'BLR-.*'}, min_registered: 75%}, \
    {name: delhi, match: {alias: 'DEL-.*'}, watch: page}, \
    {name: mumbai, match: {alias: 'MUM-.*'}, min_registered: 100%}]";

/// The offset from UTC with which the local time at `end` is Wednesday, 15:00. At night and at weekends, far fewer
/// agents work, so each simulated day ends at the same local time.
pub fn zone(end: Timestamp) -> SignedDuration {
    const HOUR: i64 = 3600;
    // The Unix epoch began on a Thursday.
    let wednesday = (6 * 24 + 15) * HOUR;
    SignedDuration::from_secs(wednesday - end.as_second().rem_euclid(7 * 24 * HOUR))
}

/// The latest time that is a multiple of the step.
pub fn end(step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_secs()).unwrap();
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now.div_euclid(step) * step).unwrap()
}

/// Simulates the day before `end` and writes its samples into `folder/data`. Returns the id of `LOST`.
pub fn simulate(folder: &Path, end: Timestamp) -> String {
    let token = folder.join("token-of-depot");
    fs::write(&token, "token-of-depot").unwrap();
    let past = Past {
        data: folder.join("data"),
        step: STEP,
        keeps: &|_| true,
        configuration: &|vendor| {
            let accounts = ACCOUNTS.map(|(name, ..)| (name, GROUPS));
            let text = configured(&accounts_config(vendor, "", accounts), STEP);
            let file = format!("auth_token_file: '{}'", token.display());
            text.replace("auth_token: 'token-of-depot'", &file)
        },
    };
    // The seed makes latencies and jitter the same in each run.
    fastrand::seed(7);
    let begin = end - SignedDuration::from_hours(24);
    let mut world = World::new(begin, 7).zone(zone(end));
    for (name, endpoints, shape) in ACCOUNTS {
        world.settle(lively(name, endpoints).shape(shape).sub_account(Login {
            auth_id: "SA_partner",
            token: "token-of-a-partner",
        }));
    }
    let mut fault = None;
    let (_, world) = past.live(world, end, &mut |vendor, now| {
        // A response in flight can delay `now` by less than a second, so the minutes are rounded.
        let left = (end.duration_since(now) + SignedDuration::from_secs(30)).as_mins();
        events(vendor, now, left);
        faults(vendor, left, &token, &mut fault);
    });
    id_of(&world, LOST)
}

/// The planned changes of endpoints, this number of minutes before the end of the day.
fn events(vendor: &Vendor, now: Timestamp, left: i64) {
    match left {
        380 => {
            let other = vendor.edit(|world| world.first().applications[1].id.clone());
            edit(vendor, "main", LOST, 1, |one| {
                one.application = Some(other.clone());
            });
        }
        300..480 if left % 10 == 0 => register(vendor, LOST, left % 20 == 0, now),
        120 => register(vendor, LOST, false, now),
        100 => edit(vendor, "main", "BLR-0011", 1, |one| one.application = None),
        90 | 70 => vendor.edit(|world| {
            let id = id_of(world, "MUM-0018");
            assert!(world.first_mut().hide(&id, left == 90));
        }),
        40 => register(vendor, "Reception Bengaluru", false, now),
        20 => register(vendor, "DEL-", false, now),
        _ => {}
    }
    if left < 60 && left % 8 == 0 {
        register(vendor, "MUM-0007", left % 16 == 0, now);
    }
}

/// The planned faults of the API and of the token file.
fn faults(vendor: &Vendor, left: i64, token: &Path, fault: &mut Option<FaultId>) {
    let main = || auth_id("main");
    match left {
        300 => *fault = Some(vendor.plan(Fault::status(503).for_account(main()))),
        294 => drop(fault.take().map(|fault| vendor.cancel(fault))),
        // The second response has the rows of the first page, so the walk requests pages again.
        270 => {
            let ignored = Fault::page(PageFault::IgnoreOffset).times(2);
            vendor.plan(ignored.for_account(main()));
        }
        240 => {
            let throttled = Fault::throttled(RetryAfter::Seconds(20)).times(2);
            vendor.plan(throttled.for_account(main()));
        }
        210 => fs::rename(token, token.with_extension("away")).unwrap(),
        200 => fs::rename(token.with_extension("away"), token).unwrap(),
        180 => vendor.edit(|world| {
            let account = world.first_mut();
            account.push(Endpoint::new("900000000000001").raw("null"));
            let odd = r#"{"endpoint_id":"900000000000002","alias":{},"sip_registered":"false"}"#;
            account.push(Endpoint::new("900000000000002").raw(odd));
        }),
        150 => vendor.edit(|world| {
            let account = world.first_mut();
            account.remove("900000000000001").unwrap();
            account.remove("900000000000002").unwrap();
        }),
        _ => {}
    }
}

/// The id of the first endpoint of the first account whose alias begins with `prefix`.
pub fn id_of(world: &World, prefix: &str) -> String {
    let mut endpoints = world.first().endpoints();
    let found = endpoints.find(|one| one.alias.starts_with(prefix));
    found.unwrap().id().to_owned()
}

/// Changes `number` endpoints of an account whose alias begins with `prefix`, and ends their simulated events.
pub fn edit(
    vendor: &Vendor,
    account: &str,
    prefix: &str,
    number: usize,
    change: impl Fn(&mut Endpoint),
) {
    vendor.edit(|world| {
        let account = world.account_mut(&auth_id(account)).unwrap();
        let found = account
            .endpoints()
            .filter(|one| one.alias.starts_with(prefix));
        let ids: Vec<_> = found.take(number).map(|one| one.id().to_owned()).collect();
        assert!(!ids.is_empty(), "{prefix}");
        for id in ids {
            account.edit(&id, &change);
        }
    });
}

fn register(vendor: &Vendor, prefix: &str, registered: bool, now: Timestamp) {
    let until = now + SignedDuration::from_hours(9);
    edit(vendor, "main", prefix, usize::MAX, |one| {
        one.registration = registered.then(|| Registration::until(until));
    });
}

/// Replaces the section `poll`: `step` is the interval, and the other settings have their defaults.
pub fn configured(configuration: &str, step: Duration) -> String {
    let (_, rest) = configuration.split_once('\n').unwrap();
    format!("poll: {{interval: {}s}}\n{rest}", step.as_secs())
}

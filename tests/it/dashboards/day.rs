//! A simulated day of three accounts, and 80 minutes of the week before.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use vobiz_simulator::{
    Endpoint, Fault, FaultId, Login, Operation, PageFault, Registration, RetryAfter, Shape, Vendor,
    World,
};

use super::{local::zone, past::Past};
use crate::harness::{accounts_config, auth_id, lively};

/// Each account, the number of its endpoints, and the form of its list rows. `Documented` has all fields.
/// `Captured` lacks the expiry, so the exporter retrieves details. `Plivo` has times without a zone.
pub const ACCOUNTS: [(&str, usize, Shape); 3] = [
    ("main", 430, Shape::Documented),
    ("branch", 50, Shape::Captured),
    ("depot", 20, Shape::Plivo),
];
/// The time between two walks, and between two scrapes.
pub const STEP: Duration = Duration::from_secs(120);
/// The simulated time before [`Day::end`] minus 7 days, and the simulated time after it.
pub const LAST_WEEK: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(1200));
/// The next four constants are aliases of endpoints of the account `main` that have planned events.
pub const OVERDUE: &str = "MUM-0007";
pub const LOST: &str = "BLR-0008";
pub const BARE: &str = "BLR-0011";
pub const LATE: &str = "BLR-0021";
/// The expiry of `OVERDUE`, in minutes before the end of the day. The endpoint stays registered.
pub const OVERDUE_SINCE: usize = 200;
/// The user agent of the phones that are all lost at the same time.
pub const AGENT: &str = "Cisco-CP8851-3PCC/12.0.1";

/// The groups of every account.
pub const GROUPS: &str = "groups: [\
    {name: reception, match: {alias: 'Reception.*'}, watch: page}, \
    {name: web, match: {alias: 'Web.*'}, watch: ignore}, \
    {name: spare, match: {alias: 'Spare.*'}, watch: ignore}, \
    {name: bengaluru, match: {alias: 'BLR-.*'}}, \
    {name: delhi, match: {alias: 'DEL-.*'}}, \
    {name: mumbai, match: {alias: 'MUM-.*'}}]";

/// For each account, the time of each list response and the number of registered endpoints then.
pub type Counts = BTreeMap<&'static str, Vec<(f64, f64)>>;

/// The recorded facts about the simulated day.
pub struct Day {
    /// The end of the day. Events are planned by the number of minutes before this end.
    pub end: Timestamp,
    token: PathBuf,
    fault: Option<FaultId>,
    pub counts: Arc<Mutex<Counts>>,
    /// The time at which the endpoint `LOST` was lost and did not return.
    pub lost_at: Timestamp,
    /// The number of changes of the endpoint `LOST` between registered and unregistered.
    pub flaps: u32,
    /// The number of samples that were written.
    pub samples: u64,
}

impl Day {
    /// Simulates 80 minutes of last week, and then the day. Writes the samples as blocks into
    /// `folder/data`. Also returns the world at the end of the day.
    pub fn live(folder: &Path) -> (Self, World) {
        let step = i64::try_from(STEP.as_secs()).unwrap();
        let now = Timestamp::now().as_second();
        let end = Timestamp::from_second(now.div_euclid(step) * step).unwrap();
        let token = folder.join("token-of-depot");
        fs::write(&token, "token-of-depot").unwrap();
        let mut day = Self {
            end,
            token,
            fault: None,
            counts: Arc::default(),
            lost_at: end,
            flaps: 0,
            samples: 0,
        };
        let past = Past {
            data: folder.join("data"),
            step: STEP,
            configuration: &|vendor| configured(&configuration(vendor, folder), STEP),
            second: end - SignedDuration::from_hours(1),
        };
        // The seed makes latencies and jitter the same in each run.
        fastrand::seed(7);
        let hour = SignedDuration::from_hours(1);
        let begin = end - 24 * hour;
        let last_week = end - 7 * 24 * hour;
        let begin_then = last_week - LAST_WEEK.0;
        let mut watch = |vendor: &Vendor, at: Timestamp| {
            if at == begin_then {
                day.watch(vendor);
            }
        };
        let world = settled(begin_then, zone(end));
        let (week, mut world) = past.live(world, Some(last_week + LAST_WEEK.1), &mut watch);
        world.advance(begin);
        let (samples, world) = past.live(world, None, &mut |vendor, at| day.pass(vendor, at));
        day.samples = week + samples;
        (day, world)
    }

    /// Records the number of registered endpoints at each list response.
    fn watch(&self, vendor: &Vendor) {
        for (name, ..) in ACCOUNTS {
            let counts = Arc::clone(&self.counts);
            let fault = Fault::edit(move |world| {
                let registered = world.account(&auth_id(name)).unwrap().registered();
                let mut counts = counts.lock().unwrap();
                let counts = counts.entry(name).or_default();
                counts.push((seconds(world.now()), value(registered)));
            });
            vendor.plan(fault.for_account(auth_id(name)).at_offsets(..));
        }
    }

    /// Makes the planned changes of this minute.
    fn pass(&mut self, vendor: &Vendor, now: Timestamp) {
        let main = || auth_id("main");
        let left = minutes_left(self.end, now);
        self.comes_and_goes(vendor, now, left);
        match left {
            1440 => self.watch(vendor),
            300 => self.fault = Some(vendor.plan(Fault::status(503).for_account(main()))),
            240 => {
                let throttled = Fault::throttled(RetryAfter::Seconds(20)).times(2);
                vendor.plan(throttled.for_account(main()));
            }
            // The second response has the rows of the first page, so the walk requests pages again.
            270 => {
                let ignored = Fault::page(PageFault::IgnoreOffset).times(2);
                vendor.plan(ignored.for_account(main()));
            }
            294 => drop(self.fault.take().map(|fault| vendor.cancel(fault))),
            210 => fs::rename(&self.token, self.token.with_extension("away")).unwrap(),
            OVERDUE_SINCE => {
                fs::rename(self.token.with_extension("away"), &self.token).unwrap();
                edit(vendor, OVERDUE, |one| {
                    one.registration = Some(Registration::until(now));
                });
            }
            180 => vendor.edit(|world| {
                let account = world.account_mut(&main()).unwrap();
                account.push(Endpoint::new("900000000000001").raw("null"));
                let odd =
                    r#"{"endpoint_id":"900000000000002","alias":{},"sip_registered":"false"}"#;
                account.push(Endpoint::new("900000000000002").raw(odd));
            }),
            190 => contradict_the_list(vendor),
            150 => vendor.edit(|world| {
                let account = world.account_mut(&main()).unwrap();
                account.remove("900000000000001").unwrap();
                account.remove("900000000000002").unwrap();
            }),
            380 => vendor.edit(|world| {
                let id = id_of(world, LOST);
                let account = world.account_mut(&main()).unwrap();
                let other = account.applications[3].id.clone();
                assert!(account.edit(&id, |one| one.application = Some(other)));
            }),
            // This registration lasts until `Stage::lose_one_more` ends it.
            110 => edit(vendor, LATE, |one| {
                one.registration = Some(Registration::until(now + SignedDuration::from_hours(9)));
            }),
            120 => {
                self.lost_at = now;
                self.flaps += 1;
                edit(vendor, LOST, |one| one.set_registered(false, now));
            }
            100 => edit(vendor, BARE, |one| {
                one.registration = Some(Registration::until(now + SignedDuration::from_hours(9)));
                one.application = None;
            }),
            90 | 70 => vendor.edit(|world| {
                let hidden = left == 90;
                let id = id_of(world, "MUM-0018");
                let account = world.account_mut(&main()).unwrap();
                assert!(account.hide(&id, hidden));
            }),
            20 => vendor.edit(all_of_one_kind_are_lost),
            _ => {}
        }
    }

    /// Changes the endpoint `LOST` every 40 minutes, until 160 minutes are left. While 1400 to 480
    /// minutes are left, unregisters and registers it in turn. At other times, only registers it.
    fn comes_and_goes(&mut self, vendor: &Vendor, now: Timestamp, left: usize) {
        if left < 160 || !left.is_multiple_of(40) {
            return;
        }
        renew(vendor, LOST, now);
        if (480..1440).contains(&left) {
            self.flaps += 1;
            let away = self.flaps % 2 == 1;
            edit(vendor, LOST, |one| one.set_registered(!away, now));
        }
    }
}

/// For three registered endpoints of `branch`, the next detail has the state unregistered.
fn contradict_the_list(vendor: &Vendor) {
    let branch = auth_id("branch");
    let ids: Vec<_> = vendor.edit(|world| {
        let endpoints = world.account(&branch).unwrap().endpoints();
        let registered = endpoints.filter(|one| one.registered());
        registered.take(3).map(|one| one.id().to_owned()).collect()
    });
    for id in ids {
        let record = format!(r#"{{"endpoint_id":"{id}","sip_registered":false}}"#);
        let fault = Fault::body(record).on(Operation::RetrieveEndpoint);
        vendor.plan(fault.for_account(&*branch).for_endpoint(id).once());
    }
}

/// Unregisters every phone with the user agent `AGENT` and ends the simulated events of these phones.
fn all_of_one_kind_are_lost(world: &mut World) {
    let now = world.now();
    let account = world.account_mut(&auth_id("main")).unwrap();
    // Phones that are unregistered now are included, because their simulated events would register
    // them again. Phones that a test has registered with another user agent are excluded.
    let is_one = |one: &&Endpoint| {
        let registration = one.registration.as_ref();
        one.device() == AGENT && registration.is_none_or(|device| device.user_agent == AGENT)
    };
    let all = account.endpoints().filter(is_one);
    let all: Vec<_> = all.map(|one| one.id().to_owned()).collect();
    for id in all {
        account.edit(&id, |one| one.set_registered(false, now));
    }
}

/// The rounded number of minutes from `now` to `end`. A response in flight can delay `now` by less
/// than a second. Because of the rounding, this delay skips no minute.
fn minutes_left(end: Timestamp, now: Timestamp) -> usize {
    let left = end.as_millisecond() - now.as_millisecond();
    usize::try_from((left + 30_000).div_euclid(60_000)).unwrap_or_default()
}

fn settled(start: Timestamp, zone: SignedDuration) -> World {
    let mut world = World::new(start, 7).zone(zone);
    for (name, endpoints, shape) in ACCOUNTS {
        let plan = lively(name, endpoints).shape(shape);
        world.settle(plan.sub_account(Login {
            auth_id: "SA_partner",
            token: "token-of-a-partner",
        }));
    }
    world
}

/// The id of the endpoint with this alias in the account `main`.
pub fn id_of(world: &World, alias: &str) -> String {
    let account = world.account(&auth_id("main")).unwrap();
    let mut endpoints = account.endpoints();
    let found = endpoints.find(|one| one.alias == alias);
    found.unwrap().id().to_owned()
}

/// Changes an endpoint of the account `main`, and ends the simulated events of this endpoint.
pub fn edit(vendor: &Vendor, alias: &str, change: impl FnOnce(&mut Endpoint)) {
    vendor.edit(|world| {
        let id = id_of(world, alias);
        let account = world.account_mut(&auth_id("main")).unwrap();
        assert!(account.edit(&id, change));
    });
}

fn renew(vendor: &Vendor, alias: &str, now: Timestamp) {
    edit(vendor, alias, |one| {
        one.registration = Some(Registration::until(now + SignedDuration::from_hours(1)));
    });
}

/// The configuration of the running exporters. The token of the account `depot` is in a file.
pub fn configuration(vendor: &Vendor, folder: &Path) -> String {
    let text = accounts_config(vendor, "", ACCOUNTS.map(|(name, ..)| (name, GROUPS)));
    let token = folder.join("token-of-depot").display().to_string();
    let (inline, file) = (
        "auth_token: 'token-of-depot'",
        format!("auth_token_file: '{token}'"),
    );
    assert!(text.contains(inline));
    text.replace(inline, &file)
}

/// Replaces the section `poll`: `step` is the interval, and the other settings have their defaults.
pub fn configured(configuration: &str, step: Duration) -> String {
    let (_, rest) = configuration.split_once('\n').unwrap();
    format!("poll: {{interval: {}s}}\n{rest}", step.as_secs())
}

/// Unix seconds, as Prometheus represents a time.
pub fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// A count as a Prometheus sample value.
pub fn value(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

#[test]
fn lost_phones_of_one_kind_stay_lost_at_every_hour_of_the_week() {
    let start: Timestamp = "2026-03-02T04:30:00Z".parse().unwrap();
    for hour in (0..7 * 24).step_by(5) {
        let mut world = settled(start, SignedDuration::from_hours(hour));
        world.advance_by(Duration::from_secs(3600));
        all_of_one_kind_are_lost(&mut world);
        world.advance_by(Duration::from_secs(1200));
        let account = world.account(&auth_id("main")).unwrap();
        let devices = account
            .endpoints()
            .filter_map(|one| one.registration.as_ref());
        let back = devices.filter(|device| device.user_agent == AGENT).count();
        assert_eq!(back, 0, "{hour} hours ahead of UTC");
    }
}

#[test]
fn a_late_clock_skips_no_minute_of_a_day() {
    let end: Timestamp = "2026-03-02T04:30:00Z".parse().unwrap();
    for minutes in [1440, 200, 120, 20, 2, 0] {
        let at = end - SignedDuration::from_mins(minutes);
        for late in [0, 1, 480, 999] {
            let now = at + SignedDuration::from_millis(late);
            assert_eq!(i64::try_from(minutes_left(end, now)), Ok(minutes));
        }
    }
}

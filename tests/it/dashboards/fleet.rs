//! The simulated fleets of the tests of dashboards.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use vobiz_simulator::{Endpoint, Vendor, World};

use crate::harness::auth_id;

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

/// Replaces the section `poll`: `step` is the interval, and the other settings have their defaults.
pub fn configured(configuration: &str, step: Duration) -> String {
    let (_, rest) = configuration.split_once('\n').unwrap();
    format!("poll: {{interval: {}s}}\n{rest}", step.as_secs())
}

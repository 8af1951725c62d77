//! Tests of `World`. They open no sockets.

use std::time::Duration;

use jiff::Timestamp;

use crate::{AccountPlan, DEMO_ACCOUNTS, Endpoint, Order, START, TEST_ACCOUNT, World};

const DAY: Duration = Duration::from_secs(86_400);

/// The simulated time and the endpoints of each account.
fn state_of(world: &World) -> Vec<(Timestamp, Vec<Endpoint>)> {
    let accounts = world.accounts().iter();
    accounts
        .map(|account| (world.now(), account.endpoints().cloned().collect()))
        .collect()
}

#[test]
fn one_seed_gives_one_day_in_one_step_or_in_many() {
    let mut once = World::demo(200, 7);
    let mut many = World::demo(200, 7);
    let mut other = World::demo(200, 8);
    once.advance_by(DAY);
    other.advance_by(DAY);
    for _ in 0..24 * 60 * 4 {
        many.advance_by(Duration::from_secs(15));
    }
    assert_eq!(state_of(&once), state_of(&many));
    assert_eq!(once.event_counts(), many.event_counts());
    assert_ne!(state_of(&once), state_of(&other));
}

#[test]
fn time_never_runs_backwards() {
    let mut world = World::demo(20, 1);
    world.advance_by(DAY);
    let before = state_of(&world);
    world.advance(START);
    assert_eq!(state_of(&world), before);
}

#[test]
fn a_day_of_five_hundred_endpoints_has_every_kind_of_event() {
    for seed in 0..3 {
        let mut world = World::demo(500, seed);
        world.advance_by(DAY);
        let event_counts = world.event_counts();
        assert!(event_counts.registrations > 500, "{event_counts:?}");
        assert!(event_counts.refreshes > 20_000, "{event_counts:?}");
        assert!(
            event_counts.lapses > event_counts.flaps + 50,
            "{event_counts:?}"
        );
        assert!(event_counts.flaps > 500, "{event_counts:?}");
        assert!(event_counts.displacements > 5_000, "{event_counts:?}");
        assert!(event_counts.sign_offs > 30, "{event_counts:?}");
        assert!(event_counts.application_swaps >= 5, "{event_counts:?}");
        assert!(event_counts.recreations >= 4, "{event_counts:?}");
        assert!(event_counts.site_outages >= 3, "{event_counts:?}");
        assert!(event_counts.site_losses >= 30, "{event_counts:?}");
    }
}

#[test]
fn a_day_keeps_the_proportions_of_the_fleet() {
    let mut world = World::demo(500, 3);
    let mut lowest = 1.0_f64;
    for _ in 0..24 * 12 {
        world.advance_by(Duration::from_secs(300));
        assert_eq!(
            world
                .accounts()
                .iter()
                .map(crate::Account::len)
                .sum::<usize>(),
            500
        );
        let account = world.account(DEMO_ACCOUNTS[0].auth_id).unwrap();
        let share = share(account.endpoints(), |alias| alias.starts_with("BLR-"));
        lowest = lowest.min(share);
        for endpoint in account.endpoints() {
            let never =
                endpoint.username.starts_with("web_") || endpoint.alias.starts_with("Spare");
            assert!(!(never && endpoint.registered()), "{endpoint:?}");
            let Some(registration) = &endpoint.registration else {
                continue;
            };
            let left = registration.expires.unwrap().as_second() - world.now().as_second();
            assert!((-15..=600).contains(&left), "{left} s left of {endpoint:?}");
        }
    }
    assert!(
        lowest < 0.9,
        "some phones of a site are always away, {lowest}"
    );
}

fn share<'a>(endpoints: impl Iterator<Item = &'a Endpoint>, of: impl Fn(&str) -> bool) -> f64 {
    let group: Vec<_> = endpoints.filter(|endpoint| of(&endpoint.alias)).collect();
    let registered = group
        .iter()
        .filter(|endpoint| endpoint.registered())
        .count();
    f64::from(u32::try_from(registered).unwrap()) / f64::from(u32::try_from(group.len()).unwrap())
}

#[test]
fn agents_register_for_their_shifts() {
    let mut world = World::demo(500, 5);
    let agents = |world: &World| {
        share(world.first().endpoints(), |alias| {
            alias.starts_with("Agent ")
        })
    };
    // The world starts on a Monday at 10:00 in India.
    world.advance_by(Duration::from_secs(4 * 3600));
    let at_two = agents(&world);
    world.advance_by(Duration::from_secs(5 * 3600 + 1800 + 11 * 3600));
    let before_seven = agents(&world);
    assert!(at_two > 0.5, "{at_two}");
    assert!(before_seven < 0.05, "{before_seven}");
}

#[test]
fn a_site_loses_all_registrations_at_once_and_recovers() {
    let mut world = World::new(START, 2);
    world.settle(AccountPlan::of(TEST_ACCOUNT, 450));
    for outage in 1..=4 {
        let mut before = sites(&world);
        while world.event_counts().site_outages < outage {
            before = sites(&world);
            world.advance_by(Duration::from_secs(5));
        }
        let after = sites(&world);
        let down = (0..3).find(|site| before[*site] > 0.9 && after[*site] == 0.0);
        let down = down.unwrap_or_else(|| panic!("{before:?} became {after:?}"));
        // An outage lasts less than 40 minutes. Two outages start at least four hours apart. So one
        // hour after the start of an outage, no site has an outage.
        world.advance_by(Duration::from_secs(3600));
        assert!(sites(&world)[down] > 0.9);
    }
}

fn sites(world: &World) -> [f64; 3] {
    ["BLR-", "DEL-", "MUM-"]
        .map(|prefix| share(world.first().endpoints(), |alias| alias.starts_with(prefix)))
}

#[test]
fn a_recreated_endpoint_keeps_its_alias_and_gets_a_new_id_and_username() {
    let mut world = World::demo(100, 4);
    let before = everyone(&world);
    while world.event_counts().recreations == 0 {
        world.advance_by(Duration::from_secs(60));
    }
    let made = everyone(&world)
        .into_iter()
        .find(|endpoint| endpoint.created > START)
        .unwrap();
    assert_eq!(made.id().len(), 15);
    assert!(before.iter().any(|old| old.alias == made.alias));
    assert!(
        before
            .iter()
            .all(|old| old.id() != made.id() && old.username != made.username)
    );
    assert!(!made.registered(), "its device has to find it first");
    let mut later = None;
    for _ in 0..300 {
        world.advance_by(Duration::from_secs(1));
        later = everyone(&world)
            .into_iter()
            .find(|endpoint| endpoint.id() == made.id());
        if later.as_ref().is_some_and(Endpoint::registered) {
            break;
        }
    }
    assert!(later.unwrap().registered());
}

fn everyone(world: &World) -> Vec<Endpoint> {
    world
        .accounts()
        .iter()
        .flat_map(|account| account.endpoints().cloned())
        .collect()
}

#[test]
fn an_edited_endpoint_stays_as_it_was_set() {
    let mut world = World::demo(50, 1);
    let now = world.now();
    world
        .first_mut()
        .edit_all(|endpoint| endpoint.set_registered(false, now));
    world.advance_by(DAY);
    let made_since = world
        .first()
        .endpoints()
        .filter(|endpoint| endpoint.created > now)
        .count();
    assert_eq!(made_since, 0, "what was edited is not re-created either");
    assert_eq!(world.first().registered(), 0);
}

#[test]
fn edits_change_the_positions_in_the_list() {
    let mut world = World::new(START, 1);
    world.add(crate::Account::new("MA_X", "t"));
    let account = world.first_mut();
    for id in ["a", "b", "c"] {
        account.push(Endpoint::new(id));
    }
    let order = |world: &World| super::ids(world).concat();
    assert_eq!(order(&world), "abc");
    world.first_mut().order = Order::NewestFirst;
    assert_eq!(order(&world), "cba");
    world.first_mut().insert(0, Endpoint::new("d"));
    assert_eq!(order(&world), "dcba");
    world.first_mut().insert(1, Endpoint::new("e"));
    assert_eq!(order(&world), "decba");
    assert!(world.first_mut().remove("c").is_some());
    assert!(world.first_mut().remove("c").is_none());
    assert!(world.first_mut().replace("b", Endpoint::new("f")).is_some());
    assert_eq!(order(&world), "defa");
    world.first_mut().push(Endpoint::new("f").alias("again"));
    assert_eq!(order(&world), "defa");
    assert_eq!(world.first().endpoint("f").unwrap().alias, "again");
    world
        .first_mut()
        .reorder(|one, other| other.id().cmp(one.id()));
    assert_eq!(order(&world), "adef");
    world.first_mut().order = Order::OldestFirst;
    world.first_mut().insert(1, Endpoint::new("g"));
    assert_eq!(order(&world), "fgeda");
}

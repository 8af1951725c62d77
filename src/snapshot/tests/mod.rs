//! Tests of the merge of snapshots: lost registrations, retained and removed endpoints, groups, order of rows.

mod counts;
mod details;
mod last_seen;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
    time::Duration,
};

use tokio::time::Instant;

use super::{Changes, EndpointView, Retention, Snapshot, SnapshotBuilder, WalkFacts};
use crate::{
    api::{Application, Endpoint, Field, Row, RowKey},
    clock::UnixMillis,
};

/// Compares only the exported data. Positions in memory and [`WalkFacts::ended`] may differ.
impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        let walk = WalkFacts {
            ended: other.walk.ended,
            ..self.walk.clone()
        };
        walk == other.walk
            && self.application_names() == other.application_names()
            && self.endpoints().eq(other.endpoints())
    }
}

/// The wall time of the start of the test, plus `at` minutes.
fn minute(at: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + at * 60_000)
}

/// The monotonic time of the start of the test, plus `at` minutes.
fn instant(at: i64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_secs(60 * at.unsigned_abs())
}

fn facts(at: i64) -> WalkFacts {
    WalkFacts {
        ended: instant(at),
        ..WalkFacts::new(minute(at), minute(at), Duration::ZERO)
    }
}

const MAX_AGE: Duration = Duration::from_secs(300);

/// Retains each endpoint for five minutes, and at most `at_most` endpoints. `None` sets no maximum.
fn retention(at_most: impl Into<Option<u64>>) -> Retention {
    Retention {
        max_age: MAX_AGE,
        at_most: at_most.into().unwrap_or(u64::MAX),
        again_at_most: u64::MAX,
    }
}

fn retained(snapshot: &Snapshot) -> Vec<&str> {
    (snapshot.endpoints().filter(|one| one.retained))
        .map(|one| one.id)
        .collect()
}

fn endpoint(id: &str, registered: Option<bool>) -> Endpoint {
    Endpoint {
        id: id.to_owned(),
        registered,
        ..Endpoint::default()
    }
}

fn row(endpoint: Endpoint) -> Row {
    let mut hasher = DefaultHasher::new();
    endpoint.id.hash(&mut hasher);
    Row {
        key: RowKey(hasher.finish()),
        content: Ok(endpoint),
    }
}

fn builder(endpoints: impl IntoIterator<Item = Endpoint>) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::new(true);
    for (position, endpoint) in (0..).zip(endpoints) {
        builder.take(&row(endpoint), position);
    }
    builder
}

fn build(
    at: i64,
    endpoints: impl IntoIterator<Item = Endpoint>,
    previous: Option<&Snapshot>,
    retention: Retention,
) -> (Snapshot, Changes) {
    builder(endpoints)
        .finish()
        .build(previous, facts(at), retention, &|_| None)
}

fn lost_at(snapshot: &Snapshot, id: &str) -> Option<UnixMillis> {
    snapshot.endpoint(id).unwrap().lost_at()
}

#[test]
fn a_lost_registration_keeps_its_time_until_it_returns() {
    let (first, _) = build(0, [endpoint("1", Some(true))], None, Retention::default());
    let (second, changes) = build(
        1,
        [endpoint("1", Some(false))],
        Some(&first),
        Retention::default(),
    );
    assert_eq!(lost_at(&second, "1"), Some(minute(1)));
    assert_eq!((changes.lost, changes.gained), (1, 0));
    assert_eq!(changes.transitions[0].lost_at, Some(minute(1)));
    let (third, changes) = build(
        2,
        [endpoint("1", Some(false))],
        Some(&second),
        Retention::default(),
    );
    assert_eq!(
        lost_at(&third, "1"),
        Some(minute(1)),
        "the time does not move"
    );
    assert_eq!(changes, Changes::default());
    let (fourth, changes) = build(
        3,
        [endpoint("1", Some(true))],
        Some(&third),
        Retention::default(),
    );
    assert_eq!(lost_at(&fourth, "1"), None);
    assert_eq!((changes.lost, changes.gained), (0, 1));
    assert_eq!(
        changes.transitions[0].lost_at,
        Some(minute(1)),
        "the log shows how long"
    );
}

#[test]
fn an_unknown_state_between_does_not_hide_a_loss() {
    let (first, _) = build(0, [endpoint("1", Some(true))], None, Retention::default());
    let (second, changes) = build(1, [endpoint("1", None)], Some(&first), Retention::default());
    assert_eq!((changes.lost, lost_at(&second, "1")), (0, None));
    let (third, changes) = build(
        2,
        [endpoint("1", Some(false))],
        Some(&second),
        Retention::default(),
    );
    assert_eq!((changes.lost, lost_at(&third, "1")), (1, Some(minute(2))));
    let (fourth, _) = build(3, [endpoint("1", None)], Some(&third), Retention::default());
    assert_eq!(lost_at(&fourth, "1"), None, "shown only while unregistered");
    let (fifth, changes) = build(
        4,
        [endpoint("1", Some(false))],
        Some(&fourth),
        Retention::default(),
    );
    assert_eq!(
        (changes.lost, lost_at(&fifth, "1")),
        (0, Some(minute(2))),
        "but not forgotten"
    );
}

#[test]
fn an_endpoint_never_seen_registered_is_never_lost() {
    let (first, _) = build(0, [endpoint("1", Some(false))], None, Retention::default());
    let (second, changes) = build(
        1,
        [endpoint("1", Some(false))],
        Some(&first),
        Retention::default(),
    );
    assert_eq!((changes.lost, lost_at(&second, "1")), (0, None));
}

#[test]
fn additions_removals_and_another_application_are_counted() {
    let with = |id: &str, app: Option<&str>| Endpoint {
        application: app.map(|id| Application {
            id: id.to_owned(),
            name: None,
        }),
        ..endpoint(id, None)
    };
    let (first, changes) = build(
        0,
        [with("1", None), with("2", Some("a")), with("3", Some("a"))],
        None,
        Retention::default(),
    );
    assert_eq!(
        changes,
        Changes::default(),
        "an account's first snapshot changes nothing"
    );
    let (second, changes) = build(
        1,
        [
            with("2", Some("b")),
            with("3", Some("a")),
            with("4", None),
            with("5", None),
        ],
        Some(&first),
        Retention::default(),
    );
    assert_eq!(
        (changes.added, changes.removed, changes.application),
        (2, 1, 1)
    );
    assert_eq!(changes.application_removed, 0);
    assert_eq!(second.endpoint("2").unwrap().application, Some("b"));
    assert_eq!(second.endpoint("1"), None);
    let rows = [
        with("2", None),
        with("3", Some("a")),
        with("4", None),
        with("5", Some("a")),
    ];
    let (_, changes) = build(2, rows, Some(&second), Retention::default());
    assert_eq!((changes.application, changes.application_removed), (2, 1));
}

#[test]
fn an_unreadable_application_is_unknown_and_changes_neither_counter_nor_group() {
    let with = |id: Option<&str>, is_readable: bool| {
        let application = id.map(|id| Application {
            id: id.to_owned(),
            name: None,
        });
        let mut row = Endpoint {
            application,
            ..endpoint("1", None)
        };
        if !is_readable {
            row.rejected.insert(Field::Application);
        }
        row
    };
    let group_of = |one: &EndpointView<'_>| (one.application == Some("a")).then_some(0);
    let mut old = None;
    for (row, known, group, changes) in [
        (with(Some("a"), true), true, Some(0), 0),
        (with(None, false), false, Some(0), 0),
        (with(Some(""), false), false, Some(0), 0),
        (with(Some("a"), true), true, Some(0), 0),
        (with(None, false), false, Some(0), 0),
        (with(None, true), true, None, 0),
        (with(Some("a"), true), true, Some(0), 1),
        (with(Some(""), true), true, None, 1),
    ] {
        let list = builder([row.clone()]).finish();
        let (snapshot, seen) = list.build(old.as_ref(), facts(0), Retention::default(), &group_of);
        let one = snapshot.endpoint("1").unwrap();
        let found = (one.application_known, one.group, seen.application);
        assert_eq!(found, (known, group, changes), "{row:?}");
        old = Some(snapshot);
    }
}

#[test]
fn an_incomplete_walk_retains_absent_endpoints_until_max_age() {
    let retention = retention(None);
    let all = || ["1", "2", "3"].map(|id| endpoint(id, Some(true)));
    let (first, _) = build(0, all(), None, Retention::default());
    let without_two = || [endpoint("1", Some(false)), endpoint("3", Some(true))];
    let (second, changes) = build(1, without_two(), Some(&first), retention);
    assert_eq!(
        (second.len(), second.walk.retained, changes.removed),
        (3, 1, 0)
    );
    let two = second.endpoint("2").unwrap();
    assert!(two.retained);
    assert_eq!(two.registered, Some(true), "with its last values");
    assert_eq!(
        second.endpoint("1").unwrap().registered,
        Some(false),
        "what was found is updated"
    );
    let (third, _) = build(4, without_two(), Some(&second), retention);
    assert_eq!(
        third.walk.retained, 1,
        "the first snapshot is still younger than five minutes"
    );
    let (fourth, changes) = build(5, without_two(), Some(&third), retention);
    assert_eq!(
        (fourth.len(), fourth.walk.retained, changes.removed),
        (2, 0, 1)
    );
    let (back, changes) = build(5, all(), Some(&third), Retention::default());
    assert!(!back.endpoint("2").unwrap().retained);
    assert_eq!(changes.added, 0, "it was always in the snapshot");
    let (gone, _) = build(5, without_two(), Some(&third), Retention::default());
    assert_eq!(gone.len(), 2, "a complete walk removes them at once");
}

#[test]
fn as_many_are_retained_as_rows_were_rejected_and_those_retained_already_come_first() {
    let only = |ids: &[&str]| -> Vec<_> { ids.iter().map(|id| endpoint(id, Some(true))).collect() };
    let (first, _) = build(
        0,
        only(&["1", "2", "3", "4", "5"]),
        None,
        Retention::default(),
    );
    let (second, changes) = build(1, only(&["1", "2", "4"]), Some(&first), retention(1));
    assert_eq!(retained(&second), ["3"], "the first in the order of ids");
    assert_eq!((second.walk.retained, changes.removed), (1, 1));
    let (third, changes) = build(2, only(&["4"]), Some(&second), retention(2));
    assert_eq!(retained(&third), ["1", "3"], "3 goes before 1 and 2");
    assert_eq!((third.walk.retained, changes.removed), (2, 1));
    let (fourth, _) = build(5, only(&["4"]), Some(&third), retention(2));
    assert_eq!(retained(&fourth), ["1"], "3 was last seen five minutes ago");
    let (fifth, changes) = build(6, only(&["1", "4"]), Some(&fourth), retention(2));
    assert!(retained(&fifth).is_empty(), "what is found is not retained");
    assert_eq!((changes.added, changes.removed), (0, 0));
}

#[test]
fn a_step_of_the_wall_clock_does_not_change_how_long_endpoints_are_retained() {
    let (first, _) = build(0, [endpoint("1", Some(true))], None, Retention::default());
    for wall in [-10_000, 10_000] {
        let incomplete = |at: i64, previous: &Snapshot| {
            let facts = WalkFacts {
                started_at: minute(wall),
                ended_at: minute(wall),
                ..facts(at)
            };
            (builder([]).finish())
                .build(Some(previous), facts, retention(None), &|_| None)
                .0
        };
        let second = incomplete(4, &first);
        assert_eq!(retained(&second), ["1"], "four minutes are four minutes");
        assert!(incomplete(5, &second).is_empty(), "and five are five");
    }
}

#[test]
fn only_retained_endpoints_expire_from_a_snapshot() {
    let ids = |ids: [&str; 2]| ids.map(|id| endpoint(id, Some(true)));
    let (first, _) = build(0, ids(["1", "2"]), None, Retention::default());
    let (second, _) = build(3, ids(["2", "3"]), Some(&first), retention(None));
    let (third, _) = build(4, ids(["3", "4"]), Some(&second), retention(None));
    assert_eq!(retained(&third), ["1", "2"]);
    assert!(third.without_expired(instant(4), MAX_AGE).is_none());
    let rest = third.without_expired(instant(5), MAX_AGE).unwrap();
    assert_eq!((retained(&rest), rest.walk.retained), (vec!["2"], 1));
    assert_eq!(rest.len(), 3);
    assert!(rest.without_expired(instant(7), MAX_AGE).is_none());
    let rest = rest.without_expired(instant(60), MAX_AGE).unwrap();
    assert_eq!((rest.len(), rest.walk.retained), (2, 0));
    assert!(
        rest.without_expired(instant(60), MAX_AGE).is_none(),
        "those that the walk found stay, however old it is"
    );
}

#[test]
fn the_application_of_a_retained_endpoint_keeps_its_name() {
    let with = |id: &str, app: &str, name: &str| Endpoint {
        application: Some(Application {
            id: app.to_owned(),
            name: Some(name.to_owned()),
        }),
        ..endpoint(id, None)
    };
    let rows = [
        with("1", "a", "Sales"),
        with("2", "b", "Support"),
        with("3", "c", "Lobby"),
    ];
    let (first, _) = build(0, rows, None, Retention::default());
    let rows = || [with("2", "b", "Help")];
    let (second, _) = build(1, rows(), Some(&first), retention(1));
    let (third, _) = build(2, rows(), Some(&second), retention(1));
    for snapshot in [&second, &third] {
        let names = snapshot.application_names();
        let names: Vec<_> = names.iter().map(|(id, name)| (&**id, &**name)).collect();
        assert_eq!(names, [("a", "Sales"), ("b", "Help")]);
    }
}

#[test]
fn a_username_once_seen_is_kept() {
    let named = Endpoint {
        username: Some("reception".to_owned()),
        ..endpoint("1", Some(true))
    };
    let (first, _) = build(0, [named], None, Retention::default());
    let (second, _) = build(
        1,
        [endpoint("1", Some(true))],
        Some(&first),
        Retention::default(),
    );
    assert_eq!(second.endpoint("1").unwrap().username, "reception");
}

#[test]
fn of_two_rows_with_one_id_the_later_is_kept_and_a_second_position_is_noticed() {
    let mut builder = SnapshotBuilder::new(true);
    builder.take(&row(endpoint("1", Some(true))), 99);
    builder.take(&row(endpoint("1", Some(false))), 99);
    assert!(
        builder.repeated().is_empty(),
        "overlapping pages show a row twice at one place"
    );
    builder.take(&row(endpoint("1", None)), 100);
    assert_eq!((builder.endpoints(), builder.repeated().len()), (1, 1));
    let (snapshot, _) = builder
        .finish()
        .build(None, facts(0), Retention::default(), &|_| None);
    assert_eq!(snapshot.endpoint("1").unwrap().registered, None);
}

#[test]
fn values_of_a_row_that_came_twice_are_counted_once() {
    let mut builder = SnapshotBuilder::new(true);
    let mut odd = endpoint("1", None);
    odd.rejected.insert(Field::SipExpires);
    odd.assumed.insert(Field::CreatedAt);
    builder.take(&row(odd.clone()), 2);
    builder.take(&row(odd), 2);
    let (snapshot, _) = builder
        .finish()
        .build(None, facts(0), Retention::default(), &|_| None);
    assert_eq!(snapshot.walk.rejected_values[Field::SipExpires as usize], 1);
    assert_eq!(snapshot.walk.assumed_values[Field::CreatedAt as usize], 1);
}

#[test]
fn an_endpoint_that_comes_back_within_a_week_has_the_time_of_its_loss_again() {
    let pair = |one, two| [endpoint("1", Some(one)), endpoint("2", Some(two))];
    let (first, _) = build(0, pair(true, true), None, Retention::default());
    let (lost, _) = build(1, pair(false, true), Some(&first), Retention::default());
    assert_eq!(lost_at(&lost, "1"), Some(minute(1)));
    let week = 7 * 24 * 60;
    for (back, remembered) in [(week + 1, true), (week + 2, false)] {
        let (empty, changes) = build(2, [], Some(&lost), Retention::default());
        assert_eq!((empty.len(), changes.removed), (0, 2));
        let (still_empty, _) = build(3, [], Some(&empty), Retention::default());
        let (again, changes) = build(
            back,
            pair(false, false),
            Some(&still_empty),
            Retention::default(),
        );
        let known = remembered.then(|| minute(1));
        assert_eq!(lost_at(&again, "1"), known, "back after {back} minutes");
        // Endpoint "2" was registered at its removal. If the removal is remembered, the endpoint is now lost.
        let lost_now = remembered.then(|| minute(back));
        assert_eq!(lost_at(&again, "2"), lost_now);
        let lost = u64::from(remembered);
        assert_eq!((changes.added, changes.lost), (2, lost));
        let (registered, changes) = build(
            back + 1,
            pair(true, true),
            Some(&again),
            Retention::default(),
        );
        assert_eq!(lost_at(&registered, "1"), None);
        assert_eq!(changes.gained, 2);
    }
}

#[test]
fn contradicting_names_of_an_application_do_not_depend_on_the_order_of_rows() {
    let named = |id: &str, name: &str| Endpoint {
        application: Some(Application {
            id: "7".to_owned(),
            name: Some(name.to_owned()),
        }),
        ..endpoint(id, Some(true))
    };
    let rows = [named("1", "Sales"), named("2", "Support")];
    let (forth, _) = build(0, rows.clone(), None, Retention::default());
    let (back, _) = build(0, rows.into_iter().rev(), None, Retention::default());
    assert_eq!(forth.application_names(), back.application_names());
}

#[test]
fn a_snapshot_does_not_depend_on_the_order_of_rows() {
    let rich = |n: u32| Endpoint {
        username: Some(format!("user{n}")),
        alias: Some(format!("Phone {n}")),
        user_agent: Some(format!("agent/{}", n % 3)),
        allowed: std::array::from_fn(|at| [None, Some(false), Some(true)][(n as usize + at) % 3]),
        ..endpoint(
            &n.to_string(),
            [None, Some(true), Some(false)][n as usize % 3],
        )
    };
    let (forward, _) = build(0, (0..50).map(rich), None, Retention::default());
    let (backward, _) = build(0, (0..50).rev().map(rich), None, Retention::default());
    assert_eq!(forward, backward);
    let view = forward.endpoint("17").unwrap();
    assert_eq!((view.alias, view.allowed), ("Phone 17", rich(17).allowed));
}

#[test]
fn groups_are_matched_only_for_endpoints_that_are_new_or_changed() {
    let named = |id: &str, alias: &str| Endpoint {
        alias: Some(alias.to_owned()),
        ..endpoint(id, Some(true))
    };
    let matched = std::cell::RefCell::new(Vec::new());
    let group_of = |view: &EndpointView<'_>| {
        matched.borrow_mut().push(view.id.to_owned());
        view.alias.starts_with("BLR").then_some(0)
    };
    let build = |endpoints: [Endpoint; 2], previous: Option<&Snapshot>| {
        builder(endpoints)
            .finish()
            .build(previous, facts(0), Retention::default(), &group_of)
            .0
    };
    let first = build([named("1", "BLR-1"), named("2", "DEL-2")], None);
    let second = build([named("1", "BLR-1"), named("2", "BLR-2")], Some(&first));
    assert_eq!(*matched.borrow(), ["1", "2", "2"]);
    assert_eq!(second.endpoint("1").unwrap().group, Some(0));
    assert_eq!(second.endpoint("2").unwrap().group, Some(0));
}

#[test]
fn the_latest_removals_are_remembered_and_the_oldest_forgotten() {
    let batch = |name: &'static str, registered| {
        (0..60_000).map(move |id| endpoint(&format!("{name} {id}"), Some(registered)))
    };
    let next = |at, endpoints, previous: &Snapshot| {
        build(at, endpoints, Some(previous), Retention::default()).0
    };
    let (first, _) = build(0, batch("old", true), None, Retention::default());
    let first = next(1, batch("old", false), &first);
    assert_eq!(lost_at(&first, "old 7"), Some(minute(1)));
    let second = next(2, batch("new", true), &first);
    let second = next(3, batch("new", false), &second);
    let (empty, _) = build(4, [], Some(&second), Retention::default());
    // The two batches together have 120,000 removed endpoints. A snapshot stores at most 100,000 of them.
    let both = ["old 7", "new 7"].map(|id| endpoint(id, Some(false)));
    let (back, _) = build(5, both, Some(&empty), Retention::default());
    assert_eq!(lost_at(&back, "old 7"), None, "forgotten");
    assert_eq!(lost_at(&back, "new 7"), Some(minute(3)));
}

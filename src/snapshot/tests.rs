//! Stories about pictures: what is remembered, held, and forgotten.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
    time::Duration,
};

use tokio::time::Instant;

use super::{Changes, Draft, EndpointView, Hold, Snapshot, WalkFacts};
use crate::{
    api::{Application, Endpoint, Field, Row, RowKey},
    clock::UnixMillis,
};

/// Minutes after the start of the story.
fn minute(at: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + at * 60_000)
}

/// The same minutes by the clock that nobody sets.
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

/// Holds this many, each for five minutes.
fn hold(at_most: impl Into<Option<u64>>) -> Hold {
    Hold::UpTo {
        max_age: MAX_AGE,
        at_most: at_most.into(),
    }
}

fn held(picture: &Snapshot) -> Vec<&str> {
    (picture.endpoints().filter(|one| one.held))
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

fn draft(endpoints: impl IntoIterator<Item = Endpoint>) -> Draft {
    let mut draft = Draft::new(true);
    for (position, endpoint) in (0..).zip(endpoints) {
        draft.take(&row(endpoint), position);
    }
    draft
}

fn paint(
    at: i64,
    endpoints: impl IntoIterator<Item = Endpoint>,
    previous: Option<&Snapshot>,
    hold: Hold,
) -> (Snapshot, Changes) {
    draft(endpoints)
        .seal()
        .paint(previous, facts(at), hold, &|_| None)
}

fn lost_at(picture: &Snapshot, id: &str) -> Option<UnixMillis> {
    picture.endpoint(id).unwrap().lost_at
}

#[test]
fn a_lost_registration_keeps_its_time_until_it_returns() {
    let (first, _) = paint(0, [endpoint("1", Some(true))], None, Hold::Nothing);
    let (second, changes) = paint(1, [endpoint("1", Some(false))], Some(&first), Hold::Nothing);
    assert_eq!(lost_at(&second, "1"), Some(minute(1)));
    assert_eq!((changes.lost, changes.gained), (1, 0));
    assert_eq!(changes.transitions[0].lost_at, Some(minute(1)));
    let (third, changes) = paint(
        2,
        [endpoint("1", Some(false))],
        Some(&second),
        Hold::Nothing,
    );
    assert_eq!(
        lost_at(&third, "1"),
        Some(minute(1)),
        "the time does not move"
    );
    assert_eq!(changes, Changes::default());
    let (fourth, changes) = paint(3, [endpoint("1", Some(true))], Some(&third), Hold::Nothing);
    assert_eq!(lost_at(&fourth, "1"), None);
    assert_eq!((changes.lost, changes.gained), (0, 1));
    assert_eq!(
        changes.transitions[0].lost_at,
        Some(minute(1)),
        "the log can tell how long"
    );
}

#[test]
fn an_unknown_state_between_does_not_hide_a_loss() {
    let (first, _) = paint(0, [endpoint("1", Some(true))], None, Hold::Nothing);
    let (second, changes) = paint(1, [endpoint("1", None)], Some(&first), Hold::Nothing);
    assert_eq!((changes.lost, lost_at(&second, "1")), (0, None));
    let (third, changes) = paint(
        2,
        [endpoint("1", Some(false))],
        Some(&second),
        Hold::Nothing,
    );
    assert_eq!((changes.lost, lost_at(&third, "1")), (1, Some(minute(2))));
    let (fourth, _) = paint(3, [endpoint("1", None)], Some(&third), Hold::Nothing);
    assert_eq!(lost_at(&fourth, "1"), None, "shown only while unregistered");
    let (fifth, changes) = paint(
        4,
        [endpoint("1", Some(false))],
        Some(&fourth),
        Hold::Nothing,
    );
    assert_eq!(
        (changes.lost, lost_at(&fifth, "1")),
        (0, Some(minute(2))),
        "but not forgotten"
    );
}

#[test]
fn an_endpoint_never_seen_registered_is_never_lost() {
    let (first, _) = paint(0, [endpoint("1", Some(false))], None, Hold::Nothing);
    let (second, changes) = paint(1, [endpoint("1", Some(false))], Some(&first), Hold::Nothing);
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
    let (first, changes) = paint(
        0,
        [with("1", None), with("2", Some("a")), with("3", Some("a"))],
        None,
        Hold::Nothing,
    );
    assert_eq!(
        changes,
        Changes::default(),
        "an account's first picture changes nothing"
    );
    let (second, changes) = paint(
        1,
        [
            with("2", Some("b")),
            with("3", Some("a")),
            with("4", None),
            with("5", None),
        ],
        Some(&first),
        Hold::Nothing,
    );
    assert_eq!(
        (changes.added, changes.removed, changes.application),
        (2, 1, 1)
    );
    assert_eq!(second.endpoint("2").unwrap().application, Some("b"));
    assert_eq!(second.endpoint("1"), None);
}

#[test]
fn a_short_reading_holds_what_it_lacks_until_it_was_unseen_for_max_age() {
    let hold = hold(None);
    let all = || ["1", "2", "3"].map(|id| endpoint(id, Some(true)));
    let (first, _) = paint(0, all(), None, Hold::Nothing);
    let without_two = || [endpoint("1", Some(false)), endpoint("3", Some(true))];
    let (second, changes) = paint(1, without_two(), Some(&first), hold);
    assert_eq!((second.len(), second.walk.held, changes.removed), (3, 1, 0));
    let two = second.endpoint("2").unwrap();
    assert!(two.held);
    assert_eq!(two.registered, Some(true), "with its last values");
    assert_eq!(
        second.endpoint("1").unwrap().registered,
        Some(false),
        "what was found is updated"
    );
    let (third, _) = paint(4, without_two(), Some(&second), hold);
    assert_eq!(
        third.walk.held, 1,
        "the first picture is still younger than five minutes"
    );
    let (fourth, changes) = paint(5, without_two(), Some(&third), hold);
    assert_eq!((fourth.len(), fourth.walk.held, changes.removed), (2, 0, 1));
    let (back, changes) = paint(5, all(), Some(&third), Hold::Nothing);
    assert!(!back.endpoint("2").unwrap().held);
    assert_eq!(changes.added, 0, "it never was away");
    let (gone, _) = paint(5, without_two(), Some(&third), Hold::Nothing);
    assert_eq!(gone.len(), 2, "a proven walk ends it at once");
}

#[test]
fn as_many_are_held_as_rows_were_rejected_and_those_held_already_come_first() {
    let only = |ids: &[&str]| -> Vec<_> { ids.iter().map(|id| endpoint(id, Some(true))).collect() };
    let (first, _) = paint(0, only(&["1", "2", "3", "4", "5"]), None, Hold::Nothing);
    let (second, changes) = paint(1, only(&["1", "2", "4"]), Some(&first), hold(1));
    assert_eq!(held(&second), ["3"], "the first in the order of ids");
    assert_eq!((second.walk.held, changes.removed), (1, 1));
    let (third, changes) = paint(2, only(&["4"]), Some(&second), hold(2));
    assert_eq!(held(&third), ["1", "3"], "3 goes before 1 and 2");
    assert_eq!((third.walk.held, changes.removed), (2, 1));
    let (fourth, _) = paint(5, only(&["4"]), Some(&third), hold(2));
    assert_eq!(held(&fourth), ["1"], "3 was last seen five minutes ago");
    let (fifth, changes) = paint(6, only(&["1", "4"]), Some(&fourth), hold(2));
    assert!(held(&fifth).is_empty(), "what is found is not held");
    assert_eq!((changes.added, changes.removed), (0, 0));
}

#[test]
fn a_step_of_the_wall_clock_neither_ends_a_hold_nor_prolongs_it() {
    let (first, _) = paint(0, [endpoint("1", Some(true))], None, Hold::Nothing);
    for wall in [-10_000, 10_000] {
        let short = |at: i64, previous: &Snapshot| {
            let facts = WalkFacts {
                started_at: minute(wall),
                ended_at: minute(wall),
                ..facts(at)
            };
            (draft([]).seal())
                .paint(Some(previous), facts, hold(None), &|_| None)
                .0
        };
        let second = short(4, &first);
        assert_eq!(held(&second), ["1"], "four minutes are four minutes");
        assert!(short(5, &second).is_empty(), "and five are five");
    }
}

#[test]
fn a_picture_parts_with_held_endpoints_that_come_of_age_and_with_no_others() {
    let ids = |ids: [&str; 2]| ids.map(|id| endpoint(id, Some(true)));
    let (first, _) = paint(0, ids(["1", "2"]), None, Hold::Nothing);
    let (second, _) = paint(3, ids(["2", "3"]), Some(&first), hold(None));
    let (third, _) = paint(4, ids(["3", "4"]), Some(&second), hold(None));
    assert_eq!(held(&third), ["1", "2"]);
    assert!(third.without_overdue(instant(4), MAX_AGE).is_none());
    let rest = third.without_overdue(instant(5), MAX_AGE).unwrap();
    assert_eq!((held(&rest), rest.walk.held), (vec!["2"], 1));
    assert_eq!(rest.len(), 3);
    assert!(rest.without_overdue(instant(7), MAX_AGE).is_none());
    let rest = rest.without_overdue(instant(60), MAX_AGE).unwrap();
    assert_eq!((rest.len(), rest.walk.held), (2, 0));
    assert!(
        rest.without_overdue(instant(60), MAX_AGE).is_none(),
        "those that the walk found stay, however old it is"
    );
}

#[test]
fn the_application_of_a_held_endpoint_keeps_its_name() {
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
    let (first, _) = paint(0, rows, None, Hold::Nothing);
    let rows = || [with("2", "b", "Help")];
    let (second, _) = paint(1, rows(), Some(&first), hold(1));
    let (third, _) = paint(2, rows(), Some(&second), hold(1));
    for picture in [&second, &third] {
        let names = picture.application_names();
        let names: Vec<_> = names.iter().map(|(id, name)| (&**id, &**name)).collect();
        assert_eq!(names, [("a", "Sales"), ("b", "Help")]);
    }
}

#[test]
fn a_username_once_seen_is_kept() {
    let named = Endpoint {
        username: Some("desk".to_owned()),
        ..endpoint("1", Some(true))
    };
    let (first, _) = paint(0, [named], None, Hold::Nothing);
    let (second, _) = paint(1, [endpoint("1", Some(true))], Some(&first), Hold::Nothing);
    assert_eq!(second.endpoint("1").unwrap().username, "desk");
}

#[test]
fn of_two_rows_with_one_id_the_later_wins_and_a_second_place_is_noticed() {
    let mut draft = Draft::new(true);
    draft.take(&row(endpoint("1", Some(true))), 99);
    draft.take(&row(endpoint("1", Some(false))), 99);
    assert!(
        draft.repeated().is_empty(),
        "overlapping pages show a row twice at one place"
    );
    draft.take(&row(endpoint("1", None)), 100);
    assert_eq!((draft.len(), draft.repeated().len()), (1, 1));
    let (picture, _) = draft.seal().paint(None, facts(0), Hold::Nothing, &|_| None);
    assert_eq!(picture.endpoint("1").unwrap().registered, None);
}

#[test]
fn values_of_a_row_that_came_twice_are_counted_once() {
    let mut draft = Draft::new(true);
    let mut odd = endpoint("1", None);
    odd.rejected.insert(Field::SipExpires);
    odd.assumed.insert(Field::CreatedAt);
    draft.take(&row(odd.clone()), 2);
    draft.take(&row(odd), 2);
    let (picture, _) = draft.seal().paint(None, facts(0), Hold::Nothing, &|_| None);
    assert_eq!(picture.walk.rejected_values[Field::SipExpires as usize], 1);
    assert_eq!(picture.walk.assumed_values[Field::CreatedAt as usize], 1);
}

#[test]
fn an_endpoint_that_comes_back_within_a_day_has_the_time_of_its_loss_again() {
    let pair = |one, two| [endpoint("1", Some(one)), endpoint("2", Some(two))];
    let (first, _) = paint(0, pair(true, true), None, Hold::Nothing);
    let (lost, _) = paint(1, pair(false, true), Some(&first), Hold::Nothing);
    assert_eq!(lost_at(&lost, "1"), Some(minute(1)));
    let day = 24 * 60;
    for (back, remembered) in [(day + 1, true), (day + 2, false)] {
        let (empty, changes) = paint(2, [], Some(&lost), Hold::Nothing);
        assert_eq!((empty.len(), changes.removed), (0, 2));
        let (still_empty, _) = paint(3, [], Some(&empty), Hold::Nothing);
        let (again, changes) = paint(back, pair(false, false), Some(&still_empty), Hold::Nothing);
        let known = remembered.then(|| minute(1));
        assert_eq!(lost_at(&again, "1"), known, "back after {back} minutes");
        // The other one was registered when it was removed: it has been lost meanwhile.
        let lost_now = remembered.then(|| minute(back));
        assert_eq!(lost_at(&again, "2"), lost_now);
        let lost = u64::from(remembered);
        assert_eq!((changes.added, changes.lost), (2, lost));
        let (registered, changes) = paint(back + 1, pair(true, true), Some(&again), Hold::Nothing);
        assert_eq!(lost_at(&registered, "1"), None);
        assert_eq!(changes.gained, 2);
    }
}

#[test]
fn contradicting_names_of_an_application_do_not_depend_on_the_order_of_arrival() {
    let named = |id: &str, name: &str| Endpoint {
        application: Some(Application {
            id: "7".to_owned(),
            name: Some(name.to_owned()),
        }),
        ..endpoint(id, Some(true))
    };
    let rows = [named("1", "Sales"), named("2", "Support")];
    let (forth, _) = paint(0, rows.clone(), None, Hold::Nothing);
    let (back, _) = paint(0, rows.into_iter().rev(), None, Hold::Nothing);
    assert_eq!(forth.application_names(), back.application_names());
}

#[test]
fn the_order_of_arrival_leaves_no_trace() {
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
    let (forward, _) = paint(0, (0..50).map(rich), None, Hold::Nothing);
    let (backward, _) = paint(0, (0..50).rev().map(rich), None, Hold::Nothing);
    assert_eq!(forward, backward);
    let view = forward.endpoint("17").unwrap();
    assert_eq!((view.alias, view.allowed), ("Phone 17", rich(17).allowed));
}

#[test]
fn groups_are_asked_for_only_when_an_endpoint_is_new_or_looks_different() {
    let named = |id: &str, alias: &str| Endpoint {
        alias: Some(alias.to_owned()),
        ..endpoint(id, Some(true))
    };
    let asked = std::cell::RefCell::new(Vec::new());
    let group_of = |view: &EndpointView<'_>| {
        asked.borrow_mut().push(view.id.to_owned());
        view.alias.starts_with("BLR").then_some(0)
    };
    let paint = |endpoints: [Endpoint; 2], previous: Option<&Snapshot>| {
        draft(endpoints)
            .seal()
            .paint(previous, facts(0), Hold::Nothing, &group_of)
            .0
    };
    let first = paint([named("1", "BLR-1"), named("2", "DEL-2")], None);
    let second = paint([named("1", "BLR-1"), named("2", "BLR-2")], Some(&first));
    assert_eq!(*asked.borrow(), ["1", "2", "2"]);
    assert_eq!(second.endpoint("1").unwrap().group, Some(0));
    assert_eq!(second.endpoint("2").unwrap().group, Some(0));
    assert_eq!(second.tally(1).groups[0].registered, 2);
}

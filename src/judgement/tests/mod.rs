//! Tests of judgements over successive walks, changes of the configuration, and times of duty.

mod flapping;
mod outages;

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::config;

const HOUR: i64 = 3_600_000;

/// A group for each name, with these keys. An endpoint belongs to a group by its index.
fn groups(yaml: &str) -> Vec<Group> {
    let yaml = format!("accounts: [{{name: main, auth_id: a, auth_token: t, groups: {yaml}}}]");
    let loaded = config::load_yaml(&yaml, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.accounts[0].groups.clone()
}

/// Group 0 is paged, group 1 is noticed, and group 2 is ignored.
fn watched() -> Vec<Group> {
    groups(
        "[{name: paged, match: {alias: x}, watch: page}, {name: noticed, match: {alias: x}}, \
          {name: ignored, match: {alias: x}, watch: ignore}]",
    )
}

fn minute(minute: i64) -> UnixMillis {
    UnixMillis(1_795_000_000_000 + minute * 60_000)
}

/// A registered endpoint of group 1, which was first seen at minute 0.
fn endpoint(id: &str) -> Observed<'_> {
    Observed {
        id,
        username: "user",
        group: Some(1),
        last_known: Some(true),
        since: minute(0),
        lost_at: None,
        last_registered: None,
        first_seen: minute(0),
        is_listed: true,
    }
}

/// An endpoint of group 1 that was lost at the minute `at`.
fn lost(id: &str, at: i64) -> Observed<'_> {
    Observed {
        last_known: Some(false),
        since: minute(at),
        lost_at: Some(minute(at)),
        last_registered: Some(minute(at - 1)),
        ..endpoint(id)
    }
}

fn walk(at: i64, is_complete: bool) -> Walk {
    Walk {
        started_at: minute(at),
        is_complete,
        has_unreadable_rows: false,
        has_more_unreadable_rows: false,
        listed_before: minute(at - 1),
    }
}

/// The context of a walk of these `groups`, whose facts are empty.
fn context<'a>(walk: Walk, groups: &'a [Group], facts: &'a [GroupFacts]) -> Context<'a> {
    Context {
        walk,
        is_walk: true,
        groups,
        facts,
        settings: config::Outage {
            window: None,
            min_endpoints: 5,
            share: 0.25,
        },
        interval: Duration::from_secs(60),
        known_since: minute(0),
    }
}

const NO_FACTS: [GroupFacts; 4] = [GroupFacts {
    endpoints: 0,
    registered: 100,
    min_registered: None,
}; 4];

fn after(before: &Judgements, at: i64, endpoints: &[Observed<'_>], groups: &[Group]) -> Judgements {
    after_walk(before, walk(at, true), endpoints, groups)
}

fn after_walk(
    before: &Judgements,
    walk: Walk,
    endpoints: &[Observed<'_>],
    groups: &[Group],
) -> Judgements {
    let facts = &NO_FACTS[..=groups.len()];
    before.after(&context(walk, groups, facts), endpoints.iter().copied())
}

/// The id, the labels and the time of each endpoint that is missed at the minute `at`.
fn missed(judgements: &Judgements, at: i64, groups: &[Group]) -> Vec<(String, String, i64)> {
    let present = Present::new(minute(at), groups, Some(minute(at)));
    let shown = judgements.shown(&present).missed.into_iter();
    let text = |(one, since): (&MissingEndpoint, UnixMillis)| {
        let labels = format!("{} {} {}", one.username, one.group, one.watch.label());
        (one.id.to_string(), labels, (since.0 - minute(0).0) / 60_000)
    };
    shown.map(text).collect()
}

#[test]
fn a_lost_endpoint_is_missed_since_its_loss_until_it_is_registered_again() {
    let groups = watched();
    let none = Judgements::default();
    let all = |second| [endpoint("1"), second, endpoint("3")];
    let first = after(&none, 1, &all(endpoint("2")), &groups);
    assert!(missed(&first, 1, &groups).is_empty());
    let second = after(&first, 2, &all(lost("2", 2)), &groups);
    let expected = [("2".to_owned(), "user noticed notice".to_owned(), 2)];
    assert_eq!(missed(&second, 2, &groups), expected);
    let third = after(&second, 3, &all(lost("2", 2)), &groups);
    assert!(third.is_same(&second), "nothing new to save");
    assert_eq!(
        missed(&third, 300, &groups),
        expected,
        "also while no walk succeeds"
    );
    let fourth = after(&third, 4, &all(endpoint("2")), &groups);
    assert!(missed(&fourth, 4, &groups).is_empty());
}

#[test]
fn only_paged_endpoints_are_missed_before_they_were_registered() {
    let groups = watched();
    let never = |id, group| Observed {
        group,
        lost_at: None,
        ..lost(id, 0)
    };
    let endpoints = [
        never("1", Some(0)),
        never("2", Some(1)),
        never("3", Some(2)),
        never("4", None),
    ];
    let judgements = after(&Judgements::default(), 5, &endpoints, &groups);
    let expected = [("1".to_owned(), "user paged page".to_owned(), 0)];
    assert_eq!(
        missed(&judgements, 5, &groups),
        expected,
        "since it was first seen"
    );
    let unknown = Observed {
        last_known: None,
        ..never("1", Some(0))
    };
    let judgements = after(&judgements, 6, &[unknown], &groups);
    assert!(
        missed(&judgements, 6, &groups).is_empty(),
        "it was never read as false"
    );
}

#[test]
fn another_name_or_group_changes_no_label_and_ignore_ends_it() {
    let groups = watched();
    let before = after(&Judgements::default(), 1, &[lost("1", 1)], &groups);
    let expected = missed(&before, 1, &groups);
    let renamed = |group| Observed {
        username: "other",
        group,
        ..lost("1", 1)
    };
    for group in [Some(0), Some(1), None] {
        let after = after(&before, 2, &[renamed(group)], &groups);
        assert_eq!(missed(&after, 2, &groups), expected, "{group:?}");
    }
    let other_name = self::groups("[{name: a, match: {alias: x}}, {name: b, match: {alias: x}}]");
    let regrouped = after(&before, 2, &[lost("1", 1)], &other_name);
    assert_eq!(missed(&regrouped, 2, &other_name), expected);
    let ignored = after(&before, 2, &[renamed(Some(2))], &groups);
    assert!(missed(&ignored, 2, &groups).is_empty());
    let again = after(&ignored, 3, &[lost("1", 1)], &groups);
    assert_eq!(missed(&again, 3, &groups), expected, "with its time");
}

#[test]
fn a_paged_endpoint_that_was_never_registered_stays_missed_when_it_is_moved() {
    let groups = watched();
    let never = |group| Observed {
        group,
        lost_at: None,
        last_registered: None,
        ..lost("1", 0)
    };
    let before = after(&Judgements::default(), 1, &[never(Some(0))], &groups);
    let expected = missed(&before, 1, &groups);
    assert_eq!(expected.len(), 1);
    for group in [Some(1), None] {
        let moved = after(&before, 2, &[never(group)], &groups);
        assert_eq!(missed(&moved, 2, &groups), expected, "{group:?}");
    }
}

#[test]
fn a_walk_that_did_not_list_an_endpoint_judges_nothing_about_its_group() {
    // After a restart without stored names, a retained endpoint matches no group.
    let groups = watched();
    let unlisted = |id| Observed {
        group: None,
        is_listed: false,
        ..lost(id, 0)
    };
    let before = after(&Judgements::default(), 1, &[lost("1", 1)], &groups);
    let endpoints = [unlisted("1"), unlisted("2")];
    let judgements = after_walk(&before, walk(2, false), &endpoints, &groups);
    assert_eq!(missed(&judgements, 2, &groups), missed(&before, 1, &groups));
    let unreadable = Walk {
        has_unreadable_rows: true,
        has_more_unreadable_rows: true,
        ..walk(3, true)
    };
    let judgements = after_walk(&judgements, unreadable, &[], &groups);
    assert_eq!(missed(&judgements, 3, &groups), missed(&before, 1, &groups));
    let later = Walk {
        started_at: minute(24 * 60 + 1),
        ..unreadable
    };
    assert!(
        after_walk(&judgements, later, &[], &groups)
            .missing
            .is_empty(),
        "forgotten"
    );
}

#[test]
fn a_deleted_endpoint_is_not_missed_because_of_a_row_that_was_unreadable_before() {
    let groups = watched();
    let before = after(&Judgements::default(), 1, &[lost("1", 1)], &groups);
    let unreadable = |at, has_more_unreadable_rows| Walk {
        has_unreadable_rows: true,
        has_more_unreadable_rows,
        ..walk(at, true)
    };
    let retained = Observed {
        is_listed: false,
        ..lost("1", 1)
    };
    for row in [&[][..], &[retained]] {
        let deleted = after_walk(&before, unreadable(2, false), row, &groups);
        assert!(deleted.missing.is_empty());
        // Its own row may have become unreadable, also when the next walk has the same number of such rows.
        let hidden = after_walk(&before, unreadable(2, true), row, &groups);
        let still = after_walk(&hidden, unreadable(3, false), row, &groups);
        assert_eq!(missed(&still, 3, &groups), missed(&before, 1, &groups));
    }
}

#[test]
fn an_endpoint_that_a_walk_may_have_missed_stays_for_a_day() {
    let groups = watched();
    let first = after(
        &Judgements::default(),
        1,
        &[lost("1", 1), lost("2", 1)],
        &groups,
    );
    let incomplete = |before: &Judgements, at: i64| {
        let retained = Observed {
            is_listed: false,
            ..lost("1", 1)
        };
        after_walk(before, walk(at, false), &[retained], &groups)
    };
    let second = incomplete(&first, 2);
    let expected = missed(&first, 1, &groups);
    assert_eq!(missed(&second, 2, &groups), expected);
    let third = incomplete(&second, 3);
    let day = 24 * 60;
    assert_eq!(
        missed(&third, day, &groups),
        expected,
        "a walk listed both at minute 1"
    );
    assert!(missed(&third, day + 1, &groups).is_empty());
    let shown = Present::new(minute(day), &groups, None);
    assert_eq!(third.shown(&shown).until, Some(minute(day + 1)));

    let complete = after(&third, 4, &[lost("1", 1)], &groups);
    assert_eq!(
        missed(&complete, 2 * day, &groups),
        expected[..1],
        "2 does not exist any more"
    );
}

#[test]
fn a_missed_endpoint_counts_from_the_start_of_duty() {
    // Minute 0 is 2026-11-18 11:06:40 UTC.
    let groups = groups(
        "[{name: other, match: {alias: x}}, {name: site, match: {alias: x}, \
          duty: [{times: [{start_time: '08:00', end_time: '19:00'}]}]}]",
    );
    let judgements = after(&Judgements::default(), 10, &[lost("1", 10)], &groups);
    let times = |at| -> Vec<i64> {
        missed(&judgements, at, &groups)
            .into_iter()
            .map(|(_, _, since)| since)
            .collect()
    };
    let until_night = (19 * HOUR - (11 * HOUR + 400_000)) / 60_000;
    assert_eq!(times(until_night), [10], "since its loss");
    assert!(times(until_night + 1).is_empty(), "off duty");
    let morning = until_night + 13 * 60;
    assert!(times(morning).is_empty());
    assert_eq!(times(morning + 5), [morning], "not at once as hours old");
}

#[test]
fn a_group_is_below_its_minimum_while_too_few_are_registered_or_a_paged_one_is_empty() {
    let groups = watched();
    let facts = |registered, min_registered| GroupFacts {
        endpoints: 10,
        registered,
        min_registered,
    };
    let below = |before: &Judgements, at, facts: [GroupFacts; 3]| {
        let facts = [facts[0], facts[1], facts[2], GroupFacts::default()];
        let none = std::iter::empty();
        before.after(&context(walk(at, true), &groups, &facts), none)
    };
    let shown = |judgements: &Judgements| -> Vec<(String, &str, UnixMillis)> {
        let present = Present::new(minute(60), &groups, None);
        let shown = judgements.shown(&present).below_minimum.into_iter();
        shown
            .map(|(below, watch, since)| (below.group.to_string(), watch.label(), since))
            .collect()
    };
    let empty = GroupFacts::default();
    let first = below(
        &Judgements::default(),
        1,
        [facts(3, None), facts(3, Some(4)), empty],
    );
    assert_eq!(shown(&first), [("noticed".to_owned(), "notice", minute(1))]);
    let second = below(&first, 2, [empty, facts(2, Some(4)), facts(1, Some(9))]);
    let expected = [
        ("noticed".to_owned(), "notice", minute(1)),
        ("paged".to_owned(), "page", minute(2)),
    ];
    assert_eq!(shown(&second), expected, "the ignored group causes nothing");
    let none = std::iter::empty();
    let changed = [facts(0, Some(1)), facts(9, Some(4)), empty, empty];
    let incomplete = second.after(&context(walk(3, false), &groups, &changed), none);
    assert_eq!(
        shown(&incomplete),
        expected,
        "an incomplete walk changes nothing"
    );
    let third = below(&incomplete, 4, [facts(0, None), facts(4, Some(4)), empty]);
    assert!(shown(&third).is_empty());
}

proptest! {
    /// No registered endpoint is ever missed, and a lost and watched one always is, with its time, whatever happened.
    #[test]
    fn after_any_walks_the_missed_endpoints_are_those_that_are_lost(
        walks in vec(vec((0_u8..4, 0_u16..3, any::<bool>()), 8), 1..12),
        completes in vec(any::<bool>(), 12),
    ) {
        let groups = watched();
        let mut judgements = Judgements::default();
        let mut lost_at = [None; 8];
        let ids: Vec<_> = (0..8).map(|id| id.to_string()).collect();
        for (at, (states, is_complete)) in (1..).zip(walks.iter().zip(completes)) {
            let mut endpoints = Vec::new();
            for (number, (state, group, is_listed)) in states.iter().enumerate() {
                let endpoint = Observed { group: Some(*group), is_listed: *is_listed, ..endpoint(&ids[number]) };
                match state {
                    0 => { lost_at[number] = None; endpoints.push(endpoint); }
                    1 | 2 => {
                        let since = *lost_at[number].get_or_insert(at);
                        let lost = lost(&ids[number], since);
                        endpoints.push(Observed { last_known: lost.last_known, lost_at: lost.lost_at, ..endpoint });
                    }
                    // The walk does not have it.
                    _ => {}
                }
            }
            let walk = walk(at, is_complete);
            let next = after_walk(&judgements, walk, &endpoints, &groups);
            let again = after_walk(&next, walk, &endpoints, &groups);
            prop_assert!(again.is_same(&next), "the same walk changes nothing");
            judgements = next;
            let sorted = judgements.missing.windows(2).all(|pair| pair[0].id < pair[1].id);
            prop_assert!(sorted);
            for endpoint in &endpoints {
                let missing = judgements.missing.iter().find(|one| *one.id == *endpoint.id);
                let is_lost = endpoint.last_known == Some(false);
                if endpoint.is_listed && endpoint.group != Some(2) {
                    prop_assert_eq!(missing.is_some(), is_lost);
                    prop_assert!(missing.is_none_or(|one| Some(one.since) == endpoint.lost_at));
                } else {
                    prop_assert!(missing.is_none() || is_lost);
                }
            }
            if is_complete {
                prop_assert!(judgements.missing.len() <= endpoints.len());
            }
        }
    }
}

#[test]
fn judgements_of_two_states_are_joined_and_the_older_ones_kept() {
    let groups = watched();
    let older = after(
        &Judgements::default(),
        1,
        &[lost("1", 1), lost("3", 1)],
        &groups,
    );
    let newer = after(
        &Judgements::default(),
        9,
        &[lost("1", 9), lost("2", 9)],
        &groups,
    );
    let joined = newer.continuing(&older, Some(minute(9)));
    let times: Vec<_> = missed(&joined, 10, &groups)
        .into_iter()
        .map(|(id, _, at)| (id, at))
        .collect();
    assert_eq!(
        times,
        [
            ("1".to_owned(), 1),
            ("2".to_owned(), 9),
            ("3".to_owned(), 1)
        ]
    );
    assert_eq!(joined.forgetting(Some("2")).missing.len(), 2);
    assert!(joined.forgetting(None).missing.is_empty());
    assert!(Arc::ptr_eq(&joined.missing[0], &older.missing[0]));
}

#[test]
fn a_late_state_gives_the_start_of_a_low_group_only_if_the_first_walk_found_it() {
    let below = |groups: &[(&str, i64)]| {
        let below = groups.iter().map(|(group, at)| BelowMinimum {
            group: (*group).into(),
            since: minute(*at),
        });
        Judgements {
            below_minimum: below.collect(),
            ..Judgements::default()
        }
    };
    let older = below(&[("a", 1), ("b", 1), ("c", 1)]);
    let newer = below(&[("a", 10), ("b", 20), ("d", 10)]);
    let joined = newer.continuing(&older, Some(minute(10))).below_minimum;
    // The group c is no longer low, and b was not low at minute 10.
    assert_eq!(
        joined,
        below(&[("a", 1), ("b", 20), ("d", 10)]).below_minimum
    );
    let joined = Judgements::default().continuing(&older, None).below_minimum;
    assert_eq!(joined, older.below_minimum, "without a walk");
}

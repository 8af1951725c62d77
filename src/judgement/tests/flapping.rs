//! Tests of endpoints whose registration changes again and again.

use super::*;

/// An endpoint of group 1 whose registration has changed at the minute `at`.
fn changed(id: &str, at: i64) -> Observed<'_> {
    Observed {
        since: minute(at),
        ..endpoint(id)
    }
}

/// The judgements after changes of the endpoint "1" at these minutes.
fn after_changes(changes: impl IntoIterator<Item = i64>, groups: &[Group]) -> Judgements {
    let none = Judgements::default();
    let change =
        |before: Judgements, at| after(&before, at, &[changed("1", at), endpoint("2")], groups);
    changes.into_iter().fold(none, change)
}

/// The id, the group and the number of changes of each endpoint that flaps at the minute `at`.
fn flapping(judgements: &Judgements, at: i64, groups: &[Group]) -> Vec<(String, String, u64)> {
    let present = Present::new(minute(at), groups, Some(minute(at)));
    let shown = judgements.shown(&present).flapping.into_iter();
    shown
        .map(|(id, names, number)| (id.to_owned(), names.group.to_string(), number))
        .collect()
}

#[test]
fn an_endpoint_flaps_from_six_changes_within_an_hour_until_fewer_than_three() {
    let groups = watched();
    let five = after_changes([1, 10, 20, 30, 40], &groups);
    assert!(flapping(&five, 40, &groups).is_empty());
    let six = after(&five, 50, &[changed("1", 50), endpoint("2")], &groups);
    let expected = |number| vec![("1".to_owned(), "noticed".to_owned(), number)];
    assert_eq!(flapping(&six, 50, &groups), expected(6));
    // The clock alone reduces the number: at minute 90, the changes of the minutes 40 and 50 are left.
    assert_eq!(flapping(&six, 61, &groups), expected(5));
    assert_eq!(flapping(&six, 89, &groups), expected(3));
    assert!(flapping(&six, 90, &groups).is_empty());
    let present = Present::new(minute(50), &groups, Some(minute(50)));
    assert_eq!(six.shown(&present).until, Some(minute(61)));
    // It has ended, so three changes are too few for a new begin.
    let later = after(&six, 95, &[changed("1", 95), endpoint("2")], &groups);
    assert!(flapping(&later, 95, &groups).is_empty());
}

#[test]
fn six_changes_over_more_than_an_hour_are_no_flapping() {
    let groups = watched();
    let slow = after_changes([1, 13, 25, 37, 49, 61, 73, 85], &groups);
    assert!(flapping(&slow, 85, &groups).is_empty());
}

#[test]
fn names_stay_those_of_the_begin_and_an_ignored_or_resting_group_shows_nothing() {
    let groups = groups(
        "[{name: paged, match: {alias: x}}, {name: noticed, match: {alias: x}}, \
        {name: ignored, match: {alias: x}, watch: ignore}]",
    );
    let six = after_changes([1, 2, 3, 4, 5, 6], &groups);
    let moved = Observed {
        username: "renamed",
        group: Some(0),
        ..changed("1", 7)
    };
    let seven = after(&six, 7, &[moved], &groups);
    assert_eq!(flapping(&seven, 7, &groups)[0].1, "noticed");
    let ignored = Observed {
        group: Some(2),
        ..changed("1", 8)
    };
    assert!(flapping(&after(&seven, 8, &[ignored], &groups), 8, &groups).is_empty());
    let moved = Observed {
        group: Some(2),
        ..endpoint("1")
    };
    assert!(
        after(&seven, 8, &[moved], &groups).changing.is_empty(),
        "moved without a change"
    );
    assert!(
        after(&seven, 8, &[endpoint("2")], &groups)
            .changing
            .is_empty(),
        "deleted"
    );
    let incomplete = after_walk(&seven, walk(8, false), &[endpoint("2")], &groups);
    assert_eq!(incomplete.changing.len(), 1);
    let resting = super::groups(
        "[{name: paged, match: {alias: x}}, {name: noticed, match: {alias: x}, \
        off_duty: [{months: ['1:12']}]}, {name: ignored, match: {alias: x}}]",
    );
    assert!(flapping(&seven, 7, &resting).is_empty());
}

#[test]
fn a_walk_without_changes_keeps_the_same_memory_and_an_hour_later_nothing_is_left() {
    let groups = watched();
    let six = after_changes([1, 2, 3, 4, 5, 6], &groups);
    let same = after(&six, 7, &[endpoint("1"), endpoint("2")], &groups);
    assert!(Arc::ptr_eq(&six.changing, &same.changing));
    let later = after(&same, 66, &[endpoint("1"), endpoint("2")], &groups);
    assert!(later.changing.is_empty());
}

#[test]
fn a_late_state_adds_its_changes() {
    let groups = watched();
    let (older, newer) = (
        after_changes([1, 2, 3], &groups),
        after_changes([10, 11, 12], &groups),
    );
    let both = newer.continuing(&older, None);
    assert_eq!(both.changing[0].changes.len(), 6);
    assert!(both.forgetting(Some("1")).changing.is_empty());
}

proptest! {
    /// An endpoint flaps only with six changes within an hour before, and nothing flaps when time stands still.
    #[test]
    fn flapping_needs_six_changes(steps in vec((1_i64..30, any::<bool>()), 1..60)) {
        let groups = watched();
        let (mut judgements, mut at, mut changes) = (Judgements::default(), 0, Vec::new());
        for (step, changes_now) in steps {
            let before = !flapping(&judgements, at, &groups).is_empty();
            prop_assert_eq!(before, !flapping(&judgements, at, &groups).is_empty());
            at += step;
            let row = if changes_now { changed("1", at) } else { endpoint("1") };
            changes.extend(changes_now.then_some(at));
            judgements = after(&judgements, at, &[row], &groups);
            let recent = changes.iter().filter(|change| at - **change < 60).count();
            match flapping(&judgements, at, &groups).first() {
                Some((_, _, number)) => {
                    prop_assert_eq!(*number, recent as u64);
                    prop_assert!(recent >= 3 && (before || recent >= 6));
                }
                None => prop_assert!(recent < 6),
            }
        }
    }
}

//! Tests of outages: sites that fall at once or one phone after another, shifts, and gaps between walks.

use proptest::{collection::vec, prelude::*};

use super::*;

/// A simulated account: endpoints with their group, registered or lost at a minute after a registration at another.
struct Fleet {
    groups: Vec<Group>,
    /// The group of each endpoint, and its loss: the walks before and at the loss.
    endpoints: Vec<(u16, Option<(i64, i64)>)>,
    judgements: Judgements,
    /// The minute of the last walk.
    walked: i64,
}

impl Fleet {
    /// `sites` groups of `size` registered endpoints each. `keys` are further keys of each group.
    fn new(sites: usize, size: usize, keys: &str) -> Self {
        let group = |number| format!("{{name: site{number}, match: {{alias: x}}{keys}}}");
        let all: Vec<_> = (0..sites).map(group).collect();
        let endpoints =
            (0..sites).flat_map(|site| vec![(u16::try_from(site).unwrap(), None); size]);
        Self {
            groups: groups(&format!("[{}]", all.join(", "))),
            endpoints: endpoints.collect(),
            judgements: Judgements::default(),
            walked: 0,
        }
    }

    /// The next walk at the minute `at` finds `count` endpoints of a group lost, those with the lowest numbers first.
    fn lose(&mut self, group: u16, count: usize, at: i64) {
        let walked = self.walked;
        let registered = self
            .endpoints
            .iter_mut()
            .filter(|one| one.0 == group && one.1.is_none());
        for one in registered.take(count) {
            one.1 = Some((walked, at));
        }
    }

    /// `count` lost endpoints of a group are registered again.
    fn recover(&mut self, group: u16, count: usize) {
        let lost = self
            .endpoints
            .iter_mut()
            .filter(|one| one.0 == group && one.1.is_some());
        for one in lost.take(count) {
            one.1 = None;
        }
    }

    /// A complete walk that finds no endpoint.
    fn walk_empty(&mut self, at: i64) {
        let facts = vec![GroupFacts::default(); self.groups.len() + 1];
        let context = context(walk(at, true), &self.groups, &facts);
        self.judgements = self.judgements.after(&context, std::iter::empty());
        self.walked = at;
    }

    fn walk(&mut self, at: i64) {
        let ids: Vec<_> = (0..self.endpoints.len())
            .map(|id| format!("{id:04}"))
            .collect();
        let observed = self
            .endpoints
            .iter()
            .zip(&ids)
            .map(|((group, loss), id)| Observed {
                group: Some(*group),
                last_known: Some(loss.is_none()),
                lost_at: loss.map(|(_, at)| minute(at)),
                last_registered: loss.map(|(before, _)| minute(before)),
                ..endpoint(id)
            });
        let mut facts = vec![GroupFacts::default(); self.groups.len() + 1];
        for (group, loss) in &self.endpoints {
            facts[usize::from(*group)].endpoints += 1;
            facts[usize::from(*group)].registered += u64::from(loss.is_none());
        }
        let context = context(walk(at, true), &self.groups, &facts);
        self.judgements = self.judgements.after(&context, observed);
        self.walked = at;
    }

    fn walks(&mut self, minutes: std::ops::RangeInclusive<i64>) {
        minutes.for_each(|at| self.walk(at));
    }

    /// Each open outage: its scope, its first loss, its lost and recovered endpoints.
    fn outages(&self) -> Vec<(String, i64, u64, u64)> {
        let open = self.judgements.outages.open.iter();
        open.map(|one| {
            let scope = one.scope.as_deref().unwrap_or("account").to_owned();
            let (lost, recovered) = one.counts();
            (
                scope,
                (one.started_at.0 - minute(0).0) / 60_000,
                lost,
                recovered,
            )
        })
        .collect()
    }

    fn missed(&self) -> usize {
        missed(&self.judgements, self.walked, &self.groups).len()
    }
}

fn outage(scope: &str, since: i64, lost: u64, recovered: u64) -> (String, i64, u64, u64) {
    (scope.to_owned(), since, lost, recovered)
}

#[test]
fn a_site_that_falls_is_one_outage_after_two_walks_until_three_quarters_are_back() {
    let mut fleet = Fleet::new(9, 33, ", watch: page");
    fleet.walks(1..=3);
    fleet.lose(4, 33, 4);
    fleet.lose(2, 1, 4);
    fleet.walk(4);
    assert!(fleet.outages().is_empty(), "one walk may be wrong");
    assert_eq!(fleet.missed(), 34);
    fleet.walk(5);
    assert_eq!(fleet.outages(), [outage("site4", 4, 33, 0)]);
    assert!(
        fleet.judgements.outages.open[0].is_major,
        "the group is paged"
    );
    assert_eq!(fleet.missed(), 1, "the phone of the other site");

    fleet.recover(4, 24);
    fleet.walk(6);
    assert_eq!(fleet.outages(), [outage("site4", 4, 9, 24)]);
    fleet.recover(4, 1);
    fleet.walk(7);
    assert!(fleet.outages().is_empty());
    assert_eq!(fleet.missed(), 9, "the others are missed since their loss");
    fleet.walks(8..=30);
    assert!(
        fleet.outages().is_empty(),
        "a loss belongs to one outage at most"
    );
}

#[test]
fn a_site_whose_registrations_run_out_is_one_outage_that_the_last_phones_join() {
    // Minute 0 is in the times of duty, on a Wednesday.
    let duty = ", duty: [{weekdays: ['monday:friday'], times: [{start_time: '08:00', end_time: '19:00'}]}]";
    let mut fleet = Fleet::new(6, 45, duty);
    fleet.walks(1..=3);
    for at in 4..=43 {
        if at % 4 != 0 {
            fleet.lose(1, 1, at);
        }
        fleet.walk(at);
        assert!(fleet.outages().len() <= 1);
    }
    assert_eq!(fleet.outages(), [outage("site1", 5, 30, 0)]);
    assert_eq!(fleet.missed(), 0);
    assert!(
        fleet.judgements.outages.open[0].is_major,
        "the group has duty"
    );
}

#[test]
fn losses_at_all_sites_are_one_outage_of_the_account() {
    let mut fleet = Fleet::new(6, 45, "");
    fleet.walks(1..=3);
    (0..6).for_each(|site| fleet.lose(site, 18, 4));
    fleet.walks(4..=5);
    assert_eq!(fleet.outages(), [outage("account", 4, 108, 0)]);
    assert!(
        !fleet.judgements.outages.open[0].is_major,
        "40 % may be the end of a shift"
    );
    fleet.walks(6..=9);
    assert_eq!(fleet.outages().len(), 1);
}

#[test]
fn the_outage_of_the_account_absorbs_that_of_the_first_site() {
    let mut fleet = Fleet::new(6, 45, "");
    fleet.walks(1..=3);
    fleet.lose(0, 45, 4);
    fleet.walks(4..=5);
    assert_eq!(fleet.outages(), [outage("site0", 4, 45, 0)]);
    (1..6).for_each(|site| fleet.lose(site, 30, 6));
    fleet.walks(6..=7);
    assert_eq!(fleet.outages(), [outage("account", 4, 195, 0)]);
    assert!(
        fleet.judgements.outages.open[0].is_major,
        "more than half are lost"
    );
}

#[test]
fn endpoints_that_log_off_over_hours_are_no_outage() {
    let mut fleet = Fleet::new(6, 50, "");
    fleet.walks(1..=3);
    for at in 4..184 {
        if at % 3 != 0 {
            fleet.lose(u16::try_from(at % 6).unwrap(), 1, at);
        }
        fleet.walk(at);
        assert!(fleet.outages().is_empty(), "minute {at}");
    }
    assert_eq!(fleet.missed(), 120);
}

#[test]
fn the_end_of_a_shift_is_no_outage_with_duty_and_usual_from_the_second_day_on_without() {
    // The shift ends at 19:06:40, 8 hours after minute 0, and the phones of all sites within a minute.
    let (end, day) = (8 * 60, 24 * 60);
    let duty = ", duty: [{times: [{start_time: '08:00', end_time: '19:00'}]}]";
    for (keys, days) in [(duty, [None, None]), ("", [Some(false), Some(true)])] {
        let mut fleet = Fleet::new(2, 45, keys);
        for (number, expected) in (0..).zip(days) {
            let at = number * day + end;
            fleet.walks(at - 3..=at - 1);
            (0..2).for_each(|site| fleet.lose(site, 40, at));
            fleet.walks(at..=at + 3);
            let open = &fleet.judgements.outages.open;
            let usual: Vec<_> = open.iter().map(|one| one.is_usual).collect();
            assert!(
                usual.iter().all(|usual| Some(*usual) == expected),
                "day {number}: {usual:?}"
            );
            assert_eq!(usual.is_empty(), expected.is_none(), "day {number}");
            // The next morning.
            (0..2).for_each(|site| fleet.recover(site, 45));
            fleet.walks(at + 13 * 60..=at + 13 * 60 + 1);
            assert!(fleet.outages().is_empty());
        }
    }
}

#[test]
fn a_second_outage_at_the_same_scope_has_another_slot() {
    let mut fleet = Fleet::new(6, 45, "");
    fleet.walks(1..=3);
    fleet.lose(0, 20, 4);
    fleet.walks(4..=60);
    fleet.lose(0, 20, 61);
    fleet.walks(61..=62);
    assert_eq!(
        fleet.outages(),
        [outage("site0", 4, 20, 0), outage("site0", 61, 20, 0)]
    );
    let slots: Vec<_> = fleet
        .judgements
        .outages
        .open
        .iter()
        .map(|one| one.slot)
        .collect();
    assert_eq!(slots, [1, 2]);
}

#[test]
fn losses_during_a_long_absence_are_no_outage() {
    let mut fleet = Fleet::new(6, 45, "");
    fleet.walks(1..=3);
    (0..6).for_each(|site| fleet.lose(site, 30, 363));
    fleet.walks(363..=380);
    assert!(
        fleet.outages().is_empty(),
        "nobody knows when they were lost"
    );
    assert_eq!(fleet.missed(), 180);
}

#[test]
fn an_outage_ends_after_a_day_also_without_a_walk_and_hides_the_minimum_of_its_group() {
    let mut fleet = Fleet::new(3, 45, ", min_registered: 40");
    fleet.walks(1..=3);
    fleet.lose(0, 45, 4);
    fleet.walk(4);
    let shown = |fleet: &Fleet, at: i64| {
        let present = Present::new(minute(at), &fleet.groups, Some(minute(at)));
        let shown = fleet.judgements.shown(&present);
        (shown.outages.len(), shown.until)
    };
    fleet.walk(5);
    let end = 5 + 24 * 60;
    assert_eq!(shown(&fleet, end - 1), (1, Some(minute(end))));
    assert_eq!(shown(&fleet, end).0, 0);
    assert_eq!(missed(&fleet.judgements, end, &fleet.groups).len(), 45);
    fleet.walk(end);
    assert!(fleet.outages().is_empty());
    assert_eq!(fleet.missed(), 45);
}

#[test]
fn an_endpoint_that_returns_lost_to_the_list_is_in_no_second_outage() {
    let mut fleet = Fleet::new(3, 45, "");
    fleet.walks(1..=3);
    fleet.lose(0, 45, 4);
    fleet.walks(4..=5);
    assert_eq!(fleet.outages(), [outage("site0", 4, 45, 0)]);
    fleet.walk_empty(6);
    assert!(fleet.outages().is_empty());
    fleet.walks(7..=9);
    assert!(fleet.outages().is_empty());
    assert_eq!(fleet.missed(), 45);
}

#[test]
fn a_walk_that_fails_between_two_others_prevents_no_outage() {
    let mut fleet = Fleet::new(3, 45, "");
    fleet.walks(1..=3);
    fleet.lose(0, 45, 4);
    fleet.walk(4);
    // The API is away for a quarter of an hour.
    let facts = vec![
        GroupFacts {
            endpoints: 45,
            registered: 45,
            min_registered: None
        };
        4
    ];
    let late = Walk {
        listed_before: minute(4),
        ..walk(19, true)
    };
    let context = context(late, &fleet.groups, &facts);
    let ids: Vec<_> = (0..135).map(|id| format!("{id:04}")).collect();
    let observed = fleet
        .endpoints
        .iter()
        .zip(&ids)
        .map(|((group, loss), id)| Observed {
            group: Some(*group),
            ..loss.map_or_else(|| endpoint(id), |(_, at)| lost(id, at))
        });
    let judgements = fleet.judgements.after(&context, observed);
    assert_eq!(judgements.outages.open.len(), 1);
}

#[test]
fn a_group_beside_the_outage_of_the_account_needs_the_criterion_of_its_own() {
    let duty = ", duty: [{times: [{start_time: '00:00', end_time: '24:00'}], weekdays: ['monday:friday']}]";
    let mut fleet = Fleet::new(3, 40, duty);
    fleet.walks(1..=3);
    fleet.lose(0, 6, 4);
    fleet.walks(4..=23);
    assert!(fleet.outages().is_empty(), "15 % of one site");
    (0..3).for_each(|site| fleet.lose(site, 20, 24));
    fleet.walks(24..=25);
    assert_eq!(fleet.outages(), [outage("account", 24, 60, 0)]);
}

#[test]
fn outages_of_two_states_are_joined_without_an_endpoint_in_both() {
    let mut older = Fleet::new(3, 45, "");
    older.walks(1..=3);
    older.lose(0, 45, 4);
    older.walks(4..=5);
    let mut newer = Fleet::new(3, 45, "");
    newer.walks(20..=22);
    newer.lose(0, 20, 23);
    newer.walks(23..=24);
    let joined = newer.judgements.continuing(&older.judgements, None);
    let open: Vec<_> = joined
        .outages
        .open
        .iter()
        .map(|one| (one.slot, one.members.len()))
        .collect();
    assert_eq!(open, [(1, 45), (2, 0)]);
}

#[test]
fn an_endpoint_that_moves_leaves_its_outage_and_a_renamed_group_keeps_it() {
    let mut fleet = Fleet::new(3, 45, "");
    fleet.walks(1..=3);
    fleet.lose(0, 45, 4);
    fleet.walks(4..=5);
    fleet.endpoints[0].0 = 1;
    fleet.walk(6);
    assert_eq!(fleet.outages(), [outage("site0", 4, 44, 0)]);
    assert_eq!(fleet.missed(), 1);
    let names = "[{name: other, match: {alias: x}}, {name: site1, match: {alias: x}}, {name: site2, match: {alias: x}}]";
    fleet.groups = groups(names);
    fleet.walks(7..=8);
    assert_eq!(fleet.outages(), [outage("site0", 4, 44, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost and comes back: no endpoint is in two open outages, none that is in one is missed, and the lost
    /// ones of outages are lost. Nothing changes while nothing happens.
    #[test]
    fn an_endpoint_is_in_one_outage_at_most(
        steps in vec((0_u16..4, 0_usize..25, any::<bool>(), 1_i64..20), 1..40),
    ) {
        let mut fleet = Fleet::new(4, 20, "");
        fleet.walks(1..=2);
        for (group, count, is_loss, passed) in steps {
            let at = fleet.walked + passed;
            if is_loss {
                fleet.lose(group, count, at);
            } else {
                fleet.recover(group, count);
            }
            fleet.walk(at);
            let open = &fleet.judgements.outages.open;
            let mut lost = std::collections::BTreeSet::new();
            for member in open.iter().flat_map(|one| &*one.members).filter(|one| one.is_lost) {
                prop_assert!(lost.insert(member.id.clone()), "two outages have {}", member.id);
                let number: usize = member.id.parse().unwrap();
                prop_assert!(fleet.endpoints[number].1.is_some(), "{} is registered", member.id);
            }
            let all_lost = fleet.endpoints.iter().filter(|one| one.1.is_some()).count();
            prop_assert_eq!(fleet.missed() + lost.len(), all_lost);
        }
        // The windows pass, and then nothing changes any more.
        fleet.walks(fleet.walked + 11..=fleet.walked + 12);
        let before = fleet.judgements.clone();
        fleet.walk(fleet.walked + 1);
        prop_assert!(fleet.judgements.is_same(&before));
    }
}

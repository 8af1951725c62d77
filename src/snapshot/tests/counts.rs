//! Tests of the counts of groups: members that do not exist, and minimums.

use super::{EndpointView, Snapshot, builder, endpoint, facts};
use crate::{
    api::Endpoint,
    config::{self, Group, GroupFields},
    snapshot::{GroupCounts, Retention},
};

fn groups(yaml: &str) -> Vec<Group> {
    let yaml = format!("accounts: [{{name: main, auth_id: a, auth_token: t, groups: {yaml}}}]");
    let loaded = config::load_yaml(&yaml, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.accounts[0].groups.clone()
}

/// A snapshot of `registered` registered and three other endpoints. Each has its id as its alias and username.
fn snapshot(registered: u64, groups: &[Group]) -> Snapshot {
    let group_of = |one: &EndpointView<'_>| {
        let fields = GroupFields {
            id: one.id,
            alias: one.alias,
            username: one.username,
            application_id: "",
            sub_account: "",
        };
        config::first_match(groups, &fields)
    };
    let endpoints = (0..registered + 3).map(|number| {
        let id = number.to_string();
        Endpoint {
            username: Some(id.clone()),
            alias: Some(format!("phone {id}")),
            ..endpoint(&id, Some(number < registered))
        }
    });
    let list = builder(endpoints).finish();
    list.build(None, facts(0), Retention::default(), &group_of)
        .0
}

#[test]
fn an_endpoint_belongs_to_the_first_group_that_matches_and_does_not_exclude_it() {
    let groups = groups(
        "[{name: lists, match: {endpoint_ids: ['1', '2', '9'], usernames: ['2', '3', '9']}}, \
          {name: some, match: {alias: 'phone [0-5]'}, exclude: {username: '[45]', alias: '.*5'}}, \
          {name: rest, match: {alias: '.*'}}]",
    );
    let snapshot = snapshot(5, &groups);
    let groups: Vec<_> = snapshot.endpoints().map(|one| one.group.unwrap()).collect();
    assert_eq!(
        groups,
        [1, 0, 0, 0, 1, 2, 2, 2],
        "one of the lists, and both exceptions"
    );
}

#[test]
fn members_that_do_not_exist_are_named_and_count_for_a_percentage() {
    let groups = groups(
        "[{name: lists, match: {usernames: ['0', '1', '5', desk]}, min_registered: 80%}, \
          {name: ids, match: {endpoint_ids: ['2', '3', '77', '88']}, min_registered: 3}, \
          {name: rest, match: {alias: '.*'}, min_registered: 34%}, \
          {name: none, match: {alias: x}}]",
    );
    let snapshot = snapshot(5, &groups);
    let missing = snapshot.missing_members(&groups);
    assert_eq!(
        missing,
        [Some(vec!["desk"]), Some(vec!["77", "88"]), None, None]
    );
    let counts = snapshot.counts(&groups);
    let facts = counts.of_groups.groups.iter().map(|group| {
        let GroupCounts {
            endpoints,
            missing_members,
            min_registered,
        } = group;
        (
            endpoints.registered,
            endpoints.total(),
            *missing_members,
            *min_registered,
        )
    });
    assert_eq!(
        facts.collect::<Vec<_>>(),
        [
            // 80 % of four, and 34 % of three, are rounded up.
            (2, 3, Some(1), Some(4)),
            (2, 2, Some(2), Some(3)),
            (1, 3, None, Some(2)),
            (0, 0, None, None),
        ]
    );
    assert_eq!(counts.of_groups.without_group.total(), 0);
}

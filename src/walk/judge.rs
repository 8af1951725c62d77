//! Makes the judgements about an account from its snapshots.

use std::time::Duration;

use crate::{
    clock::UnixMillis,
    config::{self, Account, Group, GroupFields},
    judgement::{Context, GroupFacts, Judgements, Observed, Walk},
    snapshot::{EndpointView, Rejection, Snapshot},
};

/// What judgements need besides a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// The settings of the account.
    pub(super) account: &'a Account,
    /// The effective interval between two walks.
    pub(super) interval: Duration,
}

impl Judge<'_> {
    /// The judgements after the walk of `snapshot`. `previous` is the snapshot of the published walk before it.
    pub(super) fn after_walk(
        self,
        before: &Judgements,
        snapshot: &Snapshot,
        previous: Option<&Snapshot>,
    ) -> Judgements {
        let rows = unreadable_rows(snapshot);
        let walk = Walk {
            started_at: snapshot.walk.started_at,
            is_complete: snapshot.walk.missing == 0,
            has_unreadable_rows: rows > 0,
            has_more_unreadable_rows: rows > previous.map_or(0, unreadable_rows),
            listed_before: previous.map_or(snapshot.walk.started_at, |one| one.walk.ended_at),
        };
        self.judge(before, snapshot, walk, true, |one| one.group)
    }

    /// The judgements after a change of the settings or of the histories at the time `now`, without a walk.
    pub(super) fn after_change(
        self,
        before: &Judgements,
        snapshot: &Snapshot,
        now: UnixMillis,
    ) -> Judgements {
        let walk = without_walk(snapshot, now);
        self.judge(before, snapshot, walk, false, |one| one.group)
    }

    /// The judgements of an earlier process with the present groups. `restored` is its snapshot, without groups.
    pub(super) fn after_restart(
        self,
        before: &Judgements,
        restored: &Snapshot,
        now: UnixMillis,
    ) -> Judgements {
        // Hidden names are not stored. Without them, the groups are not known.
        if restored.endpoints().all(|one| one.username.is_empty()) {
            return before.clone();
        }
        let walk = without_walk(restored, now);
        let group = |one: &EndpointView<'_>| group_of(self.account, one);
        self.judge(before, restored, walk, false, group)
    }

    fn judge(
        self,
        before: &Judgements,
        snapshot: &Snapshot,
        walk: Walk,
        is_walk: bool,
        group: impl Fn(&EndpointView<'_>) -> Option<u16>,
    ) -> Judgements {
        let groups = &self.account.groups;
        let context = Context {
            walk,
            is_walk,
            groups,
            facts: &facts(snapshot, groups),
            settings: self.account.outage,
            interval: self.interval,
            known_since: snapshot.known_since().unwrap_or(walk.started_at),
        };
        let observed = snapshot.endpoints().map(|endpoint| Observed {
            group: group(&endpoint),
            ..observed(&endpoint)
        });
        before.after(&context, observed)
    }
}

/// The rows of the walk of a snapshot that may belong to any endpoint.
fn unreadable_rows(snapshot: &Snapshot) -> u64 {
    let rejected = &snapshot.walk.rejected_rows;
    rejected.iter().sum::<u64>() - rejected[Rejection::Duplicate as usize]
}

/// A change at the time `now`, which does not show what the list has.
fn without_walk(snapshot: &Snapshot, now: UnixMillis) -> Walk {
    Walk {
        started_at: now,
        is_complete: false,
        has_unreadable_rows: false,
        has_more_unreadable_rows: false,
        listed_before: snapshot.walk.ended_at,
    }
}

/// The index of the group of an endpoint.
pub(super) fn group_of(account: &Account, endpoint: &EndpointView<'_>) -> Option<u16> {
    let fields = GroupFields {
        id: endpoint.id,
        alias: endpoint.alias,
        username: endpoint.username,
        application_id: endpoint.application.unwrap_or(""),
        sub_account: endpoint.sub_account,
    };
    config::first_match(&account.groups, &fields)
}

fn observed<'a>(endpoint: &EndpointView<'a>) -> Observed<'a> {
    Observed {
        id: endpoint.id,
        username: endpoint.username,
        group: endpoint.group,
        last_known: endpoint.history.last_known,
        since: endpoint.history.since,
        lost_at: endpoint.history.lost_at(),
        last_registered: endpoint.history.last_registered(),
        first_seen: endpoint.history.first_seen,
        is_listed: !endpoint.retained,
    }
}

/// The facts about each of the `groups`, and at last those about the endpoints without a group.
fn facts(snapshot: &Snapshot, groups: &[Group]) -> Vec<GroupFacts> {
    let mut facts = vec![GroupFacts::default(); groups.len() + 1];
    for endpoint in snapshot.endpoints() {
        let index = endpoint.group.map_or(groups.len(), usize::from);
        let facts = &mut facts[index.min(groups.len())];
        facts.endpoints += 1;
        facts.registered += u64::from(endpoint.history.last_known == Some(true));
    }
    let missing = snapshot.missing_members(groups);
    for ((group, facts), missing) in groups.iter().zip(&mut facts).zip(missing) {
        let missing = missing.map(|missing| missing.len() as u64);
        facts.min_registered = group.least_registered(facts.endpoints, missing);
    }
    facts
}

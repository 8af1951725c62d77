//! Makes the judgements about an account from its snapshots.

use crate::{
    clock::UnixMillis,
    config::Group,
    judgement::{GroupFacts, Judgements, Observed, Walk},
    snapshot::{EndpointView, Rejection, Snapshot},
};

/// The judgements after the walk of `snapshot`. `listed_before` is the end of the published walk before it.
pub(super) fn after_walk(
    before: &Judgements,
    snapshot: &Snapshot,
    groups: &[Group],
    listed_before: UnixMillis,
) -> Judgements {
    let rejected = &snapshot.walk.rejected_rows;
    let duplicates = rejected[Rejection::Duplicate as usize];
    let unreadable = rejected.iter().sum::<u64>() - duplicates;
    let walk = Walk {
        started_at: snapshot.walk.started_at,
        // An unreadable row may belong to an endpoint that the snapshot does not have.
        is_complete: snapshot.walk.missing == 0 && unreadable == 0,
        listed_before,
    };
    judge(before, snapshot, groups, walk)
}

/// The judgements after a change of the settings or of the histories at the time `now`, without a walk.
pub(super) fn after_change(
    before: &Judgements,
    snapshot: &Snapshot,
    groups: &[Group],
    now: UnixMillis,
) -> Judgements {
    let walk = Walk {
        started_at: now,
        is_complete: false,
        listed_before: snapshot.walk.ended_at,
    };
    judge(before, snapshot, groups, walk)
}

fn judge(before: &Judgements, snapshot: &Snapshot, groups: &[Group], walk: Walk) -> Judgements {
    let observed = snapshot.endpoints().map(|endpoint| observed(&endpoint));
    before.after(walk, observed, groups, &facts(snapshot, groups))
}

fn observed<'a>(endpoint: &EndpointView<'a>) -> Observed<'a> {
    Observed {
        id: endpoint.id,
        username: endpoint.username,
        group: endpoint.group,
        last_known: endpoint.history.last_known,
        lost_at: endpoint.history.lost_at(),
        first_seen: endpoint.history.first_seen,
        is_listed: !endpoint.retained,
    }
}

/// The facts about each of the `groups`.
fn facts(snapshot: &Snapshot, groups: &[Group]) -> Vec<GroupFacts> {
    let mut facts = vec![GroupFacts::default(); groups.len()];
    for endpoint in snapshot.endpoints() {
        let index = endpoint.group.map(usize::from);
        if let Some(facts) = index.and_then(|index| facts.get_mut(index)) {
            facts.endpoints += 1;
            facts.registered += u64::from(endpoint.history.last_known == Some(true));
        }
    }
    let missing = snapshot.missing_members(groups);
    for ((group, facts), missing) in groups.iter().zip(&mut facts).zip(missing) {
        let expected = facts.endpoints + missing.map_or(0, |missing| missing.len() as u64);
        facts.min_registered = group.min_registered.map(|minimum| minimum.of(expected));
    }
    facts
}

//! Groups with fewer registered endpoints than they need.

use std::{collections::HashSet, sync::Arc};

use super::{GroupFacts, Outage, Present, Walk};
use crate::{
    clock::UnixMillis,
    config::{Group, Watch},
};

/// A group with too few registered endpoints. It is shown while the group is on duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BelowMinimum {
    /// The name of the group.
    pub group: Box<str>,
    /// The first walk that found too few endpoints.
    pub since: UnixMillis,
}

/// The groups below their minimum after a walk, sorted by name; `None` if they are the same as those `before` it.
pub(super) fn after(
    before: &[BelowMinimum],
    walk: Walk,
    groups: &[Group],
    facts: &[GroupFacts],
) -> Option<Vec<BelowMinimum>> {
    // An incomplete walk knows neither the registered endpoints nor the number of which a percentage is taken.
    if !walk.is_complete {
        return None;
    }
    let below = groups
        .iter()
        .zip(facts)
        .filter(|(group, facts)| is_below(group, facts));
    let mut below: Vec<_> = below
        .map(|(group, _)| {
            let known = before.iter().find(|known| *known.group == *group.name);
            known.cloned().unwrap_or_else(|| BelowMinimum {
                group: group.name.as_str().into(),
                since: walk.started_at,
            })
        })
        .collect();
    below.sort_by(|a, b| a.group.cmp(&b.group));
    (below != before).then_some(below)
}

/// Whether the group has too few registered endpoints for the time of its duty.
pub fn is_below(group: &Group, facts: &GroupFacts) -> bool {
    let has_too_few = facts
        .min_registered
        .is_some_and(|least| facts.registered < least);
    // A paged group without endpoints would page nobody, whatever falls.
    let is_empty = group.watch == Watch::Page && facts.endpoints == 0;
    group.watch != Watch::Ignore && (has_too_few || is_empty)
}

/// The groups below their minimum by `newer` judgements that continue `older` ones. Without a walk of the newer ones, the
/// groups of both, sorted by name; the older ones take precedence. After walks, of which the first began at `first_walk`,
/// the older ones show only since when a group was below its minimum at this walk.
pub(super) fn union(
    older: &[BelowMinimum],
    newer: &[BelowMinimum],
    first_walk: Option<UnixMillis>,
) -> Arc<[BelowMinimum]> {
    let find =
        |all: &[BelowMinimum], group: &str| all.iter().find(|one| *one.group == *group).cloned();
    let mut all: Vec<_> = newer
        .iter()
        .map(|one| {
            let continues = first_walk.is_none_or(|first| one.since <= first);
            let known = find(older, &one.group).filter(|_| continues);
            known.unwrap_or_else(|| one.clone())
        })
        .collect();
    if first_walk.is_none() {
        let others = older.iter().filter(|one| find(newer, &one.group).is_none());
        all.extend(others.cloned());
    }
    all.sort_by(|a, b| a.group.cmp(&b.group));
    all.into()
}

/// The groups that are below their minimum at present and in no open outage, each with its importance and the time since which it is.
pub(super) fn shown<'a>(
    below: &'a [BelowMinimum],
    outages: &[&Outage],
    present: &Present<'_>,
) -> Vec<(&'a BelowMinimum, Watch, UnixMillis)> {
    let scopes = outages.iter().filter_map(|outage| outage.scope.as_deref());
    let members = outages.iter().flat_map(|outage| outage.lost());
    let concerned: HashSet<&str> = scopes.chain(members.map(|member| &*member.group)).collect();
    let shown = |one: &'a BelowMinimum| {
        if concerned.contains(&*one.group) {
            return None;
        }
        let watch = present.watched(&one.group)?.watch;
        Some((one, watch, present.on_duty_since(&one.group, one.since)?))
    };
    below.iter().filter_map(shown).collect()
}

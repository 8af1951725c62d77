//! Groups with fewer registered endpoints than they need.

use std::sync::Arc;

use super::Present;
use crate::{
    clock::UnixMillis,
    config::{Group, Watch},
};

/// The endpoints of a group, as far as its minimum depends on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// The number of endpoints.
    pub endpoints: u64,
    /// The number of endpoints whose last known registration is true.
    pub registered: u64,
    /// The least number of registered endpoints, if the group has one.
    pub min_registered: Option<u64>,
}

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
    walk_started: UnixMillis,
    groups: &[Group],
    facts: &[GroupFacts],
) -> Option<Vec<BelowMinimum>> {
    let below = groups
        .iter()
        .zip(facts)
        .filter(|(group, facts)| is_below(group, facts));
    let mut below: Vec<_> = below
        .map(|(group, _)| {
            let known = before.iter().find(|known| *known.group == *group.name);
            known.cloned().unwrap_or_else(|| BelowMinimum {
                group: group.name.as_str().into(),
                since: walk_started,
            })
        })
        .collect();
    below.sort_by(|a, b| a.group.cmp(&b.group));
    (below != before).then_some(below)
}

fn is_below(group: &Group, facts: &GroupFacts) -> bool {
    let has_too_few = facts
        .min_registered
        .is_some_and(|least| facts.registered < least);
    // A paged group without endpoints would page nobody, whatever falls.
    let is_empty = group.watch == Watch::Page && facts.endpoints == 0;
    group.watch != Watch::Ignore && (has_too_few || is_empty)
}

/// The groups of both, sorted by name. Those of `first` take precedence.
pub(super) fn union(first: &[BelowMinimum], second: &[BelowMinimum]) -> Arc<[BelowMinimum]> {
    let is_known = |one: &&BelowMinimum| first.iter().any(|known| known.group == one.group);
    let others = second.iter().filter(|one| !is_known(one));
    let mut all: Vec<_> = first.iter().chain(others).cloned().collect();
    all.sort_by(|a, b| a.group.cmp(&b.group));
    all.into()
}

/// The groups that are below their minimum at present, each with its importance and the time since which it is.
pub(super) fn shown<'a>(
    below: &'a [BelowMinimum],
    present: &Present<'_>,
) -> Vec<(&'a BelowMinimum, Watch, UnixMillis)> {
    let shown = |one: &'a BelowMinimum| {
        let on_duty = present.on_duty(&one.group)?;
        Some((one, on_duty.watch?, on_duty.later(one.since)))
    };
    below.iter().filter_map(shown).collect()
}

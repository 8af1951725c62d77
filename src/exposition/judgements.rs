//! Writes the samples about judgements.

use std::collections::BTreeMap;

use super::lines::{FamilyWriter, Value};
use crate::{
    clock::UnixMillis,
    judgement::{Outage, Present},
    snapshot::AccountState,
    telemetry::{
        catalogue::Metric,
        labels::{OUTAGE_GRADES, OUTAGE_SCOPES, OUTAGE_STATES, OUTAGE_USUAL},
    },
};

/// Writes the judgements about endpoints and groups at `present`. Returns the time until which they hold, unless the
/// account has a new state or a change of duty.
pub(super) fn write(
    state: &AccountState,
    present: &Present<'_>,
    writer: &mut FamilyWriter,
) -> Option<UnixMillis> {
    let account = ("account", &*state.account);
    let judged = state.judgements.shown(present);
    let mut endpoint = |metric: Metric, labels: [&str; 4], value| {
        let has_username = state.shown.username && !labels[1].is_empty();
        let names = ["endpoint_id", "username", "group", "watch"];
        let labels = [account].into_iter().chain(names.into_iter().zip(labels));
        let labels = labels.filter(|(name, _)| has_username || *name != "username");
        writer.line(metric, metric.family().name, '{', labels, value);
    };
    for (missed, since) in judged.missed {
        let (watch, since) = (missed.watch.label(), Value::time(since));
        let labels = [&missed.id, &missed.username, &missed.group, watch];
        endpoint(Metric::EndpointMissed, labels, since);
    }
    for (id, flapping, changes) in judged.flapping {
        let labels = [
            id,
            &flapping.username,
            &flapping.group,
            flapping.watch.label(),
        ];
        endpoint(Metric::EndpointFlapping, labels, Value::Integer(changes));
    }
    for (below, watch, since) in judged.below_minimum {
        let labels = [account, ("group", &below.group), ("watch", watch.label())];
        writer.sample(Metric::GroupBelowMinimum, &labels, Value::time(since));
    }
    write_outages(account, &judged.outages, writer);
    for group in &state.shown.groups {
        let labels = [account, ("group", &*group.name)];
        let is_on = Value::flag(group.duty.is_on(present.now));
        writer.sample(Metric::GroupOnDuty, &labels, is_on);
    }
    judged.until
}

/// Writes the open outages.
fn write_outages(account: (&str, &str), outages: &[&Outage], writer: &mut FamilyWriter) {
    let slots = outages.iter().map(|outage| outage.slot.to_string());
    let outages: Vec<_> = outages.iter().copied().zip(slots).collect();
    for (outage, slot) in &outages {
        let labels = [&[account], &labels(outage, slot)[..]].concat();
        let since = Value::time(outage.started_at);
        writer.sample(Metric::OutageStart, &labels, since);
    }
    for (outage, slot) in &outages {
        let (lost, recovered) = outage.counts();
        for (state, number) in OUTAGE_STATES.into_iter().zip([lost, recovered]) {
            let labels = [&[account], &labels(outage, slot)[..], &[("state", state)]].concat();
            writer.sample(Metric::OutageEndpoints, &labels, Value::Integer(number));
        }
    }
    for (outage, slot) in &outages {
        if outage.scope.is_none() {
            write_groups(account, outage, slot, writer);
        }
    }
}

/// The labels of an outage, without the account. The second value of `scope` is for a group, that of `grade` for a minor
/// outage, and that of `usual` for a usual one.
fn labels<'a>(outage: &'a Outage, slot: &'a str) -> [(&'static str, &'a str); 5] {
    let scope = outage.scope.as_deref();
    [
        ("scope", OUTAGE_SCOPES[usize::from(scope.is_some())]),
        ("group", scope.unwrap_or("")),
        ("slot", slot),
        ("grade", OUTAGE_GRADES[usize::from(!outage.is_major)]),
        ("usual", OUTAGE_USUAL[usize::from(outage.is_usual)]),
    ]
}

/// Writes the numbers of endpoints of an outage of the account by group.
fn write_groups(account: (&str, &str), outage: &Outage, slot: &str, writer: &mut FamilyWriter) {
    let mut groups: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for member in &*outage.members {
        groups.entry(&member.group).or_default()[usize::from(!member.is_lost)] += 1;
    }
    for (group, numbers) in groups {
        for (state, number) in OUTAGE_STATES.into_iter().zip(numbers) {
            let labels = [account, ("slot", slot), ("group", group), ("state", state)];
            writer.sample(
                Metric::OutageGroupEndpoints,
                &labels,
                Value::Integer(number),
            );
        }
    }
}

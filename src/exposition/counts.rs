//! The families that count a snapshot's endpoints.

use std::collections::BTreeMap;

use super::{
    lines::Value,
    press::{Fragment, Press},
};
use crate::{
    snapshot::{Counts, Shown, Snapshot, Tallies},
    telemetry::catalogue::{Metric, REGISTRATIONS},
};

/// Every count of the snapshot, and the names of its applications.
pub(super) fn write(
    account: &str,
    shown: &Shown,
    snapshot: &Snapshot,
    tallies: &Tallies,
    press: &mut Press,
) -> BTreeMap<Metric, Fragment> {
    let mut done = BTreeMap::new();
    by_registration(
        press,
        Metric::Endpoints,
        &[("account", account)],
        tallies.all,
    );
    done.insert(Metric::Endpoints, press.fragment());

    let mut counted = |metric, label, counts: &mut dyn Iterator<Item = (&str, Counts)>| {
        for (value, counts) in counts {
            by_registration(
                press,
                metric,
                &[("account", account), (label, value)],
                counts,
            );
        }
        done.insert(metric, press.fragment());
    };
    counted(
        Metric::ApplicationEndpoints,
        "application_id",
        &mut named(&tallies.applications),
    );
    counted(
        Metric::GroupEndpoints,
        "group",
        &mut groups(shown, tallies).into_iter(),
    );
    counted(
        Metric::SubAccountEndpoints,
        "sub_account",
        &mut named(&tallies.sub_accounts),
    );

    for (id, _) in named(&tallies.applications).filter(|(id, _)| !id.is_empty()) {
        let name = snapshot.application_names().get(id);
        let name = name.or_else(|| shown.applications.get(id));
        let labels = [
            ("account", account),
            ("application_id", id),
            ("application_name", name.map_or("", String::as_str)),
        ];
        press.sample(Metric::ApplicationInfo, &labels, Value::ONE);
    }
    done.insert(Metric::ApplicationInfo, press.fragment());
    done
}

fn by_registration(press: &mut Press, metric: Metric, labels: &[(&str, &str)], counts: Counts) {
    let numbers = [counts.registered, counts.unregistered, counts.unknown];
    for (registration, number) in REGISTRATIONS.into_iter().zip(numbers) {
        let labels = labels.iter().copied();
        press.named_sample(
            metric.family().name,
            labels.chain([("registration", registration)]),
            Value::Integer(number),
        );
    }
}

fn named(list: &[(String, Counts)]) -> impl Iterator<Item = (&str, Counts)> {
    list.iter().map(|(name, counts)| (name.as_str(), *counts))
}

/// Counts by the names of groups: two groups of one name are one series, in the operator's order,
/// and "" is for the endpoints that none matched.
fn groups<'a>(shown: &'a Shown, tallies: &Tallies) -> Vec<(&'a str, Counts)> {
    let names = shown.groups.iter().map(|(name, _)| name.as_str());
    let mut merged: Vec<(&str, Counts)> = Vec::new();
    for (name, counts) in names.chain([""]).zip(&tallies.groups) {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => {
                sum.registered += counts.registered;
                sum.unregistered += counts.unregistered;
                sum.unknown += counts.unknown;
            }
            None => merged.push((name, *counts)),
        }
    }
    merged
}

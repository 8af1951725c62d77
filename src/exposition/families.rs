//! Writes the samples about endpoints, counts, walks, and the exporter itself.

use std::time::Duration;

use super::lines::{FamilyWriter, Value, push_label};
use crate::{
    snapshot::{
        AccountState, Capability, Counts, EndpointView, Field, GroupCounts, Rejection, Shown,
        Snapshot, SnapshotCounts, WalkFacts,
    },
    telemetry::{
        Instruments,
        catalogue::{Kind, Metric},
        labels::{Condition, REGISTRATIONS, Watch},
        process,
    },
};

/// A function that writes the samples of one endpoint. For each sample, it calls its second argument with the
/// labels after `endpoint_id` and `username`, and with the value. A call with `None` writes no sample.
type Samples<'a> = &'a dyn Fn(&EndpointView<'_>, &mut dyn FnMut(&[(&str, &str)], Option<Value>));

/// Writes the endpoint families that do not depend on details. Each family iterates over `endpoints` anew.
pub(super) fn write_endpoints<'a, I: Iterator<Item = EndpointView<'a>>>(
    state: &AccountState,
    endpoints: impl Fn() -> I,
    writer: &mut FamilyWriter,
) {
    let shown = &*state.shown;
    let mut write = |metric, samples: Samples<'_>| {
        write_family(state, metric, endpoints(), samples, writer);
    };
    write(Metric::EndpointInfo, &|row, sample| {
        let group = row.group.and_then(|at| shown.groups.get(usize::from(at)));
        // An endpoint that matches no configured group has the `watch` label `notice`.
        let group = group.map_or(("", Watch::Notice), |group| (&*group.name, group.watch));
        let labels = [
            ("alias", row.alias),
            ("sub_account", row.sub_account),
            ("group", group.0),
            ("watch", group.1.label()),
        ];
        sample(&labels, Some(Value::ONE));
    });
    write(Metric::EndpointRegistered, &|row, sample| {
        sample(&[], row.registered.map(Value::flag));
    });
    write(Metric::EndpointRegistrationLost, &|row, sample| {
        sample(&[], row.lost_at().map(Value::time));
    });
    write(Metric::EndpointApplicationAssigned, &|row, sample| {
        let attached = row.application.is_some();
        sample(
            &[],
            (attached || row.application_known).then_some(Value::flag(attached)),
        );
    });
    write(Metric::EndpointApplicationInfo, &|row, sample| {
        let id = row.application.unwrap_or("");
        sample(&[("application_id", id)], Some(Value::ONE));
    });
    if shown.timestamps {
        write(Metric::EndpointCreated, &|row, sample| {
            sample(&[], row.created_at.map(Value::time));
        });
        write(Metric::EndpointUpdated, &|row, sample| {
            sample(&[], row.updated_at.map(Value::time));
        });
    }
    if shown.permissions {
        write(Metric::EndpointAllowed, &|row, sample| {
            for (capability, allowed) in Capability::ALL.into_iter().zip(row.allowed) {
                let labels = [("capability", capability.label())];
                sample(&labels, allowed.map(Value::flag));
            }
        });
    }
}

/// Writes the endpoint families that depend on the list and on details. The `endpoints` have the values of their details.
pub(super) fn write_endpoint_details<'a, I: Iterator<Item = EndpointView<'a>>>(
    state: &AccountState,
    endpoints: impl Fn() -> I,
    writer: &mut FamilyWriter,
) {
    let shown = &*state.shown;
    let mut write = |metric, samples: Samples<'_>| {
        write_family(state, metric, endpoints(), samples, writer);
    };
    write(Metric::EndpointRegistrationExpiration, &|row, sample| {
        sample(&[], row.expires_at.map(Value::time));
    });
    if shown.user_agent {
        write(Metric::EndpointUserAgentInfo, &|row, sample| {
            let user_agent = row.user_agent.unwrap_or("");
            let value = row.user_agent.map(|_| Value::ONE);
            sample(&[("user_agent", user_agent)], value);
        });
    }
    write(Metric::EndpointDetailTimestamp, &|row, sample| {
        sample(&[], row.detail_at.map(Value::time));
    });
    if shown.contact {
        write(Metric::EndpointContactInfo, &|row, sample| {
            let labels = [
                ("contact", address(row.contact, shown)),
                ("received", address(row.received, shown)),
            ];
            let any = row.contact.or(row.received);
            sample(&labels, any.map(|_| Value::ONE));
        });
    }
}

/// The URI of a device. If the configuration hides usernames, the part up to the last `@` is removed.
fn address<'a>(uri: Option<&'a str>, shown: &Shown) -> &'a str {
    let uri = uri.unwrap_or("");
    match uri.rsplit_once('@') {
        Some((_, address)) if !shown.username => address,
        _ => uri,
    }
}

/// Writes one family with samples of all `endpoints`. Rendering spends nearly all its time in this function.
fn write_family<'a>(
    state: &AccountState,
    metric: Metric,
    endpoints: impl Iterator<Item = EndpointView<'a>>,
    samples: Samples<'_>,
    writer: &mut FamilyWriter,
) {
    let mut start = String::from(metric.family().name);
    push_label(&mut start, '{', "account", &state.account);
    for row in endpoints {
        let identity = [("endpoint_id", row.id), ("username", row.username)];
        let has_username = state.shown.username && !row.username.is_empty();
        let identity = &identity[..=usize::from(has_username)];
        samples(&row, &mut |labels, value| {
            let Some(value) = value else { return };
            let labels = identity.iter().chain(labels).copied();
            writer.line(metric, &start, ',', labels, value);
        });
    }
}

/// Writes the counts of the endpoints of `snapshot`, and the names of their applications.
pub(super) fn write_counts(
    state: &AccountState,
    snapshot: &Snapshot,
    counts: &SnapshotCounts<'_>,
    writer: &mut FamilyWriter,
) {
    let (account, shown) = (("account", &*state.account), &*state.shown);
    let mut write = |metric: Metric, label: Option<(&str, &str)>, counts: Counts| {
        let numbers = [counts.registered, counts.unregistered, counts.unknown];
        for (registration, number) in REGISTRATIONS.into_iter().zip(numbers) {
            let registration = Some(("registration", registration));
            let labels = [Some(account), label, registration].into_iter().flatten();
            let name = metric.family().name;
            writer.line(metric, name, '{', labels, Value::Integer(number));
        }
    };
    write(Metric::Endpoints, None, counts.of_groups.all);
    for (id, counts) in &counts.applications {
        let label = Some(("application_id", *id));
        write(Metric::ApplicationEndpoints, label, *counts);
    }
    let groups = || shown.groups.iter().zip(&counts.of_groups.groups);
    for (group, counts) in groups() {
        let label = Some(("group", &*group.name));
        write(Metric::GroupEndpoints, label, counts.endpoints);
    }
    let label = Some(("group", ""));
    write(
        Metric::GroupEndpoints,
        label,
        counts.of_groups.without_group,
    );
    for (name, counts) in &counts.sub_accounts {
        let label = Some(("sub_account", *name));
        write(Metric::SubAccountEndpoints, label, *counts);
    }
    let mut write_groups = |metric, number: fn(&GroupCounts) -> Option<u64>| {
        for (group, counts) in groups() {
            if let Some(number) = number(counts) {
                let labels = [account, ("group", &*group.name)];
                writer.sample(metric, &labels, Value::Integer(number));
            }
        }
    };
    write_groups(Metric::GroupMinRegistered, |group| group.min_registered);
    write_groups(Metric::GroupMissingMembers, |group| group.missing_members);
    for id in counts.applications.keys().filter(|id| !id.is_empty()) {
        let name = snapshot.application_names().get(*id);
        let name = name.or_else(|| shown.applications.get(*id));
        let labels = [
            account,
            ("application_id", id),
            ("application_name", name.map_or("", String::as_str)),
        ];
        writer.sample(Metric::ApplicationInfo, &labels, Value::ONE);
    }
}

/// Writes one sample for each condition. Only the sample of the condition `present` has the value 1.
pub(super) fn write_condition(account: &str, present: Condition, writer: &mut FamilyWriter) {
    for condition in Condition::ALL {
        let labels = [("account", account), ("condition", condition.label())];
        let value = Value::flag(condition == present);
        writer.sample(Metric::AccountCondition, &labels, value);
    }
}

/// Writes the families about the account's walks. Scrapes also show them while the snapshot is withdrawn.
/// [`write_condition`] writes the condition, which can change between two states.
///
/// `is_withdrawn` is whether these samples are shown while the snapshot is withdrawn.
pub(super) fn write_walks(state: &AccountState, is_withdrawn: bool, writer: &mut FamilyWriter) {
    let mut write = |metric, value: Option<Value>| {
        if let Some(value) = value {
            writer.sample(metric, &[("account", &state.account)], value);
        }
    };
    let integer = |number| Some(Value::Integer(number));
    let flag = |yes| Some(Value::flag(yes));
    let seconds = |duration: Duration| Some(Value::Float(duration.as_secs_f64()));
    // A snapshot can reach the maximum age while a walk runs or waits to be confirmed. `vobiz_up` is then 0.
    let up = state.up.map(|up| up && !is_withdrawn);
    write(Metric::Up, up.map(Value::flag));
    write(Metric::DataWithdrawn, flag(is_withdrawn));
    write(
        Metric::WalkLastSuccess,
        state.last_success.map(|one| Value::time(one.at)),
    );
    if let Some(walk) = state.snapshot.as_ref().map(|snapshot| &snapshot.walk) {
        write(Metric::WalkLastDuration, seconds(walk.duration));
        write(Metric::WalkPages, integer(walk.pages));
        write(
            Metric::WalkReportedEndpoints,
            walk.reported.and_then(integer),
        );
        write(Metric::WalkMissingEndpoints, integer(walk.missing));
        write(Metric::WalkRetainedEndpoints, integer(walk.retained));
    }
    write(Metric::WalkConfirming, flag(state.confirming));
    write(Metric::ApiClockOffset, state.clock_offset.map(Value::Float));
    write(Metric::DetailsPending, integer(state.details_pending));
    write(Metric::ExporterPollInterval, seconds(state.poll_interval));
    write(Metric::ExporterMaxAge, seconds(state.max_age));
    if let Some(snapshot) = &state.snapshot {
        write_odd_rows(&state.account, &snapshot.walk, writer);
    }
}

/// Writes the numbers of rejected rows, rejected values and assumed values of `walk`.
fn write_odd_rows(account: &str, walk: &WalkFacts, writer: &mut FamilyWriter) {
    let mut write = |metric, label, values: &[&str], counts: &[u64]| {
        for (value, count) in values.iter().zip(counts) {
            let labels = [("account", account), (label, *value)];
            writer.sample(metric, &labels, Value::Integer(*count));
        }
    };
    let rows = &walk.rejected_rows;
    write(Metric::WalkRejectedRows, "reason", Rejection::LABELS, rows);
    let (rejected, assumed) = (&walk.rejected_values, &walk.assumed_values);
    write(Metric::WalkRejectedValues, "field", Field::LABELS, rejected);
    write(Metric::WalkAssumedValues, "field", Field::LABELS, assumed);
}

/// Writes the metrics of the registry of `instruments`, and the metrics of the process.
pub(super) fn write_self_metrics(instruments: &Instruments, writer: &mut FamilyWriter) {
    for (metric, value) in process::values() {
        writer.sample(metric, &[], Value::Float(value));
    }
    for family in instruments.gather() {
        let Some(metric) = Metric::named(family.name()) else {
            continue;
        };
        let name = metric.family().name;
        let [bucket, sum, count] = ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"));
        for sample in family.get_metric() {
            let mut write = |name: &str, bound: Option<&str>, value| {
                let labels = sample.get_label().iter();
                let labels = labels.map(|label| (label.name(), label.value()));
                let labels = labels.chain(bound.map(|bound| ("le", bound)));
                writer.line(metric, name, '{', labels, value);
            };
            match metric.family().kind {
                Kind::Gauge => write(name, None, Value::Float(sample.get_gauge().get_value())),
                Kind::Counter => write(name, None, Value::Float(sample.get_counter().get_value())),
                Kind::Histogram => {
                    let histogram = sample.get_histogram();
                    for one in histogram.get_bucket() {
                        // OpenMetrics requires `1.0` in the label `le`. `{:?}` writes `1.0`; `{}` writes `1`.
                        let bound = format!("{:?}", one.upper_bound());
                        let number = Value::Integer(one.cumulative_count());
                        write(&bucket, Some(&bound), number);
                    }
                    let number = Value::Integer(histogram.get_sample_count());
                    write(&bucket, Some("+Inf"), number);
                    write(&sum, None, Value::Float(histogram.get_sample_sum()));
                    write(&count, None, number);
                }
            }
        }
    }
}

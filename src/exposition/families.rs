//! The samples of every family: endpoints, counts, walks, and the exporter itself.

use super::lines::{FamilyWriter, Value, push_escaped, push_label};
use crate::{
    snapshot::{
        AccountState, Capability, Counts, EndpointView, Field, Rejection, Shown, Snapshot,
        SnapshotCounts, WalkFacts,
    },
    telemetry::{
        Instruments,
        catalogue::{Kind, Metric, REGISTRATIONS},
    },
};

/// Group and `watch` label of an endpoint that matched no configured group.
const NO_GROUP: (&str, &str) = ("", "notice");

/// Writes the endpoint families that depend on the list alone.
pub(super) fn write_endpoints(
    state: &AccountState,
    snapshot: &Snapshot,
    writer: &mut FamilyWriter,
) {
    let shown = &*state.shown;
    let endpoints = || snapshot.endpoints();
    let mut families = EndpointFamilies::new(state, endpoints, writer);
    families.write(
        Metric::EndpointInfo,
        |_| Some(Value::ONE),
        |row, line| {
            let group = row.group.and_then(|at| shown.groups.get(usize::from(at)));
            let (group, watch) = group.map_or(NO_GROUP, |(name, watch)| (name, watch));
            push_label(line, ',', "alias", row.alias);
            push_label(line, ',', "sub_account", row.sub_account);
            push_label(line, ',', "group", group);
            push_label(line, ',', "watch", watch);
        },
    );
    families.write_values(Metric::EndpointRegistered, |row| {
        row.registered.map(Value::flag)
    });
    families.write_values(Metric::EndpointRegistrationLost, |row| {
        row.lost_at.map(Value::Time)
    });
    families.write_values(Metric::EndpointApplicationAssigned, |row| {
        Some(Value::flag(row.application.is_some()))
    });
    families.write(
        Metric::EndpointApplicationInfo,
        |_| Some(Value::ONE),
        |row, line| push_label(line, ',', "application_id", row.application.unwrap_or("")),
    );
    if shown.timestamps {
        families.write_values(Metric::EndpointCreated, |row| {
            row.created_at.map(Value::Time)
        });
        families.write_values(Metric::EndpointUpdated, |row| {
            row.updated_at.map(Value::Time)
        });
    }
    if shown.permissions {
        families.write_permissions();
    }
}

/// Writes the endpoint families that depend on details, too.
pub(super) fn write_endpoint_details(
    state: &AccountState,
    snapshot: &Snapshot,
    writer: &mut FamilyWriter,
) {
    let shown = &*state.shown;
    let endpoints = || snapshot.endpoints_with(&state.details);
    let mut families = EndpointFamilies::new(state, endpoints, writer);
    families.write_values(Metric::EndpointRegistrationExpiration, |row| {
        row.expires_at.map(Value::Time)
    });
    if shown.user_agent {
        families.write(
            Metric::EndpointUserAgentInfo,
            |row| row.user_agent.map(|_| Value::ONE),
            |row, line| push_label(line, ',', "user_agent", row.user_agent.unwrap_or("")),
        );
    }
    families.write_values(Metric::EndpointDetailTimestamp, |row| {
        row.detail_at.map(Value::Time)
    });
    if shown.contact {
        families.write(
            Metric::EndpointContactInfo,
            |row| row.contact.or(row.received).map(|_| Value::ONE),
            |row, line| {
                push_label(line, ',', "contact", address(row.contact, shown));
                push_label(line, ',', "received", address(row.received, shown));
            },
        );
    }
}

/// A device's URI. Without usernames it is reduced to the part after the user.
fn address<'a>(uri: Option<&'a str>, shown: &Shown) -> &'a str {
    let uri = uri.unwrap_or("");
    match uri.rsplit_once('@') {
        Some((_, address)) if !shown.username => address,
        _ => uri,
    }
}

/// Writes families with samples per endpoint. Nearly all time of rendering is spent here.
struct EndpointFamilies<'a, E> {
    state: &'a AccountState,
    /// Starts again at the first endpoint, for each family.
    endpoints: E,
    writer: &'a mut FamilyWriter,
}

impl<'w, 's, E, I> EndpointFamilies<'w, E>
where
    E: Fn() -> I,
    I: Iterator<Item = EndpointView<'s>>,
{
    fn new(state: &'w AccountState, endpoints: E, writer: &'w mut FamilyWriter) -> Self {
        Self {
            state,
            endpoints,
            writer,
        }
    }

    /// A family without labels beyond the endpoint's identity.
    fn write_values(&mut self, metric: Metric, value: impl Fn(&EndpointView<'_>) -> Option<Value>) {
        self.write(metric, value, |_, _| {});
    }

    /// A family with at most one sample per endpoint.
    fn write(
        &mut self,
        metric: Metric,
        value: impl Fn(&EndpointView<'_>) -> Option<Value>,
        labels: impl Fn(&EndpointView<'_>, &mut String),
    ) {
        let start = line_start(metric, &self.state.account);
        for row in (self.endpoints)() {
            if let Some(value) = value(&row) {
                self.sample(metric, &start, &row, value, &labels);
            }
        }
    }

    /// The one family with several samples per endpoint.
    fn write_permissions(&mut self) {
        let metric = Metric::EndpointAllowed;
        let start = line_start(metric, &self.state.account);
        for row in (self.endpoints)() {
            for (capability, allowed) in Capability::ALL.into_iter().zip(row.allowed) {
                let Some(allowed) = allowed else { continue };
                self.sample(metric, &start, &row, Value::flag(allowed), |_, line| {
                    push_label(line, ',', "capability", capability.label());
                });
            }
        }
    }

    fn sample(
        &mut self,
        metric: Metric,
        start: &str,
        row: &EndpointView<'_>,
        value: Value,
        labels: impl Fn(&EndpointView<'_>, &mut String),
    ) {
        let line = self.writer.line(metric);
        line.push_str(start);
        push_escaped(line, row.id);
        line.push('"');
        if self.state.shown.username && !row.username.is_empty() {
            push_label(line, ',', "username", row.username);
        }
        labels(row, line);
        line.push_str("} ");
        self.writer.end_line(value);
    }
}

/// A line up to the endpoint's id, which all samples of a family share.
fn line_start(metric: Metric, account: &str) -> String {
    let mut start = String::from(metric.family().name);
    push_label(&mut start, '{', "account", account);
    start.push_str(",endpoint_id=\"");
    start
}

/// Writes the counts of a snapshot's endpoints, and the names of its applications.
pub(super) fn write_counts(
    state: &AccountState,
    snapshot: &Snapshot,
    counts: &SnapshotCounts,
    writer: &mut FamilyWriter,
) {
    let (account, shown) = (("account", &*state.account), &*state.shown);
    let mut write = |metric, label: Option<(&str, &str)>, counts: Counts| {
        let numbers = [counts.registered, counts.unregistered, counts.unknown];
        for (registration, number) in REGISTRATIONS.into_iter().zip(numbers) {
            let registration = Some(("registration", registration));
            let labels = [Some(account), label, registration].into_iter().flatten();
            writer.suffixed_sample(metric, "", labels, Value::Integer(number));
        }
    };
    write(Metric::Endpoints, None, counts.all);
    for (id, counts) in &counts.applications {
        let label = Some(("application_id", &**id));
        write(Metric::ApplicationEndpoints, label, *counts);
    }
    for (name, counts) in group_counts(shown, counts) {
        write(Metric::GroupEndpoints, Some(("group", name)), counts);
    }
    for (name, counts) in &counts.sub_accounts {
        let label = Some(("sub_account", &**name));
        write(Metric::SubAccountEndpoints, label, *counts);
    }
    for (id, _) in counts.applications.iter().filter(|(id, _)| !id.is_empty()) {
        let name = snapshot.application_names().get(id);
        let name = name.or_else(|| shown.applications.get(id));
        let labels = [
            account,
            ("application_id", id),
            ("application_name", name.map_or("", String::as_str)),
        ];
        writer.sample(Metric::ApplicationInfo, &labels, Value::ONE);
    }
}

/// Counts by name of group, in the configured order. Two groups of one name are one series; "" is
/// for endpoints without a group.
fn group_counts<'a>(shown: &'a Shown, counts: &SnapshotCounts) -> Vec<(&'a str, Counts)> {
    let names = shown.groups.iter().map(|(name, _)| name.as_str());
    let mut merged: Vec<(&str, Counts)> = Vec::new();
    for (name, counts) in names.chain([""]).zip(&counts.groups) {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += *counts,
            None => merged.push((name, *counts)),
        }
    }
    merged
}

/// Writes the families about the account's walks, which stay when the snapshot is withdrawn.
///
/// `snapshot_samples` is the number of samples of the snapshot, `None` if it is withdrawn.
pub(super) fn write_walks(
    state: &AccountState,
    snapshot_samples: Option<u64>,
    writer: &mut FamilyWriter,
) {
    let account = [("account", &*state.account)];
    if let Some(up) = state.up {
        writer.sample(Metric::Up, &account, Value::flag(up));
    }
    if let Some(snapshot) = &state.snapshot {
        write_last_walk(&state.account, &snapshot.walk, writer);
    }
    if let Some(offset) = state.clock_offset {
        writer.sample(Metric::ApiClockOffset, &account, Value::Float(offset));
    }
    let interval = state.poll_interval.as_secs_f64();
    for (metric, value) in [
        (
            Metric::DataWithdrawn,
            Value::flag(snapshot_samples.is_none()),
        ),
        (Metric::WalkConfirming, Value::flag(state.confirming)),
        (
            Metric::DetailsPending,
            Value::Integer(state.details_pending),
        ),
        (Metric::ExporterPollInterval, Value::Float(interval)),
        (
            Metric::ExporterMaxAge,
            Value::Float(state.max_age.as_secs_f64()),
        ),
    ] {
        writer.sample(metric, &account, value);
    }
    let series = snapshot_samples.unwrap_or(0) + writer.samples() + 1;
    writer.sample(Metric::ExporterSeries, &account, Value::Integer(series));
}

/// Writes what is known about the walk of the last published snapshot.
fn write_last_walk(account: &str, walk: &WalkFacts, writer: &mut FamilyWriter) {
    let reported = walk.reported.map(Value::Integer);
    for (metric, value) in [
        (Metric::WalkLastSuccess, Some(Value::Time(walk.ended_at))),
        (
            Metric::WalkLastDuration,
            Some(Value::Float(walk.duration.as_secs_f64())),
        ),
        (Metric::WalkPages, Some(Value::Integer(walk.pages))),
        (Metric::WalkReportedEndpoints, reported),
        (
            Metric::WalkMissingEndpoints,
            Some(Value::Integer(walk.missing)),
        ),
        (
            Metric::WalkRetainedEndpoints,
            Some(Value::Integer(walk.retained)),
        ),
    ] {
        if let Some(value) = value {
            writer.sample(metric, &[("account", account)], value);
        }
    }
    let mut write = |metric, label, values: &[&str], counts: &[u64]| {
        for (value, count) in values.iter().zip(counts) {
            let labels = [("account", account), (label, *value)];
            writer.sample(metric, &labels, Value::Integer(*count));
        }
    };
    let (reasons, rejected) = (Rejection::ALL.map(Rejection::label), &walk.rejected_rows);
    write(Metric::WalkRejectedRows, "reason", &reasons, rejected);
    let fields = Field::ALL.map(Field::label);
    write(
        Metric::WalkRejectedValues,
        "field",
        &fields,
        &walk.rejected_values,
    );
    write(
        Metric::WalkAssumedValues,
        "field",
        &fields,
        &walk.assumed_values,
    );
}

/// Writes the counters and histograms of the registry.
pub(super) fn write_self_metrics(instruments: &Instruments, writer: &mut FamilyWriter) {
    for family in instruments.gather() {
        let Some(metric) = Metric::named(family.name()) else {
            continue;
        };
        for sample in family.get_metric() {
            let mut write = |suffix, bound: Option<&str>, value| {
                let labels = sample.get_label().iter();
                let labels = labels.map(|label| (label.name(), label.value()));
                let labels = labels.chain(bound.map(|bound| ("le", bound)));
                writer.suffixed_sample(metric, suffix, labels, value);
            };
            match metric.family().kind {
                Kind::Gauge => write("", None, Value::Float(sample.get_gauge().get_value())),
                Kind::Counter => write("", None, Value::Float(sample.get_counter().get_value())),
                Kind::Histogram => {
                    let histogram = sample.get_histogram();
                    for bucket in histogram.get_bucket() {
                        // A whole number keeps its decimal: for Prometheus "1" and "1.0" are two series.
                        let bound = format!("{:?}", bucket.upper_bound());
                        let count = Value::Integer(bucket.cumulative_count());
                        write("_bucket", Some(&bound), count);
                    }
                    let count = Value::Integer(histogram.get_sample_count());
                    write("_bucket", Some("+Inf"), count);
                    write("_sum", None, Value::Float(histogram.get_sample_sum()));
                    write("_count", None, count);
                }
            }
        }
    }
}

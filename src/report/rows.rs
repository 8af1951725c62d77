//! A report as CSV, for other programs.

use std::time::Duration;

use super::availability::{EndpointReport, Report};

/// The columns.
const COLUMNS: [&str; 12] = [
    "account",
    "endpoint_id",
    "username",
    "alias",
    "group",
    "watch",
    "availability",
    "registered_seconds",
    "unregistered_seconds",
    "unknown_seconds",
    "changes",
    "times_flapping",
];

/// The endpoints of the report as CSV (RFC 4180) with a header. `availability` is from 0 to 1, and empty without known time.
/// `watch` is empty without a group.
pub fn csv(report: &Report) -> String {
    let mut rows = csv::Writer::from_writer(Vec::new());
    // A write to memory cannot fail.
    let _ = rows.write_record(COLUMNS);
    for endpoint in &report.endpoints {
        let _ = rows.write_record(values(endpoint));
    }
    String::from_utf8(rows.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn values(endpoint: &EndpointReport) -> [String; 12] {
    let times = &endpoint.times;
    let seconds = |time: Duration| time.as_secs().to_string();
    let availability = times.availability().map(|share| {
        // Only a time without losses has 1.
        let most = if times.unregistered.is_zero() {
            1.0
        } else {
            0.999_999
        };
        f64::min(share, most)
    });
    [
        endpoint.account.clone(),
        endpoint.id.clone(),
        endpoint.username.clone(),
        endpoint.alias.clone(),
        endpoint.group.clone(),
        endpoint.watch.map_or("", |watch| watch.label()).to_owned(),
        availability.map_or_else(String::new, |share| format!("{share:.6}")),
        seconds(times.registered),
        seconds(times.unregistered),
        seconds(times.unknown),
        endpoint.changes.to_string(),
        endpoint.times_flapping.to_string(),
    ]
}

//! `probe`: whether and how single endpoints are asked for.

use std::time::Duration;

use crate::config::{
    entry::Section,
    mistake::Report,
    model::{Account, Probe},
};

const LONGEST_OFFSET: Duration = Duration::from_secs(10);

/// The settings; `None` when one of them is wrong.
pub(in crate::config) fn probe(section: &Section<'_>, report: &mut Report) -> Option<Probe> {
    let enabled = (section.entry("enabled")).and_then(|entry| entry.flag(report));
    let rate = section.entry("requests_per_second").and_then(|entry| {
        entry.number(report, "a number from 0.01 to 100", |rate| {
            (0.01..=100.0).contains(&rate)
        })
    });
    let offset = (section.entry("timeout_offset"))
        .and_then(|entry| entry.duration(report, Duration::ZERO..=LONGEST_OFFSET));
    Some(Probe {
        enabled: enabled?,
        requests_per_second: rate?,
        timeout_offset: offset?,
    })
}

/// Warns of accounts whose walks would get less than half of their rate while probes use theirs.
pub(in crate::config) fn check_share(probe: &Probe, accounts: &[Account], report: &mut Report) {
    let probes = probe.requests_per_second;
    for account in accounts.iter().filter(|_| probe.enabled) {
        if let Some(all) = account.api.requests_per_second
            && probes > all / 2.0
        {
            report.warnings.push(format!(
                "probe.requests_per_second: {probes} is more than half of the {all} requests per \
                 second of account {}; its walks may take more than twice as long",
                account.name
            ));
        }
    }
}

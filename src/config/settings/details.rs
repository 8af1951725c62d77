//! `details`: when single endpoints are retrieved.

use std::time::Duration;

use crate::config::{
    entry::{Entry, Section},
    mistake::Report,
    model::{Account, DetailMode, Details},
};

const SHORTEST_AGE: Duration = Duration::from_secs(10);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one layer says.
#[derive(Debug)]
pub(in crate::config) struct DetailsKeys {
    mode: Option<DetailMode>,
    requests_per_minute: Option<f64>,
    max_age: Option<Duration>,
}

impl DetailsKeys {
    pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Self {
        let must_be =
            "a number of requests per minute from 0.1 to 6000 (for none, set mode: never)";
        Self {
            mode: section.entry("mode").and_then(|entry| mode(&entry, report)),
            requests_per_minute: section.entry("requests_per_minute").and_then(|entry| {
                entry.number(report, must_be, |number| (0.1..=6000.0).contains(&number))
            }),
            max_age: (section.entry("max_age"))
                .and_then(|entry| entry.duration(report, SHORTEST_AGE..=MONTH)),
        }
    }

    /// What holds for an account whose own keys are these.
    pub(in crate::config) fn finish_over(&self, global: &Self) -> Option<Details> {
        Some(Details {
            mode: self.mode.or(global.mode)?,
            requests_per_minute: self.requests_per_minute.or(global.requests_per_minute)?,
            max_age: self.max_age.or(global.max_age)?,
        })
    }
}

fn mode(entry: &Entry<'_>, report: &mut Report) -> Option<DetailMode> {
    let word = entry.text(report)?;
    let mode = DetailMode::ALL.into_iter().find(|mode| mode.word() == word);
    if mode.is_none() {
        entry.wrong_word(word, &DetailMode::ALL.map(DetailMode::word), report);
    }
    mode
}

/// Warns of accounts that are granted more details than their limiter lets leave at all.
pub(in crate::config) fn check_budget(accounts: &[Account], report: &mut Report) {
    for account in accounts {
        let granted = account.details.requests_per_minute;
        if account.details.mode != DetailMode::Never
            && let Some(all) = account.api.requests_per_second
            && granted > all * 60.0
        {
            report.warnings.push(format!(
                "details.requests_per_minute: {granted} is more than the {} requests per minute that \
                 api.requests_per_second leaves account {}, walks included",
                all * 60.0,
                account.name
            ));
        }
    }
}

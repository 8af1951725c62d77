//! The report of availability.

use std::{sync::Arc, time::Duration};

use askama::Template;

use super::{Shell, query::Query, reports, text::Time};
use crate::{fleet::Fleet, report::Table};

const PARAMETERS: [&str; 2] = ["since", "account"];
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The periods that a person can choose, with their lengths in days. The second one is the default.
const PERIODS: [(&str, u32); 4] = [("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90)];
/// With more accounts, the page has a text field instead of a list.
const MOST_ACCOUNTS: usize = 200;
/// The places of the tables that name endpoints: the worst ones, and those that flapped.
const WITH_ENDPOINTS: [usize; 2] = [3, 5];

/// The page with a report.
#[derive(Template)]
#[template(path = "reports.html")]
pub(in crate::pages) struct ReportPage {
    shell: Shell,
    /// The periods: the value of the parameter, the length in days, and whether it is chosen.
    periods: [(&'static str, u32, bool); 4],
    account: String,
    /// The names of all accounts, and whether each is chosen. Empty if there are too many for a list.
    accounts: Vec<(String, bool)>,
    report: Past,
}

/// The report, or why there is none.
enum Past {
    /// There is no state directory.
    NotKept,
    /// The database could not be read.
    Failed(String),
    Found {
        at: Time,
        summary: Vec<String>,
        tables: Vec<Table>,
    },
}

/// The report that a query asks for.
pub(in crate::pages) fn wanted_report(query: &str) -> reports::Wanted {
    let query = Query::read(query, &PARAMETERS);
    let (_, days) = period(&query);
    reports::Wanted {
        length: DAY * days,
        account: query.get("account").to_owned(),
    }
}

/// The period of the query, and its length in days.
fn period(query: &Query) -> (&'static str, u32) {
    let mut found = PERIODS.into_iter();
    let found = found.find(|(name, _)| *name == query.get("since"));
    found.unwrap_or(PERIODS[1])
}

impl ReportPage {
    /// The page; `None` if the query names an unknown account. `made` is `None` without a state directory.
    pub(in crate::pages) fn new(
        fleet: &Fleet,
        shell: Shell,
        query: &str,
        made: Option<reports::Made>,
    ) -> Option<Self> {
        let query = Query::read(query, &PARAMETERS);
        let account = query.get("account");
        if !account.is_empty() {
            fleet.account(account)?;
        }
        let mut accounts = Vec::new();
        if fleet.states.len() <= MOST_ACCOUNTS {
            let is_chosen = |name: &str| name == account;
            let names = fleet.states.iter().map(|state| &*state.account);
            accounts.extend(names.map(|name| (name.to_owned(), is_chosen(name))));
        }
        let with_endpoints = shell.has_endpoints();
        let report = match made {
            None => Past::NotKept,
            Some(Err(error)) => Past::Failed(error),
            Some(Ok(content)) => found(fleet, &content, with_endpoints),
        };
        let (chosen, _) = period(&query);
        Some(Self {
            shell,
            periods: PERIODS.map(|(name, days)| (name, days, name == chosen)),
            account: account.to_owned(),
            accounts,
            report,
        })
    }
}

fn found(fleet: &Fleet, content: &Arc<reports::Content>, with_endpoints: bool) -> Past {
    let tables = content.tables.iter().enumerate();
    let shown = tables.filter(|(at, _)| with_endpoints || !WITH_ENDPOINTS.contains(at));
    Past::Found {
        at: fleet.time(content.at),
        summary: content.summary.clone(),
        tables: shown.map(|(_, table)| table.clone()).collect(),
    }
}

//! A report as text for a terminal.

use std::{cmp::Reverse, fmt::Write, iter};

use super::{
    availability::{EndpointReport, Report, Times},
    words,
};
use crate::{config::Watch, state::LoggedOutage};

/// The number of the worst endpoints.
const WORST: usize = 10;
/// The maximum number of rows of other lists. Their titles say how many there are.
const MAX_ROWS: usize = 50;

/// A list of a report, whose values are texts for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The title.
    pub title: String,
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, each with a value for each column.
    pub rows: Vec<Vec<String>>,
}

/// The period and the availability of all watched endpoints, in one sentence each.
pub fn summary(report: &Report) -> Vec<String> {
    let mut summary = vec![format!("Period: {}.", words::period(report.wanted))];
    if report.covered.length().is_zero() {
        summary.push("Covered: nothing, because the event log begins later.".to_owned());
    } else if report.covered != report.wanted {
        let covered = words::period(report.covered);
        summary.push(format!(
            "Covered: {covered}, because the event log has nothing older."
        ));
    }
    let totals = report.totals();
    let [available, registered, unregistered, unknown] = times(&totals);
    summary.push(format!(
        "Available: {available} (registered {registered}, unregistered {unregistered}, unknown {unknown})."
    ));
    summary.push(
        "Unknown time does not count for a percentage. Groups with watch ignore do not count for the total."
            .to_owned(),
    );
    summary
}

/// The lists of a report: accounts, unknown time, groups, worst endpoints, outages, and endpoints that flapped.
pub fn tables(report: &Report) -> [Table; 6] {
    [
        accounts(report),
        unknown(report),
        groups(report),
        worst(report),
        outages(report),
        flapping(report),
    ]
}

/// The report as text for a terminal.
pub fn text(report: &Report) -> String {
    let mut text = summary(report).join("\n");
    text += "\n";
    for table in tables(report) {
        table.write(&mut text);
    }
    text
}

/// Whether an outage is usual, or else its grade.
fn outage_kind(outage: &LoggedOutage) -> &'static str {
    match outage {
        LoggedOutage { is_usual: true, .. } => "usual",
        LoggedOutage { is_major: true, .. } => "major",
        _ => "minor",
    }
}

/// The importance of a group, or nothing.
fn watch(watch: Option<Watch>) -> &'static str {
    watch.map_or("", |watch| watch.label())
}

impl Table {
    fn new(title: &str, columns: &[&'static str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds the first `limit` rows, and says in the title how many there are.
    fn with<T>(
        mut self,
        items: impl ExactSizeIterator<Item = T>,
        limit: usize,
        row: impl Fn(T) -> Vec<String>,
    ) -> Self {
        let number = items.len();
        if number > limit {
            let _ = write!(self.title, " (the first {limit} of {number})");
        }
        let rows = items.take(limit).map(row);
        let rows = rows.map(|row| row.iter().map(|cell| visible(cell)).collect());
        self.rows.extend(rows);
        self
    }

    /// Writes the table with columns that are as wide as their longest value.
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n{}", self.title);
        if self.rows.is_empty() {
            *text += "  none\n";
            return;
        }
        let header: Vec<_> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let lines = || iter::once(&header).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..header.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in lines() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "  {cell:width$}");
            }
            *text += line.trim_end();
            *text += "\n";
        }
    }
}

/// A text without characters that a terminal would interpret.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The accounts, that with the longest unknown time first.
fn accounts(report: &Report) -> Table {
    let table = Table::new("Accounts", &["account", "known", "unknown"]);
    let mut accounts: Vec<_> = report.accounts.iter().collect();
    accounts.sort_by_key(|account| Reverse(account.unknown_time()));
    table.with(accounts.into_iter(), MAX_ROWS, |account| {
        vec![
            account.name.clone(),
            words::duration(account.known),
            words::duration(account.unknown_time()),
        ]
    })
}

fn unknown(report: &Report) -> Table {
    let columns = ["account", "time", "from", "until", "why"];
    let table = Table::new("Unknown times, the longest first", &columns);
    let mut spans = report.unknown_spans();
    spans.sort_by_key(|(_, span)| Reverse(span.period.length()));
    table.with(spans.into_iter(), MAX_ROWS, |(account, span)| {
        vec![
            account.to_owned(),
            words::duration(span.period.length()),
            words::time(span.period.from),
            words::time(span.period.until),
            span.why.text().to_owned(),
        ]
    })
}

fn times(times: &Times) -> [String; 4] {
    [
        words::availability(times),
        words::duration(times.registered),
        words::duration(times.unregistered),
        words::duration(times.unknown),
    ]
}

fn groups(report: &Report) -> Table {
    let table = Table::new(
        "Groups, the worst first",
        &[
            "available",
            "registered",
            "unregistered",
            "unknown",
            "endpoints",
            "watch",
            "account",
            "group",
        ],
    );
    table.with(report.worst_groups().into_iter(), MAX_ROWS, |group| {
        let mut row = times(&group.times).to_vec();
        row.extend([
            group.endpoints.to_string(),
            watch(group.watch).to_owned(),
            group.account.clone(),
            words::group(&group.name).to_owned(),
        ]);
        row
    })
}

/// The columns that name an endpoint.
fn named(endpoint: &EndpointReport) -> [String; 4] {
    [
        endpoint.account.clone(),
        words::group(&endpoint.group).to_owned(),
        endpoint.id.clone(),
        words::name(&endpoint.alias, &endpoint.username).to_owned(),
    ]
}

fn worst(report: &Report) -> Table {
    let table = Table::new(
        "Worst endpoints",
        &[
            "available",
            "registered",
            "unregistered",
            "unknown",
            "account",
            "group",
            "id",
            "name",
        ],
    );
    table.with(
        report.worst_endpoints(WORST).into_iter(),
        WORST,
        |endpoint| {
            let mut row = times(&endpoint.times).to_vec();
            row.extend(named(endpoint));
            row
        },
    )
}

fn outages(report: &Report) -> Table {
    let table = Table::new(
        "Outages",
        &[
            "from",
            "until",
            "endpoints",
            "lost at the end",
            "kind",
            "account",
            "group",
        ],
    );
    // Open outages are first, then the newest ones.
    let mut outages: Vec<_> = report.outages.iter().collect();
    outages.sort_by_key(|outage| Reverse((outage.ended_at.is_none(), outage.started_at)));
    table.with(outages.into_iter(), MAX_ROWS, |outage| {
        vec![
            words::time(outage.started_at),
            outage.ended_at.map_or("open".to_owned(), words::time),
            outage.endpoints.to_string(),
            outage.lost.to_string(),
            outage_kind(outage).to_owned(),
            outage.account.clone(),
            outage
                .scope
                .clone()
                .unwrap_or_else(|| "the whole account".to_owned()),
        ]
    })
}

fn flapping(report: &Report) -> Table {
    let table = Table::new(
        "Endpoints that flapped",
        &["times", "changes", "account", "group", "id", "name"],
    );
    table.with(report.flapping().into_iter(), MAX_ROWS, |endpoint| {
        let mut row = vec![
            endpoint.times_flapping.to_string(),
            endpoint.changes.to_string(),
        ];
        row.extend(named(endpoint));
        row
    })
}

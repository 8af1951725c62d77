//! The report of availability, and how it is read from a state directory.

use std::{collections::BTreeMap, ops::AddAssign, path::Path, time::Duration};

use super::{
    known::{Known, UnknownSpan, Writer, known},
    spans::{Period, Spans},
    timeline::{GroupNames, Presence, changes, parts},
};
use crate::{
    clock::UnixMillis,
    config::{Group, GroupFields, Watch, first_match},
    duty::Duty,
    state::{Error, LogReader, LoggedAccount, LoggedEndpoint, LoggedOutage, read_log},
};

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The wanted period.
    pub period: Period,
    /// The name of the account; `None` for all accounts.
    pub account: Option<String>,
    /// Whether accounts that are not configured are left out.
    pub only_configured: bool,
    /// The present time.
    pub now: UnixMillis,
}

/// What the configuration says about an account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configured {
    /// The groups.
    pub groups: Vec<Group>,
    /// The time between two walks; `None` if it is not known.
    pub interval: Option<Duration>,
    /// Whether usernames and aliases are left out.
    pub hides_names: bool,
}

/// The times on duty of an endpoint or of several endpoints together, exact to the millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Registered.
    pub registered: Duration,
    /// Not registered.
    pub unregistered: Duration,
    /// Not known.
    pub unknown: Duration,
}

impl Times {
    /// The share of the known time in which the endpoints were registered, from 0 to 1. `None` without known time.
    pub fn availability(&self) -> Option<f64> {
        let known = self.registered + self.unregistered;
        (!known.is_zero()).then(|| self.registered.div_duration_f64(known))
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.registered += other.registered;
        self.unregistered += other.unregistered;
        self.unknown += other.unknown;
    }
}

/// The availability in a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The wanted period.
    pub wanted: Period,
    /// The part of it since the oldest event of the log. All numbers are about this part.
    pub covered: Period,
    /// The accounts, by name.
    pub accounts: Vec<AccountReport>,
    /// The groups with endpoints, by account and in the configured order. The endpoints without a group are the last group of
    /// an account, with the name "".
    pub groups: Vec<GroupReport>,
    /// The endpoints that existed in the covered period, by account and id.
    pub endpoints: Vec<EndpointReport>,
    /// The outages that overlap the covered period, in the order of their beginnings.
    pub outages: Vec<LoggedOutage>,
}

/// What the exporter saw of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReport {
    /// The name.
    pub name: String,
    /// The length of the known time.
    pub known: Duration,
    /// The unknown times, in order.
    pub unknown: Vec<UnknownSpan>,
}

impl AccountReport {
    /// The length of the unknown time.
    pub fn unknown_time(&self) -> Duration {
        self.unknown.iter().map(|span| span.period.length()).sum()
    }
}

/// The availability of the endpoints of a group, each for the time in which it belonged to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// The name of the account.
    pub account: String,
    /// The name of the group, or "".
    pub name: String,
    /// The importance of the group. `None` for the endpoints without a group.
    pub watch: Option<Watch>,
    /// The number of endpoints that belonged to the group at the end of their time in the period.
    pub endpoints: u64,
    /// The sums of the times of endpoints.
    pub times: Times,
}

/// The availability of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointReport {
    /// The name of the account.
    pub account: String,
    /// The endpoint id.
    pub id: String,
    /// The username, or "" if names are not stored.
    pub username: String,
    /// The alias, or "" if names are not stored.
    pub alias: String,
    /// The name of the group at the end of the period, or "".
    pub group: String,
    /// The importance of this group. `None` without a group.
    pub watch: Option<Watch>,
    /// The times on duty.
    pub times: Times,
    /// The number of changes of the registration.
    pub changes: u64,
    /// The number of times at which the endpoint began to flap.
    pub times_flapping: u64,
}

impl EndpointReport {
    /// Whether the endpoint counts for totals and for the worst endpoints: its group is not ignored.
    fn is_watched(&self) -> bool {
        self.watch != Some(Watch::Ignore)
    }
}

impl Report {
    /// The sums of all endpoints whose group is not ignored.
    pub fn totals(&self) -> Times {
        let mut totals = Times::default();
        let watched = self
            .groups
            .iter()
            .filter(|group| group.watch != Some(Watch::Ignore));
        watched.for_each(|group| totals += group.times);
        totals
    }

    /// The unknown times of all accounts, each with the name of its account.
    pub fn unknown_spans(&self) -> Vec<(&str, UnknownSpan)> {
        let accounts = self.accounts.iter();
        let spans = accounts.flat_map(|one| one.unknown.iter().map(|span| (&*one.name, *span)));
        spans.collect()
    }

    /// The groups, the worst first. Groups without known time are last.
    pub fn worst_groups(&self) -> Vec<&GroupReport> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|a, b| by_availability(&a.times, &b.times));
        groups
    }

    /// At most `number` endpoints that were unregistered, the worst first. Those of ignored groups are left out.
    pub fn worst_endpoints(&self, number: usize) -> Vec<&EndpointReport> {
        let is_bad = |one: &&EndpointReport| one.is_watched() && !one.times.unregistered.is_zero();
        let mut endpoints: Vec<_> = self.endpoints.iter().filter(is_bad).collect();
        endpoints.sort_by(|a, b| by_availability(&a.times, &b.times));
        endpoints.truncate(number);
        endpoints
    }

    /// The endpoints that flapped, those with the most changes first.
    pub fn flapping(&self) -> Vec<&EndpointReport> {
        let flapped = self.endpoints.iter().filter(|one| one.times_flapping > 0);
        let mut flapped: Vec<_> = flapped.collect();
        flapped.sort_by_key(|one| std::cmp::Reverse(one.changes));
        flapped
    }
}

/// The lower availability first, then the longer time without a registration. Without an availability last.
fn by_availability(a: &Times, b: &Times) -> std::cmp::Ordering {
    let share = |times: &Times| times.availability().unwrap_or(f64::INFINITY);
    let by_share = share(a).total_cmp(&share(b));
    by_share.then(b.unregistered.cmp(&a.unregistered))
}

/// Reads the report from the state database in `directory`, also while an exporter runs. `configured` has the settings of each
/// account. The endpoints of an account without an entry have no group, and count at all times.
///
/// The call reads the disk, and takes seconds for a million events.
///
/// # Errors
/// There is no database, it cannot be read, or it does not have the account.
pub fn read(
    directory: &Path,
    configured: &BTreeMap<String, Configured>,
    query: &Query,
) -> Result<Report, Error> {
    read_log(directory, |log| {
        let mut accounts = log.accounts()?;
        let newest_success = accounts.iter().filter_map(|one| one.last_success).max();
        let writer = Writer {
            is_running: log.has_writer(),
            newest_success,
            now: query.now,
        };
        accounts.retain(|one| !query.only_configured || configured.contains_key(&one.name));
        if let Some(name) = &query.account {
            accounts.retain(|account| account.name == *name);
            if accounts.is_empty() {
                return Err(log.refuse(format!("the database has no account {name}")));
            }
        }
        let wanted = query.period;
        let oldest = log.complete_since()?.unwrap_or(wanted.until);
        let from = wanted.from.max(oldest);
        let until = wanted.until;
        let covered = Period { from, until }.clip(wanted);
        let mut report = Report {
            wanted,
            covered,
            accounts: Vec::new(),
            groups: Vec::new(),
            endpoints: Vec::new(),
            outages: Vec::new(),
        };
        if covered.from < covered.until {
            report.outages = log.outages(covered.from, covered.until)?;
        }
        let is_wanted = |name: &str| accounts.iter().any(|one| one.name == name);
        report.outages.retain(|outage| is_wanted(&outage.account));
        for account in &accounts {
            let none = Configured::default();
            let configured = configured.get(&account.name).unwrap_or(&none);
            add_account(&mut report, log, (account, configured), writer)?;
        }
        Ok(report)
    })
}

fn add_account(
    report: &mut Report,
    log: &LogReader<'_>,
    (account, configured): (&LoggedAccount, &Configured),
    writer: Writer,
) -> Result<(), Error> {
    let events = log.account_events(&account.name)?;
    let seen = (writer, configured.interval);
    let known = known(account, &events, seen, report.covered);
    let mut adding = Adding::new(&account.name, &configured.groups, &known, report.covered);
    log.endpoints(&account.name, |endpoint| {
        let mut endpoint = adding.endpoint(endpoint);
        if let Some(one) = endpoint.as_mut().filter(|_| configured.hides_names) {
            (one.username, one.alias) = Default::default();
        }
        report.endpoints.extend(endpoint);
    })?;
    let used = |group: &GroupReport| group.endpoints > 0 || group.times != Times::default();
    report.groups.extend(adding.sums.into_iter().filter(used));
    report.accounts.push(AccountReport {
        name: account.name.clone(),
        known: known.spans.within(report.covered),
        unknown: known.unknown,
    });
    Ok(())
}

/// Adds the endpoints of one account.
pub(super) struct Adding<'a> {
    account: &'a str,
    groups: &'a [Group],
    names: Vec<&'a str>,
    /// The time of duty of each group, and the known part of it. The last one is for endpoints without a group.
    duty: Vec<(Spans, Spans)>,
    /// The sums of the groups, and at last those of the endpoints without a group.
    pub(super) sums: Vec<GroupReport>,
    known_since: UnixMillis,
    period: Period,
}

impl<'a> Adding<'a> {
    pub(super) fn new(
        account: &'a str,
        groups: &'a [Group],
        known: &Known,
        period: Period,
    ) -> Self {
        let always = Duty::default();
        let duties = groups.iter().map(|group| &group.duty).chain([&always]);
        let duty = duties.map(|duty| {
            let duty = Spans::of_duty(duty, period);
            let known = duty.intersect(&known.spans);
            (duty, known)
        });
        let sum = |name: &str, watch| GroupReport {
            account: account.to_owned(),
            name: name.to_owned(),
            watch,
            endpoints: 0,
            times: Times::default(),
        };
        let sums = groups
            .iter()
            .map(|group| sum(&group.name, Some(group.watch)));
        Self {
            account,
            groups,
            names: groups.iter().map(|group| &*group.name).collect(),
            duty: duty.collect(),
            sums: sums.chain([sum("", None)]).collect(),
            known_since: known.begins,
            period,
        }
    }

    /// Adds an endpoint to the sums. `None` if it did not exist in the period.
    pub(super) fn endpoint(&mut self, endpoint: LoggedEndpoint) -> Option<EndpointReport> {
        let names = GroupNames(&self.names);
        let present = self.present_group(&endpoint);
        let parts = parts(&endpoint, (names, present), self.known_since, self.period);
        let group = parts.last()?.group;
        let mut times = Times::default();
        for part in parts {
            let (duty, known) = &self.duty[part.group];
            let known = known.within(part.period);
            let mut of_part = Times {
                unknown: duty.within(part.period).saturating_sub(known),
                ..Times::default()
            };
            match part.presence {
                Presence::Registered => of_part.registered = known,
                Presence::Unregistered => of_part.unregistered = known,
                Presence::Unknown | Presence::Absent => of_part.unknown += known,
            }
            self.sums[part.group].times += of_part;
            times += of_part;
        }
        let sum = &mut self.sums[group];
        sum.endpoints += 1;
        let (changes, times_flapping) = changes(&endpoint.events, self.period);
        let (username, alias) = endpoint
            .row
            .map_or_else(Default::default, |row| (row.username, row.alias));
        Some(EndpointReport {
            account: self.account.to_owned(),
            id: endpoint.id,
            username,
            alias,
            group: sum.name.clone(),
            watch: sum.watch,
            times,
            changes,
            times_flapping,
        })
    }

    /// The group that matches the stored row. Without a row, the last one of the events, or else what matches the id alone.
    fn present_group(&self, endpoint: &LoggedEndpoint) -> usize {
        let row = endpoint.row.as_ref();
        let last = || GroupNames(&self.names).last(&endpoint.events);
        if let Some(group) = row.is_none().then(last).flatten() {
            return group;
        }
        let fields = GroupFields {
            id: &endpoint.id,
            alias: row.map_or("", |row| &row.alias),
            username: row.map_or("", |row| &row.username),
            application_id: row.and_then(|row| row.application.as_deref()).unwrap_or(""),
            sub_account: row.map_or("", |row| &row.sub_account),
        };
        first_match(self.groups, &fields).map_or(self.groups.len(), usize::from)
    }
}

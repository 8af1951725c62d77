//! The groups of all accounts, the worst first.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::Template;

use super::{
    Shell,
    query::{Query, link},
};
use crate::{
    config::Watch,
    duty::Duty,
    fleet::{Fleet, Judged, has_outage, judged},
};

/// The number of groups on a page.
const ROWS: usize = 50;

/// The page with all groups, or with those of one account.
#[derive(Template)]
#[template(path = "groups.html")]
pub(in crate::pages) struct GroupList {
    shell: Shell,
    number: usize,
    groups: Vec<GroupRow>,
    previous: Option<String>,
    next: Option<String>,
}

pub(in crate::pages) struct GroupRow {
    pub(in crate::pages) account: String,
    pub(in crate::pages) group: String,
    pub(in crate::pages) link: String,
    pub(in crate::pages) registered: u64,
    pub(in crate::pages) endpoints: u64,
    pub(in crate::pages) minimum: Option<u64>,
    pub(in crate::pages) is_below: bool,
    /// Whether the group, or its whole account, has an open outage that is not usual.
    pub(in crate::pages) has_outage: bool,
    pub(in crate::pages) missed: u64,
    pub(in crate::pages) missing_members: u64,
    pub(in crate::pages) duty: String,
    pub(in crate::pages) watch: Watch,
}

impl GroupList {
    /// The page; `None` if the query names an unknown account.
    pub(in crate::pages) fn new(fleet: &Fleet, shell: Shell, query: &str) -> Option<Self> {
        let query = Query::read(query, &["account", "from"]);
        let account = query.get("account");
        if !account.is_empty() {
            fleet.account(account)?;
        }
        let present = fleet.presents();
        let mut rows = group_rows(fleet, &judged(&present));
        rows.retain(|row| account.is_empty() || row.account == account);
        let number = rows.len();
        let (first, previous, next) = query.pages(number, ROWS);
        let groups = rows.into_iter().skip(first).take(ROWS).collect();
        Some(Self {
            shell,
            number,
            groups,
            previous,
            next,
        })
    }
}

/// The rows of the groups of all accounts: those with an outage or below their minimum first, then those with the most
/// missed endpoints.
pub(in crate::pages) fn group_rows(fleet: &Fleet, judged: &[Judged<'_>]) -> Vec<GroupRow> {
    let mut rows = Vec::new();
    for Judged { state, shown } in judged {
        let Some(snapshot) = fleet.snapshot(state) else {
            continue;
        };
        let groups = &state.shown.groups;
        if groups.is_empty() {
            continue;
        }
        let mut missed: BTreeMap<&str, u64> = BTreeMap::new();
        for (one, _) in &shown.missed {
            *missed.entry(&one.present_group).or_default() += 1;
        }
        let counts = snapshot.group_counts(groups);
        for (group, counts) in groups.iter().zip(&counts.groups) {
            let is_below = shown
                .below_minimum
                .iter()
                .any(|(one, ..)| *one.group == *group.name);
            let has_outage = has_outage(shown, &group.name);
            let parameters = [("account", &*state.account), ("group", &*group.name)];
            rows.push(GroupRow {
                account: state.account.to_string(),
                group: group.name.clone(),
                link: link("endpoints", &parameters),
                registered: counts.endpoints.registered,
                endpoints: counts.endpoints.total(),
                minimum: counts.min_registered,
                is_below,
                has_outage,
                missed: missed.get(&*group.name).copied().unwrap_or(0),
                missing_members: counts.missing_members.unwrap_or(0),
                duty: duty(fleet, &group.duty),
                watch: group.watch,
            });
        }
    }
    rows.sort_by_key(|row| {
        (
            !(row.has_outage || row.is_below),
            Reverse(row.missed),
            row.watch as usize,
        )
    });
    rows
}

/// Whether a group is on duty, and until when.
fn duty(fleet: &Fleet, duty: &Duty) -> String {
    let is_on = if duty.is_on(fleet.now) { "yes" } else { "no" };
    if !duty.is_limited() {
        return is_on.to_owned();
    }
    format!("{is_on} until {}", fleet.time(duty.until(fleet.now)).clock)
}

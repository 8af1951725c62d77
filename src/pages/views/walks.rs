//! The last walks of each account.

use std::sync::Arc;

use askama::Template;

use super::{
    Shell,
    events::Events,
    overview::{AccountRow, account_rows},
    query::Query,
    text::{Time, counted, duration},
    words::with_status,
};
use crate::{
    fleet::Fleet,
    snapshot::{AccountState, PublishedWalk, WalkRecord, WalkResult},
};

const PARAMETERS: [&str; 2] = ["account", "from"];
/// The number of accounts on a page.
const ACCOUNTS: usize = 50;

/// The page with all accounts, or with the walks of one account.
#[derive(Template)]
#[template(path = "walks.html")]
pub(in crate::pages) struct Walks {
    shell: Shell,
    accounts: Vec<AccountRow>,
    previous: Option<String>,
    next: Option<String>,
    /// The walks of one account; `None` if several accounts are shown.
    account: Option<AccountWalks>,
}

struct AccountWalks {
    name: String,
    /// The last walks, newest first.
    recent: Vec<WalkRow>,
    /// Failed walks before them, newest first.
    failures: Vec<WalkRow>,
    events: Events,
}

struct WalkRow {
    started: Time,
    took: String,
    pages: u64,
    retries: u64,
    is_good: bool,
    result: String,
    /// The text of the error, or what has changed.
    detail: String,
}

impl Walks {
    /// The page; `None` if the query names an unknown account.
    pub(in crate::pages) fn new(
        fleet: &Fleet,
        shell: Shell,
        query: &str,
        events: Events,
    ) -> Option<Self> {
        let query = Query::read(query, &PARAMETERS);
        let (mut accounts, ..) = account_rows(fleet);
        let name = account_of(&query, &fleet.states);
        let (mut account, mut previous, mut next) = (None, None, None);
        if name.is_empty() {
            let first;
            (first, previous, next) = query.pages(accounts.len(), ACCOUNTS);
            accounts = accounts.into_iter().skip(first).take(ACCOUNTS).collect();
        } else {
            let walks = &fleet.account(name)?.walks;
            accounts.retain(|row| row.name == name);
            account = Some(AccountWalks {
                name: name.to_owned(),
                recent: walks.recent().rev().map(|walk| row(fleet, walk)).collect(),
                failures: walks
                    .failures()
                    .rev()
                    .map(|walk| row(fleet, walk))
                    .collect(),
                events,
            });
        }
        Some(Self {
            shell,
            accounts,
            previous,
            next,
            account,
        })
    }
}

/// The account of the page: the one that the query names, or the only one. "" for all.
pub(in crate::pages) fn wanted_account(query: &str, states: &[Arc<AccountState>]) -> String {
    account_of(&Query::read(query, &PARAMETERS), states).to_owned()
}

fn account_of<'a>(query: &'a Query, states: &'a [Arc<AccountState>]) -> &'a str {
    match (query.get("account"), states) {
        ("", [only]) => &only.account,
        (name, _) => name,
    }
}

fn row(fleet: &Fleet, walk: &WalkRecord) -> WalkRow {
    let (result, detail) = result(&walk.result);
    WalkRow {
        started: fleet.time(walk.started_at),
        took: if walk.duration.as_secs() < 60 {
            format!("{:.1} s", walk.duration.as_secs_f64())
        } else {
            duration(walk.duration)
        },
        pages: walk.pages,
        retries: walk.retries,
        is_good: !walk.is_failure(),
        result,
        detail,
    }
}

/// How a walk ended, and the text of the error or what has changed.
fn result(result: &WalkResult) -> (String, String) {
    match result {
        WalkResult::Published(walk) => published(walk),
        WalkResult::Unconfirmed {
            endpoints_before,
            removed,
            registration_changed,
        } => {
            let detail = format!(
                "of {}, {removed} are gone and {registration_changed} changed their registration",
                counted(*endpoints_before, "endpoint")
            );
            ("waits for a second walk that agrees".to_owned(), detail)
        }
        WalkResult::Failed {
            reason,
            status,
            detail,
        } => {
            let result = format!("failed ({reason}): {}", with_status(reason, *status));
            (result, detail.to_string())
        }
    }
}

fn published(walk: &PublishedWalk) -> (String, String) {
    let end = if walk.missing > 0 { ", incomplete" } else { "" };
    let result = format!(
        "published{end}: {} of {} registered",
        walk.registered,
        counted(walk.endpoints, "endpoint")
    );
    let numbers = [
        (walk.missing, "not found"),
        (walk.retained, "retained"),
        (walk.rejected_rows, "rows unreadable"),
        (walk.lost, "lost"),
        (walk.gained, "registered"),
        (walk.added, "added"),
        (walk.removed, "removed"),
        (walk.application, "with another application"),
    ];
    let numbers = numbers.into_iter().filter(|(number, _)| *number > 0);
    let texts: Vec<_> = numbers
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    (result, texts.join(", "))
}

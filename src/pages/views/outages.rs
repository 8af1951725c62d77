//! Open and past outages, and the members of one outage.

use askama::Template;

use super::{
    Shell,
    overview::{OutageRow, outage_row, outage_rows},
    query::{Query, link, segment},
    text::Time,
};
use crate::{
    clock::UnixMillis,
    fleet::{Fleet, judged, name, username},
    judgement::Outage,
    snapshot::AccountState,
    state::{PastMember, PastOutage},
};

/// The number of past outages, or of members of an outage, on a page.
pub(in crate::pages) const ROWS: usize = 50;

/// The most open outages on the page. With more, a link limits the page to one account.
const MOST_OPEN: usize = 100;

/// The parameters of the page.
const PARAMETERS: [&str; 4] = ["account", "group", "opened", "from"];

/// What the query of the page asks for.
pub(in crate::pages) struct Wanted {
    query: Query,
}

/// The outage that a query names.
pub(in crate::pages) struct Key<'a> {
    pub(in crate::pages) account: &'a str,
    /// "" for an outage of the whole account.
    pub(in crate::pages) group: &'a str,
    pub(in crate::pages) opened_at: UnixMillis,
}

impl Wanted {
    pub(in crate::pages) fn new(query: &str) -> Self {
        Self {
            query: Query::read(query, &PARAMETERS),
        }
    }

    /// The account to which the page is limited, or "".
    pub(in crate::pages) fn account(&self) -> &str {
        self.query.get("account")
    }

    /// The named outage; `None` for the list of outages.
    pub(in crate::pages) fn outage(&self) -> Option<Key<'_>> {
        let opened_at = UnixMillis(self.query.get("opened").parse().ok()?);
        let (account, group) = (self.account(), self.query.get("group"));
        Some(Key {
            account,
            group,
            opened_at,
        })
    }

    /// The first row of the page.
    pub(in crate::pages) fn first(&self) -> usize {
        self.query.number("from") / ROWS * ROWS
    }

    /// As [`Query::pages`].
    fn pages(&self, number: usize) -> (usize, Option<String>, Option<String>) {
        self.query.pages(number, ROWS)
    }
}

/// Why past outages are not shown.
pub(in crate::pages) enum Past<T> {
    /// There is no state directory.
    NotKept,
    /// The database could not be read.
    Failed(String),
    Found(T),
}

/// The page with all outages.
#[derive(Template)]
#[template(path = "outages.html")]
pub(in crate::pages) struct OutageList {
    shell: Shell,
    open: Vec<OutageRow>,
    more_open: usize,
    /// The number of accounts without current data.
    without_data: usize,
    past: Past<Vec<PastRow>>,
    /// Whether the query asks for rows behind the last one.
    is_behind_end: bool,
    previous: Option<String>,
    next: Option<String>,
}

struct PastRow {
    account: String,
    group: String,
    link: String,
    started: Time,
    ended: Time,
    took: String,
    endpoints: u64,
    lost_at_end: u64,
    is_major: bool,
    is_usual: bool,
}

impl OutageList {
    /// The page. `past` has up to one outage more than a page has rows.
    pub(in crate::pages) fn new(
        fleet: &Fleet,
        shell: Shell,
        wanted: &Wanted,
        past: Past<Vec<PastOutage>>,
    ) -> Self {
        let account = wanted.account();
        let mut present = fleet.presents();
        present.retain(|(state, _)| account.is_empty() || account == &*state.account);
        let without_data = present
            .iter()
            .filter(|(state, _)| fleet.snapshot(state).is_none());
        let without_data = without_data.count();
        let mut open = outage_rows(fleet, &judged(&present));
        let more_open = open.len().saturating_sub(MOST_OPEN);
        open.truncate(MOST_OPEN);
        let first = wanted.first();
        // The number of past outages is not known, but whether there is one more than the page shows.
        let known = matches!(&past, Past::Found(found) if !found.is_empty());
        let number = match &past {
            Past::Found(found) if known => first + found.len(),
            _ => 0,
        };
        let (_, previous, next) = wanted.pages(number);
        let past = past.map(|found| {
            let rows = found.iter().take(ROWS);
            rows.map(|one| past_row(fleet, one)).collect()
        });
        Self {
            shell,
            open,
            more_open,
            without_data,
            past,
            is_behind_end: !known && first > 0,
            previous,
            next,
        }
    }
}

impl<T> Past<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Past<U> {
        match self {
            Self::NotKept => Past::NotKept,
            Self::Failed(error) => Past::Failed(error),
            Self::Found(found) => Past::Found(change(found)),
        }
    }
}

fn past_row(fleet: &Fleet, past: &PastOutage) -> PastRow {
    let opened = past.opened_at.0.to_string();
    let group = past.scope.clone().unwrap_or_default();
    let parameters = [
        ("account", &*past.account),
        ("group", &group),
        ("opened", &opened),
    ];
    PastRow {
        link: link("outages", &parameters),
        account: past.account.clone(),
        started: fleet.time(past.started_at),
        ended: fleet.time(past.ended_at),
        took: super::text::duration(past.ended_at.since(past.started_at)),
        endpoints: past.endpoints,
        lost_at_end: past.lost_at_end,
        is_major: past.is_major,
        is_usual: past.is_usual,
        group,
    }
}

/// The page of one outage.
#[derive(Template)]
#[template(path = "outage.html")]
pub(in crate::pages) struct OutagePage {
    shell: Shell,
    account: String,
    group: String,
    started: Time,
    opened: Time,
    /// `None` while the outage is open.
    ended: Option<Time>,
    is_major: bool,
    is_usual: bool,
    endpoints: u64,
    lost: u64,
    user_agents: String,
    /// The link to the unregistered endpoints of the group or the account, below the root.
    list: String,
    /// `None` if pages show no endpoints.
    members: Option<Vec<MemberRow>>,
    previous: Option<String>,
    next: Option<String>,
}

struct MemberRow {
    name: String,
    link: String,
    username: String,
    group: String,
    is_lost: bool,
}

impl OutagePage {
    /// The page of an open outage.
    pub(in crate::pages) fn open(
        fleet: &Fleet,
        shell: Shell,
        (state, outage): (&AccountState, &Outage),
        (wanted, with_endpoints): (&Wanted, bool),
    ) -> Self {
        let row = outage_row(fleet, state, outage);
        let (first, previous, next) = wanted.pages(outage.members.len());
        let members = outage.members.iter().skip(first).take(ROWS);
        let members = members.map(|one| member(state, &one.id, &one.group, one.is_lost));
        Self {
            shell,
            list: unregistered(&row.account, &row.group),
            account: row.account,
            group: row.group,
            started: row.since,
            opened: fleet.time(outage.opened_at),
            ended: None,
            is_major: row.is_major,
            is_usual: row.is_usual,
            endpoints: outage.members.len() as u64,
            lost: row.lost,
            user_agents: row.user_agents,
            members: with_endpoints.then(|| members.collect()),
            previous,
            next,
        }
    }

    /// The page of a past outage, with the members from the first row of the page on.
    pub(in crate::pages) fn past(
        fleet: &Fleet,
        shell: Shell,
        (past, members): (&PastOutage, &[PastMember]),
        (wanted, with_endpoints): (&Wanted, bool),
    ) -> Self {
        let number = usize::try_from(past.endpoints).unwrap_or(usize::MAX);
        let (_, previous, next) = wanted.pages(number);
        let state = fleet.account(&past.account);
        let members = members.iter().take(ROWS).filter_map(|one| {
            Some(member(
                state?,
                &one.endpoint_id,
                &one.group,
                one.was_lost_at_end,
            ))
        });
        Self {
            shell,
            list: unregistered(&past.account, past.scope.as_deref().unwrap_or("")),
            account: past.account.clone(),
            group: past.scope.clone().unwrap_or_default(),
            started: fleet.time(past.started_at),
            opened: fleet.time(past.opened_at),
            ended: Some(fleet.time(past.ended_at)),
            is_major: past.is_major,
            is_usual: past.is_usual,
            endpoints: past.endpoints,
            lost: past.lost_at_end,
            user_agents: String::new(),
            members: with_endpoints.then(|| members.collect()),
            previous,
            next,
        }
    }
}

fn unregistered(account: &str, group: &str) -> String {
    let parameters = [
        ("account", account),
        ("group", group),
        ("registration", "unregistered"),
    ];
    link("endpoints", &parameters)
}

fn member(state: &AccountState, id: &str, group: &str, is_lost: bool) -> MemberRow {
    let endpoint = state.snapshot.as_deref().and_then(|one| one.endpoint(id));
    MemberRow {
        name: endpoint.as_ref().map_or(id, name).to_owned(),
        link: format!("endpoints/{}/{}", segment(&state.account), segment(id)),
        username: endpoint
            .map_or("", |endpoint| username(state, &endpoint))
            .to_owned(),
        group: group.to_owned(),
        is_lost,
    }
}

//! The list of endpoints: search, filters, order and pages of fifty rows. Every view is a link.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use askama::Template;

use super::{
    Shell,
    query::{Query, segment},
    text::Time,
};
use crate::{
    clock::UnixMillis,
    config::Watch,
    fleet::{
        EndpointFilter, Fleet, NONE, Selected, application_name, name, registration, username,
    },
    snapshot::{AccountState, EndpointView},
    telemetry::labels::REGISTRATIONS,
};

/// The parameters of the page, in the order of its links.
const PARAMETERS: [&str; 11] = [
    "q",
    "account",
    "group",
    "watch",
    "registration",
    "missed",
    "application",
    "sub_account",
    "sort",
    "order",
    "from",
];
const ROWS: usize = 50;
/// A list of choices has at most this many values. With more, the page shows a text field instead.
const MOST_CHOICES: usize = 200;
/// The values of a list of choices have at most this many bytes.
const MOST_BYTES: usize = 8_000;

/// The page with the list of endpoints.
#[derive(Template)]
#[template(path = "endpoints.html")]
pub(in crate::pages) struct Endpoints {
    shell: Shell,
    query: Query,
    found: usize,
    total: usize,
    /// What the list lacks.
    notes: Vec<String>,
    filters: Vec<Filter>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    first: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// A filter with its values. Without values, it is a text field.
struct Filter {
    name: &'static str,
    label: &'static str,
    value: String,
    /// The values, each with the text that a person sees.
    choices: Vec<(String, String)>,
}

/// The head of a column that sorts the rows.
struct Column {
    label: &'static str,
    link: String,
    /// The value of `aria-sort`.
    sorted: &'static str,
}

struct Row {
    name: String,
    link: String,
    username: String,
    account: String,
    group: String,
    watch: &'static str,
    registration: &'static str,
    since: Time,
    is_missed: bool,
    /// Whether nothing is known of the time before.
    is_first: bool,
    expiry: Option<Time>,
    application: String,
    sub_account: String,
}

/// A number above each time in milliseconds since the Unix epoch, and small enough to be added a few times.
const AFTER_ALL_TIMES: i64 = 1 << 60;

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Alias,
    Username,
    Group,
    Registration,
    Expiry,
}

impl Sort {
    /// The columns with their parameter `sort`. The page begins with the first one.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Alias, "alias", "Endpoint"),
        (Self::Username, "username", "Username"),
        (Self::Group, "group", "Group"),
        (Self::Registration, "registration", "Registration"),
        (Self::Expiry, "expiry", "Expires"),
    ];
}

/// An endpoint that the filters leave. It is small, because there may be 100,000 of them.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// The position of the account in the configuration.
    account: u32,
    /// The position of the endpoint in the snapshot of the account.
    number: u32,
    missed_since: Option<UnixMillis>,
    key: Key<'a>,
}

/// The place of an endpoint in the order: a number or a text.
#[derive(Clone, Copy)]
struct Key<'a> {
    number: i64,
    text: &'a str,
}

impl Sort {
    /// Whether the order is that of texts.
    fn is_text(self) -> bool {
        matches!(self, Self::Alias | Self::Username)
    }

    /// The key of an endpoint.
    fn key<'a>(
        self,
        state: &'a AccountState,
        endpoint: &EndpointView<'a>,
        missed_since: Option<UnixMillis>,
        ranks: &Ranks,
    ) -> Key<'a> {
        let (number, text) = match self {
            Self::Alias => (0, name(endpoint)),
            Self::Username => (0, username(state, endpoint)),
            Self::Group => (ranks.of(endpoint.group), ""),
            // Missed endpoints are first, and those that have been lost for the longest time.
            Self::Registration => {
                let is_registered = endpoint.registered == Some(true);
                let rank = 2 * i64::from(missed_since.is_none()) + i64::from(is_registered);
                let since = missed_since.unwrap_or(endpoint.history.since).0;
                (rank * AFTER_ALL_TIMES + since, "")
            }
            Self::Expiry => (endpoint.expires_at.map_or(AFTER_ALL_TIMES, |at| at.0), ""),
        };
        Key { number, text }
    }
}

impl Endpoints {
    pub(in crate::pages) fn new(fleet: &Fleet, shell: Shell, query: &str) -> Self {
        let query = Query::read(query, &PARAMETERS);
        let (filter, sort) = (filter(&query), sort(&query));
        let (mut found, mut total, mut notes) = (Vec::new(), 0, Vec::new());
        let places = group_places(fleet);
        for (account, state) in (0..).zip(&fleet.states) {
            if !filter.is_account(state) {
                continue;
            }
            let Some(snapshot) = fleet.snapshot(state) else {
                notes.extend(fleet.hidden(state));
                continue;
            };
            total += snapshot.len();
            let ranks = Ranks::new(&places, state);
            let selected = filter.select(fleet, state, (snapshot, 0), move |one| {
                Found::new(sort, (account, state), one, &ranks)
            });
            found.extend(selected);
        }
        let all = found.len();
        let (first, previous, next) = query.pages(all, ROWS);
        let found = sorted(&found, (sort, &query), first);
        Self {
            shell,
            found: all,
            total,
            notes,
            filters: filters(fleet, &query),
            columns: columns(&query),
            rows: found.iter().filter_map(|one| row(fleet, one)).collect(),
            first,
            previous,
            next,
            query,
        }
    }
}

impl<'a> Found<'a> {
    fn new(
        sort: Sort,
        (account, state): (u32, &'a AccountState),
        one: &Selected<'a>,
        ranks: &Ranks,
    ) -> Self {
        Self {
            account,
            number: one.number,
            missed_since: one.missed_since,
            key: sort.key(state, &one.endpoint, one.missed_since, ranks),
        }
    }
}

/// The places of all groups in the order of their names, from 1.
fn group_places(fleet: &Fleet) -> HashMap<&str, i64> {
    let groups = fleet.states.iter().flat_map(|state| &state.shown.groups);
    let names: BTreeSet<_> = groups.map(|group| &*group.name).collect();
    names.into_iter().zip(1..).collect()
}

/// The places of the groups of an account in the order of all names. A comparison of numbers takes less time than one of
/// equal names, and many endpoints have the same group.
struct Ranks(Vec<i64>);

impl Ranks {
    fn new(places: &HashMap<&str, i64>, state: &AccountState) -> Self {
        let groups = state.shown.groups.iter();
        Self(
            groups
                .map(|group| places.get(&*group.name).copied().unwrap_or(0))
                .collect(),
        )
    }

    /// The place of a group; 0 for no group.
    fn of(&self, group: Option<u16>) -> i64 {
        let place = group.and_then(|at| self.0.get(usize::from(at)));
        place.copied().unwrap_or(0)
    }
}

/// The filter of the query.
fn filter(query: &Query) -> EndpointFilter {
    let text = |name| query.get(name).to_owned();
    let watch = query.get("watch");
    EndpointFilter {
        account: text("account"),
        group: text("group"),
        watch: Watch::ALL.into_iter().find(|one| one.label() == watch),
        registration: text("registration"),
        application: text("application"),
        sub_account: text("sub_account"),
        missed: (query.get("missed") == "yes").then_some(true),
        text: query.get("q").trim().to_lowercase(),
    }
}

/// The order of the query.
fn sort(query: &Query) -> Sort {
    let sort = Sort::ALL.iter();
    let mut sort = sort.filter(|(_, name, _)| *name == query.get("sort"));
    sort.next().map_or(Sort::Alias, |(sort, ..)| *sort)
}

/// The rows of a page from the row `first`, in the order of the query.
fn sorted<'a>(found: &[Found<'a>], (sort, query): (Sort, &Query), first: usize) -> Vec<Found<'a>> {
    let is_reversed = query.get("order") == "desc";
    let keys = found.iter().map(|one| one.key).zip(0_u32..);
    // The positions are in the order of accounts and ids, so every view is the same each time.
    let page = match (sort.is_text(), is_reversed) {
        (true, false) => chosen(keys.map(|(key, at)| (key.text, at)), first),
        (true, true) => chosen(keys.map(|(key, at)| (Reverse(key.text), at)), first),
        (false, false) => chosen(keys.map(|(key, at)| (key.number, at)), first),
        (false, true) => chosen(keys.map(|(key, at)| (-key.number, at)), first),
    };
    let page = page.into_iter().filter_map(|at| usize::try_from(at).ok());
    page.filter_map(|at| found.get(at).copied()).collect()
}

/// The positions of the rows of a page from the row `first`, in the order of the keys, then of the positions. Only the rows
/// of this page need an order.
fn chosen<K: Ord>(keys: impl Iterator<Item = (K, u32)>, first: usize) -> Vec<u32> {
    let mut keys: Vec<_> = keys.collect();
    let end = (first + ROWS).min(keys.len());
    if end < keys.len() {
        keys.select_nth_unstable(end);
        keys.truncate(end);
    }
    if 0 < first && first < keys.len() {
        keys.select_nth_unstable(first);
    }
    let mut page = keys.split_off(first.min(keys.len()));
    page.sort_unstable();
    page.into_iter().map(|(_, at)| at).collect()
}

fn row(fleet: &Fleet, found: &Found<'_>) -> Option<Row> {
    let state = fleet.states.get(usize::try_from(found.account).ok()?)?;
    let missed_since = found.missed_since;
    let snapshot = state.snapshot.as_deref()?;
    let listed = snapshot.at(found.number)?;
    let endpoint = snapshot.endpoint_with(listed.id, &state.details)?;
    let group = endpoint
        .group
        .and_then(|at| state.shown.groups.get(usize::from(at)));
    let application = endpoint.application.unwrap_or("");
    Some(Row {
        name: name(&endpoint).to_owned(),
        link: format!(
            "endpoints/{}/{}",
            segment(&state.account),
            segment(endpoint.id)
        ),
        username: username(state, &endpoint).to_owned(),
        account: state.account.to_string(),
        group: group.map_or(String::new(), |group| group.name.clone()),
        watch: group.map_or(Watch::Notice, |group| group.watch).label(),
        registration: registration(&endpoint),
        since: fleet.time(missed_since.unwrap_or(endpoint.history.since)),
        is_missed: missed_since.is_some(),
        is_first: missed_since.is_none() && endpoint.history.since == endpoint.history.first_seen,
        expiry: endpoint.expires_at.map(|at| fleet.time(at)),
        application: application_name(state, application)
            .unwrap_or(application)
            .to_owned(),
        sub_account: endpoint.sub_account.to_owned(),
    })
}

fn columns(query: &Query) -> Vec<Column> {
    let present = match query.get("sort") {
        "" => "alias",
        sort => sort,
    };
    let is_reversed = query.get("order") == "desc";
    let column = |(_, name, label): &(Sort, &'static str, &'static str)| {
        let is_present = *name == present;
        let mut link = Query::read(&query.text()[1..], &PARAMETERS);
        let order = if is_present && !is_reversed {
            "desc"
        } else {
            ""
        };
        link.set("sort", name);
        link.set("order", order);
        link.set("from", "");
        Column {
            label,
            link: link.text(),
            sorted: match (is_present, is_reversed) {
                (false, _) => "none",
                (true, false) => "ascending",
                (true, true) => "descending",
            },
        }
    };
    Sort::ALL.iter().map(column).collect()
}

fn filters(fleet: &Fleet, query: &Query) -> Vec<Filter> {
    let account = query.get("account");
    let states = || {
        let states = fleet.states.iter();
        states.filter(move |state| account.is_empty() || account == &*state.account)
    };
    let mut values = [const { BTreeSet::new() }; 3];
    let [groups, applications, sub_accounts] = &mut values;
    for state in states() {
        groups.extend(state.shown.groups.iter().map(|group| &*group.name));
        if let Some(snapshot) = fleet.snapshot(state) {
            let [of_applications, of_sub_accounts] = snapshot.applications_and_sub_accounts();
            applications.extend(of_applications);
            sub_accounts.extend(of_sub_accounts);
        }
    }
    let application = |id: &str| {
        let names = states().filter_map(|state| application_name(state, id));
        names.map(str::to_owned).next().unwrap_or(id.to_owned())
    };
    let accounts: Vec<_> = fleet.states.iter().map(|state| &*state.account).collect();
    let [groups, applications, sub_accounts] = values.map(|values| {
        let values = values.into_iter().filter(|value| !value.is_empty());
        [NONE].into_iter().chain(values).collect::<Vec<_>>()
    });
    let all = [
        ("account", "Account", accounts),
        ("group", "Group", groups),
        ("watch", "Watch", Watch::LABELS.to_vec()),
        ("registration", "Registration", REGISTRATIONS.to_vec()),
        ("application", "Application", applications),
        ("sub_account", "Sub-account", sub_accounts),
    ];
    let filter = |(name, label, values): (&'static str, &'static str, Vec<&str>)| {
        let is_short = values.iter().map(|value| value.len()).sum::<usize>() <= MOST_BYTES;
        let is_list = is_short && values.len() <= MOST_CHOICES;
        let text = |value: &str| match name {
            "application" => application(value),
            _ => value.to_owned(),
        };
        let wanted = query.get(name);
        // A value that no endpoint has stays visible.
        let unknown = !wanted.is_empty() && !values.contains(&wanted);
        let choices = values.into_iter().chain(unknown.then_some(wanted));
        let choices = choices.filter(|_| is_list);
        Filter {
            name,
            label,
            value: query.get(name).to_owned(),
            choices: choices
                .map(|value| (value.to_owned(), text(value)))
                .collect(),
        }
    };
    all.into_iter().map(filter).collect()
}

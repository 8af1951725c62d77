//! The list of endpoints: search, filters, order and pages of fifty rows. Every view is a link.

use std::collections::BTreeSet;

use askama::Template;

use super::{
    Shell,
    fleet::{Fleet, application_name, group_name},
    query::{Query, segment},
    text::Time,
};
use crate::{
    clock::UnixMillis,
    config::Watch,
    snapshot::{AccountState, EndpointView, Snapshot},
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
/// The value of `group`, `application` and `sub_account` for endpoints without one.
const NONE: &str = "(none)";

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

/// The order of an endpoint: a rank, then a time, then a text. Not all of them are used for each order.
type Key<'a> = (u8, i64, &'a str);

impl Sort {
    /// The key of an endpoint.
    fn key<'a>(
        self,
        state: &'a AccountState,
        endpoint: &EndpointView<'a>,
        missed_since: Option<UnixMillis>,
    ) -> Key<'a> {
        match self {
            Self::Alias => (0, 0, name(endpoint)),
            Self::Username => (0, 0, username(state, endpoint)),
            Self::Group => (0, 0, group_name(state, endpoint.group)),
            // Missed endpoints are first, and those that have been lost for the longest time.
            Self::Registration => {
                let is_registered = endpoint.registered == Some(true);
                let rank = 2 * u8::from(missed_since.is_none()) + u8::from(is_registered);
                (rank, missed_since.unwrap_or(endpoint.history.since).0, "")
            }
            Self::Expiry => match endpoint.expires_at {
                Some(at) => (0, at.0, ""),
                None => (1, 0, ""),
            },
        }
    }
}

impl Endpoints {
    pub(in crate::pages) fn new(fleet: &Fleet, shell: Shell, query: &str) -> Self {
        let query = Query::read(query, &PARAMETERS);
        let wanted = Wanted::new(&query);
        let (mut found, mut total, mut notes) = (Vec::new(), 0, Vec::new());
        for (account, state) in (0..).zip(&fleet.states) {
            if !wanted.is_account(state) {
                continue;
            }
            let Some(snapshot) = fleet.snapshot(state) else {
                notes.push(hidden(state));
                continue;
            };
            total += snapshot.len();
            wanted.collect(fleet, (account, state), snapshot, &mut found);
        }
        let all = found.len();
        let (first, previous, next) = query.pages(all, ROWS);
        let found = sorted(found, &query, first);
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

/// Why the endpoints of an account are not in the list.
fn hidden(state: &AccountState) -> String {
    let reason = if state.snapshot.is_some() {
        "its data is too old"
    } else {
        "no walk has been published"
    };
    format!(
        "The endpoints of the account {} are not shown: {reason}.",
        state.account
    )
}

/// The filters of the query.
struct Wanted<'q> {
    query: &'q Query,
    /// The text of the search, in lower case.
    text: String,
    watch: Option<Watch>,
    only_missed: bool,
    sort: Sort,
}

impl<'q> Wanted<'q> {
    fn new(query: &'q Query) -> Self {
        let watch = query.get("watch");
        let sort = Sort::ALL.iter();
        let mut sort = sort.filter(|(_, name, _)| *name == query.get("sort"));
        Self {
            sort: sort.next().map_or(Sort::Alias, |(sort, ..)| *sort),
            query,
            text: query.get("q").trim().to_lowercase(),
            watch: Watch::ALL.into_iter().find(|one| one.label() == watch),
            only_missed: query.get("missed") == "yes",
        }
    }

    fn is_account(&self, state: &AccountState) -> bool {
        let name = self.query.get("account");
        name.is_empty() || name == &*state.account
    }

    /// Adds the endpoints of an account that all filters leave.
    fn collect<'a>(
        &self,
        fleet: &Fleet,
        (account, state): (u32, &'a AccountState),
        snapshot: &'a Snapshot,
        found: &mut Vec<Found<'a>>,
    ) {
        let present = fleet.present(state);
        // The missed endpoints and those of the snapshot are sorted by id, so one pass over both finds all pairs.
        let mut missed = state
            .judgements
            .shown(&present)
            .missed
            .into_iter()
            .peekable();
        let group = self.group(state);
        let watches: Vec<_> = state.shown.groups.iter().map(|group| group.watch).collect();
        let fields =
            ["registration", "application", "sub_account"].map(|name| self.query.get(name));
        for (number, endpoint) in (0..).zip(snapshot.endpoints_with(&state.details)) {
            while missed.next_if(|(one, _)| *one.id < *endpoint.id).is_some() {}
            let missed_since = missed.next_if(|(one, _)| *one.id == *endpoint.id);
            let missed_since = missed_since.map(|(_, since)| since);
            let index = endpoint.group.map_or(watches.len(), usize::from);
            let watch = watches.get(index).copied();
            let is_found = group.is_none_or(|group| group == index)
                && (self.watch).is_none_or(|wanted| wanted == watch.unwrap_or(Watch::Notice))
                && (!self.only_missed || missed_since.is_some())
                && has_fields(fields, &endpoint)
                && self.has_text(state, &endpoint);
            if is_found {
                found.push(Found {
                    account,
                    number,
                    missed_since,
                    key: self.sort.key(state, &endpoint, missed_since),
                });
            }
        }
    }

    /// The index of the group that the query names, if it names one. The number of groups is for endpoints without a group.
    fn group(&self, state: &AccountState) -> Option<usize> {
        let groups = &state.shown.groups;
        match self.query.get("group") {
            "" => None,
            NONE => Some(groups.len()),
            // No endpoint has the last possible index.
            name => Some(
                groups
                    .iter()
                    .position(|one| one.name == name)
                    .unwrap_or(usize::MAX),
            ),
        }
    }

    /// Whether the id, the alias or the username contains the text of the search.
    fn has_text(&self, state: &AccountState, endpoint: &EndpointView<'_>) -> bool {
        let contains = |text: &str| contains(text, &self.text);
        self.text.is_empty()
            || contains(endpoint.alias)
            || contains(endpoint.id)
            || (state.shown.username && contains(endpoint.username))
    }
}

/// Whether an endpoint has this registration, application and sub-account. Empty texts are no filter.
fn has_fields(fields: [&str; 3], endpoint: &EndpointView<'_>) -> bool {
    let [wanted_registration, application, sub_account] = fields;
    let has = |wanted: &str, value: &str| {
        wanted.is_empty() || wanted == if value.is_empty() { NONE } else { value }
    };
    has(wanted_registration, registration(endpoint))
        && has(application, endpoint.application.unwrap_or(""))
        && has(sub_account, endpoint.sub_account)
}

/// Whether `text` contains `part`, which is in lower case.
fn contains(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    let windows = text.as_bytes().windows(part.len());
    windows
        .into_iter()
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// The value of the `registration` label.
pub(in crate::pages) fn registration(endpoint: &EndpointView<'_>) -> &'static str {
    let [registered, unregistered, unknown] = REGISTRATIONS;
    match endpoint.registered {
        Some(true) => registered,
        Some(false) => unregistered,
        None => unknown,
    }
}

/// The rows of a page from the row `first`, in the order of the query.
fn sorted<'a>(mut found: Vec<Found<'a>>, query: &Query, first: usize) -> Vec<Found<'a>> {
    let is_reversed = query.get("order") == "desc";
    let compare = |a: &Found<'_>, b: &Found<'_>| {
        let order = a.key.cmp(&b.key);
        let order = if is_reversed { order.reverse() } else { order };
        // The order of the accounts and of the ids makes every view the same each time.
        order.then_with(|| (a.account, a.number).cmp(&(b.account, b.number)))
    };
    let end = (first + ROWS).min(found.len());
    // Only the rows of this page need an order.
    if end < found.len() {
        found.select_nth_unstable_by(end, compare);
        found.truncate(end);
    }
    if first > 0 {
        found.select_nth_unstable_by(first, compare);
    }
    let mut page = found.split_off(first.min(found.len()));
    page.sort_unstable_by(compare);
    page
}

/// The username, or "" if the account hides usernames.
pub(in crate::pages) fn username<'a>(state: &AccountState, endpoint: &EndpointView<'a>) -> &'a str {
    if state.shown.username {
        endpoint.username
    } else {
        ""
    }
}

/// The alias, or else the id.
pub(in crate::pages) fn name<'a>(endpoint: &EndpointView<'a>) -> &'a str {
    if endpoint.alias.is_empty() {
        endpoint.id
    } else {
        endpoint.alias
    }
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

//! Reads what a page needs from the state database, and renders the page.

use std::sync::Arc;

use askama::Template;

use super::{
    Page, PageRequest, PageResponse, Settings, Shell,
    reports::{Made, Reports},
    views::{
        EVENTS, EndpointPage, Endpoints, Events, GroupList, OUTAGE_ROWS, OutageList, OutagePage,
        Overview, Past, ReportPage, Walks, WantedOutages, wanted_account, wanted_report,
    },
};
use crate::{
    clock::UnixMillis,
    fleet::Fleet,
    snapshot::AccountState,
    state::{Error, OutageQuery, PastEvent, PastMember, PastOutage, PastReader, ScopeFilter},
};

const LATE: &str = "the report is not made yet; try again\n";
const UNKNOWN_ENDPOINT: &str = "no account with this name lists an endpoint with this id";
const UNKNOWN_ACCOUNT: &str = "no account has this name";
const UNKNOWN_OUTAGE: &str = "no such outage is open or stored";

/// What a page shows from the state database.
pub(super) enum FromDatabase {
    /// There is no state directory, or the page shows nothing from it.
    Nothing,
    /// The database could not be read.
    Failed(String),
    Events(Vec<PastEvent>),
    Outages(Vec<PastOutage>),
    /// The report took too long.
    Late,
    Report(Made),
    Outage(Option<(PastOutage, Vec<PastMember>)>),
}

impl FromDatabase {
    /// Reads what the page shows.
    pub(super) async fn read(
        stored: Option<&(PastReader, Reports)>,
        request: &PageRequest,
        states: &[Arc<AccountState>],
        now: UnixMillis,
    ) -> Self {
        let Some((reader, reports)) = stored else {
            return Self::Nothing;
        };
        let found = match &request.page {
            Page::Endpoint { account, id } => {
                let events = reader.endpoint_events(account.clone(), id.clone(), EVENTS);
                events.await.map(Self::Events)
            }
            Page::Outages => past_outages(reader, &WantedOutages::new(&request.query)).await,
            Page::Walks => {
                let account = wanted_account(&request.query, states);
                if account.is_empty() {
                    return Self::Nothing;
                }
                reader
                    .account_events(account, EVENTS)
                    .await
                    .map(Self::Events)
            }
            Page::Reports => {
                let made = reports.get(wanted_report(&request.query), states, now);
                return made.await.map_or(Self::Late, Self::Report);
            }
            Page::Overview | Page::Endpoints | Page::Groups => return Self::Nothing,
        };
        found.unwrap_or_else(|error| Self::Failed(error.to_string()))
    }
}

impl FromDatabase {
    /// The events, or the text of the error.
    fn events(self) -> Option<Result<Vec<PastEvent>, String>> {
        match self {
            Self::Events(events) => Some(Ok(events)),
            Self::Failed(error) => Some(Err(error)),
            _ => None,
        }
    }
}

async fn past_outages(reader: &PastReader, wanted: &WantedOutages) -> Result<FromDatabase, Error> {
    let account = Some(wanted.account()).filter(|name| !name.is_empty());
    let mut query = OutageQuery {
        account: account.map(str::to_owned),
        limit: OUTAGE_ROWS + 1,
        offset: wanted.first(),
        ..OutageQuery::default()
    };
    let Some(key) = wanted.outage() else {
        return Ok(FromDatabase::Outages(reader.outages(query).await?));
    };
    query.scope = match key.group {
        "" => ScopeFilter::Account,
        group => ScopeFilter::Group(group.to_owned()),
    };
    (query.opened_at, query.limit, query.offset) = (Some(key.opened_at), 1, 0);
    let found = reader.outages(query).await?.pop();
    Ok(FromDatabase::Outage(match found {
        Some(found) => reader.outage(found.id, OUTAGE_ROWS, wanted.first()).await?,
        None => None,
    }))
}

/// Renders a page.
pub(super) fn render(
    fleet: &Fleet,
    request: &PageRequest,
    settings: Settings,
    past: FromDatabase,
) -> PageResponse {
    let shell = |title| Shell::new(request, settings, title, fleet.now);
    let not_found = |reason| not_found(shell("Not found"), reason);
    match &request.page {
        Page::Overview => {
            let shell = shell("Overview");
            let with_endpoints = shell.has_endpoints();
            html(&Overview::new(fleet, shell, with_endpoints))
        }
        Page::Endpoints => html(&Endpoints::new(fleet, shell("Endpoints"), &request.query)),
        Page::Endpoint { account, id } => {
            let events = Events::new(past.events(), fleet.now);
            let probe = (settings.has_probes, request.answer.clone());
            let page = EndpointPage::new(fleet, shell("Endpoint"), (account, id), events, probe);
            page.map_or_else(|| not_found(UNKNOWN_ENDPOINT), |page| html(&page))
        }
        Page::Groups => {
            let page = GroupList::new(fleet, shell("Groups"), &request.query);
            page.map_or_else(|| not_found(UNKNOWN_ACCOUNT), |page| html(&page))
        }
        Page::Reports => {
            let made = match past {
                FromDatabase::Late => return PageResponse::Unavailable(LATE),
                FromDatabase::Report(made) => Some(made),
                _ => None,
            };
            let page = ReportPage::new(fleet, shell("Availability"), &request.query, made);
            page.map_or_else(|| not_found(UNKNOWN_ACCOUNT), |page| html(&page))
        }
        Page::Walks => {
            let events = Events::new(past.events(), fleet.now);
            let page = Walks::new(fleet, shell("Walks"), &request.query, events);
            page.map_or_else(|| not_found(UNKNOWN_ACCOUNT), |page| html(&page))
        }
        Page::Outages => {
            let wanted = WantedOutages::new(&request.query);
            if !wanted.account().is_empty() && fleet.account(wanted.account()).is_none() {
                return not_found(UNKNOWN_ACCOUNT);
            }
            if wanted.outage().is_some() {
                let page = outage(fleet, shell("Outage"), &wanted, past);
                return page.unwrap_or_else(|| not_found(UNKNOWN_OUTAGE));
            }
            let past = match past {
                FromDatabase::Outages(found) => Past::Found(found),
                FromDatabase::Failed(error) => Past::Failed(error),
                _ => Past::NotKept,
            };
            html(&OutageList::new(fleet, shell("Outages"), &wanted, past))
        }
    }
}

/// The page of the outage that the query names, open or past.
fn outage(
    fleet: &Fleet,
    shell: Shell,
    wanted: &WantedOutages,
    past: FromDatabase,
) -> Option<PageResponse> {
    let with_endpoints = shell.has_endpoints();
    let found = wanted.outage().and_then(|key| {
        let state = fleet.account(key.account)?;
        let mut open = state.judgements.outages.open.iter();
        let is_wanted = |scope: Option<&str>| scope.unwrap_or("") == key.group;
        let outage =
            open.find(|one| one.opened_at == key.opened_at && is_wanted(one.scope.as_deref()))?;
        Some((state, &**outage))
    });
    let wanted = (wanted, with_endpoints);
    if let Some(found) = found {
        return Some(html(&OutagePage::open(fleet, shell, found, wanted)));
    }
    let FromDatabase::Outage(found) = past else {
        return None;
    };
    let (past, members) = found?;
    let page = OutagePage::past(fleet, shell, (&past, &members[..]), wanted);
    Some(html(&page))
}

/// The page that says why there is no such page.
#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFound {
    shell: Shell,
    reason: &'static str,
}

/// The page that says why there is no such page.
pub(super) fn not_found(shell: Shell, reason: &'static str) -> PageResponse {
    match (NotFound { shell, reason }).render() {
        Ok(html) => PageResponse::NotFound(html),
        Err(_) => PageResponse::Failed,
    }
}

fn html(page: &impl Template) -> PageResponse {
    let text = page.render();
    // Writing to a string cannot fail.
    text.map_or(PageResponse::Failed, PageResponse::Html)
}

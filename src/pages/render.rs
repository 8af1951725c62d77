//! Reads what a page needs from the state database, and renders the page.

use askama::Template;

use super::{
    Page, PageRequest, PageResponse, Settings, Shell,
    endpoint::{self, EndpointPage, Events},
    endpoints::Endpoints,
    fleet::Fleet,
    outages::{self, OutageList, OutagePage, Past, Wanted},
    overview::Overview,
    walks::Walks,
};
use crate::state::{
    Error, OutageQuery, PastEvent, PastMember, PastOutage, PastReader, ScopeFilter,
};

const UNKNOWN_ENDPOINT: &str = "no account with this name lists an endpoint with this id\n";
const UNKNOWN_ACCOUNT: &str = "no account has this name\n";
const UNKNOWN_OUTAGE: &str = "no such outage is open or stored\n";

/// What a page shows from the state database.
pub(super) enum FromDatabase {
    /// There is no state directory, or the page shows nothing from it.
    Nothing,
    /// The database could not be read.
    Failed(String),
    Events(Vec<PastEvent>),
    Outages(Vec<PastOutage>),
    Outage(Option<(PastOutage, Vec<PastMember>)>),
}

impl FromDatabase {
    /// Reads what the page shows.
    pub(super) async fn read(reader: Option<&PastReader>, request: &PageRequest) -> Self {
        let Some(reader) = reader else {
            return Self::Nothing;
        };
        let found = match &request.page {
            Page::Endpoint { account, id } => {
                let events = reader.endpoint_events(account.clone(), id.clone(), endpoint::EVENTS);
                events.await.map(Self::Events)
            }
            Page::Outages => past_outages(reader, &Wanted::new(&request.query)).await,
            Page::Overview | Page::Endpoints | Page::Walks => return Self::Nothing,
        };
        found.unwrap_or_else(|error| Self::Failed(error.to_string()))
    }
}

async fn past_outages(reader: &PastReader, wanted: &Wanted) -> Result<FromDatabase, Error> {
    let account = Some(wanted.account()).filter(|name| !name.is_empty());
    let mut query = OutageQuery {
        account: account.map(str::to_owned),
        limit: outages::ROWS + 1,
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
    (query.limit, query.offset) = (usize::MAX, 0);
    let found = reader.outages(query).await?.into_iter();
    let mut found = found.filter(|outage| outage.opened_at == key.opened_at);
    Ok(FromDatabase::Outage(match found.next() {
        Some(found) => {
            reader
                .outage(found.id, outages::ROWS, wanted.first())
                .await?
        }
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
    match &request.page {
        Page::Overview => {
            let shell = shell("Overview");
            let with_endpoints = shell.has_endpoints();
            html(&Overview::new(fleet, shell, with_endpoints))
        }
        Page::Endpoints => html(&Endpoints::new(fleet, shell("Endpoints"), &request.query)),
        Page::Endpoint { account, id } => {
            let events = match past {
                FromDatabase::Events(events) => Events::Found(events),
                FromDatabase::Failed(error) => Events::Failed(error),
                _ => Events::NotKept,
            };
            let probe = (settings.has_probes, request.answer.clone());
            let page = EndpointPage::new(fleet, shell("Endpoint"), (account, id), events, probe);
            page.map_or(PageResponse::NotFound(UNKNOWN_ENDPOINT), |page| html(&page))
        }
        Page::Walks => match Walks::new(fleet, shell("Walks"), &request.query) {
            Some(page) => html(&page),
            None => PageResponse::NotFound(UNKNOWN_ACCOUNT),
        },
        Page::Outages => {
            let wanted = Wanted::new(&request.query);
            if !wanted.account().is_empty() && fleet.account(wanted.account()).is_none() {
                return PageResponse::NotFound(UNKNOWN_ACCOUNT);
            }
            if wanted.outage().is_some() {
                return outage(fleet, shell("Outage"), &wanted, past);
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
fn outage(fleet: &Fleet, shell: Shell, wanted: &Wanted, past: FromDatabase) -> PageResponse {
    let with_endpoints = shell.has_endpoints();
    let found = wanted.outage().and_then(|key| {
        let state = fleet.account(key.account)?;
        let mut open = state.judgements.outages.open.iter();
        let is_wanted = |scope: Option<&str>| scope.unwrap_or("") == key.group;
        let outage =
            open.find(|one| one.opened_at == key.opened_at && is_wanted(one.scope.as_deref()))?;
        Some((state, &**outage))
    });
    if let Some(found) = found {
        return html(&OutagePage::open(
            fleet,
            shell,
            found,
            (wanted, with_endpoints),
        ));
    }
    match past {
        FromDatabase::Outage(Some((past, members))) => {
            let past = (&past, &members[..]);
            html(&OutagePage::past(
                fleet,
                shell,
                past,
                (wanted, with_endpoints),
            ))
        }
        _ => PageResponse::NotFound(UNKNOWN_OUTAGE),
    }
}

fn html(page: &impl Template) -> PageResponse {
    let text = page.render();
    // Writing to a string cannot fail.
    text.map_or(PageResponse::Unavailable(super::FAILED), PageResponse::Html)
}

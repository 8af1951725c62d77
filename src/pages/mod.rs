//! The pages for people: what is missing, since when, and why.
//!
//! | path | page |
//! |---|---|
//! | `/` | the start page: what needs attention, the worst first |
//! | `/endpoints` | the list of endpoints, with search, filters, order and pages |
//! | `/endpoints/{account}/{id}` | one endpoint: fields, samples, judgements, events |
//! | `/groups` | all groups, the worst first |
//! | `/reports` | the availability of groups, and the worst endpoints |
//! | `/outages` | open and past outages, and the members of one |
//! | `/walks` | the last walks of each account |
//!
//! A page is rendered from the published states when it is asked for, and nothing is kept for the next one. Threads with a
//! low priority render it, so that pages delay no scrape. Past outages and events come from the state database.

mod assets;
mod query;
mod render;
mod reports;
#[cfg(test)]
mod tests;
mod text;
mod views;

use std::sync::Arc;

use tokio::sync::watch;

pub use assets::{Asset, POLICY, asset};

use crate::{
    clock::{Clock, UnixMillis},
    config::PagesLevel,
    exposition::DataSource,
    fleet::{Fleet, Threads},
    state::PastReader,
};
use render::{FromDatabase, not_found, render};
use reports::Reports;

/// The settings of the pages, which a reload can change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// `web.pages`.
    pub level: PagesLevel,
    /// `probe.enabled`: whether the page of an endpoint has a button that asks the API.
    pub has_probes: bool,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The start page.
    Overview,
    /// The list of endpoints.
    Endpoints,
    /// One endpoint.
    Endpoint {
        /// The name of the account.
        account: String,
        /// The endpoint id.
        id: String,
    },
    /// The groups.
    Groups,
    /// The outages.
    Outages,
    /// The report of availability.
    Reports,
    /// The walks.
    Walks,
}

/// A request for a page.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The page.
    pub page: Page,
    /// The query of the URL, not decoded.
    pub query: String,
    /// The link from the page to the start page, without a slash at its end.
    pub root: String,
    /// The path of the metrics below the start page.
    pub metrics_path: String,
    /// The response of the API, if the request was made with the button of the page.
    pub answer: Option<String>,
}

/// The response with a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageResponse {
    /// A page of HTML.
    Html(String),
    /// A page of HTML that says why there is no such page.
    NotFound(String),
    /// Too many pages are rendered, or the stored state is not loaded; the text says which.
    Unavailable(&'static str),
    /// The page cannot be rendered, which is a fault of this program.
    Failed,
}

/// What all pages show besides their content.
struct Shell {
    title: &'static str,
    root: String,
    metrics: String,
    level: PagesLevel,
    now: UnixMillis,
    version: &'static str,
    style: &'static Asset,
    script: &'static Asset,
}

impl Shell {
    fn new(
        request: &PageRequest,
        settings: Settings,
        title: &'static str,
        now: UnixMillis,
    ) -> Self {
        Self {
            title,
            root: request.root.clone(),
            metrics: format!("{}{}", request.root, request.metrics_path),
            level: settings.level,
            now,
            version: env!("CARGO_PKG_VERSION"),
            style: &assets::STYLE,
            script: &assets::SCRIPT,
        }
    }

    fn has_endpoints(&self) -> bool {
        self.level == PagesLevel::Full
    }

    fn is_off(&self) -> bool {
        self.level == PagesLevel::Off
    }

    /// The time of the page.
    fn time(&self) -> text::Time {
        text::Time::new(self.now, self.now)
    }
}

/// Renders the pages.
pub struct Pages {
    data: Arc<dyn DataSource>,
    settings: watch::Receiver<Settings>,
    /// Reads the state database, if there is one.
    stored: Option<(PastReader, Reports)>,
    clock: Clock,
    threads: Arc<Threads>,
}

/// The text before the stored state is loaded.
pub const STARTING: &str = "not ready: the stored state is not loaded yet\n";

const OFF: &str = "this page is off (see web.pages in the configuration)";
const BUSY: &str = "too many pages at the same time\n";

impl Pages {
    /// Pages about `data`, which `threads` render. `past` reads the state database, if there is one.
    pub fn new(
        data: Arc<dyn DataSource>,
        settings: watch::Receiver<Settings>,
        past: Option<PastReader>,
        clock: Clock,
        threads: Arc<Threads>,
    ) -> Self {
        Self {
            data,
            settings,
            stored: past.map(|past| {
                let reports = Reports::new(Arc::clone(past.directory()));
                (past, reports)
            }),
            clock,
            threads,
        }
    }

    /// The present settings.
    pub fn settings(&self) -> Settings {
        *self.settings.borrow()
    }

    /// Whether the list of an account has an endpoint with this id.
    pub fn lists(&self, account: &str, id: &str) -> bool {
        let states = self.data.states().unwrap_or_default();
        let state = states.iter().find(|state| *state.account == *account);
        let snapshot = state.and_then(|state| state.snapshot.as_deref());
        snapshot.is_some_and(|snapshot| snapshot.number(id).is_some())
    }

    /// Renders a page. It waits up to five seconds for the rendering of other pages, and up to two for the state database.
    pub async fn respond(&self, request: PageRequest) -> PageResponse {
        let settings = self.settings();
        let is_shown = match settings.level {
            PagesLevel::Full => true,
            PagesLevel::Counts => !matches!(request.page, Page::Endpoints | Page::Endpoint { .. }),
            PagesLevel::Off => request.page == Page::Overview,
        };
        if !is_shown {
            let shell = Shell::new(&request, settings, "Not found", self.clock.now());
            return not_found(shell, OFF);
        }
        let states = self.data.states().unwrap_or_default();
        let past = FromDatabase::read(self.stored.as_ref(), &request, &states, self.clock.now());
        let past = past.await;
        drop(states);
        let Ok(thread) = self.threads.free().await else {
            return PageResponse::Unavailable(BUSY);
        };
        let Some(states) = self.data.states() else {
            return PageResponse::Unavailable(STARTING);
        };
        let fleet = Fleet::new(states, &self.clock);
        let rendered = thread.run(move || render(&fleet, &request, settings, past));
        rendered.await.unwrap_or(PageResponse::Failed)
    }
}

//! The interface for programs: JSON and CSV of what the pages show, below `/api/v1`, and service discovery at `/sd`.
//!
//! | path | answer |
//! |---|---|
//! | `/api/v1/accounts`, `groups`, `endpoints`, `outages`, `events`, `walks` | a list, page by page as JSON, or all of it as CSV |
//! | `/api/v1/endpoints/{account}/{id}` | one endpoint |
//! | `/api/v1/openapi.json` | the description of these paths, made from the types of this module |
//! | `/sd` | the targets of probes, for the HTTP service discovery of Prometheus |
//!
//! - `list` pages through a list, and streams it as CSV; `parameters` reads the query of a URL.
//! - `accounts_and_groups`, `endpoints`, `outages`, `events` and `walks` are the lists.
//! - `openapi` writes the description; `sd` the targets.
//!
//! Threads with a low priority make the answers from the published states. Past outages and events come from the state
//! database.

mod accounts_and_groups;
mod endpoints;
mod events;
mod list;
mod openapi;
mod outages;
mod parameters;
mod sd;
#[cfg(test)]
mod tests;
mod walks;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;

use crate::{
    clock::{Clock, UnixMillis},
    config::PagesLevel,
    exposition::DataSource,
    fleet::{Fleet, NoResult, Threads},
    state::PastReader,
};
use accounts_and_groups::{Accounts, Groups};
use endpoints::Endpoints;
use events::Events;
use list::List;
pub use openapi::Problem;
use outages::Outages;
use walks::Walks;

/// The folder of all paths except `/sd`.
pub const FOLDER: &str = "/api/v1";

/// The maximum number of lists that are streamed as CSV at the same time. Each keeps the snapshots of its start.
const STREAMS: usize = 2;

/// A request.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The path below [`FOLDER`], with escapes.
    pub path: String,
    /// The query of the URL, not decoded.
    pub query: String,
    /// The path of [`FOLDER`] for clients, with the prefix of all paths.
    pub base: String,
    /// `web.pages`, which also limits this interface.
    pub level: PagesLevel,
}

/// An answer.
pub enum Answer {
    /// A JSON document.
    Json(Bytes),
    /// A list as CSV.
    Csv(Csv),
}

/// A list as CSV, which is made while the client reads it.
pub struct Csv {
    /// The parts of the text. After an error, the list is incomplete.
    pub parts: BoxStream<'static, Result<Bytes, Refusal>>,
    /// About the length of the text in bytes.
    pub estimate: u64,
    /// What the list lacks.
    pub warnings: Vec<String>,
}

/// Why there is no answer. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such path, account or endpoint.
    #[error("{0}")]
    NotFound(Cow<'static, str>),
    /// The answer is possible later.
    #[error("{0}")]
    Unavailable(Cow<'static, str>),
    /// A fault of this program.
    #[error("the answer cannot be made")]
    Failed,
}

const OFF: &str = "this path is off (see web.pages in the configuration)";
const STARTING: &str = "the stored state is not loaded yet";
const BUSY: &str = "too many requests at the same time";
const UNKNOWN_PATH: &str = "no such path; openapi.json describes all paths";
const UNKNOWN_ACCOUNT: &str = "no account has this name";
const UNKNOWN_ENDPOINT: &str = "no account with this name lists an endpoint with this id";

/// Answers the requests of programs.
pub struct WebApi {
    data: Arc<dyn DataSource>,
    past: Option<PastReader>,
    clock: Clock,
    threads: Arc<Threads>,
    streams: Arc<Semaphore>,
}

/// What an answer is made from.
#[derive(Debug, Clone)]
struct Context {
    fleet: Arc<Fleet>,
    past: Option<PastReader>,
    threads: Arc<Threads>,
    level: PagesLevel,
}

impl Context {
    /// Runs `job` on a thread with a low priority.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Fleet) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let fleet = Arc::clone(&self.fleet);
        let done = async { self.threads.free().await?.run(move || job(&fleet)).await };
        done.await.map_err(|error| match error {
            NoResult::Busy => Refusal::Unavailable(BUSY.into()),
            NoResult::Failed => Refusal::Failed,
        })
    }
}

impl WebApi {
    /// Answers about `data`, made by `threads`. `past` reads the state database, if there is one.
    pub fn new(
        data: Arc<dyn DataSource>,
        past: Option<PastReader>,
        clock: Clock,
        threads: Arc<Threads>,
    ) -> Self {
        Self {
            data,
            past,
            clock,
            threads,
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn respond(&self, request: &ApiRequest) -> Result<Answer, Refusal> {
        if request.level == PagesLevel::Off {
            return Err(Refusal::NotFound(OFF.into()));
        }
        if request.level == PagesLevel::Counts && request.path.starts_with("/endpoints") {
            return Err(Refusal::NotFound(OFF.into()));
        }
        match &*request.path {
            "/openapi.json" => {
                parameters::none(&request.query)?;
                let (context, base) = (self.context(request.level)?, request.base.clone());
                let document = context.run(move |_| openapi::document(&base)).await?;
                Ok(Answer::Json(document))
            }
            Accounts::PATH => self.list::<Accounts>(request).await,
            Groups::PATH => self.list::<Groups>(request).await,
            Endpoints::PATH => self.list::<Endpoints>(request).await,
            Outages::PATH => self.list::<Outages>(request).await,
            Events::PATH => self.list::<Events>(request).await,
            Walks::PATH => self.list::<Walks>(request).await,
            path => {
                let found = endpoint_path(path);
                let (account, id) = found.ok_or(Refusal::NotFound(UNKNOWN_PATH.into()))?;
                parameters::none(&request.query)?;
                let context = self.context(request.level)?;
                let found = context.run(move |fleet| endpoints::detail(fleet, &account, &id));
                found.await?.map(Answer::Json)
            }
        }
    }

    /// The targets of probes, as `/sd` answers them. `query` is the query of the URL, not decoded.
    ///
    /// # Errors
    /// A parameter is wrong, or an account has no list of endpoints yet.
    pub async fn targets(&self, query: &str) -> Result<Bytes, Refusal> {
        let wanted = parameters::read(query)?;
        let context = self.context(PagesLevel::Full)?;
        context
            .run(move |fleet| sd::targets(fleet, &wanted))
            .await?
    }

    async fn list<L: List>(&self, request: &ApiRequest) -> Result<Answer, Refusal> {
        let (paging, query) = parameters::with_paging(&request.query)?;
        let context = self.context(request.level)?;
        list::answer::<L>(context, query, paging, &self.streams).await
    }

    fn context(&self, level: PagesLevel) -> Result<Context, Refusal> {
        let states = self.data.states();
        let states = states.ok_or(Refusal::Unavailable(STARTING.into()))?;
        Ok(Context {
            fleet: Arc::new(Fleet::new(states, &self.clock)),
            past: self.past.clone(),
            threads: Arc::clone(&self.threads),
            level,
        })
    }
}

/// The account and the id of a path to one endpoint.
fn endpoint_path(path: &str) -> Option<(String, String)> {
    let (account, id) = path.strip_prefix("/endpoints/")?.split_once('/')?;
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        (!text.is_empty()).then(|| text.into_owned())
    };
    let is_segment = !id.contains('/');
    Some((decoded(account)?, decoded(id).filter(|_| is_segment)?))
}

/// A point in time: RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time(UnixMillis);

impl Default for Time {
    fn default() -> Self {
        Self(UnixMillis(0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339())
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// `None` for an empty text, which stands for an absent value.
fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

//! The event log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, OFF, Refusal, Time,
    list::{List, Page, wrong_cursor},
    parameters::Text,
};
use crate::{
    config::PagesLevel,
    fleet::Fleet,
    state::{EventKind, EventQuery, LoggedEvent},
};

/// The list of events.
pub(super) struct Events;

/// Which events are wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// Name of the account, also of one that is no longer configured.
    account: Option<Text>,
    /// Id of the endpoint.
    endpoint_id: Option<Text>,
    /// Kind of the event.
    kind: Option<WantedKind>,
}

/// A kind of events.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct WantedKind(EventKind);

impl TryFrom<String> for WantedKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut kinds = EventKind::ALL.into_iter();
        let kind = kinds.find(|kind| kind.label() == text);
        kind.map(Self)
            .ok_or_else(|| format!("must be one of {}", EventKind::LABELS.join(", ")))
    }
}

impl JsonSchema for WantedKind {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WantedKind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "enum": EventKind::LABELS})
    }
}

/// An event.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(super) struct Event {
    /// Number of the event. Later events have larger numbers.
    id: i64,
    /// When it happened, as far as the exporter knows.
    at: Time,
    /// The account; `null` for an event of the exporter.
    account: Option<String>,
    /// The endpoint; `null` for an event of an account or of the exporter.
    endpoint_id: Option<String>,
    /// What happened. A later version can have written other kinds.
    kind: String,
    /// Of a loss: the last walk that read the endpoint as registered. Of a return: the time of the loss. Of an outage:
    /// its first loss. Of a start after a crash: the last time at which the run before is known to have worked.
    earlier: Option<Time>,
    /// More about it, such as the groups of a move.
    detail: Option<String>,
}

impl From<LoggedEvent> for Event {
    fn from(logged: LoggedEvent) -> Self {
        let event = logged.event;
        Self {
            id: logged.id,
            at: Time(event.at),
            account: logged.account,
            endpoint_id: logged.endpoint_id,
            kind: event.kind.label().to_owned(),
            earlier: event.earlier.map(Time),
            detail: event.detail,
        }
    }
}

impl List for Events {
    type Query = Query;
    type Item = Event;

    const PATH: &'static str = "/events";
    const CURSOR: &'static str = "^[0-9]{1,18}$";
    const SUMMARY: &'static str = "The event log, newest first; empty without a state directory. \
        A page can have fewer events than `limit`, also none, although `next_cursor` has a value";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Event>, Refusal> {
        let without_endpoints = context.level == PagesLevel::Counts;
        if without_endpoints && query.endpoint_id.is_some() {
            return Err(Refusal::NotFound(OFF.into()));
        }
        let Some(past) = &context.past else {
            return Ok(Page::default());
        };
        let before = cursor.map(|cursor| number(cursor).ok_or_else(wrong_cursor));
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        let wanted = EventQuery {
            account: text(&query.account),
            endpoint_id: text(&query.endpoint_id),
            kind: query.kind.as_ref().map(|kind| kind.0.label().to_owned()),
            without_endpoints,
            before: before.transpose()?,
            limit,
        };
        let found = past
            .events(wanted)
            .await
            .map_err(|error| unreadable(&error))?;
        Ok(Page {
            items: found.events.into_iter().map(Event::from).collect(),
            next: found.next.map(|id| id.to_string()),
            warnings: Vec::new(),
        })
    }

    fn csv_bytes(_: &Fleet) -> u64 {
        // About 100,000 events.
        10_000_000
    }
}

/// A number of digits only.
pub(super) fn number(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The answer if the state database cannot be read.
pub(super) fn unreadable(error: &crate::state::Error) -> Refusal {
    Refusal::Unavailable(error.to_string().into())
}

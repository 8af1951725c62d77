//! Reads the event log page by page, newest first.

use rusqlite::{Connection, named_params};

use super::{
    Error,
    past::{PastEvent, PastReader, past_event, rows},
    schema,
};

/// The maximum number of events that one read examines. So a read takes milliseconds, even if no event has the wanted
/// values.
const EXAMINED: i64 = 20_000;

/// Which events are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// The name of the account; `None` for all accounts and the exporter.
    pub account: Option<String>,
    /// The endpoint; `None` for all.
    pub endpoint_id: Option<String>,
    /// The stored name of the kind; `None` for all.
    pub kind: Option<String>,
    /// Whether events of endpoints are left out.
    pub without_endpoints: bool,
    /// Only events with a smaller id; `None` for all.
    pub before: Option<i64>,
    /// The maximum number of events.
    pub limit: usize,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The id, which increases with each event.
    pub id: i64,
    /// The name of the account; `None` for an event of the exporter.
    pub account: Option<String>,
    /// The endpoint; `None` for an event of an account or of the exporter.
    pub endpoint_id: Option<String>,
    /// The event.
    pub event: PastEvent,
}

/// Some events, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<LoggedEvent>,
    /// The value of [`EventQuery::before`] for the next page; `None` at the end of the log.
    pub next: Option<i64>,
}

impl PastReader {
    /// Some events of the log. The page can have fewer than `limit` events although there are more.
    ///
    /// # Errors
    /// The database cannot be read, or does not answer within two seconds.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage, Error> {
        self.read(move |connection| events(connection, &query))
            .await
    }
}

fn events(connection: &Connection, query: &EventQuery) -> rusqlite::Result<EventPage> {
    if !schema::has_table(connection, "event")? {
        return Ok(EventPage::default());
    }
    // One transaction, so that both statements examine the same events.
    let read = connection.unchecked_transaction()?;
    let before = query.before.unwrap_or(i64::MAX);
    // An index has the events of one endpoint. All others are examined in the order of the log.
    let has_index = query.account.is_some() && query.endpoint_id.is_some();
    let oldest = if has_index {
        None
    } else {
        let oldest = "SELECT id FROM event WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let mut select = read.prepare(oldest)?;
        let mut found = select.query_map([before, EXAMINED - 1], |row| row.get::<_, i64>(0))?;
        found.next().transpose()?
    };
    let mut select = read.prepare(if has_index {
        "SELECT at, kind, earlier, detail, id, account, endpoint_id FROM event
         WHERE account = :account AND endpoint_id = :endpoint_id AND id < :before AND id >= :oldest
            AND (:kind IS NULL OR kind = :kind) AND NOT :without_endpoints
         ORDER BY id DESC LIMIT :limit"
    } else {
        "SELECT at, kind, earlier, detail, id, account, endpoint_id FROM event
         WHERE id < :before AND id >= :oldest
            AND (:account IS NULL OR account IS :account)
            AND (:endpoint_id IS NULL OR endpoint_id IS :endpoint_id)
            AND (:kind IS NULL OR kind = :kind)
            AND (NOT :without_endpoints OR endpoint_id IS NULL)
         ORDER BY id DESC LIMIT :limit"
    })?;
    let values = named_params! {
        ":account": query.account,
        ":endpoint_id": query.endpoint_id,
        ":kind": query.kind,
        ":without_endpoints": query.without_endpoints,
        ":before": before,
        ":oldest": oldest.unwrap_or(i64::MIN),
        ":limit": rows(query.limit),
    };
    let found = select.query_map(values, |row| {
        Ok(LoggedEvent {
            id: row.get(4)?,
            account: row.get(5)?,
            endpoint_id: row.get(6)?,
            event: past_event(row, 0)?,
        })
    })?;
    let events: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
    let is_full = events.len() >= query.limit;
    let next = if is_full {
        events.last().map(|last| last.id)
    } else {
        oldest
    };
    Ok(EventPage { events, next })
}

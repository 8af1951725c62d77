//! The event log: what happened to endpoints, accounts and the exporter, for a limited time.

use rusqlite::{Connection, Transaction, named_params};

use crate::{clock::UnixMillis, telemetry::labels::closed_label};

/// The maximum number of events in the log.
const MAX_EVENTS: i64 = 1_000_000;

/// The maximum number of events that one transaction deletes. A transaction that adds more is rare, and a later one
/// deletes the rest.
const DELETED_AT_ONCE: i64 = 200_000;

closed_label! {
    /// What happened.
    EventKind {
        /// The list had a usable registration of an endpoint for the first time.
        Known = "known",
        /// An endpoint lost its registration.
        Lost = "lost",
        /// An endpoint registered again.
        Back = "back",
        /// The list has an endpoint that it did not have before.
        Added = "added",
        /// A walk no longer found an endpoint.
        Removed = "removed",
        /// An endpoint has another application.
        Application = "application",
        /// An endpoint belongs to another group.
        Group = "group",
        /// A group is on duty.
        DutyStarted = "duty_started",
        /// A group is off duty.
        DutyEnded = "duty_ended",
        /// Many endpoints of a group or of an account lost their registrations together.
        OutageStarted = "outage_started",
        /// Most endpoints of an outage are back or gone.
        OutageEnded = "outage_ended",
        /// The walks of an account began to fail.
        Blind = "blind",
        /// A walk was published after failed walks, or was the first one since the exporter polls the account.
        Seeing = "seeing",
        /// The exporter no longer polls an account.
        Unpolled = "unpolled",
        /// The exporter polls an account again.
        Polled = "polled",
        /// The exporter started.
        Start = "start",
        /// The exporter stopped in good order.
        Stop = "stop",
    }
}

/// An event. An event without an account concerns the whole exporter.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) at: UnixMillis,
    pub(super) account: Option<&'a str>,
    pub(super) endpoint_id: Option<&'a str>,
    pub(super) kind: EventKind,
    /// Of a loss: the last walk that read the endpoint as registered. Of a return: the time of the loss. Of an outage:
    /// its first loss. Of a start after a crash: the last time at which the run before is known to have worked.
    pub(super) earlier: Option<UnixMillis>,
    pub(super) detail: Option<String>,
}

impl<'a> Event<'a> {
    /// An event of an account, without further values.
    pub(super) fn of_account(at: UnixMillis, account: &'a str, kind: EventKind) -> Self {
        Self {
            at,
            account: Some(account),
            endpoint_id: None,
            kind,
            earlier: None,
            detail: None,
        }
    }

    /// Appends the event to the log.
    pub(super) fn write(&self, change: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = change.prepare_cached(
            "INSERT INTO event (at, account, endpoint_id, kind, earlier, detail)
             VALUES (:at, :account, :endpoint_id, :kind, :earlier, :detail)",
        )?;
        insert.execute(named_params! {
            ":at": self.at.0,
            ":account": self.account,
            ":endpoint_id": self.endpoint_id,
            ":kind": self.kind.label(),
            ":earlier": self.earlier.map(|time| time.0),
            ":detail": self.detail,
        })?;
        Ok(())
    }
}

/// Deletes the oldest events: those before `oldest`, and those above the maximum number. Notes the time until which the
/// log lacks events.
pub(super) fn delete_old(change: &Transaction<'_>, oldest: UnixMillis) -> rusqlite::Result<()> {
    // Events are in the order of their ids. The search ends at the first event that stays.
    let mut first_kept = change.prepare_cached(
        "SELECT min(
            (SELECT min(id) FROM event) + :at_once,
            max(
                coalesce((SELECT id FROM event WHERE at >= :oldest ORDER BY id LIMIT 1),
                    (SELECT max(id) + 1 FROM event)),
                (SELECT max(id) FROM event) - :most + 1
            )
        )",
    )?;
    let values = named_params! {
        ":at_once": DELETED_AT_ONCE,
        ":oldest": oldest.0,
        ":most": MAX_EVENTS,
    };
    let first_kept: Option<i64> = first_kept.query_one(values, |row| row.get(0))?;
    let mut newest = change.prepare_cached("SELECT max(at) FROM event WHERE id < ?")?;
    let until: Option<i64> = newest.query_one([first_kept], |row| row.get(0))?;
    let Some(until) = until else {
        return Ok(());
    };
    change.execute("DELETE FROM event WHERE id < ?", [first_kept])?;
    let before = "SELECT coalesce(max(until), ?1) FROM deleted_events";
    let before: i64 = change.query_one(before, [until], |row| row.get(0))?;
    change.execute("DELETE FROM deleted_events", ())?;
    change.execute("INSERT INTO deleted_events VALUES (?)", [until.max(before)])?;
    Ok(())
}

/// The text of a last known registration, as the detail of an event.
pub(super) fn registration(last_known: Option<bool>) -> &'static str {
    match last_known {
        Some(true) => "registered",
        Some(false) => "unregistered",
        None => "unknown",
    }
}

/// Whether the last run of the exporter has written its end. True for a new log.
pub(super) fn ended_in_order(connection: &Connection) -> rusqlite::Result<bool> {
    let last = "SELECT coalesce(
        (SELECT kind FROM event WHERE account IS NULL ORDER BY id DESC LIMIT 1), 'stop') = 'stop'";
    connection.query_one(last, (), |row| row.get(0))
}

//! Reads the whole event log for reports, with the stored rows that it belongs to.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, Row, named_params};

use super::{
    Error, lock,
    past::{PastEvent, past_event},
    schema,
};
use crate::clock::UnixMillis;

/// Reads the log in one transaction, so that all parts are of the same moment. A running exporter does not wait for it.
#[derive(Debug)]
pub struct LogReader<'c> {
    connection: &'c Connection,
    directory: &'c Path,
}

/// A stored account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAccount {
    /// The name.
    pub name: String,
    /// End of the last published walk; `None` before the first.
    pub last_success: Option<UnixMillis>,
    /// The duration of this walk; zero before the first.
    pub walk_took: Duration,
    /// Whether the last walk failed.
    pub is_failing: bool,
    /// Whether the exporter polls the account.
    pub is_polled: bool,
    /// The first walk that listed one of the stored endpoints; `None` without endpoints.
    pub first_seen: Option<UnixMillis>,
}

/// What is stored about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEndpoint {
    /// The endpoint id.
    pub id: String,
    /// Its row. `None` if the row is deleted, a week after the removal.
    pub row: Option<StoredRow>,
    /// Its events, oldest first.
    pub events: Vec<PastEvent>,
}

/// The row of a listed endpoint, or of one that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The username, or "" if names are not stored.
    pub username: String,
    /// The alias, or "" if names are not stored.
    pub alias: String,
    /// The sub-account, or "" for the main account.
    pub sub_account: String,
    /// The id of the application.
    pub application: Option<String>,
    /// The last value of `sip_registered` that was true or false.
    pub last_known: Option<bool>,
    /// The first walk that read `last_known`. Without such a value, the same as `first_seen`.
    pub since: UnixMillis,
    /// The first walk that listed the endpoint.
    pub first_seen: UnixMillis,
    /// The end of the walk that no longer found the endpoint.
    pub removed_at: Option<UnixMillis>,
}

/// An outage, open or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOutage {
    /// The name of the account.
    pub account: String,
    /// The group that lost its endpoints; `None` for the whole account.
    pub scope: Option<String>,
    /// The first loss.
    pub started_at: UnixMillis,
    /// The end; `None` if the outage is open.
    pub ended_at: Option<UnixMillis>,
    /// The number of all endpoints of the outage.
    pub endpoints: u64,
    /// The number of those that are lost: at the end, or now if the outage is open.
    pub lost: u64,
    /// Whether the same scope had an outage at the same time a week or a day before.
    pub is_usual: bool,
    /// Whether endpoints were lost that are expected, or at least half of the account.
    pub is_major: bool,
}

/// Calls `read` with a reader of the database in `directory`, which is opened for reading only.
///
/// # Errors
/// There is no database, it cannot be read, or `read` fails.
pub fn read_log<T>(
    directory: &Path,
    read: impl FnOnce(&LogReader<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let path = schema::path(directory);
    let connection = schema::open_beside_writer(directory)?;
    let connection = connection.ok_or_else(|| Error::Absent(path.clone()))?;
    let transaction = connection.unchecked_transaction();
    let transaction = transaction.map_err(Error::database(&path))?;
    read(&LogReader {
        connection: &transaction,
        directory,
    })
}

impl LogReader<'_> {
    /// An error of a request that the content of the database does not allow.
    pub fn refuse(&self, reason: String) -> Error {
        let path = schema::path(self.directory);
        Error::Refused { path, reason }
    }

    /// Whether an exporter uses the database at this moment.
    pub fn has_writer(&self) -> bool {
        lock::is_held(self.directory)
    }

    /// The time since which the log has all events: of the newest deleted event, else of the oldest event. `None` if there
    /// was none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn complete_since(&self) -> Result<Option<UnixMillis>, Error> {
        let path = schema::path(self.directory);
        let notes_deleted = schema::has_table(self.connection, "deleted_events");
        let notes_deleted = notes_deleted.map_err(Error::database(&path))?;
        let deleted = "SELECT until FROM deleted_events";
        let oldest = "SELECT at FROM event ORDER BY id LIMIT 1";
        for select in [deleted, oldest]
            .into_iter()
            .skip(usize::from(!notes_deleted))
        {
            let found = self.rows(select, (), |row| row.get(0).map(UnixMillis))?;
            if let Some(found) = found.first() {
                return Ok(Some(*found));
            }
        }
        Ok(None)
    }

    /// All accounts, in the order of their names.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn accounts(&self) -> Result<Vec<LoggedAccount>, Error> {
        let has_polled = "SELECT 1 FROM pragma_table_info('account') WHERE name = 'unpolled_since'";
        let has_polled = !self.rows(has_polled, (), |_| Ok(()))?.is_empty();
        let is_polled = if has_polled {
            "unpolled_since IS NULL"
        } else {
            "1"
        };
        let select = format!(
            "SELECT name, last_success, failure IS NOT NULL, {is_polled},
                (SELECT min(first_seen) FROM endpoint WHERE endpoint.account = account.name),
                coalesce(walk_millis, 0)
             FROM account ORDER BY name"
        );
        self.rows(&select, (), |row| {
            Ok(LoggedAccount {
                name: row.get(0)?,
                last_success: row.get::<_, Option<i64>>(1)?.map(UnixMillis),
                walk_took: Duration::from_millis(row.get::<_, i64>(5)?.unsigned_abs()),
                is_failing: row.get(2)?,
                is_polled: row.get(3)?,
                first_seen: row.get::<_, Option<i64>>(4)?.map(UnixMillis),
            })
        })
    }

    /// The events of an account and of the exporter, without those of endpoints, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn account_events(&self, account: &str) -> Result<Vec<PastEvent>, Error> {
        // Each of both parts has an index.
        let select = "SELECT at, kind, earlier, detail, id FROM event
                WHERE account = ?1 AND endpoint_id IS NULL
            UNION ALL SELECT at, kind, earlier, detail, id FROM event WHERE account IS NULL
            ORDER BY id";
        self.rows(select, [account], |row| past_event(row, 0))
    }

    /// Calls `visit` with each endpoint of an account, in the order of their ids. Only one endpoint is in memory.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn endpoints(&self, account: &str, visit: impl FnMut(LoggedEndpoint)) -> Result<(), Error> {
        visit_endpoints(self.connection, account, visit)
            .map_err(Error::database(&schema::path(self.directory)))
    }

    /// The outages that began before `until` and did not end before `from`, in the order of their beginnings.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outages(&self, from: UnixMillis, until: UnixMillis) -> Result<Vec<LoggedOutage>, Error> {
        let path = schema::path(self.directory);
        let has_table = |table| schema::has_table(self.connection, table);
        let has_past = has_table("past_outage").map_err(Error::database(&path))?;
        let has_open = has_table("outage").map_err(Error::database(&path))?;
        let past = "SELECT account, scope, started_at, ended_at, endpoints, lost_at_end, is_usual, is_major
            FROM past_outage WHERE started_at < :until AND ended_at > :from";
        let members = "SELECT %1 FROM outage_member AS member WHERE member.account = outage.account
            AND member.scope = outage.scope AND member.slot = outage.slot";
        let [all, lost] =
            ["count(*)", "coalesce(sum(is_lost), 0)"].map(|one| members.replace("%1", one));
        let open = format!(
            "SELECT account, scope, started_at, NULL, ({all}), ({lost}), is_usual, is_major
             FROM outage WHERE started_at < :until AND :from IS NOT NULL"
        );
        let values = named_params! { ":from": from.0, ":until": until.0 };
        let mut found = Vec::new();
        if has_past {
            found.extend(self.rows(past, values, logged_outage)?);
        }
        if has_open {
            found.extend(self.rows(&open, values, logged_outage)?);
        }
        found.sort_by(|a, b| (a.started_at, &a.account).cmp(&(b.started_at, &b.account)));
        Ok(found)
    }

    fn rows<T>(
        &self,
        select: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let rows = || {
            let mut select = self.connection.prepare(select)?;
            select.query_map(values, read)?.collect()
        };
        let rows: rusqlite::Result<_> = rows();
        rows.map_err(Error::database(&schema::path(self.directory)))
    }
}

fn visit_endpoints(
    connection: &Connection,
    account: &str,
    mut visit: impl FnMut(LoggedEndpoint),
) -> rusqlite::Result<()> {
    let mut rows = connection.prepare(
        "SELECT endpoint_id, username, alias, sub_account, application, last_known, since, first_seen,
            removed_at
         FROM endpoint WHERE account = ? ORDER BY endpoint_id",
    )?;
    // The index `event_of_endpoint` has this order, so nothing is sorted.
    let mut events = connection.prepare(
        "SELECT endpoint_id, at, kind, earlier, detail FROM event
         WHERE account = ? AND endpoint_id IS NOT NULL ORDER BY endpoint_id, id",
    )?;
    let mut rows = rows.query([account])?;
    let mut events = events.query([account])?;
    let mut row = rows.next()?.map(stored_row).transpose()?;
    let mut event = events.next()?.map(endpoint_event).transpose()?;
    loop {
        let ids = [
            row.as_ref().map(|one| &one.0),
            event.as_ref().map(|one| &one.0),
        ];
        let Some(id) = ids.into_iter().flatten().min().cloned() else {
            return Ok(());
        };
        let mut endpoint = LoggedEndpoint {
            id,
            row: None,
            events: Vec::new(),
        };
        if let Some((_, found)) = row.take_if(|one| one.0 == endpoint.id) {
            endpoint.row = Some(found);
            row = rows.next()?.map(stored_row).transpose()?;
        }
        while let Some((_, found)) = event.take_if(|one| one.0 == endpoint.id) {
            endpoint.events.push(found);
            event = events.next()?.map(endpoint_event).transpose()?;
        }
        visit(endpoint);
    }
}

fn stored_row(row: &Row<'_>) -> rusqlite::Result<(String, StoredRow)> {
    let stored = StoredRow {
        username: row.get(1)?,
        alias: row.get(2)?,
        sub_account: row.get(3)?,
        application: row.get(4)?,
        last_known: row.get(5)?,
        since: UnixMillis(row.get(6)?),
        first_seen: UnixMillis(row.get(7)?),
        removed_at: row.get::<_, Option<i64>>(8)?.map(UnixMillis),
    };
    Ok((row.get(0)?, stored))
}

fn endpoint_event(row: &Row<'_>) -> rusqlite::Result<(String, PastEvent)> {
    Ok((row.get(0)?, past_event(row, 1)?))
}

fn logged_outage(row: &Row<'_>) -> rusqlite::Result<LoggedOutage> {
    let scope: String = row.get(1)?;
    let number = |at| row.get(at).map(i64::unsigned_abs);
    Ok(LoggedOutage {
        account: row.get(0)?,
        scope: Some(scope).filter(|scope| !scope.is_empty()),
        started_at: UnixMillis(row.get(2)?),
        ended_at: row.get::<_, Option<i64>>(3)?.map(UnixMillis),
        endpoints: number(4)?,
        lost: number(5)?,
        is_usual: row.get(6)?,
        is_major: row.get(7)?,
    })
}

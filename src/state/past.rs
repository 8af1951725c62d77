//! Reads the past for the web pages: outages that have ended, and events. The thread that writes the state does not wait
//! for these reads.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{Error, events::EventKind, schema, store::DISK_LIMIT};
use crate::clock::UnixMillis;

/// The maximum number of reads at the same time. A read that hangs counts, so that threads cannot accumulate.
const READS: usize = 2;

/// The maximum number of rows that one read returns.
const MAX_ROWS: usize = 10_000;

/// The columns of [`past_outage`].
const OUTAGE: &str = "id, account, scope, started_at, opened_at, ended_at, is_major, is_usual, \
    endpoints, lost_at_end";

/// Reads the past from the state database. Clones share the limit of two reads at the same time.
///
/// Each call opens a connection of its own. It fails with [`Error::NoAnswer`] after two seconds. Without a database, or
/// with an older one that lacks the tables, there is no past. One call returns at most 10,000 outages, members or events.
#[derive(Debug, Clone)]
pub struct PastReader {
    directory: Arc<Path>,
    permits: Arc<Semaphore>,
}

/// Which past outages are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutageQuery {
    /// The name of the account; `None` for all accounts.
    pub account: Option<String>,
    /// Where the outages were.
    pub scope: ScopeFilter,
    /// The walk that found the outage; `None` for any.
    pub opened_at: Option<UnixMillis>,
    /// The maximum number of outages.
    pub limit: usize,
    /// The number of newer outages that are skipped.
    pub offset: usize,
    /// Only outages with a smaller id; `None` for all.
    pub before: Option<i64>,
}

/// Where outages were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ScopeFilter {
    /// Anywhere.
    #[default]
    Any,
    /// In a whole account.
    Account,
    /// In the group that had this name when the outage began.
    Group(String),
}

/// An outage that has ended. All times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOutage {
    /// The id, which no other outage of this database ever has.
    pub id: i64,
    /// The name of the account.
    pub account: String,
    /// The group that lost its endpoints, by its name at the beginning; `None` for the whole account.
    pub scope: Option<String>,
    /// The first loss.
    pub started_at: UnixMillis,
    /// The walk that found the outage.
    pub opened_at: UnixMillis,
    /// When the end was stored, as the time of the event `outage_ended`. It follows the walk that found the end.
    pub ended_at: UnixMillis,
    /// Whether endpoints were lost that are expected, or at least half of the account.
    pub is_major: bool,
    /// Whether the same scope had an outage at the same time a week or a day before.
    pub is_usual: bool,
    /// The number of all members.
    pub endpoints: u64,
    /// The number of members that had not registered again at the end.
    pub lost_at_end: u64,
}

/// An endpoint of an outage that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMember {
    /// The endpoint id.
    pub endpoint_id: String,
    /// The name of its group in the outage, or "".
    pub group: String,
    /// Whether the endpoint had not registered again at the end.
    pub was_lost_at_end: bool,
}

/// An event of the log. All times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// When it happened, as far as the exporter knows.
    pub at: UnixMillis,
    /// What happened.
    pub kind: PastEventKind,
    /// Of a loss: the last walk that read the endpoint as registered. Of a return: the time of the loss. Of an outage:
    /// its first loss. Of a start after a crash: the last time at which the run before is known to have worked.
    pub earlier: Option<UnixMillis>,
    /// More about it, such as the groups of a move.
    pub detail: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastEventKind {
    /// A kind that this version writes.
    Known(EventKind),
    /// A kind that another version wrote.
    Other(String),
}

impl PastEventKind {
    /// The stored name of the kind.
    pub fn label(&self) -> &str {
        match self {
            Self::Known(kind) => kind.label(),
            Self::Other(label) => label,
        }
    }
}

impl PastReader {
    /// A reader of the state database in `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory: directory.into(),
            permits: Arc::new(Semaphore::new(READS)),
        }
    }

    /// The state directory.
    pub fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    /// The past outages that ended last, newest first.
    ///
    /// # Errors
    /// The database cannot be read, or does not answer within two seconds.
    pub async fn outages(&self, query: OutageQuery) -> Result<Vec<PastOutage>, Error> {
        self.read(move |connection| outages(connection, &query))
            .await
    }

    /// One past outage, with at most `limit` members after the first `offset`, in the order of their ids. `None` if there
    /// is none with this id.
    ///
    /// # Errors
    /// The database cannot be read, or does not answer within two seconds.
    pub async fn outage(
        &self,
        id: i64,
        limit: usize,
        offset: usize,
    ) -> Result<Option<(PastOutage, Vec<PastMember>)>, Error> {
        self.read(move |connection| outage(connection, id, (limit, offset)))
            .await
    }

    /// The last events of an endpoint, newest first.
    ///
    /// # Errors
    /// The database cannot be read, or does not answer within two seconds.
    pub async fn endpoint_events(
        &self,
        account: String,
        endpoint_id: String,
        limit: usize,
    ) -> Result<Vec<PastEvent>, Error> {
        let select = "SELECT at, kind, earlier, detail, id FROM event
            WHERE account = ?1 AND endpoint_id = ?2 ORDER BY id DESC LIMIT ?3";
        self.read(move |connection| events(connection, select, (account, endpoint_id, rows(limit))))
            .await
    }

    /// The last events of an account and of the exporter, without those of endpoints, newest first.
    ///
    /// # Errors
    /// The database cannot be read, or does not answer within two seconds.
    pub async fn account_events(
        &self,
        account: String,
        limit: usize,
    ) -> Result<Vec<PastEvent>, Error> {
        // Each of both parts has an index, and ends at its limit.
        let select = "SELECT * FROM (SELECT at, kind, earlier, detail, id FROM event
                WHERE account = ?1 AND endpoint_id IS NULL ORDER BY id DESC LIMIT ?2)
            UNION ALL SELECT * FROM (SELECT at, kind, earlier, detail, id FROM event
                WHERE account IS NULL ORDER BY id DESC LIMIT ?2)
            ORDER BY id DESC LIMIT ?2";
        self.read(move |connection| events(connection, select, (account, rows(limit))))
            .await
    }

    /// Runs `read` on a blocking thread, with a connection of its own. Without a database, returns nothing.
    pub(super) async fn read<T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let end = Instant::now() + DISK_LIMIT;
        let no_answer = || Error::NoAnswer(self.directory.to_path_buf());
        let permit = timeout_at(end, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| no_answer())?;
        let directory = Arc::clone(&self.directory);
        let task = spawn_blocking(move || {
            // Nobody can stop a read that hangs. It keeps its permit.
            let _permit = permit;
            match schema::open_beside_writer(&directory)? {
                Some(connection) => {
                    read(&connection).map_err(Error::database(&schema::path(&directory)))
                }
                None => Ok(T::default()),
            }
        });
        let result = timeout_at(end, task).await.map_err(|_| no_answer())?;
        result.unwrap_or_else(|error| Err(Error::file(&self.directory, io::Error::other(error))))
    }
}

fn outages(connection: &Connection, query: &OutageQuery) -> rusqlite::Result<Vec<PastOutage>> {
    if !schema::has_table(connection, "past_outage")? {
        return Ok(Vec::new());
    }
    let scope = match &query.scope {
        ScopeFilter::Any => None,
        ScopeFilter::Account => Some(""),
        ScopeFilter::Group(name) => Some(&**name),
    };
    let mut select = connection.prepare(&format!(
        "SELECT {OUTAGE} FROM past_outage
         WHERE (:account IS NULL OR account = :account) AND (:scope IS NULL OR scope = :scope)
            AND (:opened_at IS NULL OR opened_at = :opened_at)
            AND (:before IS NULL OR id < :before)
         ORDER BY id DESC LIMIT :limit OFFSET :offset"
    ))?;
    let values = named_params! {
        ":account": query.account,
        ":scope": scope,
        ":opened_at": query.opened_at.map(|time| time.0),
        ":before": query.before,
        ":limit": rows(query.limit),
        ":offset": offset(query.offset),
    };
    select.query_map(values, past_outage)?.collect()
}

fn outage(
    connection: &Connection,
    id: i64,
    (limit, skipped): (usize, usize),
) -> rusqlite::Result<Option<(PastOutage, Vec<PastMember>)>> {
    // One transaction, so that the members are those of the numbers.
    let read = connection.unchecked_transaction()?;
    if !schema::has_table(&read, "past_outage")? {
        return Ok(None);
    }
    let select = format!("SELECT {OUTAGE} FROM past_outage WHERE id = ?");
    let Some(outage) = read.query_one(&select, [id], past_outage).optional()? else {
        return Ok(None);
    };
    let mut select = read.prepare(
        "SELECT endpoint_id, group_name, is_lost FROM past_outage_member WHERE outage_id = ?
         ORDER BY endpoint_id LIMIT ? OFFSET ?",
    )?;
    let members = select.query_map((id, rows(limit), offset(skipped)), |row| {
        Ok(PastMember {
            endpoint_id: row.get(0)?,
            group: row.get(1)?,
            was_lost_at_end: row.get(2)?,
        })
    })?;
    let members = members.collect::<rusqlite::Result<_>>()?;
    Ok(Some((outage, members)))
}

/// The outage of a row with the columns [`OUTAGE`].
fn past_outage(row: &Row<'_>) -> rusqlite::Result<PastOutage> {
    let scope: String = row.get(2)?;
    let time = |at| row.get(at).map(UnixMillis);
    let number = |at| row.get(at).map(i64::unsigned_abs);
    Ok(PastOutage {
        id: row.get(0)?,
        account: row.get(1)?,
        scope: Some(scope).filter(|scope| !scope.is_empty()),
        started_at: time(3)?,
        opened_at: time(4)?,
        ended_at: time(5)?,
        is_major: row.get(6)?,
        is_usual: row.get(7)?,
        endpoints: number(8)?,
        lost_at_end: number(9)?,
    })
}

/// The events that `select` finds, with the columns time, kind, earlier time and detail.
fn events(
    connection: &Connection,
    select: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<PastEvent>> {
    if !schema::has_table(connection, "event")? {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare(select)?;
    let events = select.query_map(values, |row| past_event(row, 0))?;
    events.collect()
}

/// The event of a row that has the columns time, kind, earlier time and detail from the column `first` on.
pub(super) fn past_event(row: &Row<'_>, first: usize) -> rusqlite::Result<PastEvent> {
    let kind = row.get_ref(first + 1)?.as_str()?;
    let known = EventKind::ALL.into_iter().find(|one| one.label() == kind);
    let other = || PastEventKind::Other(kind.to_owned());
    Ok(PastEvent {
        at: UnixMillis(row.get(first)?),
        kind: known.map_or_else(other, PastEventKind::Known),
        earlier: row.get::<_, Option<i64>>(first + 2)?.map(UnixMillis),
        detail: row.get(first + 3)?,
    })
}

/// The number of rows that a read returns for this `limit`.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_ROWS)).unwrap_or(i64::MAX)
}

fn offset(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

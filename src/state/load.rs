//! Reads the state of one account.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row};

use super::judgements;
use crate::{
    clock::UnixMillis,
    judgement::Judgements,
    snapshot::{History, Snapshot, StoredEndpoint, StoredSnapshot},
    telemetry::labels::WALK_FAILURE_REASONS,
};

/// The state of an account from before the start of the process.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The endpoints of the last published walk. The next walk is compared with them. They are not exported.
    pub snapshot: Arc<Snapshot>,
    /// The values that concern the whole account.
    pub account: AccountRow,
    /// The judgements after the last published walk.
    pub judgements: Judgements,
}

/// The row of an account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountRow {
    /// End of the last published walk; `None` before the first.
    pub last_success: Option<UnixMillis>,
    /// Start of the last published walk.
    pub walk_started: Option<UnixMillis>,
    /// Duration of the last published walk.
    pub walk_took: Duration,
    /// The reason of the last walk if it failed.
    pub failure: Option<&'static str>,
    /// The number of successive walks that ended with status 401, 402 or 403.
    pub refusals: u32,
}

/// Reads the account `name`. `None` if the database does not have it. `now` is the wall time.
pub(super) fn load(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Option<Restored>> {
    let Some(account) = account(connection, name, now)? else {
        return Ok(None);
    };
    let [started, ended] = [account.walk_started, account.last_success].map(|at| at.unwrap_or(now));
    let mut snapshot = StoredSnapshot::new(started, ended, account.walk_took, now);
    let mut select = connection.prepare(
        "SELECT endpoint_id, first_seen, since, last_known, last_registered, removed_at, username,
            alias, sub_account, application, user_agent, registered, last_listed
         FROM endpoint WHERE account = ? ORDER BY endpoint_id",
    )?;
    let mut rows = select.query([name])?;
    while let Some(row) = rows.next()? {
        add_row(row, &mut snapshot, now)?;
    }
    Ok(Some(Restored {
        snapshot: snapshot.finish().into(),
        account,
        judgements: judgements::load(connection, name, now)?,
    }))
}

fn account(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Option<AccountRow>> {
    let select = "SELECT last_success, walk_started, walk_millis, failure, refusals
        FROM account WHERE name = ?";
    let read = |row: &Row<'_>| {
        let millis = row.get::<_, Option<i64>>(2)?.unwrap_or(0);
        let failure: Option<String> = row.get(3)?;
        let mut reasons = WALK_FAILURE_REASONS.iter().copied();
        Ok(AccountRow {
            last_success: time(row, 0)?.map(|time| time.min(now)),
            walk_started: time(row, 1)?.map(|time| time.min(now)),
            walk_took: Duration::from_millis(millis.try_into().unwrap_or(0)),
            failure: failure.and_then(|stored| reasons.find(|reason| *reason == stored)),
            refusals: row.get(4)?,
        })
    };
    connection.query_one(select, [name], read).optional()
}

fn add_row(row: &Row<'_>, snapshot: &mut StoredSnapshot, now: UnixMillis) -> rusqlite::Result<()> {
    let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let optional = |at| {
        row.get_ref(at)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)
    };
    let id = text(0)?;
    let times = [UnixMillis(row.get(1)?), UnixMillis(row.get(2)?)];
    let history = History::stored(times, row.get(3)?, time(row, 4)?, now);
    if let Some(removed_at) = time(row, 5)? {
        snapshot.add_removed(id, history, removed_at);
        return Ok(());
    }
    snapshot.add(&StoredEndpoint {
        id,
        username: text(6)?,
        alias: text(7)?,
        sub_account: text(8)?,
        application: optional(9)?,
        application_known: true,
        user_agent: optional(10)?,
        registered: row.get(11)?,
        history,
        last_listed: time(row, 12)?.map(|time| time.min(now)),
    });
    Ok(())
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<UnixMillis>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(UnixMillis))
}

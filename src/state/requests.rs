//! Changes that the command `vobiz-exporter state` asks for. A command that finds no running exporter makes the change
//! itself. Otherwise it puts a request into the database, and the exporter makes the change at its next walk.

use std::{fmt, iter, path::Path, sync::Arc};

use rusqlite::{Connection, Transaction, named_params, params_from_iter};
use serde::Serialize;

use super::{Error, judgements, load, load::Restored, lock, past_outages, schema};
use crate::clock::UnixMillis;

/// The values of the column `action`.
const FORGET: &str = "forget";
const RENAME: &str = "rename";

/// A change of the stored state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Request {
    /// Deletes what is stored about an account or about one of its endpoints, with its events.
    Forget {
        /// The name of the account.
        account: String,
        /// The endpoint; `None` for the whole account.
        endpoint_id: Option<String>,
    },
    /// Gives an account's state to another name, which has no state.
    Rename {
        /// The present name.
        account: String,
        /// The new name.
        new_name: String,
    },
}

impl Request {
    /// The name of the account that the request changes.
    pub(super) fn account(&self) -> &str {
        match self {
            Self::Forget { account, .. } | Self::Rename { account, .. } => account,
        }
    }
}

impl fmt::Display for Request {
    /// The request as the arguments of the command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forget {
                account,
                endpoint_id: Some(id),
            } => write!(f, "forget {account} {id}"),
            Self::Forget { account, .. } => write!(f, "forget {account}"),
            Self::Rename { account, new_name } => write!(f, "rename {account} {new_name}"),
        }
    }
}

/// When a requested change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The command has made it. The number of endpoints that it concerned.
    Now(usize),
    /// The running exporter makes it at its next walk.
    Later,
}

/// A change for a running poller.
#[derive(Debug, Clone)]
pub enum Change {
    /// Forget the past of one endpoint, or of all.
    Forget(Option<String>),
    /// Continue the histories of this older state of the account.
    Continue(Restored),
}

/// Makes the change in the database of `directory`, or asks the running exporter for it.
///
/// # Errors
/// There is no database, it cannot be opened or written, or the change is not possible with its content.
pub fn request(directory: &Path, request: &Request) -> Result<Applied, Error> {
    // Without a database, there is nothing to change, and none is created.
    let path = schema::path(directory);
    if schema::found(directory)?.is_none() {
        return Err(Error::Absent(path));
    }
    let lock = lock::lock(directory)?;
    let mut connection = schema::open(directory)?;
    let applied = request_in(&mut connection, request, lock.is_some());
    let applied = applied.map_err(Error::database(&path))?;
    applied.map_err(|reason| Error::Refused { path, reason })
}

/// Makes the change, or puts it into the queue. The inner error is the reason why the change is not possible.
fn request_in(
    connection: &mut Connection,
    request: &Request,
    is_alone: bool,
) -> rusqlite::Result<Result<Applied, String>> {
    let change = schema::begin(connection)?;
    if let Some(reason) = obstacle(&change, request)? {
        return Ok(Err(reason));
    }
    delete_replaced(&change, request)?;
    let applied = if is_alone {
        Applied::Now(apply(&change, request)?)
    } else {
        queue(&change, request)?;
        Applied::Later
    };
    change.commit()?;
    Ok(Ok(applied))
}

/// The reason why the content of the database does not allow the change.
fn obstacle(connection: &Connection, request: &Request) -> rusqlite::Result<Option<String>> {
    let exists = |select: &str, values: &[&str]| {
        let mut select = connection.prepare(select)?;
        select.exists(params_from_iter(values))
    };
    let account = request.account();
    if !exists("SELECT 1 FROM account WHERE name = ?", &[account])? {
        return Ok(Some(format!("the database has no account {account}")));
    }
    let reason = match request {
        Request::Forget {
            endpoint_id: None, ..
        } => None,
        Request::Forget {
            endpoint_id: Some(id),
            ..
        } => {
            // The event log and past outages can have an endpoint longer than the list.
            let known = "SELECT 1 FROM endpoint WHERE account = ?1 AND endpoint_id = ?2 UNION ALL
                SELECT 1 FROM event WHERE account = ?1 AND endpoint_id = ?2 UNION ALL
                SELECT 1 FROM missing_endpoint WHERE account = ?1 AND endpoint_id = ?2 UNION ALL
                SELECT 1 FROM past_outage_member WHERE endpoint_id = ?2
                    AND outage_id IN (SELECT id FROM past_outage WHERE account = ?1)";
            let is_known = exists(known, &[account, id])?;
            (!is_known).then(|| format!("the account {account} has no endpoint {id}"))
        }
        Request::Rename { new_name, .. } if new_name.is_empty() => {
            Some("the new name is empty".to_owned())
        }
        Request::Rename { new_name, .. } if new_name == account => {
            Some(format!("the account has the name {account} already"))
        }
        Request::Rename { new_name, .. } => {
            // An account without a walk has no history that a rename could delete.
            let walked = "SELECT 1 FROM account WHERE name = ? AND last_success IS NOT NULL";
            exists(walked, &[new_name])?.then(|| {
                format!(
                    "the database already has the account {new_name}: stop an exporter that polls \
                     it, and forget {new_name} first"
                )
            })
        }
    };
    Ok(reason)
}

/// Deletes the queued requests that a newer request replaces. To forget an account replaces all of its requests.
fn delete_replaced(change: &Transaction<'_>, request: &Request) -> rusqlite::Result<()> {
    let (action, endpoint_id, _) = columns(request);
    change.execute(
        "DELETE FROM request WHERE account = :account
         AND (:is_whole_account OR (action = :action AND endpoint_id IS :endpoint_id))",
        named_params! {
            ":account": request.account(),
            ":is_whole_account": action == FORGET && endpoint_id.is_none(),
            ":action": action,
            ":endpoint_id": endpoint_id,
        },
    )?;
    Ok(())
}

/// The values of a queued request: action, endpoint and new name.
fn columns(request: &Request) -> (&'static str, Option<&String>, Option<&String>) {
    match request {
        Request::Forget { endpoint_id, .. } => (FORGET, endpoint_id.as_ref(), None),
        Request::Rename { new_name, .. } => (RENAME, None, Some(new_name)),
    }
}

fn queue(change: &Transaction<'_>, request: &Request) -> rusqlite::Result<()> {
    let (action, endpoint_id, new_name) = columns(request);
    change.execute(
        "INSERT INTO request (action, account, endpoint_id, new_name)
         VALUES (:action, :account, :endpoint_id, :new_name)",
        named_params! {
            ":action": action,
            ":account": request.account(),
            ":endpoint_id": endpoint_id,
            ":new_name": new_name,
        },
    )?;
    Ok(())
}

/// The queued requests with their ids, in the order of their arrival.
pub(super) fn queued(connection: &Connection) -> rusqlite::Result<Vec<(i64, Request)>> {
    let mut select = connection.prepare_cached(
        "SELECT id, account, endpoint_id, new_name, action FROM request ORDER BY id",
    )?;
    let rows = select.query_map((), |row| {
        let (account, is_rename) = (row.get(1)?, row.get_ref(4)?.as_str()? == RENAME);
        let request = if is_rename {
            let new_name = row.get(3)?;
            Request::Rename { account, new_name }
        } else {
            let endpoint_id = row.get(2)?;
            Request::Forget {
                account,
                endpoint_id,
            }
        };
        Ok((row.get(0)?, request))
    })?;
    rows.collect()
}

/// What became of queued requests.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The changes for pollers, each with its account.
    pub(super) changes: Vec<(Arc<str>, Change)>,
    /// The requests that are no longer queued, each with its number of endpoints, or the reason why it was dropped.
    ended: Vec<(Request, Result<usize, String>)>,
}

impl Made {
    /// Logs what became of each request, after the transaction.
    pub(super) fn log(&self) {
        for (request, result) in &self.ended {
            let account = request.account();
            match result {
                Ok(endpoints) => tracing::info!(
                    account,
                    %request,
                    endpoints,
                    "a requested change of the stored state is made"
                ),
                Err(reason) => tracing::warn!(
                    account,
                    %request,
                    reason,
                    "a requested change of the stored state is dropped"
                ),
            }
        }
    }
}

/// Makes the queued changes that are possible for the `polled` accounts.
///
/// A polled account keeps its name until the exporter polls no account of this name, so its rename stays in the queue.
/// The poller `asking` makes only changes of its own account and of accounts that are not polled, because a change that
/// waits for another poller would delay the saves of that account.
pub(super) fn apply_queued(
    change: &Transaction<'_>,
    polled: &[Arc<str>],
    asking: Option<&Arc<str>>,
    now: UnixMillis,
) -> rusqlite::Result<Made> {
    let mut made = Made::default();
    let polled = |name: &str| polled.iter().find(|one| ***one == *name).cloned();
    for (id, request) in queued(change)? {
        let target = match &request {
            Request::Rename { account, .. } if polled(account).is_some() => continue,
            Request::Rename { new_name, .. } => new_name,
            Request::Forget { account, .. } => account,
        };
        let poller = polled(target);
        if asking.is_some() && poller.is_some() && poller.as_ref() != asking {
            continue;
        }
        let result = if let Some(reason) = obstacle(change, &request)? {
            Err(reason)
        } else {
            let change_of_account = match &request {
                Request::Rename { account, .. } => {
                    load::load(change, account, now)?.map(Change::Continue)
                }
                Request::Forget { endpoint_id, .. } => Some(Change::Forget(endpoint_id.clone())),
            };
            made.changes.extend(poller.zip(change_of_account));
            Ok(apply(change, &request)?)
        };
        change.execute("DELETE FROM request WHERE id = ?", [id])?;
        made.ended.push((request, result));
    }
    Ok(made)
}

/// Deletes all that is stored about an account. Returns the number of its endpoints.
pub(super) fn delete_account(change: &Transaction<'_>, account: &str) -> rusqlite::Result<usize> {
    change.execute("DELETE FROM account WHERE name = ?", [account])?;
    for table in iter::once("event").chain(judgements::TABLES) {
        change.execute(&format!("DELETE FROM {table} WHERE account = ?"), [account])?;
    }
    past_outages::delete_account(change, account)?;
    change.execute("DELETE FROM endpoint WHERE account = ?", [account])
}

/// Makes a change that has no [`obstacle`]. Returns the number of endpoints that it concerned.
fn apply(change: &Transaction<'_>, request: &Request) -> rusqlite::Result<usize> {
    match request {
        Request::Forget {
            account,
            endpoint_id: None,
        } => delete_account(change, account),
        Request::Forget {
            account,
            endpoint_id: Some(id),
        } => {
            let one = "WHERE account = ? AND endpoint_id = ?";
            for table in [
                "event",
                "missing_endpoint",
                "changing_endpoint",
                "outage_member",
            ] {
                change.execute(&format!("DELETE FROM {table} {one}"), [account, id])?;
            }
            past_outages::forget(change, account, id)?;
            change.execute(&format!("DELETE FROM endpoint {one}"), [account, id])
        }
        Request::Rename { account, new_name } => {
            let rename = |table, column| {
                let rename =
                    format!("UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} = ?");
                change.execute(&rename, [new_name, account])
            };
            rename("account", "name")?;
            for table in ["event", "past_outage"]
                .into_iter()
                .chain(judgements::TABLES)
            {
                rename(table, "account")?;
            }
            rename("endpoint", "account")
        }
    }
}

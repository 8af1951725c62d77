//! Changes that the command `vobiz-exporter state` asks for. A command that finds no running exporter makes the change
//! itself. Otherwise it puts a request into the database, and the exporter makes the change at its next walk.

use std::{fmt, path::Path, sync::Arc};

use rusqlite::{Connection, Transaction, named_params};

use super::{Error, load, load::Restored, lock, schema};
use crate::clock::UnixMillis;

/// A change of the stored state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Deletes what is stored about an account or about one of its endpoints, with its events.
    Forget {
        /// The name of the account.
        account: String,
        /// The endpoint; `None` for the whole account.
        endpoint_id: Option<String>,
    },
    /// Gives an account's state to another name. Deletes the state that the other name has.
    Rename {
        /// The present name.
        account: String,
        /// The new name.
        new_name: String,
    },
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
/// There is no database, or it cannot be opened or written.
pub fn request(directory: &Path, request: &Request) -> Result<Applied, Error> {
    // Without a database, there is nothing to change, and none is created.
    let found = std::fs::metadata(schema::path(directory));
    found.map_err(|error| Error::file(&schema::path(directory), error))?;
    let lock = lock::lock(directory)?;
    let mut connection = schema::open(directory)?;
    let change = schema::begin(&mut connection)?;
    let applied = if lock.is_some() {
        Applied::Now(apply(&change, request)?)
    } else {
        queue(&change, request)?;
        Applied::Later
    };
    change.commit()?;
    Ok(applied)
}

fn queue(change: &Transaction<'_>, request: &Request) -> Result<(), Error> {
    let (action, account, endpoint_id, new_name) = match request {
        Request::Forget {
            account,
            endpoint_id,
        } => ("forget", account, endpoint_id.as_ref(), None),
        Request::Rename { account, new_name } => ("rename", account, None, Some(new_name)),
    };
    change.execute(
        "INSERT INTO request (action, account, endpoint_id, new_name)
         VALUES (:action, :account, :endpoint_id, :new_name)",
        named_params! {
            ":action": action,
            ":account": account,
            ":endpoint_id": endpoint_id,
            ":new_name": new_name,
        },
    )?;
    Ok(())
}

/// The queued requests with their ids, in the order of their arrival.
pub(super) fn queued(connection: &Connection) -> Result<Vec<(i64, Request)>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT id, account, endpoint_id, new_name, action FROM request ORDER BY id",
    )?;
    let rows = select.query_map((), |row| {
        let (account, is_rename) = (row.get(1)?, row.get_ref(4)?.as_str()? == "rename");
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
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes the queued changes. Returns the changes for the pollers of the `polled` accounts, each with its account.
///
/// A polled account keeps its name until the exporter starts without it, so its rename stays in the queue. The poller
/// `asking` makes only changes of its own account and of accounts that are not polled, because a change that waits
/// for another poller would delay the saves of that account.
pub(super) fn apply_queued(
    change: &Transaction<'_>,
    polled: &[Arc<str>],
    asking: Option<&Arc<str>>,
    now: UnixMillis,
) -> Result<Vec<(Arc<str>, Change)>, Error> {
    let mut changes = Vec::new();
    let polled = |name: &str| polled.iter().find(|one| ***one == *name).cloned();
    for (id, request) in queued(change)? {
        let target = match &request {
            Request::Rename { new_name, .. } => new_name,
            Request::Forget { account, .. } => account,
        };
        let is_of_another = |asking: &Arc<str>| polled(target).is_some_and(|one| one != *asking);
        if asking.is_some_and(is_of_another) {
            continue;
        }
        match &request {
            Request::Rename { account, .. } if polled(account).is_some() => continue,
            Request::Rename { account, new_name } => {
                let older = polled(new_name).zip(load::load(change, account, now)?);
                let older = older.map(|(name, old)| (name, Change::Continue(old)));
                changes.extend(older);
            }
            Request::Forget {
                account,
                endpoint_id,
            } => {
                let forget = Change::Forget(endpoint_id.clone());
                changes.extend(polled(account).map(|name| (name, forget)));
            }
        }
        apply(change, &request)?;
        change.execute("DELETE FROM request WHERE id = ?", [id])?;
    }
    Ok(changes)
}

/// Makes a change in the database. Returns the number of endpoints that it concerned.
fn apply(change: &Transaction<'_>, request: &Request) -> Result<usize, Error> {
    match request {
        Request::Forget {
            account,
            endpoint_id: None,
        } => {
            change.execute("DELETE FROM account WHERE name = ?", [account])?;
            change.execute("DELETE FROM event WHERE account = ?", [account])?;
            Ok(change.execute("DELETE FROM endpoint WHERE account = ?", [account])?)
        }
        Request::Forget {
            account,
            endpoint_id: Some(id),
        } => {
            let one = "WHERE account = ? AND endpoint_id = ?";
            change.execute(&format!("DELETE FROM event {one}"), [account, id])?;
            Ok(change.execute(&format!("DELETE FROM endpoint {one}"), [account, id])?)
        }
        Request::Rename { account, new_name } if account == new_name => Ok(0),
        Request::Rename { account, new_name } => {
            let known = "SELECT 1 FROM account WHERE name = ?";
            if !change.prepare(known)?.exists([account])? {
                return Ok(0);
            }
            change.execute("DELETE FROM endpoint WHERE account = ?", [new_name])?;
            let names = [new_name, account];
            let rename = |table, column| {
                let rename =
                    format!("UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} = ?");
                change.execute(&rename, names)
            };
            rename("account", "name")?;
            rename("event", "account")?;
            Ok(rename("endpoint", "account")?)
        }
    }
}

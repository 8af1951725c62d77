//! Which accounts the exporter polls, and the end of the state of all others.

use std::sync::Arc;

use rusqlite::{Transaction, named_params};

use super::requests;
use crate::clock::UnixMillis;

/// Notes that the exporter polls `accounts` from now on, and no other account.
pub(super) fn note(
    change: &Transaction<'_>,
    accounts: &[Arc<str>],
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let names: Vec<_> = accounts.iter().map(|name| &**name).collect();
    change.execute(
        "UPDATE account SET unpolled_since = CASE
            WHEN name IN (SELECT value FROM json_each(:polled)) THEN NULL
            ELSE coalesce(unpolled_since, :now) END",
        named_params! {
            ":polled": serde_json::Value::from(names).to_string(),
            ":now": now.0,
        },
    )?;
    Ok(())
}

/// Deletes all that is stored about accounts that the exporter has not polled since `oldest`.
pub(super) fn delete_old(change: &Transaction<'_>, oldest: UnixMillis) -> rusqlite::Result<()> {
    let mut select = change.prepare_cached("SELECT name FROM account WHERE unpolled_since < ?")?;
    let names = select.query_map([oldest.0], |row| row.get::<_, String>(0))?;
    for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
        requests::delete_account(change, &name)?;
        tracing::info!(
            account = name,
            "the state of an account that is no longer polled is deleted after state.retention"
        );
    }
    Ok(())
}

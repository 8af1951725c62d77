//! Which accounts the exporter polls, and the end of the state of all others.

use std::{sync::Arc, time::Duration};

use rusqlite::{Transaction, named_params};

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

/// Deletes all that is stored about accounts that the exporter has not polled for the time `retention`.
pub(super) fn delete_old(
    change: &Transaction<'_>,
    now: UnixMillis,
    retention: Duration,
) -> rusqlite::Result<()> {
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let oldest = now.0.saturating_sub(retention);
    let mut select = change.prepare_cached("SELECT name FROM account WHERE unpolled_since < ?")?;
    let names = select.query_map([oldest], |row| row.get::<_, String>(0))?;
    for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
        for delete in [
            "DELETE FROM account WHERE name = ?",
            "DELETE FROM event WHERE account = ?",
            "DELETE FROM endpoint WHERE account = ?",
        ] {
            change.execute(delete, [&name])?;
        }
        tracing::info!(
            account = name,
            "the state of an account that is no longer polled is deleted after state.retention"
        );
    }
    Ok(())
}

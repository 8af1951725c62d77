//! Which accounts the exporter polls, and the end of the state of all others.

use std::sync::Arc;

use rusqlite::{Transaction, named_params};

use super::{
    events::{Event, EventKind},
    requests,
};
use crate::clock::UnixMillis;

/// Notes that the exporter polls `accounts` from now on, and no other account. Writes an event about each stored account
/// for which this is a change.
pub(super) fn note(
    change: &Transaction<'_>,
    accounts: &[Arc<str>],
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let names: Vec<_> = accounts.iter().map(|name| &**name).collect();
    let names = serde_json::Value::from(names).to_string();
    write_events(change, &names, now)?;
    change.execute(
        "UPDATE account SET unpolled_since = CASE
            WHEN name IN (SELECT value FROM json_each(:polled)) THEN NULL
            ELSE coalesce(unpolled_since, :now) END",
        named_params! {
            ":polled": names,
            ":now": now.0,
        },
    )?;
    Ok(())
}

/// Writes which stored accounts are polled from now on, and which are not any more. `names` is a list in JSON.
fn write_events(change: &Transaction<'_>, names: &str, now: UnixMillis) -> rusqlite::Result<()> {
    let mut select = change.prepare_cached(
        "SELECT name, unpolled_since IS NOT NULL FROM account
         WHERE (name IN (SELECT value FROM json_each(?))) = (unpolled_since IS NOT NULL) ORDER BY name",
    )?;
    let changed = select.query_map([names], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (name, is_polled) in changed.collect::<rusqlite::Result<Vec<(String, bool)>>>()? {
        let kind = if is_polled {
            EventKind::Polled
        } else {
            EventKind::Unpolled
        };
        Event::of_account(now, &name, kind).write(change)?;
    }
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

//! The stored judgements: missing endpoints, and groups below their minimum.

use std::sync::Arc;

use rusqlite::{Connection, Row, Transaction, params};

use crate::{
    clock::UnixMillis,
    judgement::{BelowMinimum, Judgements, MissingEndpoint},
    telemetry::labels::Watch,
};

/// Reads the judgements about the account `name`. `now` is the wall time.
pub(super) fn load(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Judgements> {
    // The clock may have been wrong.
    let time = |millis: i64| UnixMillis(millis).min(now);
    let endpoint = |row: &Row<'_>| {
        let watch: String = row.get(3)?;
        let watch = Watch::ALL.into_iter().find(|one| one.label() == watch);
        Ok(Arc::new(MissingEndpoint {
            id: row.get(0)?,
            username: row.get(1)?,
            group: row.get(2)?,
            watch: watch.unwrap_or(Watch::Notice),
            present_group: row.get(4)?,
            since: time(row.get(5)?),
            last_listed: row.get::<_, Option<i64>>(6)?.map(time),
        }))
    };
    let mut select = connection.prepare(
        "SELECT endpoint_id, username, group_name, watch, present_group, since, last_listed
         FROM missing_endpoint WHERE account = ? ORDER BY endpoint_id",
    )?;
    let missing = select.query_map([name], endpoint)?;
    let missing = missing.collect::<rusqlite::Result<_>>()?;
    let group = |row: &Row<'_>| {
        Ok(BelowMinimum {
            group: row.get(0)?,
            since: time(row.get(1)?),
        })
    };
    let mut select = connection.prepare(
        "SELECT group_name, since FROM group_below_minimum WHERE account = ? ORDER BY group_name",
    )?;
    let below_minimum = select.query_map([name], group)?;
    Ok(Judgements {
        missing,
        below_minimum: below_minimum.collect::<rusqlite::Result<_>>()?,
    })
}

/// Writes what differs between the stored judgements `before` and those `after`. Replaces all without `before`. Without
/// `names`, no username is stored.
pub(super) fn save(
    change: &Transaction<'_>,
    name: &str,
    before: Option<&Judgements>,
    after: &Judgements,
    names: bool,
) -> rusqlite::Result<()> {
    if before.is_some_and(|before| before.is_same(after)) {
        return Ok(());
    }
    if before.is_none() {
        change.execute("DELETE FROM missing_endpoint WHERE account = ?", [name])?;
    }
    let mut known = before
        .map_or(&[][..], |before| &before.missing)
        .iter()
        .peekable();
    let delete = |one: &MissingEndpoint| {
        let delete = "DELETE FROM missing_endpoint WHERE account = ? AND endpoint_id = ?";
        change.prepare_cached(delete)?.execute([name, &one.id])
    };
    for one in &*after.missing {
        while let Some(gone) = known.next_if(|known| known.id < one.id) {
            delete(gone)?;
        }
        let known = known.next_if(|known| known.id == one.id);
        if known.is_none_or(|known| !Arc::ptr_eq(known, one)) {
            put(change, name, one, names)?;
        }
    }
    for gone in known {
        delete(gone)?;
    }
    let has_same_groups = |before: &Judgements| before.below_minimum == after.below_minimum;
    if !before.is_some_and(has_same_groups) {
        change.execute("DELETE FROM group_below_minimum WHERE account = ?", [name])?;
        let insert =
            "INSERT INTO group_below_minimum (account, group_name, since) VALUES (?, ?, ?)";
        for below in &*after.below_minimum {
            change.execute(insert, params![name, below.group, below.since.0])?;
        }
    }
    Ok(())
}

fn put(
    change: &Transaction<'_>,
    account: &str,
    one: &MissingEndpoint,
    names: bool,
) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO missing_endpoint (account, endpoint_id, username, group_name, watch,
            present_group, since, last_listed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    put.execute(params![
        account,
        one.id,
        if names { &*one.username } else { "" },
        one.group,
        one.watch.label(),
        one.present_group,
        one.since.0,
        one.last_listed.map(|time| time.0),
    ])?;
    Ok(())
}

/// Deletes the stored usernames of the account `name`.
pub(super) fn delete_names(change: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    let delete = "UPDATE missing_endpoint SET username = '' WHERE account = ? AND username <> ''";
    change.execute(delete, [name])?;
    Ok(())
}

//! The outages that have ended, with their endpoints, for a limited time.

use rusqlite::{Transaction, named_params, params};

use crate::{
    clock::UnixMillis,
    judgement::{Member, Outage},
};

/// The maximum number of past outages.
const MAX_OUTAGES: i64 = 10_000;

/// The maximum number of members of all past outages. The newest outage is kept with any number of members.
const MAX_MEMBERS: i64 = 1_000_000;

/// The maximum number of members that one transaction deletes. A later one deletes the rest.
const DELETED_AT_ONCE: i64 = 200_000;

/// Writes an outage of `account` that ended at the time `ended_at`. `is_lost` tells whether a member was lost then.
pub(super) fn write(
    change: &Transaction<'_>,
    account: &str,
    outage: &Outage,
    ended_at: UnixMillis,
    is_lost: impl Fn(&Member) -> bool,
) -> rusqlite::Result<()> {
    // The numbers are stored, because a list of outages would have to count many members.
    let mut insert = change.prepare_cached(
        "INSERT INTO past_outage (account, scope, started_at, opened_at, ended_at, is_major, is_usual,
            endpoints, lost_at_end)
         VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)",
    )?;
    let id = insert.insert(params![
        account,
        outage.scope.as_deref().unwrap_or(""),
        outage.started_at.0,
        outage.opened_at.0,
        ended_at.0,
        outage.is_major,
        outage.is_usual,
    ])?;
    let mut insert = change.prepare_cached(
        "INSERT INTO past_outage_member (outage_id, endpoint_id, group_name, is_lost)
         VALUES (?, ?, ?, ?)",
    )?;
    let (mut endpoints, mut lost_at_end) = (0_i64, 0_i64);
    for member in &*outage.members {
        let is_lost = is_lost(member);
        insert.execute(params![id, member.id, member.group, is_lost])?;
        endpoints += 1;
        lost_at_end += i64::from(is_lost);
    }
    let count = "UPDATE past_outage SET endpoints = ?, lost_at_end = ? WHERE id = ?";
    change.execute(count, [endpoints, lost_at_end, id])?;
    Ok(())
}

/// Deletes the oldest outages: those that ended before `oldest`, and those above the maximum numbers.
pub(super) fn delete_old(change: &Transaction<'_>, oldest: UnixMillis) -> rusqlite::Result<()> {
    // Outages are in the order of their ids. The search ends at the first outage that stays. Sums from the newest outage
    // take some milliseconds, so they are made only above the maximum.
    let mut delete = change.prepare_cached(
        "DELETE FROM past_outage WHERE id < max(
            coalesce((SELECT id FROM past_outage WHERE ended_at >= :oldest ORDER BY id LIMIT 1),
                (SELECT max(id) + 1 FROM past_outage)),
            (SELECT max(id) FROM past_outage) - :most + 1,
            CASE WHEN (SELECT total(endpoints) FROM past_outage) <= :most_members THEN 0 ELSE coalesce(
                (SELECT min(id) FROM
                    (SELECT id, sum(endpoints) OVER (ORDER BY id DESC) AS members FROM past_outage)
                    WHERE members <= :most_members),
                (SELECT max(id) FROM past_outage)) END
        )",
    )?;
    delete.execute(named_params! {
        ":oldest": oldest.0,
        ":most": MAX_OUTAGES,
        ":most_members": MAX_MEMBERS,
    })?;
    // An id is never used again, so members without their outage cannot become members of another one.
    let mut delete = change.prepare_cached(
        "DELETE FROM past_outage_member WHERE (outage_id, endpoint_id) IN (
            SELECT outage_id, endpoint_id FROM past_outage_member
            WHERE outage_id < coalesce((SELECT min(id) FROM past_outage), :no_outage)
            ORDER BY outage_id, endpoint_id LIMIT :at_once)",
    )?;
    delete.execute(named_params! { ":no_outage": i64::MAX, ":at_once": DELETED_AT_ONCE })?;
    Ok(())
}

/// Deletes the past outages of an account.
pub(super) fn delete_account(change: &Transaction<'_>, account: &str) -> rusqlite::Result<()> {
    let delete = "DELETE FROM past_outage_member
        WHERE outage_id IN (SELECT id FROM past_outage WHERE account = ?)";
    change.execute(delete, [account])?;
    change.execute("DELETE FROM past_outage WHERE account = ?", [account])?;
    Ok(())
}

/// Removes an endpoint from the past outages of an account.
pub(super) fn forget(
    change: &Transaction<'_>,
    account: &str,
    endpoint_id: &str,
) -> rusqlite::Result<()> {
    let values = [account, endpoint_id];
    change.execute(
        "UPDATE past_outage
         SET endpoints = endpoints - 1, lost_at_end = lost_at_end - member.is_lost
         FROM past_outage_member AS member
         WHERE account = ? AND member.outage_id = past_outage.id AND member.endpoint_id = ?",
        values,
    )?;
    let delete = "DELETE FROM past_outage_member
        WHERE outage_id IN (SELECT id FROM past_outage WHERE account = ?) AND endpoint_id = ?";
    change.execute(delete, values)?;
    Ok(())
}

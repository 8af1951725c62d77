//! Events about groups: times of duty, and endpoints that move to another group.

use std::sync::Arc;

use rusqlite::Transaction;

use super::events::{Event, EventKind};
use crate::{
    clock::UnixMillis,
    snapshot::{Shown, Snapshot},
};

/// Writes the last change of duty of each group after the time `from`, until the time `to`.
pub(super) fn write_duty(
    change: &Transaction<'_>,
    account: &str,
    shown: &Shown,
    from: UnixMillis,
    to: UnixMillis,
) -> rusqlite::Result<()> {
    for group in &shown.groups {
        let Some(at) = group.duty.last_change(to, from) else {
            continue;
        };
        let kind = if group.duty.is_on(at) {
            EventKind::DutyStarted
        } else {
            EventKind::DutyEnded
        };
        let event = Event {
            detail: Some(format!("group {}", group.name)),
            ..Event::of_account(at, account, kind)
        };
        event.write(change)?;
    }
    Ok(())
}

/// Writes the endpoints that have moved to another group. After a change of the groups, or without a snapshot before, no
/// endpoint has moved.
pub(super) fn write_moves(
    change: &Transaction<'_>,
    account: &str,
    (before, shown_before): (&Snapshot, Option<&Arc<Shown>>),
    (after, shown): (&Snapshot, &Arc<Shown>),
) -> rusqlite::Result<()> {
    let is_same = shown_before.is_some_and(|before| before.groups == shown.groups);
    let Some(differences) = after.differences_from(before).filter(|_| is_same) else {
        return Ok(());
    };
    let name = |group: Option<u16>| {
        let group = group.and_then(|at| shown.groups.get(usize::from(at)));
        group.map_or("none", |group| &*group.name)
    };
    for position in &differences.changed {
        let Some(new) = after.at(position.new) else {
            continue;
        };
        let old = position.old.and_then(|number| before.at(number));
        let Some(old) = old.filter(|old| old.group != new.group) else {
            continue;
        };
        let event = Event {
            endpoint_id: Some(new.id),
            detail: Some(format!("{} to {}", name(old.group), name(new.group))),
            ..Event::of_account(after.walk.started_at, account, EventKind::Group)
        };
        event.write(change)?;
    }
    Ok(())
}

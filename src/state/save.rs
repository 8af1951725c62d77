//! Writes what differs between the last committed state of an account and its new state.

use std::{sync::Arc, time::Duration};

use rusqlite::{Transaction, named_params, params};

use super::{
    events::{Event, EventKind, registration},
    group_events, judgements,
    load::{AccountRow, Restored},
    walk_events,
};
use crate::{
    clock::UnixMillis,
    judgement::Judgements,
    snapshot::{
        AccountState, Details, History, RemovedEndpoint, Shown, Snapshot, StoredEndpoint,
        StoredSnapshot,
    },
};

/// The committed state of one account.
#[derive(Debug, Clone)]
pub(super) struct Committed {
    row: AccountRow,
    snapshot: Arc<Snapshot>,
    details: Arc<Details>,
    judgements: Judgements,
    /// Whether usernames and aliases may be stored.
    names: bool,
    /// The settings that `snapshot` was published with; `None` before the first published walk of this process.
    shown: Option<Arc<Shown>>,
    logged: walk_events::Logged,
}

impl From<&Restored> for Committed {
    fn from(restored: &Restored) -> Self {
        Self {
            row: restored.account.clone(),
            snapshot: Arc::clone(&restored.snapshot),
            details: Arc::default(),
            judgements: restored.judgements.clone(),
            names: true,
            shown: None,
            logged: walk_events::Logged {
                is_blind: restored.account.failure.is_some(),
                ..walk_events::Logged::default()
            },
        }
    }
}

impl Committed {
    /// The state of an account of which no walk was ever published.
    fn without_walk(row: AccountRow, logged: walk_events::Logged, now: UnixMillis) -> Self {
        let nothing = StoredSnapshot::new(now, now, Duration::ZERO, now);
        Self {
            row,
            snapshot: Arc::new(nothing.finish()),
            details: Arc::default(),
            judgements: Judgements::default(),
            names: false,
            shown: None,
            logged,
        }
    }

    /// Whether a walk of the account was ever published.
    pub(super) fn has_walk(&self) -> bool {
        self.row.last_success.is_some()
    }

    /// Removes an endpoint that was deleted from the stored judgements. Otherwise, an outage that ends at the next walk
    /// would be written with it.
    pub(super) fn forget(&mut self, endpoint_id: &str) {
        self.judgements = self.judgements.forgetting(Some(endpoint_id));
    }

    /// Begins a new event log, which does not say yet that walks succeed.
    pub(super) fn begin_log(&mut self) {
        self.logged.is_seeing = false;
    }

    /// Whether usernames and aliases may be stored.
    pub(super) fn has_names(&self) -> bool {
        self.names
    }

    fn endpoint(&self, number: u32) -> Option<StoredEndpoint<'_>> {
        let (details, names) = (&self.details, self.names);
        self.snapshot.stored_endpoint(number, details, names)
    }

    /// The name of the endpoint's group. `None` without one, and before the first published walk of this process.
    fn group(&self, id: &str) -> Option<&str> {
        let group = self.snapshot.endpoint(id)?.group?;
        let group = self.shown.as_ref()?.groups.get(usize::from(group))?;
        Some(&group.name)
    }

    fn endpoints(&self) -> impl Iterator<Item = StoredEndpoint<'_>> {
        self.snapshot.stored_endpoints(&self.details, self.names)
    }
}

/// Writes the differences between `committed` and `state`, and the events that explain them. Replaces all stored
/// endpoints without `committed`. Returns the new committed state.
pub(super) fn save(
    change: &Transaction<'_>,
    committed: Option<&Committed>,
    state: &AccountState,
    now: UnixMillis,
) -> rusqlite::Result<Committed> {
    let name = &*state.account;
    let row = account_row(committed, state);
    if committed.is_none_or(|before| before.row != row) {
        write_account(change, name, &row)?;
    }
    let before = committed.filter(|before| before.has_walk());
    let before = before.map(|before| &*before.snapshot);
    let logged = committed.map(|one| one.logged).unwrap_or_default();
    let logged = logged.write(change, before, state, now)?;
    let Some(snapshot) = &state.snapshot else {
        return save_without_walk(change, committed, state, (row, logged), now);
    };
    let new = Committed {
        row,
        snapshot: Arc::clone(snapshot),
        details: Arc::clone(&state.details),
        judgements: state.judgements.clone(),
        names: state.shown.username,
        shown: Some(Arc::clone(&state.shown)),
        logged,
    };
    let Some(before) = committed.filter(|before| before.has_walk()) else {
        replace(change, name, &new)?;
        return Ok(new);
    };
    let mut before = before.clone();
    let judgements = judgements::Writer::new(change, name, new.names);
    judgements.save(&before.judgements, &new.judgements, now)?;
    if !Arc::ptr_eq(&before.snapshot, snapshot) {
        let [from, to] = [&before.snapshot, snapshot].map(|one| one.walk.started_at);
        group_events::write_duty(change, name, &state.shown, from, to)?;
        let earlier = (&*before.snapshot, before.shown.as_ref());
        group_events::write_moves(change, name, earlier, (&**snapshot, &state.shown))?;
    }
    if before.names != new.names {
        // The usernames are hidden or shown from now on.
        judgements.replace(&new.judgements)?;
    }
    if before.names && !new.names {
        let delete = "UPDATE endpoint SET username = '', alias = ''
            WHERE account = ? AND (username <> '' OR alias <> '')";
        change.execute(delete, [name])?;
        before.names = false;
    }
    let is_same_list = Arc::ptr_eq(&before.snapshot, snapshot) && before.names == new.names;
    if !is_same_list || !Arc::ptr_eq(&before.details, &new.details) {
        let writer = Writer::new(change, name);
        writer.write_differences(&before, &new)?;
        writer.delete_forgotten(&before.snapshot, snapshot)?;
    }
    Ok(new)
}

/// Writes the judgements of an account of which this process has not published a walk.
fn save_without_walk(
    change: &Transaction<'_>,
    committed: Option<&Committed>,
    state: &AccountState,
    (row, logged): (AccountRow, walk_events::Logged),
    now: UnixMillis,
) -> rusqlite::Result<Committed> {
    let Some(before) = committed.cloned() else {
        return Ok(Committed::without_walk(row, logged, now));
    };
    let judgements = state.judgements.clone();
    let names = before.names && state.shown.username;
    let writer = judgements::Writer::new(change, &state.account, names);
    writer.save(&before.judgements, &judgements, now)?;
    Ok(Committed {
        row,
        judgements,
        logged,
        ..before
    })
}

/// Replaces all that is stored about the account `name`, without events.
pub(super) fn replace(
    change: &Transaction<'_>,
    name: &str,
    new: &Committed,
) -> rusqlite::Result<()> {
    let writer = Writer::new(change, name);
    write_account(change, name, &new.row)?;
    judgements::Writer::new(change, name, new.names).replace(&new.judgements)?;
    change.execute("DELETE FROM endpoint WHERE account = ?", [name])?;
    for endpoint in new.endpoints() {
        writer.put(&endpoint)?;
    }
    for (id, removed) in new.snapshot.removed_endpoints() {
        writer.put_removed(id, removed)?;
    }
    Ok(())
}

fn account_row(committed: Option<&Committed>, state: &AccountState) -> AccountRow {
    let before = committed.map(|committed| committed.row.clone());
    let mut row = before.unwrap_or_default();
    if let Some(snapshot) = &state.snapshot {
        row.last_success = Some(snapshot.walk.ended_at);
        row.walk_started = Some(snapshot.walk.started_at);
        row.walk_took = snapshot.walk.duration;
    }
    row.failure = state.failure;
    row.refusals = state.refusals;
    row
}

fn write_account(change: &Transaction<'_>, name: &str, row: &AccountRow) -> rusqlite::Result<()> {
    // Before the first published walk of this process, the times of an earlier walk stay.
    let mut put = change.prepare_cached(
        "INSERT INTO account (name, last_success, walk_started, walk_millis, failure, refusals)
         VALUES (:name, :last_success, :walk_started, :walk_millis, :failure, :refusals)
         ON CONFLICT DO UPDATE SET
            last_success = coalesce(excluded.last_success, last_success),
            walk_started = coalesce(excluded.walk_started, walk_started),
            walk_millis = coalesce(excluded.walk_millis, walk_millis),
            failure = excluded.failure, refusals = excluded.refusals",
    )?;
    put.execute(named_params! {
        ":name": name,
        ":last_success": row.last_success.map(|time| time.0),
        ":walk_started": row.walk_started.map(|time| time.0),
        ":walk_millis": row.last_success.and(i64::try_from(row.walk_took.as_millis()).ok()),
        ":failure": row.failure,
        ":refusals": row.refusals,
    })?;
    Ok(())
}

/// Writes the endpoints of one account.
struct Writer<'c> {
    change: &'c Transaction<'c>,
    account: &'c str,
}

impl<'c> Writer<'c> {
    fn new(change: &'c Transaction<'c>, account: &'c str) -> Self {
        Self { change, account }
    }

    /// Writes the row of a listed endpoint.
    fn put(&self, endpoint: &StoredEndpoint<'_>) -> rusqlite::Result<()> {
        // The API drops the user agent of a lost endpoint, so the last known one stays. Parameters have numbers,
        // because the search for named ones takes a fifth of the time of a first write.
        let mut put = self.change.prepare_cached(
            "INSERT INTO endpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, NULL)
             ON CONFLICT DO UPDATE SET username = excluded.username, alias = excluded.alias,
                sub_account = excluded.sub_account,
                application = CASE WHEN ?14 THEN excluded.application ELSE application END,
                user_agent = coalesce(excluded.user_agent, user_agent),
                registered = excluded.registered, last_known = excluded.last_known,
                since = excluded.since, last_registered = excluded.last_registered,
                first_seen = excluded.first_seen, last_listed = excluded.last_listed,
                removed_at = NULL",
        )?;
        let history = &endpoint.history;
        put.execute(params![
            self.account,
            endpoint.id,
            endpoint.username,
            endpoint.alias,
            endpoint.sub_account,
            endpoint.application,
            endpoint.user_agent,
            endpoint.registered,
            history.last_known,
            history.since.0,
            history.last_registered().map(|time| time.0),
            history.first_seen.0,
            endpoint.last_listed.map(|time| time.0),
            endpoint.application_known,
        ])?;
        Ok(())
    }

    /// Writes the row of a removed endpoint. Its names stay, if they are stored.
    fn put_removed(&self, id: &str, removed: &RemovedEndpoint) -> rusqlite::Result<()> {
        let mut put = self.change.prepare_cached(
            "INSERT INTO endpoint VALUES (:account, :endpoint_id, '', '', '', NULL, NULL, NULL,
                :last_known, :since, :last_registered, :first_seen, NULL, :removed_at)
             ON CONFLICT DO UPDATE SET last_known = excluded.last_known, since = excluded.since,
                last_registered = excluded.last_registered, first_seen = excluded.first_seen,
                removed_at = excluded.removed_at",
        )?;
        let history = &removed.history;
        put.execute(named_params! {
            ":account": self.account,
            ":endpoint_id": id,
            ":last_known": history.last_known,
            ":since": history.since.0,
            ":last_registered": history.last_registered().map(|time| time.0),
            ":first_seen": history.first_seen.0,
            ":removed_at": removed.removed_at.0,
        })?;
        Ok(())
    }

    fn delete(&self, id: &str) -> rusqlite::Result<()> {
        let delete = "DELETE FROM endpoint WHERE account = ? AND endpoint_id = ?";
        self.change
            .prepare_cached(delete)?
            .execute([self.account, id])?;
        Ok(())
    }

    /// Writes the endpoints that are new in `after` or differ from `before`, marks those that `after` lacks as
    /// removed, and writes events about all of them.
    fn write_differences(&self, before: &Committed, after: &Committed) -> rusqlite::Result<()> {
        let has_same_details = Arc::ptr_eq(&before.details, &after.details);
        let known = after.snapshot.differences_from(&before.snapshot);
        let known = known.filter(|_| has_same_details && before.names == after.names);
        if let Some(differences) = known {
            for id in &differences.gone {
                self.write_removal(id, before, &after.snapshot)?;
            }
            for position in &differences.changed {
                let old = position.old.and_then(|number| before.endpoint(number));
                if let Some(new) = after.endpoint(position.new) {
                    self.write_difference(old, new, before, after)?;
                }
            }
            return Ok(());
        }
        let mut old = before.endpoints().peekable();
        for new in after.endpoints() {
            while let Some(gone) = old.next_if(|old| old.id < new.id) {
                self.write_removal(gone.id, before, &after.snapshot)?;
            }
            let old = old.next_if(|old| old.id == new.id);
            self.write_difference(old, new, before, after)?;
        }
        old.try_for_each(|gone| self.write_removal(gone.id, before, &after.snapshot))
    }

    /// Writes one endpoint, and events about it, unless its stored row `old` stays the same.
    fn write_difference(
        &self,
        old: Option<StoredEndpoint<'_>>,
        new: StoredEndpoint<'_>,
        before: &Committed,
        after: &Committed,
    ) -> rusqlite::Result<()> {
        let stays = |old: &StoredEndpoint<'_>| is_same(old, &new);
        if old.as_ref().is_some_and(stays) {
            return Ok(());
        }
        self.put(&new)?;
        let removed = before.snapshot.removed_endpoint(new.id);
        let listed = old.as_ref().map(|old| old.history);
        let past = listed.or(removed.map(|removed| removed.history));
        self.write_events(old.as_ref(), past, &new, after.snapshot.walk.started_at)
    }

    /// Writes what happened to the endpoint `new`. `old` is its stored row, and `past` its history so far, which a
    /// removed endpoint has without a row in the list.
    fn write_events(
        &self,
        old: Option<&StoredEndpoint<'_>>,
        past: Option<History>,
        new: &StoredEndpoint<'_>,
        walk_started: UnixMillis,
    ) -> rusqlite::Result<()> {
        let event = |kind| Event {
            endpoint_id: Some(new.id),
            ..Event::of_account(walk_started, self.account, kind)
        };
        match old {
            None => {
                let detail = Some(registration(new.history.last_known).to_owned());
                let event = event(EventKind::Added);
                Event { detail, ..event }.write(self.change)?;
            }
            Some(old)
                if old.application_known
                    && new.application_known
                    && old.application != new.application =>
            {
                let [before, after] = [old, new].map(|one| one.application.unwrap_or("none"));
                let detail = Some(format!("{before} to {after}"));
                let event = event(EventKind::Application);
                Event { detail, ..event }.write(self.change)?;
            }
            Some(_) => {}
        }
        let after = new.history;
        // A forgotten endpoint begins a new history, which continues no registration of the past.
        let past = past.filter(|past| past.first_seen == after.first_seen);
        let Some(before) = past else { return Ok(()) };
        if before.last_known.is_none() {
            if after.last_known.is_none() || old.is_none() {
                return Ok(());
            }
            // Without this event, nobody could tell later which time was unknown.
            return Event {
                at: after.since,
                detail: Some(registration(after.last_known).to_owned()),
                ..event(EventKind::Known)
            }
            .write(self.change);
        }
        let (kind, earlier) = match after.last_known {
            _ if before.since == after.since => return Ok(()),
            Some(true) => (EventKind::Back, before.lost_at()),
            _ if after.lost_at().is_some() => (EventKind::Lost, after.last_registered()),
            _ => return Ok(()),
        };
        Event {
            at: after.since,
            earlier,
            ..event(kind)
        }
        .write(self.change)
    }

    /// Deletes the removed endpoints that are no longer remembered.
    fn delete_forgotten(&self, old: &Snapshot, new: &Snapshot) -> rusqlite::Result<()> {
        if new.shares_removed_endpoints(old) {
            return Ok(());
        }
        for (id, _) in old.removed_endpoints() {
            if new.removed_endpoint(id).is_none() && new.number(id).is_none() {
                self.delete(id)?;
            }
        }
        Ok(())
    }

    /// Writes that `new` lacks the endpoint. The event has its registration and its group, because the row is deleted later.
    fn write_removal(&self, id: &str, before: &Committed, new: &Snapshot) -> rusqlite::Result<()> {
        let removed = new.removed_endpoint(id);
        let at = removed.map_or(new.walk.ended_at, |removed| removed.removed_at);
        let last_known = removed.and_then(|removed| removed.history.last_known);
        let registration = registration(last_known);
        let detail = match before.group(id) {
            Some(group) => format!("{registration}, group {group}"),
            None => registration.to_owned(),
        };
        let event = Event {
            endpoint_id: Some(id),
            detail: Some(detail),
            ..Event::of_account(at, self.account, EventKind::Removed)
        };
        event.write(self.change)?;
        match removed {
            Some(removed) => self.put_removed(id, removed),
            // An endpoint whose registration was never known has no past to remember.
            None => self.delete(id),
        }
    }
}

/// Whether the stored row would not change. An unreadable application and a missing user agent leave the stored
/// value, and `last_listed` of a retained endpoint stays as it is first written.
fn is_same(old: &StoredEndpoint<'_>, new: &StoredEndpoint<'_>) -> bool {
    if new.application_known && !old.application_known {
        // The stored value is an earlier one, which the list no longer showed.
        return false;
    }
    let is_retained = old.last_listed.is_some() && new.last_listed.is_some();
    let aligned = StoredEndpoint {
        application: if new.application_known {
            new.application
        } else {
            old.application
        },
        application_known: old.application_known,
        user_agent: new.user_agent.or(old.user_agent),
        last_listed: if is_retained {
            old.last_listed
        } else {
            new.last_listed
        },
        ..*new
    };
    *old == aligned
}

//! The stored judgements: missing and changing endpoints, groups below their minimum, and outages.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, Row, Transaction, params};

use super::{
    events::{Event, EventKind},
    past_outages, schema,
};
use crate::{
    clock::UnixMillis,
    judgement::{
        Begun, BelowMinimum, ChangingEndpoint, Flapping, Judgements, Member, MissingEndpoint,
        Outage, Outages, Part,
    },
    telemetry::labels::Watch,
};

/// The tables, each with a column `account`.
pub(super) const TABLES: [&str; 7] = [
    "missing_endpoint",
    "group_below_minimum",
    "outage",
    "outage_member",
    "outage_begun",
    "outage_pending",
    "changing_endpoint",
];

/// The values of the column `part`.
const PARTS: [(Part, &str); 4] = [
    (Part::None, "none"),
    (Part::Open, "open"),
    (Part::Usual, "usual"),
    (Part::Past, "past"),
];

/// Reads the judgements about the account `name`. `now` is the wall time.
pub(super) fn load(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Judgements> {
    let has_table = |table: &str| schema::has_table(connection, table);
    if !has_table("missing_endpoint")? {
        return Ok(Judgements::default());
    }
    let changing = if has_table("changing_endpoint")? {
        changing(connection, name, now)?
    } else {
        Vec::new()
    };
    let pending = if has_table("outage_pending")? {
        let pending = "SELECT scope FROM outage_pending WHERE account = ?";
        rows(connection, pending, name, stored_scope)?
    } else {
        Vec::new()
    };
    // The clock may have been wrong.
    let time = |millis: i64| UnixMillis(millis).min(now);
    let below_minimum = rows(
        connection,
        "SELECT group_name, since FROM group_below_minimum WHERE account = ? ORDER BY group_name",
        name,
        |row| {
            Ok(BelowMinimum {
                group: row.get(0)?,
                since: time(row.get(1)?),
            })
        },
    )?;
    Ok(Judgements {
        missing: missing(connection, name, now)?.into(),
        below_minimum: below_minimum.into(),
        outages: outages(connection, name, now, pending)?,
        changing: changing.into(),
    })
}

fn missing(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Vec<Arc<MissingEndpoint>>> {
    let time = |millis: i64| UnixMillis(millis).min(now);
    rows(
        connection,
        "SELECT endpoint_id, username, group_name, watch, present_group, since, last_registered, part,
            last_listed
         FROM missing_endpoint WHERE account = ? ORDER BY endpoint_id",
        name,
        |row| {
            let (watch, part): (String, String) = (row.get(3)?, row.get(7)?);
            let watch = Watch::ALL.into_iter().find(|one| one.label() == watch);
            let part = PARTS.into_iter().find(|(_, text)| *text == part);
            Ok(Arc::new(MissingEndpoint {
                id: row.get(0)?,
                username: row.get(1)?,
                group: row.get(2)?,
                watch: watch.unwrap_or(Watch::Notice),
                present_group: row.get(4)?,
                since: time(row.get(5)?),
                last_registered: row.get::<_, Option<i64>>(6)?.map(time),
                part: part.map_or(Part::None, |(part, _)| part),
                last_listed: row.get::<_, Option<i64>>(8)?.map(time),
            }))
        },
    )
}

fn changing(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
) -> rusqlite::Result<Vec<Arc<ChangingEndpoint>>> {
    let select = "SELECT endpoint_id, changes, username, group_name, watch FROM changing_endpoint
        WHERE account = ? ORDER BY endpoint_id";
    rows(connection, select, name, |row| {
        let changes: String = row.get(1)?;
        let times = changes.split(' ').filter_map(|time| time.parse().ok());
        let watch: Option<String> = row.get(4)?;
        let watch = watch.and_then(|text| Watch::ALL.into_iter().find(|one| one.label() == text));
        let flapping = match watch {
            Some(watch) => Some(Box::new(Flapping {
                username: row.get(2)?,
                group: row.get(3)?,
                watch,
            })),
            None => None,
        };
        Ok(Arc::new(ChangingEndpoint {
            id: row.get(0)?,
            changes: times.map(|time| UnixMillis(time).min(now)).collect(),
            flapping,
        }))
    })
}

/// The rows of `select`, whose parameter is the name of an account.
fn rows<T>(
    connection: &Connection,
    select: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut select = connection.prepare(select)?;
    select.query_map([name], read)?.collect()
}

fn outages(
    connection: &Connection,
    name: &str,
    now: UnixMillis,
    pending: Vec<Option<Box<str>>>,
) -> rusqlite::Result<Outages> {
    let time = |millis: i64| UnixMillis(millis).min(now);
    let stored = rows(
        connection,
        "SELECT scope, slot, endpoint_id, group_name, is_lost FROM outage_member WHERE account = ?
         ORDER BY endpoint_id",
        name,
        |row| {
            let member = Member {
                id: row.get(2)?,
                group: row.get(3)?,
                is_lost: row.get(4)?,
            };
            Ok(((stored_scope(row)?, row.get::<_, u32>(1)?), member))
        },
    )?;
    let mut members: HashMap<_, Vec<_>> = HashMap::new();
    for (outage, member) in stored {
        members.entry(outage).or_default().push(member);
    }
    let open = rows(
        connection,
        "SELECT scope, slot, started_at, opened_at, is_major, is_usual, is_growing FROM outage
         WHERE account = ? ORDER BY scope, slot",
        name,
        |row| {
            let (scope, slot) = (stored_scope(row)?, row.get(1)?);
            let members = members.remove(&(scope.clone(), slot)).unwrap_or_default();
            Ok(Outage {
                members: members.into(),
                scope,
                slot,
                started_at: time(row.get(2)?),
                opened_at: time(row.get(3)?),
                is_major: row.get(4)?,
                is_usual: row.get(5)?,
                is_growing: row.get(6)?,
            })
        },
    )?;
    let begun = rows(
        connection,
        "SELECT scope, at FROM outage_begun WHERE account = ? ORDER BY at",
        name,
        |row| {
            Ok(Begun {
                scope: stored_scope(row)?,
                at: time(row.get(1)?),
            })
        },
    )?;
    Ok(Outages::stored(open, begun, pending))
}

/// Writes the judgements about one account.
pub(super) struct Writer<'c> {
    change: &'c Transaction<'c>,
    account: &'c str,
    /// Whether usernames may be stored.
    names: bool,
}

impl<'c> Writer<'c> {
    pub(super) fn new(change: &'c Transaction<'c>, account: &'c str, names: bool) -> Self {
        Self {
            change,
            account,
            names,
        }
    }

    /// Writes what differs between the stored judgements `before` and those `after`. Also writes the events about outages
    /// at the time `now`, and the past outages.
    pub(super) fn save(
        &self,
        before: &Judgements,
        after: &Judgements,
        now: UnixMillis,
    ) -> rusqlite::Result<()> {
        if before.is_same(after) {
            return Ok(());
        }
        self.write_events(before, after, now)?;
        self.write_differences(before, after)
    }

    /// Replaces all stored judgements, without events.
    pub(super) fn replace(&self, after: &Judgements) -> rusqlite::Result<()> {
        for table in TABLES {
            let delete = format!("DELETE FROM {table} WHERE account = ?");
            self.change.execute(&delete, [self.account])?;
        }
        self.write_differences(&Judgements::default(), after)
    }

    fn write_differences(&self, known: &Judgements, after: &Judgements) -> rusqlite::Result<()> {
        self.save_missing(&known.missing, &after.missing)?;
        self.save_changing(&known.changing, &after.changing)?;
        if known.below_minimum != after.below_minimum {
            self.replace_groups(&after.below_minimum)?;
        }
        self.save_outages(&known.outages, &after.outages)
    }

    fn save_missing(
        &self,
        before: &[Arc<MissingEndpoint>],
        after: &[Arc<MissingEndpoint>],
    ) -> rusqlite::Result<()> {
        let put = |one: &MissingEndpoint| self.put_missing(one);
        self.save_endpoints("missing_endpoint", (before, after), |one| &one.id, put)
    }

    fn save_changing(
        &self,
        before: &[Arc<ChangingEndpoint>],
        after: &[Arc<ChangingEndpoint>],
    ) -> rusqlite::Result<()> {
        let put = |one: &ChangingEndpoint| self.put_changing(one);
        self.save_endpoints("changing_endpoint", (before, after), |one| &one.id, put)
    }

    /// Writes the endpoints that differ, and deletes those that are gone. Both lists are sorted by id.
    fn save_endpoints<T>(
        &self,
        table: &str,
        (before, after): (&[Arc<T>], &[Arc<T>]),
        id: impl Fn(&T) -> &str,
        put: impl Fn(&T) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let delete = format!("DELETE FROM {table} WHERE account = ? AND endpoint_id = ?");
        let delete = |one: &T| {
            let mut delete = self.change.prepare_cached(&delete)?;
            delete.execute([self.account, id(one)])
        };
        let mut known = before.iter().peekable();
        for one in after {
            while let Some(gone) = known.next_if(|known| id(known) < id(one)) {
                delete(gone)?;
            }
            let known = known.next_if(|known| id(known) == id(one));
            if known.is_none_or(|known| !Arc::ptr_eq(known, one)) {
                put(one)?;
            }
        }
        for gone in known {
            delete(gone)?;
        }
        Ok(())
    }

    fn put_changing(&self, one: &ChangingEndpoint) -> rusqlite::Result<()> {
        let changes: Vec<_> = one.changes.iter().map(|at| at.0.to_string()).collect();
        let flapping = one.flapping.as_deref();
        let username = flapping.map(|names| if self.names { &*names.username } else { "" });
        let mut put = self.change.prepare_cached(
            "INSERT OR REPLACE INTO changing_endpoint (account, endpoint_id, changes, username, group_name, watch)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        put.execute(params![
            self.account,
            one.id,
            changes.join(" "),
            username,
            flapping.map(|names| &*names.group),
            flapping.map(|names| names.watch.label()),
        ])?;
        Ok(())
    }

    fn put_missing(&self, one: &MissingEndpoint) -> rusqlite::Result<()> {
        let part = PARTS.into_iter().find(|(part, _)| *part == one.part);
        let mut put = self.change.prepare_cached(
            "INSERT OR REPLACE INTO missing_endpoint (account, endpoint_id, username, group_name, watch,
                present_group, since, last_registered, part, last_listed)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        put.execute(params![
            self.account,
            one.id,
            if self.names { &*one.username } else { "" },
            one.group,
            one.watch.label(),
            one.present_group,
            one.since.0,
            one.last_registered.map(|time| time.0),
            part.map(|(_, text)| text),
            one.last_listed.map(|time| time.0),
        ])?;
        Ok(())
    }

    fn replace_groups(&self, groups: &[BelowMinimum]) -> rusqlite::Result<()> {
        let delete = "DELETE FROM group_below_minimum WHERE account = ?";
        self.change.execute(delete, [self.account])?;
        let insert =
            "INSERT INTO group_below_minimum (account, group_name, since) VALUES (?, ?, ?)";
        for below in groups {
            let values = params![self.account, below.group, below.since.0];
            self.change.execute(insert, values)?;
        }
        Ok(())
    }

    /// Replaces each outage that has changed. Its members are written one by one only where they differ.
    fn save_outages(&self, before: &Outages, after: &Outages) -> rusqlite::Result<()> {
        for outage in &*before.open {
            if after.find(outage).is_none() {
                for table in ["outage", "outage_member"] {
                    let delete =
                        format!("DELETE FROM {table} WHERE account = ? AND scope = ? AND slot = ?");
                    let values = params![self.account, scope(outage), outage.slot];
                    self.change.execute(&delete, values)?;
                }
            }
        }
        for outage in &*after.open {
            let known = before.find(outage);
            if known.is_some_and(|known| Arc::ptr_eq(known, outage)) {
                continue;
            }
            self.change.execute(
                "INSERT OR REPLACE INTO outage (account, scope, slot, started_at, opened_at, is_major,
                    is_usual, is_growing)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    self.account,
                    scope(outage),
                    outage.slot,
                    outage.started_at.0,
                    outage.opened_at.0,
                    outage.is_major,
                    outage.is_usual,
                    outage.is_growing,
                ],
            )?;
            self.save_members(outage, known.map_or(&[], |known| &known.members))?;
        }
        self.save_begun(before, after)
    }

    fn save_begun(&self, before: &Outages, after: &Outages) -> rusqlite::Result<()> {
        if before.begun != after.begun {
            let delete = "DELETE FROM outage_begun WHERE account = ?";
            self.change.execute(delete, [self.account])?;
            let insert = "INSERT INTO outage_begun (account, scope, at) VALUES (?, ?, ?)";
            for begun in &*after.begun {
                let scope = begun.scope.as_deref().unwrap_or("");
                let values = params![self.account, scope, begun.at.0];
                self.change.execute(insert, values)?;
            }
        }
        if before.pending != after.pending {
            let delete = "DELETE FROM outage_pending WHERE account = ?";
            self.change.execute(delete, [self.account])?;
            let insert = "INSERT INTO outage_pending (account, scope) VALUES (?, ?)";
            for scope in &*after.pending {
                let scope = scope.as_deref().unwrap_or("");
                self.change.execute(insert, [self.account, scope])?;
            }
        }
        Ok(())
    }

    fn save_members(&self, outage: &Outage, before: &[Member]) -> rusqlite::Result<()> {
        let mut delete = self.change.prepare_cached(
            "DELETE FROM outage_member
             WHERE account = ? AND scope = ? AND slot = ? AND endpoint_id = ?",
        )?;
        let mut put = self.change.prepare_cached(
            "INSERT OR REPLACE INTO outage_member (account, scope, slot, endpoint_id, group_name, is_lost)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        let (scope, slot) = (scope(outage), outage.slot);
        let is_member = |id: &str| {
            outage
                .members
                .binary_search_by(|one| (*one.id).cmp(id))
                .is_ok()
        };
        for gone in before.iter().filter(|member| !is_member(&member.id)) {
            delete.execute(params![self.account, scope, slot, gone.id])?;
        }
        for member in &*outage.members {
            let known = before.binary_search_by(|one| one.id.cmp(&member.id));
            if known.is_ok_and(|at| before[at] == *member) {
                continue;
            }
            put.execute(params![
                self.account,
                scope,
                slot,
                member.id,
                member.group,
                member.is_lost,
            ])?;
        }
        Ok(())
    }

    /// Writes events about outages that have begun or ended. One that has ended becomes a past outage.
    fn write_events(
        &self,
        before: &Judgements,
        after: &Judgements,
        now: UnixMillis,
    ) -> rusqlite::Result<()> {
        let event = |outage: &Outage, at, kind| {
            let detail = match &outage.scope {
                Some(group) => format!("group {group}"),
                None => "account".to_owned(),
            };
            let event = Event {
                detail: Some(detail),
                earlier: Some(outage.started_at),
                ..Event::of_account(at, self.account, kind)
            };
            event.write(self.change)
        };
        let is_lost = |member: &Member| {
            // The member can have registered since the outage was stored, and be lost again.
            let since = |all| missing_since(all, &member.id);
            let stored = since(&before.missing).filter(|_| member.is_lost);
            let present = since(&after.missing);
            matches!((stored, present), (Some(stored), Some(present)) if present <= stored)
        };
        for outage in before.outages.begun_since(&after.outages) {
            event(outage, now, EventKind::OutageEnded)?;
            past_outages::write(self.change, self.account, outage, now, is_lost)?;
        }
        for outage in after.outages.begun_since(&before.outages) {
            event(outage, outage.opened_at, EventKind::OutageStarted)?;
        }
        Ok(())
    }
}

/// The time of the loss of a missing endpoint. `missing` is sorted by id.
fn missing_since(missing: &[Arc<MissingEndpoint>], id: &str) -> Option<UnixMillis> {
    let found = missing.binary_search_by(|one| (*one.id).cmp(id));
    found.ok().map(|at| missing[at].since)
}

/// The value of the column `scope`, which is the first of `row`.
fn stored_scope(row: &Row<'_>) -> rusqlite::Result<Option<Box<str>>> {
    let scope: Box<str> = row.get(0)?;
    Ok(Some(scope).filter(|scope| !scope.is_empty()))
}

/// The column `scope`.
fn scope(outage: &Outage) -> &str {
    outage.scope.as_deref().unwrap_or("")
}

//! What the command `vobiz-exporter state` reads: the content of the database, and a backup of it.

use std::{
    fmt::Write,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::{Error, error, judgements, requests, requests::Request, schema};
use crate::clock::UnixMillis;

/// What the database has.
#[derive(Debug, Serialize)]
struct Report {
    accounts: Vec<Account>,
    /// The changes that the exporter has not made yet.
    queued: Vec<Request>,
}

/// The stored state of one account.
#[derive(Debug, Serialize)]
struct Account {
    #[serde(rename = "account")]
    name: String,
    /// End of the last published walk, as RFC 3339.
    last_success: Option<String>,
    /// The reason of the last walk if it failed.
    failure: Option<String>,
    /// The endpoints that are expected to be registered and are not.
    missing: Vec<Missing>,
    groups_below_minimum: Vec<Below>,
    outages: Vec<OpenOutage>,
    endpoints: Vec<Endpoint>,
}

/// A missing endpoint. Username, group and `watch` are those at the loss.
#[derive(Debug, Serialize)]
struct Missing {
    endpoint_id: String,
    username: String,
    group: String,
    watch: &'static str,
    since: String,
}

#[derive(Debug, Serialize)]
struct Below {
    group: String,
    since: String,
}

#[derive(Debug, Serialize)]
struct OpenOutage {
    /// The group, or `null` for the whole account.
    group: Option<String>,
    since: String,
    lost: u64,
    recovered: u64,
}

#[derive(Debug, Serialize)]
struct Endpoint {
    #[serde(rename = "endpoint_id")]
    id: String,
    username: String,
    alias: String,
    sub_account: String,
    application: Option<String>,
    user_agent: Option<String>,
    /// The last known registration; `null` if the list never had a usable value.
    registered: Option<bool>,
    since: Option<String>,
    first_seen: Option<String>,
    /// The last walk that read the endpoint as registered.
    last_registered: Option<String>,
    /// `true` if the list has the endpoint, which was registered and is not.
    lost: bool,
    removed_at: Option<String>,
}

/// The stored state of all accounts or of one, as a table or as JSON.
///
/// # Errors
/// There is no database in `directory`, it cannot be read, or it does not have the account.
pub fn report(directory: &Path, account: Option<&str>, json: bool) -> Result<String, Error> {
    let connection = open(directory)?;
    let path = schema::path(directory);
    let mut report = read(&connection, account).map_err(Error::database(&path))?;
    if let Some(name) = account {
        if report.accounts.is_empty() {
            let reason = format!("the database has no account {name}");
            return Err(Error::Refused { path, reason });
        }
        report.queued.retain(|request| request.account() == name);
    }
    if json {
        return Ok(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n");
    }
    let mut text = String::new();
    if report.accounts.is_empty() {
        text += "no accounts\n";
    }
    for account in &report.accounts {
        write_account(account, &mut text);
    }
    for request in &report.queued {
        let _ = writeln!(text, "queued for the exporter: {request}");
    }
    Ok(text)
}

fn open(directory: &Path) -> Result<Connection, Error> {
    let connection = schema::open_to_read(directory)?;
    connection.ok_or_else(|| Error::Absent(schema::path(directory)))
}

/// Reads everything about `account`, or about all accounts.
fn read(connection: &Connection, account: Option<&str>) -> rusqlite::Result<Report> {
    let mut accounts = accounts(connection, account)?;
    for account in &mut accounts {
        account.endpoints = endpoints(connection, account)?;
        read_judgements(connection, account)?;
    }
    // A database of the first schema has no requests.
    let queued = requests::queued(connection).unwrap_or_default();
    let queued = queued.into_iter().map(|(_, request)| request).collect();
    Ok(Report { accounts, queued })
}

fn read_judgements(connection: &Connection, account: &mut Account) -> rusqlite::Result<()> {
    // Every stored time is shown as it is.
    let stored = judgements::load(connection, &account.name, UnixMillis(i64::MAX))?;
    let missing = stored.missing.iter().map(|one| Missing {
        endpoint_id: one.id.to_string(),
        username: one.username.to_string(),
        group: one.group.to_string(),
        watch: one.watch.label(),
        since: one.since.to_rfc3339(),
    });
    let below = stored.below_minimum.iter().map(|one| Below {
        group: one.group.to_string(),
        since: one.since.to_rfc3339(),
    });
    let outages = stored.outages.open.iter().map(|one| {
        let (lost, recovered) = one.counts();
        OpenOutage {
            group: one.scope.as_deref().map(str::to_owned),
            since: one.started_at.to_rfc3339(),
            lost,
            recovered,
        }
    });
    account.missing = missing.collect();
    account.groups_below_minimum = below.collect();
    account.outages = outages.collect();
    Ok(())
}

fn accounts(connection: &Connection, name: Option<&str>) -> rusqlite::Result<Vec<Account>> {
    let select = "SELECT name, last_success, failure FROM account
        WHERE name = ?1 OR ?1 IS NULL ORDER BY name";
    let mut select = connection.prepare(select)?;
    let rows = select.query_map([name], |row| {
        Ok(Account {
            name: row.get(0)?,
            last_success: time(row, 1)?,
            failure: row.get(2)?,
            missing: Vec::new(),
            groups_below_minimum: Vec::new(),
            outages: Vec::new(),
            endpoints: Vec::new(),
        })
    })?;
    rows.collect()
}

fn endpoints(connection: &Connection, account: &Account) -> rusqlite::Result<Vec<Endpoint>> {
    let mut select = connection.prepare(
        "SELECT endpoint_id, username, alias, sub_account, application, user_agent, last_known,
            since, first_seen, removed_at, last_registered,
            removed_at IS NULL AND last_known IS 0 AND last_registered IS NOT NULL
         FROM endpoint WHERE account = ? ORDER BY endpoint_id",
    )?;
    let rows = select.query_map([&account.name], |row| {
        let registered = row.get(6)?;
        let last_walk = || {
            account
                .last_success
                .clone()
                .filter(|_| registered == Some(true))
        };
        Ok(Endpoint {
            id: row.get(0)?,
            username: row.get(1)?,
            alias: row.get(2)?,
            sub_account: row.get(3)?,
            application: row.get(4)?,
            user_agent: row.get(5)?,
            registered,
            since: time(row, 7)?,
            first_seen: time(row, 8)?,
            removed_at: time(row, 9)?,
            last_registered: time(row, 10)?.or_else(last_walk),
            lost: row.get(11)?,
        })
    })?;
    rows.collect()
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    let millis: Option<i64> = row.get(at)?;
    Ok(millis.map(|millis| UnixMillis(millis).to_rfc3339()))
}

fn write_account(account: &Account, text: &mut String) {
    let never = || "never".to_owned();
    let last_success = account.last_success.clone().unwrap_or_else(never);
    let failure = account.failure.as_deref().unwrap_or("none");
    let (name, endpoints) = (&account.name, &account.endpoints);
    let removed = endpoints.iter().filter(|one| one.removed_at.is_some());
    let removed = removed.count();
    let listed = endpoints.len() - removed;
    let _ = writeln!(
        text,
        "account {name}: {listed} endpoints, {removed} removed, last good walk {last_success}, \
         failure {failure}"
    );
    for outage in &account.outages {
        let (lost, recovered) = (outage.lost, outage.recovered);
        let scope = outage
            .group
            .as_ref()
            .map_or("the account".to_owned(), |group| format!("group {group}"));
        let _ = writeln!(
            text,
            "  outage       since {:24} {scope}: {lost} lost, {recovered} recovered",
            outage.since
        );
    }
    for below in &account.groups_below_minimum {
        let _ = writeln!(
            text,
            "  below min    since {:24} group {}",
            below.since, below.group
        );
    }
    for one in &account.missing {
        let (id, username, group, watch) = (&one.endpoint_id, &one.username, &one.group, one.watch);
        let _ = writeln!(
            text,
            "  missing      since {:24} {id} {username} {group} {watch}",
            one.since
        );
    }
    for one in endpoints {
        let state = match (&one.removed_at, one.registered) {
            (Some(_), _) => "removed",
            (None, _) if one.lost => "lost",
            (None, Some(true)) => "registered",
            (None, Some(false)) => "unregistered",
            (None, None) => "unknown",
        };
        let since = one.removed_at.as_ref().or(one.since.as_ref());
        let since = since.map_or("", String::as_str);
        let (id, username, alias) = (&one.id, &one.username, &one.alias);
        let _ = writeln!(
            text,
            "  {state:12} since {since:24} {id} {username} {alias}"
        );
    }
}

/// Writes a copy of the database in `directory` to the new file `target`, which only its owner can read.
///
/// # Errors
/// There is no database, the file exists, or it cannot be written.
pub fn backup(directory: &Path, target: &Path) -> Result<(), Error> {
    let connection = open(directory)?;
    // VACUUM INTO accepts an existing file if it is empty. It would create a file that others can read.
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target);
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Refused {
            path: target.to_owned(),
            reason: "the file already exists: choose a new name".to_owned(),
        },
        _ => Error::file(target, error),
    })?;
    let name = target.to_str().ok_or_else(|| {
        Error::file(
            target,
            io::Error::other("the name of the file is not UTF-8"),
        )
    })?;
    if let Err(error) = connection.execute("VACUUM INTO ?", [name]) {
        // An incomplete copy would be in the way of the next attempt.
        let _ = fs::remove_file(target);
        let is_damaged = error::is_damage(&error);
        let source = schema::path(directory);
        let path = if is_damaged { &source } else { target };
        return Err(Error::database(path)(error));
    }
    Ok(())
}

//! The tables of the state database, their migrations, and the ways to open the file.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::Error;

/// The name of the database in the state directory.
const FILE: &str = "state.db";

/// The maximum time for which a statement waits for the lock of another program. An exporter that cannot write at the
/// start also tries to read, and both together take less than the two seconds that a start waits.
const LOCKED_LIMIT: Duration = Duration::from_millis(800);

/// How a database is opened that is only read.
const TO_READ: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// `SQLite` keeps this number in the file's header. It tells this database from those of other programs.
const APPLICATION_ID: i64 = 0x566F_627A;

/// One script for each schema version. The script at index N changes a database from version N to version N + 1.
/// A released script never changes. All times are milliseconds since the Unix epoch.
const MIGRATIONS: [&str; 8] = [
    "CREATE TABLE account (
        name TEXT PRIMARY KEY,
        -- The end, the start and the duration of the last published walk.
        last_success INTEGER,
        walk_started INTEGER,
        walk_millis INTEGER,
        -- The reason of the last walk if it failed, and the number of successive refused walks.
        failure TEXT,
        refusals INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE endpoint (
        account TEXT NOT NULL,
        endpoint_id TEXT NOT NULL,
        username TEXT NOT NULL,
        alias TEXT NOT NULL,
        sub_account TEXT NOT NULL,
        application TEXT,
        -- The last known user agent. The API drops it when a phone falls.
        user_agent TEXT,
        -- sip_registered in the last walk, and its last value that was true or false.
        registered INTEGER,
        last_known INTEGER,
        -- The first walk with last_known, the last walk that read true (no value: the account's last walk),
        -- and the first walk that listed the endpoint.
        since INTEGER NOT NULL,
        last_registered INTEGER,
        first_seen INTEGER NOT NULL,
        -- The last walk that listed the endpoint. No value: the account's last walk.
        last_listed INTEGER,
        -- The walk that removed the endpoint. Its row is deleted a week later.
        removed_at INTEGER,
        PRIMARY KEY (account, endpoint_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        account TEXT,
        endpoint_id TEXT,
        kind TEXT NOT NULL,
        -- Of a loss: the last walk that read true. Of a return: the time of the loss.
        earlier INTEGER,
        detail TEXT
    ) STRICT;",
    // Changes that a command asks a running exporter for, and a quick way to the last start or stop.
    "CREATE INDEX event_of_exporter ON event (id) WHERE account IS NULL;
    CREATE TABLE request (
        id INTEGER PRIMARY KEY,
        action TEXT NOT NULL,
        account TEXT NOT NULL,
        endpoint_id TEXT,
        new_name TEXT
    ) STRICT;",
    // The time at which an exporter first ran without the account. No value: the exporter polls the account.
    "ALTER TABLE account ADD COLUMN unpolled_since INTEGER;",
    "CREATE TABLE missing_endpoint (
        account TEXT NOT NULL,
        endpoint_id TEXT NOT NULL,
        -- The username, the group and its importance at the loss.
        username TEXT NOT NULL,
        group_name TEXT NOT NULL,
        watch TEXT NOT NULL,
        present_group TEXT NOT NULL,
        since INTEGER NOT NULL,
        -- The last walk that read true; no value if none did.
        last_registered INTEGER,
        -- Whether the loss belongs to an outage: none, open, usual, past.
        part TEXT NOT NULL,
        -- The last walk that listed the endpoint. No value: the account's last walk.
        last_listed INTEGER,
        PRIMARY KEY (account, endpoint_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE group_below_minimum (
        account TEXT NOT NULL,
        group_name TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (account, group_name)
    ) STRICT, WITHOUT ROWID;
    -- The scope of an outage is the name of a group, or empty for the whole account.
    CREATE TABLE outage (
        account TEXT NOT NULL,
        scope TEXT NOT NULL,
        slot INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        opened_at INTEGER NOT NULL,
        is_major INTEGER NOT NULL,
        is_usual INTEGER NOT NULL,
        is_growing INTEGER NOT NULL,
        PRIMARY KEY (account, scope, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outage_member (
        account TEXT NOT NULL,
        scope TEXT NOT NULL,
        slot INTEGER NOT NULL,
        endpoint_id TEXT NOT NULL,
        group_name TEXT NOT NULL,
        is_lost INTEGER NOT NULL,
        PRIMARY KEY (account, scope, slot, endpoint_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outage_begun (
        account TEXT NOT NULL,
        scope TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;",
    // An endpoint whose registration has changed within an hour. While it flaps, its names at the begin have values.
    "CREATE TABLE changing_endpoint (
        account TEXT NOT NULL,
        endpoint_id TEXT NOT NULL,
        -- The times of the changes, separated by spaces.
        changes TEXT NOT NULL,
        username TEXT,
        group_name TEXT,
        watch TEXT,
        PRIMARY KEY (account, endpoint_id)
    ) STRICT, WITHOUT ROWID;",
    "-- The scopes of outages for which the criterion held at the last walk. It must hold at two walks.
    CREATE TABLE outage_pending (
        account TEXT NOT NULL,
        scope TEXT NOT NULL,
        PRIMARY KEY (account, scope)
    ) STRICT, WITHOUT ROWID;",
    "-- The outages that have ended, in the order of their ends. The scope is as in the table outage.
    CREATE TABLE past_outage (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        scope TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        opened_at INTEGER NOT NULL,
        ended_at INTEGER NOT NULL,
        is_major INTEGER NOT NULL,
        is_usual INTEGER NOT NULL,
        -- The number of members, and of those that were lost at the end.
        endpoints INTEGER NOT NULL,
        lost_at_end INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE past_outage_member (
        outage_id INTEGER NOT NULL,
        endpoint_id TEXT NOT NULL,
        group_name TEXT NOT NULL,
        -- Whether the endpoint was lost at the end.
        is_lost INTEGER NOT NULL,
        PRIMARY KEY (outage_id, endpoint_id)
    ) STRICT, WITHOUT ROWID;
    -- Quick ways to the last events of an endpoint, and to those of an account that concern no endpoint.
    CREATE INDEX event_of_endpoint ON event (account, endpoint_id, id) WHERE endpoint_id IS NOT NULL;
    CREATE INDEX event_of_account ON event (account, id) WHERE endpoint_id IS NULL;",
    "-- The newest time of a deleted event; no row if none was deleted. An older exporter did not note it, so its log counts
    -- from the oldest event on.
    CREATE TABLE deleted_events (until INTEGER NOT NULL) STRICT;
    INSERT INTO deleted_events SELECT at FROM event WHERE id = (SELECT min(id) FROM event) AND id > 1;",
];

/// The path of the database in `directory`.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// The size of the database in `directory`, in bytes. `None` if there is no file.
pub(super) fn found(directory: &Path) -> Result<Option<u64>, Error> {
    let path = path(directory);
    match fs::metadata(&path) {
        Ok(file) => Ok(Some(file.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::NotADirectory(directory.to_owned()))
        }
        Err(error) => Err(Error::file(&path, error)),
    }
}

/// Opens the database in `directory` for reading and writing, creates it if it is absent, and migrates it.
pub(super) fn open(directory: &Path) -> Result<Connection, Error> {
    let path = path(directory);
    // SQLite would take the file for a new database, and delete the log.
    if fs::metadata(&path).is_ok_and(|file| file.len() == 0) && has_log(&path) {
        return Err(Error::Emptied(path));
    }
    // SQLite would create a file that others can read. Its other files get the permissions of this one.
    let created = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    created.map_err(|error| Error::file(&path, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(&path, flags).map_err(Error::database(&path))?;
    // The statements below would change the database of another program.
    check_version(&connection, &path)?;
    let mode = configure(&connection).map_err(Error::database(&path))?;
    if mode != "wal" {
        let message = format!("the file system supports no write-ahead log (mode {mode})");
        return Err(Error::file(&path, io::Error::other(message)));
    }
    migrate(&mut connection, &path)?;
    Ok(connection)
}

fn connect(name: impl AsRef<Path>, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(name, flags)?;
    connection.busy_timeout(LOCKED_LIMIT)?;
    Ok(connection)
}

/// Sets how the database is written. Returns the journal mode.
fn configure(connection: &Connection) -> rusqlite::Result<String> {
    // A scratch image has no folder for temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // The default of 2 MB is no faster.
    connection.pragma_update(None, "cache_size", -1000)?;
    // A forgotten endpoint must leave no bytes in the file.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // With the write-ahead log, NORMAL keeps every transaction over `kill -9`, but not over a power cut.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    // A checkpoint waits for the disk, so none is part of a transaction. See `copy_log`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(mode)
}

/// Opens the database in `directory` for reading only. `None` if there is no file.
///
/// Without a write-ahead log, the file is complete, and is read without locks. A read with locks would create a log and
/// an index of it, which is not possible on a disk that is full or read-only.
pub(super) fn open_to_read(directory: &Path) -> Result<Option<Connection>, Error> {
    let path = path(directory);
    match found(directory)? {
        Some(0) if has_log(&path) => return Err(Error::Emptied(path)),
        None | Some(0) => return Ok(None),
        Some(_) => {}
    }
    let connected = if has_log(&path) {
        connect(&path, TO_READ)
    } else {
        let name = path.to_str().unwrap_or_default();
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let uri = format!("file:{name}?immutable=1");
        connect(uri, TO_READ | OpenFlags::SQLITE_OPEN_URI)
    };
    let connection = connected.map_err(Error::database(&path))?;
    check_version(&connection, &path)?;
    Ok(Some(connection))
}

/// Opens the database in `directory` for reading only, while this process may write it. `None` if there is no file.
///
/// A read without locks could see half of a change that the writing thread copies into the file. So an empty log, which
/// the writing thread keeps open, is read with locks, too.
pub(super) fn open_beside_writer(directory: &Path) -> Result<Option<Connection>, Error> {
    let path = path(directory);
    let is_written = !has_log(&path) && path.with_extension("db-wal").exists();
    if is_written
        && matches!(found(directory)?, Some(size) if size > 0)
        && let Ok(connection) = connect(&path, TO_READ)
        && check_version(&connection, &path).is_ok()
    {
        return Ok(Some(connection));
    }
    // On a disk that cannot be written, an empty log can remain of an earlier process.
    open_to_read(directory)
}

/// Whether the database has a table with this name. A database that cannot be migrated, because it is only read, may
/// lack tables.
pub(super) fn has_table(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)";
    connection.query_one(exists, [table], |row| row.get(0))
}

/// Whether the write-ahead log of the database has content.
fn has_log(path: &Path) -> bool {
    fs::metadata(path.with_extension("db-wal")).is_ok_and(|log| log.len() > 0)
}

/// The schema version of the file; 0 for a new file.
fn check_version(connection: &Connection, path: &Path) -> Result<usize, Error> {
    let number = |query| connection.query_one(query, (), |row| row.get::<_, i64>(0));
    let read = |query| number(query).map_err(Error::database(path));
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    let version = read("PRAGMA user_version")?;
    let application = read("PRAGMA application_id")?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Error::Foreign(path.to_owned()));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(Error::Newer {
            path: path.to_owned(),
            found: version,
            known: MIGRATIONS.len(),
        }),
    }
}

/// Brings the database to the newest version, in one transaction for each version.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let version = check_version(connection, path)?;
    for (version, script) in (1_i64..).zip(MIGRATIONS).skip(version) {
        let mut run = || {
            let change = begin(connection)?;
            change.execute_batch(script)?;
            change.pragma_update(None, "application_id", APPLICATION_ID)?;
            change.pragma_update(None, "user_version", version)?;
            change.commit()
        };
        run().map_err(Error::database(path))?;
    }
    Ok(())
}

/// Copies the write-ahead log into the file, so that the log can be written from its start again.
pub(super) fn copy_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
}

/// Brings the file up to date and empties the write-ahead log, so that neither has bytes of deleted values.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}

/// Begins a transaction that writes.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

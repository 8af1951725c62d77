//! The state database of one process, over all faults of its disk.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use super::{
    Error,
    events::{self, Event, EventKind},
    load::{self, Restored},
    lock, past_outages, polled, requests,
    requests::{Change, Made},
    save::{self, Committed},
    schema,
};
use crate::{
    clock::{Clock, UnixMillis},
    snapshot::AccountState,
};

/// The size of a write-ahead log that is copied into the database, in bytes.
const LONG_LOG: u64 = 4 << 20;

/// The settings of a state database.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) directory: PathBuf,
    /// The time for which events and past outages are kept.
    pub(super) retention: Duration,
    /// The accounts that the exporter polls.
    pub(super) accounts: Vec<Arc<str>>,
    pub(super) clock: Clock,
}

/// The state of all loaded accounts.
pub(super) type AllRestored = HashMap<Arc<str>, Restored>;

/// The database, and what is known about its content. The disk may fail at any time; then the next call tries again.
#[derive(Debug)]
pub(super) struct StateFile {
    settings: Settings,
    lock: Option<File>,
    connection: Option<Connection>,
    /// The device and the inode of the file that `committed` describes.
    identity: Option<(u64, u64)>,
    /// The committed state of each account. Without an entry, nothing is known about the stored rows.
    committed: HashMap<Arc<str>, Committed>,
    /// Changes that the pollers have not taken over yet.
    changes: Vec<(Arc<str>, Change)>,
    /// What was committed to a file that is gone. The next transaction writes it to the present file.
    gone: HashMap<Arc<str>, Committed>,
    /// The last states that could not be saved.
    unsaved: BTreeMap<Arc<str>, Arc<AccountState>>,
    /// Whether the file has the event of this start.
    has_started: bool,
}

/// What `load` found.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) restored: AllRestored,
    /// The error of the damaged file that was set aside.
    pub(super) damage: Option<Error>,
}

impl StateFile {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            lock: None,
            connection: None,
            identity: None,
            committed: HashMap::new(),
            changes: Vec::new(),
            gone: HashMap::new(),
            unsaved: BTreeMap::new(),
            has_started: false,
        }
    }

    /// Creates the directory and locks it, unless it is locked. False if another exporter holds the lock.
    pub(super) fn lock(&mut self) -> Result<bool, Error> {
        let directory = &self.settings.directory;
        let held = self.lock.as_ref();
        if !held.is_some_and(|file| lock::is_in_place(file, directory)) {
            lock::create_directory(directory)?;
            self.lock = lock::lock(directory)?;
        }
        Ok(self.lock.is_some())
    }

    /// Opens the database and reads the configured accounts. Sets a damaged file aside, and then begins anew.
    /// `at_start` says that no poller has a memory yet.
    pub(super) fn load(&mut self, at_start: bool) -> Result<Loaded, Error> {
        match self.open(at_start) {
            Err(error) if error.is_corrupt() => {
                self.set_aside()?;
                let restored = self.open(at_start)?;
                let damage = Some(error);
                Ok(Loaded { restored, damage })
            }
            opened => opened.map(|restored| Loaded {
                restored,
                damage: None,
            }),
        }
    }

    fn open(&mut self, at_start: bool) -> Result<AllRestored, Error> {
        self.connection = None;
        let mut connection = schema::open(&self.settings.directory)?;
        let begun = self.begin(&mut connection, at_start);
        let restored = begun.map_err(|error| self.failed(error))?;
        self.committed = restored
            .iter()
            .map(|(name, restored)| (Arc::clone(name), Committed::from(restored)))
            .collect();
        self.identity = Some(self.identity_on_disk()?);
        self.connection = Some(connection);
        Ok(restored)
    }

    /// Writes the event of the start, makes the requested changes, and reads the accounts.
    fn begin(
        &mut self,
        connection: &mut Connection,
        at_start: bool,
    ) -> rusqlite::Result<AllRestored> {
        let now = self.settings.clock.now();
        let change = schema::begin(connection)?;
        if !self.has_started {
            write_start(&change, now)?;
        }
        let made = if at_start {
            requests::apply_queued(&change, &self.settings.accounts, None, now)?
        } else {
            Made::default()
        };
        polled::note(&change, &self.settings.accounts, now)?;
        change.commit()?;
        made.log();
        self.has_started = true;
        read_accounts(connection, &self.settings.accounts, self.settings.clock)
    }

    /// An error of the database.
    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::database(&schema::path(&self.settings.directory))(error)
    }

    /// Reads the configured accounts from a database that cannot be written, for example in a read-only folder.
    pub(super) fn load_read_only(&mut self) -> Result<AllRestored, Error> {
        let directory = &self.settings.directory;
        // Without the folder, its disk may not be mounted yet, so the stored state is unknown.
        fs::metadata(directory).map_err(|error| Error::file(directory, error))?;
        let restored = read_only(&self.settings)?;
        let accounts = restored.iter();
        self.committed = accounts
            .map(|(name, restored)| (Arc::clone(name), Committed::from(restored)))
            .collect();
        self.identity = self.identity_on_disk().ok();
        Ok(restored)
    }

    fn identity_on_disk(&self) -> Result<(u64, u64), Error> {
        let path = schema::path(&self.settings.directory);
        let file = fs::metadata(&path).map_err(|error| Error::file(&path, error))?;
        Ok((file.dev(), file.ino()))
    }

    /// The size of the database and of its write-ahead log, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let path = schema::path(&self.settings.directory);
        let log = path.with_extension("db-wal");
        size(&path) + size(&log)
    }

    /// Renames the damaged file and its log. An earlier damaged file is replaced, so that they do not fill the disk.
    fn set_aside(&mut self) -> Result<(), Error> {
        self.connection = None;
        self.gone.extend(self.committed.drain());
        self.has_started = false;
        let path = schema::path(&self.settings.directory);
        // The log goes first, so that it never stands beside a new file.
        for ending in ["-wal", "-shm", ""] {
            let from = path.with_extension(format!("db{ending}"));
            let to = path.with_extension(format!("db.corrupt{ending}"));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file(&from, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Opens the database again, if it is not open or if another file has its place. What the new file remembers
    /// becomes a change for the pollers.
    fn reopen(&mut self) -> Result<Option<Error>, Error> {
        if !self.lock()? {
            return Err(Error::Locked(self.settings.directory.clone()));
        }
        let on_disk = self.identity_on_disk().ok();
        if on_disk.is_some() && on_disk == self.identity {
            if self.connection.is_none() {
                self.connection = Some(schema::open(&self.settings.directory)?);
            }
            return Ok(None);
        }
        if self.identity.take().is_some() {
            // Another file has the place of the file with the event.
            self.has_started = false;
            self.gone.extend(self.committed.drain());
        }
        let loaded = self.load(false)?;
        self.loaded_late(loaded.restored);
        Ok(loaded.damage)
    }

    /// Makes a state that was loaded after the start a change for the pollers, which continue its histories.
    pub(super) fn loaded_late(&mut self, restored: AllRestored) {
        let older = restored.into_iter();
        self.changes
            .extend(older.map(|(name, old)| (name, Change::Continue(old))));
    }

    /// Saves the new `states` in one transaction, and the earlier ones that could not be saved.
    ///
    /// # Errors
    /// Nothing was saved. The next call saves all that has changed until then.
    pub(super) fn save(
        &mut self,
        states: impl IntoIterator<Item = Arc<AccountState>>,
    ) -> Result<Option<Error>, Error> {
        for state in states {
            self.unsaved.insert(Arc::clone(&state.account), state);
        }
        match self.try_to_save() {
            Err(error) if error.is_corrupt() => {
                self.set_aside()?;
                self.try_to_save()?;
                Ok(Some(error))
            }
            Err(error) => {
                // A full disk and a short lock by another program need no new connection.
                if !is_passing(&error) {
                    self.connection = None;
                }
                Err(error)
            }
            saved => saved,
        }
    }

    /// Copies a long write-ahead log into the file. Nobody waits for this, so the disk may take its time.
    pub(super) fn copy_long_log(&mut self) -> Result<(), Error> {
        let log = schema::path(&self.settings.directory).with_extension("db-wal");
        match &self.connection {
            Some(connection) if size(&log) > LONG_LOG => {
                schema::copy_log(connection).map_err(|error| self.failed(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the last state of the account is not saved.
    pub(super) fn is_unsaved(&self, account: &str) -> bool {
        self.unsaved.contains_key(account)
    }

    /// Whether the last state of some account is not saved.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn try_to_save(&mut self) -> Result<Option<Error>, Error> {
        let damage = self.reopen()?;
        let saved = self.save_unsaved();
        saved.map_err(|error| self.failed(error))?;
        Ok(damage)
    }

    fn save_unsaved(&mut self) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let now = self.settings.clock.now();
        let change = schema::begin(connection)?;
        if !self.has_started {
            write_start(&change, now)?;
            polled::note(&change, &self.settings.accounts, now)?;
        }
        // What the present file has of an account is a change for its poller.
        self.gone
            .retain(|name, _| !self.committed.contains_key(name));
        for (name, gone) in &mut self.gone {
            save::replace(&change, name, gone)?;
            gone.begin_log();
        }
        let mut saved = Vec::new();
        for (name, state) in &self.unsaved {
            // This state would replace what a change is about that its poller has not made yet.
            if self.changes.iter().any(|(account, _)| account == name) {
                continue;
            }
            let committed = self.committed.get(name).or_else(|| self.gone.get(name));
            let new = save::save(&change, committed, state, now)?;
            saved.push((Arc::clone(name), new));
        }
        let oldest = now.minus(self.settings.retention);
        events::delete_old(&change, oldest)?;
        past_outages::delete_old(&change, oldest)?;
        polled::delete_old(&change, oldest)?;
        change.commit()?;
        self.has_started = true;
        self.committed.extend(self.gone.drain());
        let mut names_are_gone = false;
        for (name, new) in saved {
            let before = self.committed.get(&name);
            let had_names = before.is_none_or(Committed::has_names);
            names_are_gone |= had_names && !new.has_names();
            self.unsaved.remove(&name);
            // An account can be removed before its last state is saved.
            if self.settings.accounts.contains(&name) {
                self.committed.insert(name, new);
            }
        }
        if names_are_gone {
            // The state is saved, so an error here is none of this transaction.
            let _ = schema::empty_log(connection);
        }
        Ok(())
    }

    /// Makes the requested changes in the database. Returns the changes for the poller of `account`.
    pub(super) fn changes(&mut self, account: &Arc<str>) -> Result<Vec<Change>, Error> {
        let made = self.make_queued_changes(account);
        made.map_err(|error| self.failed(error))?;
        let is_theirs = |(name, _): &mut (Arc<str>, Change)| name == account;
        let taken = self.changes.extract_if(.., is_theirs);
        let taken: Vec<_> = taken.map(|(_, change)| change).collect();
        if !taken.is_empty() {
            // A state from before the changes would overwrite rows that the poller takes over only now.
            self.unsaved.remove(account);
        }
        Ok(taken)
    }

    fn make_queued_changes(&mut self, account: &Arc<str>) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if requests::queued(connection)?.is_empty() {
            return Ok(());
        }
        let now = self.settings.clock.now();
        let change = schema::begin(connection)?;
        let made = requests::apply_queued(&change, &self.settings.accounts, Some(account), now)?;
        change.commit()?;
        let _ = schema::empty_log(connection);
        made.log();
        for (name, change_of_account) in &made.changes {
            match change_of_account {
                Change::Forget(None) => {
                    self.committed.remove(name);
                }
                Change::Forget(Some(id)) => {
                    if let Some(committed) = self.committed.get_mut(name) {
                        committed.forget(id);
                    }
                }
                Change::Continue(older) => {
                    self.committed
                        .insert(Arc::clone(name), Committed::from(older));
                }
            }
        }
        self.changes.extend(made.changes);
        Ok(())
    }

    /// Whether the exporter polls the account.
    pub(super) fn polls(&self, account: &Arc<str>) -> bool {
        self.settings.accounts.contains(account)
    }

    /// Uses other settings from now on. Returns the state of the added accounts. If it cannot be read now, it becomes a
    /// change for the pollers later.
    pub(super) fn reconfigure(&mut self, accounts: Vec<Arc<str>>, retention: Duration) -> Loaded {
        self.settings.retention = retention;
        let before = std::mem::replace(&mut self.settings.accounts, accounts);
        let accounts: HashSet<_> = self.settings.accounts.iter().cloned().collect();
        self.committed.retain(|name, _| accounts.contains(name));
        self.changes.retain(|(name, _)| accounts.contains(name));
        let added: Vec<_> = accounts
            .into_iter()
            .filter(|name| !before.contains(name))
            .collect();
        match self.load_added(&added) {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::debug!(%error, "the state of added accounts cannot be read yet");
                // The next save then reads all accounts again.
                (self.connection, self.identity) = (None, None);
                Loaded::default()
            }
        }
    }

    fn load_added(&mut self, added: &[Arc<str>]) -> Result<Loaded, Error> {
        let damage = self.reopen()?;
        for name in added {
            let made = self.make_queued_changes(name);
            made.map_err(|error| self.failed(error))?;
        }
        // What these changes are about is read below.
        self.changes.retain(|(name, _)| !added.contains(name));
        let read = self.read_added(added);
        let restored = read.map_err(|error| self.failed(error))?;
        let committed = restored.iter();
        self.committed.extend(
            committed.map(|(name, restored)| (Arc::clone(name), Committed::from(restored))),
        );
        Ok(Loaded { restored, damage })
    }

    fn read_added(&mut self, added: &[Arc<str>]) -> rusqlite::Result<AllRestored> {
        let Some(connection) = &mut self.connection else {
            return Ok(AllRestored::new());
        };
        let change = schema::begin(connection)?;
        polled::note(&change, &self.settings.accounts, self.settings.clock.now())?;
        change.commit()?;
        read_accounts(connection, added, self.settings.clock)
    }

    /// Keeps changes that `changes` has returned, because the poller of `account` no longer waits for them.
    pub(super) fn keep_changes(&mut self, account: &Arc<str>, changes: Vec<Change>) {
        let changes = changes.into_iter();
        let changes = changes.map(|change| (Arc::clone(account), change));
        self.changes.splice(0..0, changes);
    }

    /// Writes the event of an orderly end, and closes the database.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        let event = exporter_event(self.settings.clock.now(), EventKind::Stop);
        let written = self.connection.as_mut().map_or(Ok(()), |connection| {
            let change = schema::begin(connection)?;
            event.write(&change)?;
            change.commit()
        });
        written.map_err(|error| self.failed(error))?;
        self.connection = None;
        self.lock = None;
        Ok(())
    }
}

/// The size of a file in bytes; 0 without the file.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn exporter_event(at: UnixMillis, kind: EventKind) -> Event<'static> {
    Event {
        at,
        account: None,
        endpoint_id: None,
        kind,
        earlier: None,
        detail: None,
    }
}

/// Writes that the exporter started, and whether its last run had ended in good order. If not, the event has the end of the
/// newest published walk as its earlier time.
fn write_start(change: &rusqlite::Transaction<'_>, now: UnixMillis) -> rusqlite::Result<()> {
    let is_crash = !events::ended_in_order(change)?;
    let version = env!("CARGO_PKG_VERSION");
    let detail = if is_crash {
        format!("version {version}, the last run did not stop in good order")
    } else {
        format!("version {version}")
    };
    // The pollers are independent. So while one of them works, the exporter sees the accounts whose walks do not fail.
    let newest = "SELECT max(last_success) FROM account";
    let newest: Option<i64> = change.query_one(newest, (), |row| row.get(0))?;
    let newest = newest.map(|at| UnixMillis(at).min(now));
    let event = exporter_event(now, EventKind::Start);
    Event {
        detail: Some(detail),
        earlier: newest.filter(|_| is_crash),
        ..event
    }
    .write(change)
}

fn read_accounts(
    connection: &Connection,
    accounts: &[Arc<str>],
    clock: Clock,
) -> rusqlite::Result<AllRestored> {
    let now = clock.now();
    let mut all = HashMap::new();
    for name in accounts {
        if let Some(restored) = load::load(connection, name, now)? {
            all.insert(Arc::clone(name), restored);
        }
    }
    Ok(all)
}

/// Reads the configured accounts and changes nothing on the disk.
pub(super) fn read_only(settings: &Settings) -> Result<AllRestored, Error> {
    match schema::open_to_read(&settings.directory)? {
        Some(connection) => read_accounts(&connection, &settings.accounts, settings.clock)
            .map_err(Error::database(&schema::path(&settings.directory))),
        None => Ok(HashMap::new()),
    }
}

/// Whether the same connection can succeed later.
fn is_passing(error: &Error) -> bool {
    let Error::Database { error, .. } = error else {
        return false;
    };
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
}

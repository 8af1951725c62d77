//! The thread that writes the state, and the way to it. Only this thread and the reads of `past` wait for the disk without
//! a limit.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Error,
    file::{self, AllRestored, Loaded, Settings, StateFile},
    requests::Change,
};
use crate::{clock::Clock, snapshot::AccountState, telemetry::Instruments};

/// The maximum time for which a start, a publication, a walk or a page waits for the disk.
pub(super) const DISK_LIMIT: Duration = Duration::from_secs(2);

/// The maximum time for which a start waits for another exporter to release the state directory.
const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// Time between two attempts to lock the state directory.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Time between two attempts to save a state that could not be saved.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// A state database in use by this process. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

/// The way of one account to the state database.
#[derive(Debug, Clone)]
pub struct AccountStore {
    store: Store,
    account: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    has_work: Condvar,
    instruments: Instruments,
    clock: Clock,
    directory: PathBuf,
    /// Whether the last attempt to save has failed. Only the first of successive failures is logged.
    has_failed: AtomicBool,
}

/// What the thread has to do. A later state of an account replaces an earlier one, and answers that nobody waits for
/// are dropped, so the queue cannot grow.
#[derive(Debug, Default)]
struct Queue {
    states: BTreeMap<Arc<str>, Arc<AccountState>>,
    /// The publications that wait for the next transaction, with their accounts.
    waiting: Vec<(Arc<str>, oneshot::Sender<bool>)>,
    /// The pollers that ask for their changes.
    asking: Vec<(Arc<str>, oneshot::Sender<Vec<Change>>)>,
    reconfigurations: Vec<Reconfiguration>,
    stop: Option<oneshot::Sender<()>>,
    /// Whether the thread has ended. Nothing is then put into the queue.
    is_closed: bool,
}

/// Other settings, and the way to answer with the state of the added accounts.
#[derive(Debug)]
struct Reconfiguration {
    accounts: Vec<Arc<str>>,
    retention: Duration,
    reply: oneshot::Sender<AllRestored>,
}

/// The number of steps of a start. The queue of [`Progress`] can hold all of them.
const PROGRESS_STEPS: usize = 3;

/// The progress of a start.
enum Progress {
    /// Another process holds the lock.
    Waiting,
    Locked,
    Loaded(Start),
    /// The error is [final](Error::is_final).
    Failed(Error),
}

/// What the thread has loaded, and the error that it met.
#[derive(Default)]
struct Start {
    restored: AllRestored,
    trouble: Option<Trouble>,
}

/// An error of a load that does not keep the exporter from serving.
enum Trouble {
    /// The file was damaged and set aside.
    Damaged(Error),
    /// Nothing could be read.
    Unreadable(Error),
    /// The state was read, but the database cannot be written.
    Unwritable(Error),
}

impl Store {
    /// Locks the state directory, opens the database, and reads the state of `accounts`. An error of the disk is only
    /// logged and counted: the exporter then serves without the stored state, and tries again at each walk.
    ///
    /// # Errors
    /// Another exporter holds the directory for 60 s, or the file is not for this version of the exporter.
    pub async fn open(
        directory: PathBuf,
        retention: Duration,
        accounts: Vec<Arc<str>>,
        clock: Clock,
        instruments: Instruments,
    ) -> Result<(Self, AllRestored), Error> {
        instruments.count_state_failures(0, 0);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            has_work: Condvar::new(),
            instruments,
            clock,
            directory: directory.clone(),
            has_failed: AtomicBool::new(false),
        });
        let settings = Settings {
            directory: directory.clone(),
            retention,
            accounts,
            clock,
        };
        let (report, progress) = mpsc::channel(PROGRESS_STEPS);
        let for_thread = Arc::clone(&shared);
        let runtime = Handle::current();
        let run = move || {
            // The thread then has the clock of the runtime, which tests can pause.
            let _runtime = runtime.enter();
            run(StateFile::new(settings), &for_thread, &report);
        };
        let started = thread::Builder::new().name("state".to_owned()).spawn(run);
        started.map_err(|error| Error::file(&directory, error))?;
        let restored = shared.wait_until_loaded(progress).await?;
        Ok((Self(shared), restored))
    }

    /// The way of `account` to the database.
    pub fn account(&self, account: Arc<str>) -> AccountStore {
        let store = self.clone();
        AccountStore { store, account }
    }

    /// Polls `accounts` from now on, and keeps events for the time `retention`. Returns the state of the added accounts.
    /// If the disk does not answer within two seconds, their pollers get the state later.
    pub async fn reconfigure(&self, accounts: Vec<Arc<str>>, retention: Duration) -> AllRestored {
        let (reply, mut restored) = oneshot::channel();
        let reconfiguration = Reconfiguration {
            accounts,
            retention,
            reply,
        };
        self.0
            .ask(|queue| queue.reconfigurations.push(reconfiguration));
        if let Ok(answer) = timeout(DISK_LIMIT, &mut restored).await {
            return answer.unwrap_or_default();
        }
        // From now on, the thread keeps the answer for the pollers. It may have arrived at this moment.
        restored.close();
        restored.try_recv().unwrap_or_default()
    }

    /// Closes the database in good order, unless the disk does not answer.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.0.ask(|queue| queue.stop = Some(done));
        let _ = timeout(DISK_LIMIT, stopped).await;
    }
}

impl AccountStore {
    /// Saves `state` before it is published. After two seconds or an error, counts the failure and returns. The state
    /// is then saved later, unless a newer one replaces it.
    pub async fn save(&self, state: &Arc<AccountState>) {
        let (done, saved) = oneshot::channel();
        let shared = &self.store.0;
        shared.ask(|queue| {
            queue
                .states
                .insert(Arc::clone(&self.account), Arc::clone(state));
            let account = Arc::clone(&self.account);
            queue.waiting.push((account, done));
        });
        match timeout(DISK_LIMIT, saved).await {
            Ok(Ok(true)) => {
                #[cfg(debug_assertions)]
                failpoint().await;
            }
            Ok(_) => shared.instruments.count_state_failures(1, 0),
            Err(_) => {
                shared.instruments.count_state_failures(1, 0);
                shared.save_failed(&Error::NoAnswer(shared.directory.clone()));
            }
        }
    }

    /// The changes that the account must make before its next walk.
    pub async fn changes(&self) -> Vec<Change> {
        let (reply, mut changes) = oneshot::channel();
        let asking = (Arc::clone(&self.account), reply);
        self.store.0.ask(|queue| queue.asking.push(asking));
        if let Ok(answer) = timeout(DISK_LIMIT, &mut changes).await {
            return answer.unwrap_or_default();
        }
        // From now on, the thread keeps the changes for the next walk. They may have arrived at this moment.
        changes.close();
        changes.try_recv().unwrap_or_default()
    }
}

/// Waits between the commit and the publication, so that a test can end the process there.
#[cfg(debug_assertions)]
async fn failpoint() {
    if let Some(millis) = std::env::var_os("FAILPOINT_AFTER_COMMIT_MILLIS") {
        let millis = millis.to_str().and_then(|text| text.parse().ok());
        tracing::debug!("state committed");
        tokio::time::sleep(Duration::from_millis(millis.unwrap_or(0))).await;
    }
}

/// Reads the state of `accounts` for a single run, which changes nothing on the disk.
///
/// # Errors
/// The database cannot be read within two seconds.
pub async fn read_once(
    directory: PathBuf,
    accounts: Vec<Arc<str>>,
    clock: Clock,
) -> Result<AllRestored, String> {
    let settings = Settings {
        directory: directory.clone(),
        retention: Duration::MAX,
        accounts,
        clock,
    };
    let read = tokio::task::spawn_blocking(move || file::read_only(&settings));
    match timeout(DISK_LIMIT, read).await {
        Ok(Ok(restored)) => restored.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(Error::NoAnswer(directory).to_string()),
    }
}

impl Shared {
    /// Waits for the thread to load the state. Returns an empty state if the disk does not answer.
    async fn wait_until_loaded(
        &self,
        mut progress: mpsc::Receiver<Progress>,
    ) -> Result<AllRestored, Error> {
        let mut is_locked_out = false;
        let mut end = Instant::now() + DISK_LIMIT;
        loop {
            match timeout_at(end, progress.recv()).await {
                Ok(Some(Progress::Waiting)) => {
                    tracing::warn!(
                        directory = %self.directory.display(),
                        "another exporter uses the state directory: waiting for its end"
                    );
                    is_locked_out = true;
                    end = Instant::now() + LOCK_LIMIT;
                }
                Ok(Some(Progress::Locked)) => {
                    if std::mem::take(&mut is_locked_out) {
                        end = Instant::now() + DISK_LIMIT;
                    }
                }
                Ok(Some(Progress::Loaded(start))) => {
                    self.loaded(&start);
                    return Ok(start.restored);
                }
                Ok(Some(Progress::Failed(error))) => return Err(error),
                Err(_) if is_locked_out => return Err(Error::Locked(self.directory.clone())),
                Ok(None) | Err(_) => {
                    self.load_failed(&Error::NoAnswer(self.directory.clone()));
                    return Ok(AllRestored::new());
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, add: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue();
        // Nobody waits for these answers any longer.
        queue
            .waiting
            .retain(|(_, publication)| !publication.is_closed());
        queue.asking.retain(|(_, reply)| !reply.is_closed());
        if !queue.is_closed {
            add(&mut queue);
            self.has_work.notify_one();
        }
    }

    /// Refuses further work. Those who wait get an error at once.
    fn close(&self) {
        *self.queue() = Queue {
            is_closed: true,
            ..Queue::default()
        };
    }

    /// Waits for work. With `unsaved` states, the next attempt to save them is work, too.
    fn next(&self, unsaved: bool) -> Queue {
        let is_idle = |queue: &mut Queue| {
            queue.waiting.is_empty()
                && queue.asking.is_empty()
                && queue.reconfigurations.is_empty()
                && queue.stop.is_none()
        };
        let queue = self.queue();
        let mut queue = if unsaved {
            let waited = self
                .has_work
                .wait_timeout_while(queue, RETRY_PAUSE, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = self.has_work.wait_while(queue, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        std::mem::take(&mut queue)
    }

    /// Logs and counts the outcome of a load.
    fn loaded(&self, start: &Start) {
        let accounts = start.restored.len();
        let endpoints = start.restored.values().map(|one| one.snapshot.len());
        let endpoints: usize = endpoints.sum();
        match &start.trouble {
            None => tracing::info!(
                directory = %self.directory.display(),
                accounts,
                endpoints,
                "the stored state is loaded"
            ),
            Some(Trouble::Unwritable(error)) => {
                self.instruments.count_state_failures(1, 0);
                self.has_failed.store(true, Ordering::Relaxed);
                tracing::warn!(
                    %error,
                    accounts,
                    endpoints,
                    "the stored state is read, but cannot be written yet: a restart would forget what \
                     happens now"
                );
            }
            Some(Trouble::Unreadable(error)) => self.load_failed(error),
            Some(Trouble::Damaged(error)) => {
                self.instruments.count_state_failures(0, 1);
                tracing::error!(
                    %error,
                    "the state database is damaged: it was renamed to state.db.corrupt, and losses \
                     before this start are unknown"
                );
            }
        }
    }

    fn load_failed(&self, error: &Error) {
        self.instruments.count_state_failures(0, 1);
        tracing::error!(
            %error,
            "the stored state could not be loaded: losses before this start may be unknown"
        );
    }

    /// A damaged file was set aside after the start.
    fn damaged(&self, error: &Error) {
        self.instruments.count_state_failures(0, 1);
        tracing::error!(
            %error,
            "the state database is damaged: it was renamed to state.db.corrupt, and is written anew \
             without its events"
        );
    }

    fn save_failed(&self, error: &Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(
                %error,
                "the state cannot be saved: a restart would forget what happens now"
            );
        }
    }

    fn saved(&self, bytes: u64) {
        self.instruments.state_written(self.clock.now(), bytes);
        if self.has_failed.swap(false, Ordering::Relaxed) {
            tracing::info!("the state is saved again");
        }
    }
}

/// The thread: loads the state, then saves states until the request to stop.
fn run(mut file: StateFile, shared: &Shared, report: &mpsc::Sender<Progress>) {
    match start(&mut file, report) {
        Err(error) => {
            let failed = report.try_send(Progress::Failed(error));
            if let Err(TrySendError::Closed(Progress::Failed(error))) = failed {
                // The exporter already serves without the state.
                shared.save_failed(&error);
            }
            shared.close();
            return;
        }
        Ok(loaded) => {
            let loaded = report.try_send(Progress::Loaded(loaded));
            if let Err(TrySendError::Closed(Progress::Loaded(late))) = loaded {
                shared.loaded(&late);
                file.loaded_late(late.restored);
            }
        }
    }
    loop {
        let work = shared.next(file.has_unsaved());
        for (account, reply) in work.asking {
            match file.changes(&account) {
                Ok(changes) => {
                    if let Err(changes) = reply.send(changes) {
                        file.keep_changes(&account, changes);
                    }
                }
                Err(error) => tracing::debug!(%error, "requested changes cannot be read"),
            }
        }
        save_and_reconfigure(&mut file, work.states, work.reconfigurations, shared);
        for (account, publication) in work.waiting {
            let _ = publication.send(!file.is_unsaved(&account));
        }
        if let Err(error) = file.copy_long_log() {
            tracing::debug!(%error, "the write-ahead log cannot be copied into the state database");
        }
        if let Some(stopped) = work.stop {
            if let Err(error) = file.stop() {
                tracing::warn!(%error, "the state database was not closed in good order");
            }
            let _ = stopped.send(());
            return;
        }
    }
}

/// Saves the states, and uses other settings. The states of added accounts wait until their stored state is read. Those of
/// removed accounts come before.
fn save_and_reconfigure(
    file: &mut StateFile,
    states: BTreeMap<Arc<str>, Arc<AccountState>>,
    reconfigurations: Vec<Reconfiguration>,
    shared: &Shared,
) {
    let polls = |account: &Arc<str>| reconfigurations.is_empty() || file.polls(account);
    let states = states.into_iter();
    let (now, later): (BTreeMap<_, _>, BTreeMap<_, _>) =
        states.partition(|(account, _)| polls(account));
    if !now.is_empty() || file.has_unsaved() {
        save(file, now, shared);
    }
    for Reconfiguration {
        accounts,
        retention,
        reply,
    } in reconfigurations
    {
        let Loaded { restored, damage } = file.reconfigure(accounts, retention);
        if let Some(error) = damage {
            shared.damaged(&error);
        }
        if let Err(late) = reply.send(restored) {
            file.loaded_late(late);
        }
    }
    if !later.is_empty() {
        save(file, later, shared);
    }
}

/// Saves the states, and logs and counts the outcome.
fn save(file: &mut StateFile, states: BTreeMap<Arc<str>, Arc<AccountState>>, shared: &Shared) {
    let (accounts, started) = (states.len(), Instant::now());
    match file.save(states.into_values()) {
        Ok(damage) => {
            if let Some(error) = damage {
                shared.damaged(&error);
            }
            let took_ms = started.elapsed().as_secs_f64() * 1000.0;
            tracing::debug!(accounts, took_ms, "state saved");
            shared.saved(file.bytes());
        }
        Err(error) => shared.save_failed(&error),
    }
}

/// Locks the directory and loads the state.
///
/// # Errors
/// The error is [final](Error::is_final).
fn start(file: &mut StateFile, report: &mpsc::Sender<Progress>) -> Result<Start, Error> {
    let mut is_waiting = false;
    let locked = loop {
        match file.lock() {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
        if !std::mem::replace(&mut is_waiting, true) {
            let _ = report.try_send(Progress::Waiting);
        }
        thread::sleep(LOCK_PAUSE);
    };
    let _ = report.try_send(Progress::Locked);
    match locked.and_then(|()| file.load(true)) {
        Ok(Loaded { restored, damage }) => Ok(Start {
            restored,
            trouble: damage.map(Trouble::Damaged),
        }),
        Err(error) if error.is_final() => Err(error),
        Err(error) => match file.load_read_only() {
            Ok(restored) => Ok(Start {
                restored,
                trouble: Some(Trouble::Unwritable(error)),
            }),
            Err(other) if other.is_final() => Err(other),
            Err(_) => Ok(Start {
                trouble: Some(Trouble::Unreadable(error)),
                ..Start::default()
            }),
        },
    }
}

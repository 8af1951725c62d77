//! Reloads the configuration of a running exporter: after SIGHUP, after `POST /-/reload`, and after a change of the file.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, Semaphore, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    running::{Changes, RunningAccounts},
    systemd::Systemd,
};
use crate::{
    blocking::Reads,
    config::{self, Config, ConfigError, Errors, FileDigest, Loaded},
    http::Lifecycle,
    shutdown::CancellationToken,
};

/// The longest wait for a read of the configuration and its files. A read from a network share may never end.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A changed file must stay unchanged for this time, because several writes may make one change.
const QUIET: Duration = Duration::from_millis(200);

/// The maximum number of requests that wait for a reload.
const MAX_REQUESTS: usize = 8;

/// The sources of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// `--config.file`.
    pub(super) file: Option<PathBuf>,
    /// The environment of the process at its start.
    pub(super) environment: Vec<(String, String)>,
}

/// Reloads the configuration.
pub(super) struct Reloader {
    source: Source,
    accounts: Arc<Mutex<RunningAccounts>>,
    last: Mutex<LastRead>,
    config: watch::Receiver<Arc<Config>>,
    /// The permits of requests for a reload. A request keeps its permit after its client has gone.
    requests: Arc<Semaphore>,
    systemd: Systemd,
    shutdown: CancellationToken,
}

impl Reloader {
    /// `digest` is the digest of the configuration file at the start.
    pub(super) async fn new(
        source: Source,
        digest: Option<FileDigest>,
        accounts: Arc<Mutex<RunningAccounts>>,
        systemd: Systemd,
        shutdown: CancellationToken,
    ) -> Self {
        let config = accounts.lock().await.config();
        let last = LastRead {
            digest,
            is_refused: false,
            reads: Reads::default(),
        };
        Self {
            source,
            accounts,
            last: Mutex::new(last),
            config,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            systemd,
            shutdown,
        }
    }

    /// Reloads the configuration after each SIGHUP, which `hang_ups` announces.
    pub(super) async fn after_signals(self: Arc<Self>, hang_ups: Arc<Notify>) {
        loop {
            hang_ups.notified().await;
            let _ = self.reload_and_report().await;
        }
    }

    /// Reloads the configuration after each change of its file, which is read every `period`. A refused configuration is
    /// tried again, because a file that it names may have changed. It is logged only once.
    pub(super) async fn after_changes(self: Arc<Self>, period: Duration) {
        let mut reads = Reads::default();
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let digest = self.digest(&mut reads).await;
            let is_changed = self.last.lock().await.digest != digest;
            if is_changed {
                sleep(QUIET).await;
            }
            let is_due = if is_changed {
                self.digest(&mut reads).await == digest
            } else {
                let mut last = self.last.lock().await;
                last.is_refused && last.read(&self.source).await.is_ok()
            };
            if is_due {
                let _ = self.reload_and_report().await;
            }
        }
    }

    async fn digest(&self, reads: &mut Reads<Option<FileDigest>>) -> Option<FileDigest> {
        let source = self.source.clone();
        // The reload then reports a file that cannot be read.
        reads
            .run(READ_TIMEOUT, move || source.digest())
            .await
            .ok()?
    }

    /// Reads the configuration and uses it.
    async fn reload_now(&self, last: &mut LastRead) -> Result<Changes, Errors> {
        let loaded = last.read(&self.source).await?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        #[cfg(debug_assertions)]
        failpoint();
        let mut accounts = self.accounts.lock().await;
        let applied = accounts.apply(loaded.config).await;
        applied.map_err(|error| self.source.error(error.to_string()))
    }

    /// Reloads, and reports the outcome to systemd, to the log and to the metrics. One reload runs at a time.
    async fn reload_and_report(&self) -> Result<String, String> {
        let mut last = self.last.lock().await;
        self.systemd.notify_reloading().await;
        let outcome = self.reload_now(&mut last).await;
        self.systemd.notify_reloaded(outcome.is_err()).await;
        match outcome {
            Ok(changes) => {
                let (added, changed, removed) = (changes.added, changes.changed, changes.removed);
                tracing::info!(added, changed, removed, "configuration reloaded");
                let tasks = Handle::current().metrics().num_alive_tasks();
                tracing::debug!(tasks, "tasks after the reload");
                for key in &changes.needs_restart {
                    tracing::warn!(key, "a changed key needs a restart of the exporter");
                }
                Ok(changes.to_string())
            }
            Err(errors) => {
                self.accounts.lock().await.refuse().await;
                for error in &errors.0 {
                    tracing::error!(%error, "the new configuration is refused; the earlier one stays");
                }
                Err(format!(
                    "the new configuration is refused; the earlier one stays:\n{errors}\n"
                ))
            }
        }
    }
}

/// Leaks a task, so that a test can show that it finds leaks.
#[cfg(debug_assertions)]
fn failpoint() {
    if std::env::var_os("FAILPOINT_TASK_LEAK").is_some() {
        tokio::spawn(std::future::pending::<()>());
    }
}

impl Lifecycle for Reloader {
    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            return async { Err("too many reloads wait already\n".to_owned()) }.boxed();
        };
        // A task of its own finishes the reload even if the client of a request closes its connection.
        let task = tokio::spawn(async move {
            let _permit = permit;
            let reload = self.reload_and_report();
            let outcome = self.shutdown.run_until_cancelled(reload).await;
            outcome.unwrap_or_else(|| Err("the exporter stops\n".to_owned()))
        });
        let panicked =
            |_| Err("a fault of this program ended the reload; see its log\n".to_owned());
        async move { task.await.unwrap_or_else(panicked) }.boxed()
    }

    fn configuration(&self) -> String {
        self.config.borrow().redacted() + "\n"
    }
}

/// A lifecycle that begins when the stored state is loaded.
impl Lifecycle for OnceLock<Arc<Reloader>> {
    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        match self.get() {
            Some(reloader) => Arc::clone(reloader).reload(),
            None => async { Err("the exporter is starting\n".to_owned()) }.boxed(),
        }
    }

    fn configuration(&self) -> String {
        self.get()
            .map_or_else(|| "{}\n".to_owned(), |one| one.configuration())
    }
}

impl Source {
    /// The digest of the file; `None` if there is none, or if it cannot be read.
    pub(super) fn digest(&self) -> Option<FileDigest> {
        self.file.as_deref().and_then(config::file_digest)
    }

    /// An error of the whole configuration.
    fn error(&self, message: String) -> Errors {
        let file = self.file.as_ref();
        Errors(vec![ConfigError {
            place: file.map_or_else(String::new, |file| file.display().to_string()),
            path: String::new(),
            message,
        }])
    }
}

type Read = (Option<FileDigest>, Result<Loaded, Errors>);

/// What the last reload has read.
struct LastRead {
    /// The digest of the file; `None` if there is no file or if it could not be read.
    digest: Option<FileDigest>,
    /// Whether the configuration was refused.
    is_refused: bool,
    reads: Reads<Read>,
}

impl LastRead {
    /// Reads the configuration and the files that it names.
    async fn read(&mut self, source: &Source) -> Result<Loaded, Errors> {
        let owned = source.clone();
        let read = move || {
            let digest = owned.digest();
            let loaded = config::load(owned.file.as_deref(), &owned.environment);
            (digest, loaded)
        };
        let (digest, loaded) = self
            .reads
            .run(READ_TIMEOUT, read)
            .await
            .unwrap_or_else(|error| {
                let message = format!("cannot be read: {error}");
                (None, Err(source.error(message)))
            });
        self.digest = digest;
        self.is_refused = loaded.is_err();
        loaded
    }
}

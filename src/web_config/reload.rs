//! The settings in force, and the watch over the files.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    document::Error,
    load::{Loaded, Stamps, load},
    passwords::PasswordChecks,
    rate_limit::RateLimiter,
    settings::Settings,
};
use crate::{
    blocking::Reads,
    clock::{Clock, UnixMillis},
    telemetry::Instruments,
};

/// The time between two checks of the files.
const PERIOD: Duration = Duration::from_secs(1);
/// The files must stay unchanged for this time, because several writes may make one change.
const QUIET: Duration = Duration::from_millis(200);
/// The longest wait for a read of the files. A read from a network share may never end.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// A web configuration: the settings in force, the rate limiter, and the cached results of password checks.
/// Clones are cheap and share all of it.
#[derive(Clone)]
pub struct WebConfig(Arc<Shared>);

struct Shared {
    file: PathBuf,
    current: watch::Sender<Arc<Settings>>,
    digest: [u8; 32],
    limiter: Option<RateLimiter>,
    checks: Arc<PasswordChecks>,
    loaded_at: UnixMillis,
}

impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebConfig").field(&self.0.file).finish()
    }
}

impl WebConfig {
    /// Reads and validates the web configuration `file` and all files that it names. Also returns warnings to
    /// log. Blocks the thread.
    ///
    /// # Errors
    /// A file cannot be read, or a value is invalid.
    pub fn load(file: &Path) -> Result<(Self, Vec<String>), Error> {
        let checks = PasswordChecks::new();
        let checks =
            checks.ok_or_else(|| Error::new(file, "", "the system gives no random numbers"))?;
        let checks = Arc::new(checks);
        let loaded = load(file, Arc::clone(&checks))?;
        let shared = Shared {
            file: file.to_owned(),
            limiter: loaded.settings.rate_limit().map(RateLimiter::new),
            current: watch::Sender::new(Arc::new(loaded.settings)),
            digest: loaded.digest,
            checks,
            loaded_at: Clock::system().now(),
        };
        Ok((Self(Arc::new(shared)), loaded.warnings))
    }

    /// The settings in force.
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.0.current.borrow())
    }

    /// Whether the rate limit allows one more request now. Without a rate limit, always true.
    pub fn allows_request(&self) -> bool {
        self.0
            .limiter
            .as_ref()
            .is_none_or(RateLimiter::allows_request)
    }

    /// Checks the files every second until the future is dropped. A changed and valid configuration replaces the
    /// settings in force. An invalid configuration is logged, and the settings stay in force.
    pub async fn watch(&self, instruments: Instruments) {
        instruments.web_config_loaded(self.0.loaded_at);
        let mut watcher = Watcher {
            shared: &self.0,
            instruments,
            digest: self.0.digest,
            stamps: Stamps::default(),
            last_error: None,
            reads: Reads::default(),
            load,
        };
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            watcher.check().await;
        }
    }
}

/// Reads the files; tests replace this function.
type Load = fn(&Path, Arc<PasswordChecks>) -> Result<Loaded, Error>;
/// The files, if they may have changed since the stamps.
type Outcome = Option<Result<Loaded, Error>>;

/// Finds changes of the files.
struct Watcher<'w> {
    shared: &'w Shared,
    instruments: Instruments,
    /// The digest of the files of the settings in force.
    digest: [u8; 32],
    /// The metadata of these files; empty after an error.
    stamps: Stamps,
    /// The last logged error; `None` after a success.
    last_error: Option<Error>,
    reads: Reads<Outcome>,
    load: Load,
}

impl Watcher<'_> {
    async fn check(&mut self) {
        let Some(first) = self.read(self.stamps.clone()).await else {
            return;
        };
        match first {
            Ok(loaded) if loaded.digest == self.digest => {
                self.stamps = loaded.stamps;
                self.succeed("the files of the web configuration are valid again");
            }
            Err(error) if self.last_error.as_ref() == Some(&error) => {}
            first => {
                sleep(QUIET).await;
                match (first, self.read(Stamps::default()).await) {
                    (Ok(first), Some(Ok(second))) if first.digest == second.digest => {
                        self.replace(second);
                    }
                    (Err(first), Some(Err(second))) if first == second => self.fail(second),
                    // The files still change.
                    _ => {}
                }
            }
        }
    }

    /// Reads the files, unless their metadata equals `stamps`. Waits for at most three seconds.
    async fn read(&mut self, stamps: Stamps) -> Outcome {
        let (load, file) = (self.load, self.shared.file.clone());
        let checks = Arc::clone(&self.shared.checks);
        let read = move || (!stamps.are_current()).then(|| load(&file, checks));
        let outcome = self.reads.run(READ_TIMEOUT, read).await;
        outcome.unwrap_or_else(|error| {
            let message = format!("cannot be read: {error}");
            Some(Err(Error::new(&self.shared.file, "", message)))
        })
    }

    /// Makes the settings those in force, if a running exporter can take them over.
    fn replace(&mut self, loaded: Loaded) {
        let file = &self.shared.file;
        let current = Arc::clone(&self.shared.current.borrow());
        if loaded.is_blank {
            let message =
                "is empty, so the previous settings stay; restart the exporter to use none";
            return self.fail(Error::new(file, "", message));
        }
        if current.tls().is_some() != loaded.settings.tls().is_some() {
            let message = "a running exporter cannot turn TLS on or off; restart it";
            return self.fail(Error::new(file, "tls_server_config", message));
        }
        if current.has_users() && !loaded.settings.has_users() {
            let message = "a running exporter cannot turn passwords off; restart it";
            return self.fail(Error::new(file, "basic_auth_users", message));
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let limiter = self.shared.limiter.as_ref().map(RateLimiter::limit);
        if loaded.settings.rate_limit() != limiter {
            let file = file.display();
            tracing::warn!("{file}: rate_limit has changed; restart the exporter to use it");
        }
        (self.digest, self.stamps) = (loaded.digest, loaded.stamps);
        self.shared.current.send_replace(Arc::new(loaded.settings));
        self.last_error = None;
        self.instruments.web_config_loaded(Clock::system().now());
        tracing::info!(file = %file.display(), "web configuration reloaded");
    }

    fn succeed(&mut self, message: &str) {
        if self.last_error.take().is_some() {
            self.instruments.web_config_loaded(Clock::system().now());
            tracing::info!("{message}");
        }
    }

    fn fail(&mut self, error: Error) {
        self.stamps = Stamps::default();
        self.instruments.web_config_failed();
        // The same error is logged once, not every second.
        if self.last_error.as_ref() != Some(&error) {
            let message = "cannot reload the web configuration; the previous settings stay";
            tracing::error!(%error, "{message}");
            self.last_error = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    static READS: AtomicU32 = AtomicU32::new(0);

    /// Reads the named pipe `pipe` beside the file, which hangs until another process writes to it.
    fn read_pipe(file: &Path, checks: Arc<PasswordChecks>) -> Result<Loaded, Error> {
        READS.fetch_add(1, Ordering::Relaxed);
        let _ = fs::read(file.with_file_name("pipe"));
        load(file, checks)
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_hangs_is_an_error_and_is_not_read_a_second_time_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("web.yml"), folder.path().join("pipe"));
        fs::write(&file, "rate_limit: {}\n").unwrap();
        let made = process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let (config, _) = WebConfig::load(&file).unwrap();
        let mut watcher = Watcher {
            shared: &config.0,
            instruments: Instruments::new(),
            digest: config.0.digest,
            stamps: Stamps::default(),
            last_error: None,
            reads: Reads::default(),
            load: read_pipe,
        };
        // Tokio's paused clock does not advance while a thread reads the file, so the test advances the clock.
        let time = async {
            loop {
                advance(QUIET).await;
            }
        };
        tokio::select! {
            biased;
            () = watcher.check() => {}
            () = time => {}
        }
        let error = watcher.last_error.clone();
        assert!(watcher.check().now_or_never().is_some());
        // This write ends the read. Without the write, the test would hang after a failed assertion.
        fs::write(&pipe, "").unwrap();
        assert!(
            error
                .unwrap()
                .to_string()
                .ends_with("the system does not answer")
        );
        assert_eq!(READS.load(Ordering::Relaxed), 1);

        while watcher.reads.is_running() {
            tokio::task::yield_now().await;
        }
        fs::remove_file(&pipe).unwrap();
        watcher.check().await;
        assert_eq!(watcher.last_error, None);
    }
}

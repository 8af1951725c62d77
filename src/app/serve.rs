//! Runs the exporter until a signal arrives: the pollers of all accounts, the rendering, and the HTTP server.

use std::{
    collections::HashMap,
    future::Future,
    net::{SocketAddr, TcpListener},
    panic::AssertUnwindSafe,
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    ExitError,
    servers::Servers,
    systemd::{SEND_TIMEOUT, Systemd},
};
use crate::{
    api::{Client, RateLimiters, Transports},
    cli::{ServeArgs, WebArgs},
    clock::Clock,
    config::{self, Config},
    exposition::Exposition,
    probe::Prober,
    shutdown::CancellationToken,
    snapshot::Reader,
    state::{AccountStore, Restored, Store},
    telemetry::Instruments,
    walk::{FIRST_WALKS_WITHIN, Poller, PollerDeps, log_condition_changes, stagger},
    web_config::WebConfig,
};

/// Pause before rendering starts again after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Loads the configuration and serves until `shutdown`. Notifies systemd if `NOTIFY_SOCKET` is set. `passed` has the
/// listening sockets from systemd.
pub(super) async fn serve(
    args: &ServeArgs,
    environment: &[(String, String)],
    passed: Vec<TcpListener>,
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    let systemd = Systemd::from_environment(environment, process::id());
    let status = "STATUS=reading the configuration";
    systemd.notify(SEND_TIMEOUT, status).await;
    let config = load_config(args, environment)?;
    tracing::debug!(configuration = %config.redacted(), "configuration loaded");
    let status = "STATUS=loading the stored state";
    systemd.notify(SEND_TIMEOUT, status).await;
    let Some(exporter) = Exporter::start(&config, &args.web, passed, &shutdown).await? else {
        return Ok(());
    };
    // A separate task sends notifications. If the runtime no longer runs tasks, systemd's watchdog expires.
    let readers = exporter.accounts.readers.clone();
    let notifications = tokio::spawn(systemd.clone().notify_loop(readers, shutdown.clone()));
    let stopping = systemd.notify_stopping(&shutdown);
    tokio::join!(exporter.run(shutdown.clone()), stopping);
    notifications.abort();
    Ok(())
}

/// Loads the configuration and logs its warnings.
pub(super) fn load_config(
    args: &ServeArgs,
    environment: &[(String, String)],
) -> Result<Config, ExitError> {
    let loaded = config::load(args.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

/// Loads the web configuration and logs its warnings; `None` without `--web.config.file`.
fn load_web_config(web: &WebArgs) -> Result<Option<WebConfig>, ExitError> {
    let Some(file) = &web.config_file else {
        return Ok(None);
    };
    let (config, warnings) = WebConfig::load(file)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Some(config))
}

/// An exporter that serves its stored state and whose pollers have not started.
pub(super) struct Exporter {
    pub(super) addresses: Vec<SocketAddr>,
    accounts: Accounts,
    exposition: Arc<Exposition>,
    store: Option<Store>,
    server: JoinHandle<()>,
    web_config: Option<WebConfig>,
}

impl Exporter {
    /// Binds all listeners, builds all pollers, and loads the stored state. Sends no request to the API. The server
    /// runs from the start, and refuses scrapes until the state is loaded. `None` after `shutdown`.
    ///
    /// # Errors
    /// Exit code 1 if an address cannot be bound, or if another exporter uses the state directory. Exit code 2 if
    /// an account has no usable HTTP client, if the web configuration is invalid, or if the stored state is not for
    /// this version.
    pub(super) async fn start(
        config: &Config,
        web: &WebArgs,
        passed: Vec<TcpListener>,
        shutdown: &CancellationToken,
    ) -> Result<Option<Self>, ExitError> {
        let web_config = load_web_config(web)?;
        let mut servers = Servers::bind(web, passed).await?;
        if let Some(web_config) = &web_config {
            servers = servers.with_web_config(web_config.clone());
        }
        let mut accounts = Accounts::build(config, FIRST_WALKS_WITHIN)?;
        if config.probe.enabled {
            servers = servers.with_probe_handler(Arc::clone(&accounts.prober) as _);
            tracing::info!(
                requests_per_second = config.probe.requests_per_second,
                "probes are on: every client of this port can spend API requests of every account"
            );
        }
        servers.log_addresses(web, config.accounts.len());
        let addresses = servers.local_addrs().to_vec();
        let (data, instruments) = (Arc::new(OnceLock::new()), accounts.instruments.clone());
        let exposition = |accounts: &Accounts| {
            let (readers, instruments) = (accounts.readers.clone(), accounts.instruments.clone());
            Arc::clone(data.get_or_init(|| Exposition::new(readers, instruments)))
        };
        if config.state.directory.is_none() {
            // There is nothing to load, so no scrape is refused.
            exposition(&accounts);
        }
        let serving = servers.serve(Arc::clone(&data) as _, instruments, shutdown.clone());
        let server = tokio::spawn(serving);
        let opened = accounts.restore(&config.state);
        let Some(opened) = shutdown.run_until_cancelled(opened).await else {
            let _ = server.await;
            return Ok(None);
        };
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                server.abort();
                return Err(error);
            }
        };
        Ok(Some(Self {
            addresses,
            exposition: exposition(&accounts),
            accounts,
            store,
            server,
            web_config,
        }))
    }

    /// The scheme of the URLs of this exporter.
    pub(super) fn scheme(&self) -> &'static str {
        let web_config = self.web_config.as_ref();
        let has_tls = web_config.is_some_and(|config| config.current().tls().is_some());
        if has_tls { "https" } else { "http" }
    }

    /// Polls, renders and serves until `shutdown`, then finishes the responses in progress.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let (pollers, readers) = (self.accounts.pollers, self.accounts.readers);
        let mut tasks = JoinSet::new();
        for (poller, reader) in pollers.into_iter().zip(&readers) {
            let account = Arc::clone(&reader.borrow().account);
            tasks.spawn(log_condition_changes(reader.clone()));
            tasks.spawn(log_poller_panic(account, poller.run(shutdown.clone())));
        }
        if let Some(web_config) = self.web_config {
            let instruments = self.accounts.instruments.clone();
            tasks.spawn(async move { web_config.watch(instruments).await });
        }
        let (exposition, until) = (self.exposition, shutdown.clone());
        tasks.spawn(async move {
            let rendering = restart_rendering(|| Arc::clone(&exposition).run());
            until.run_until_cancelled(rendering).await;
        });
        shutdown.cancelled().await;
        let closing = async {
            tasks.shutdown().await;
            if let Some(store) = self.store {
                store.stop().await;
            }
        };
        let (served, ()) = tokio::join!(self.server, closing);
        if served.is_err() {
            tracing::error!("the server has ended with an internal error");
        }
        tracing::info!("shutdown complete");
    }
}

/// Runs a poller, and logs a panic that ends the poller. The other pollers continue. The account of the failed
/// poller is no longer polled, and the snapshot of this account is withdrawn at the maximum age.
async fn log_poller_panic(account: Arc<str>, poller: impl Future<Output = ()>) {
    if AssertUnwindSafe(poller).catch_unwind().await.is_err() {
        tracing::error!(
            %account,
            "the poller panicked and its account is no longer polled: restart the exporter"
        );
    }
}

/// Runs `render`, and starts it again after a panic, because all accounts depend on rendering.
async fn restart_rendering<F: Future<Output = ()>>(mut render: impl FnMut() -> F) {
    while AssertUnwindSafe(render()).catch_unwind().await.is_err() {
        tracing::error!("rendering of the metrics panicked and is started again");
        sleep(RESTART_PAUSE).await;
    }
}

/// The pollers of all accounts and the readers of their snapshots, in the order of the configuration. All
/// accounts share the limit on requests in flight. Accounts with equal settings for connections share
/// connections. Accounts with the same base URL and auth id share a rate limiter.
pub(super) struct Accounts {
    pub(super) pollers: Vec<Poller<Client>>,
    pub(super) readers: Vec<Reader>,
    prober: Arc<Prober<Client>>,
    pub(super) instruments: Instruments,
}

impl Accounts {
    /// Loads the stored state and gives it to the pollers. `None` if no state directory is configured.
    ///
    /// # Errors
    /// Exit code 1 if another exporter uses the directory; exit code 2 if its file is not for this version.
    async fn restore(&mut self, settings: &config::State) -> Result<Option<Store>, ExitError> {
        let Some(directory) = settings.directory.clone() else {
            tracing::info!(
                "state.directory is not set: a restart forgets when registrations were lost"
            );
            return Ok(None);
        };
        let names = self.names();
        let (retention, instruments) = (settings.retention, self.instruments.clone());
        let opened = Store::open(directory, retention, names, Clock::system(), instruments).await;
        let (store, restored) = opened.map_err(|error| {
            let kind = if error.is_final() {
                ExitError::Configuration
            } else {
                ExitError::RunTime
            };
            kind(error.to_string())
        })?;
        self.use_restored(restored, |name| Some(store.account(name)));
        Ok(Some(store))
    }

    /// The names of all accounts.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let readers = self.readers.iter();
        readers
            .map(|reader| Arc::clone(&reader.borrow().account))
            .collect()
    }

    /// Gives each poller its restored state, and its way to the database.
    pub(super) fn use_restored(
        &mut self,
        mut restored: HashMap<Arc<str>, Restored>,
        store: impl Fn(Arc<str>) -> Option<AccountStore>,
    ) {
        let names = self.names();
        for (poller, name) in self.pollers.iter_mut().zip(names) {
            let restored = restored.remove(&name);
            poller.restore(store(name), restored);
        }
    }

    /// Builds all pollers without starting them. All first walks begin within `first_walks_within`.
    ///
    /// # Errors
    /// A proxy URL, a CA file or an auth id is not usable. The message has the name of the account.
    pub(super) fn build(config: &Config, first_walks_within: Duration) -> Result<Self, ExitError> {
        let clock = Clock::system();
        let all_instruments = Instruments::new();
        all_instruments.config_loaded(clock.now());
        let (mut pollers, mut readers) = (Vec::new(), Vec::new());
        let mut prober = Prober::new(config);
        let mut limiters = RateLimiters::new(config.max_concurrent_requests);
        let mut transports = Transports::default();
        let stagger = stagger(config.accounts.len(), first_walks_within);
        let mut first_walk_in = Duration::ZERO;
        for account in &config.accounts {
            let instruments = all_instruments.account(&account.name);
            let client = transports.client(account, instruments.clone(), clock);
            let client = Arc::new(client.map_err(|error| {
                ExitError::Configuration(format!("account {}: {error}", account.name))
            })?);
            let limiter = limiters.limiter(account);
            let (source, for_probes) = (Arc::clone(&client), Arc::clone(&limiter));
            prober.add(account, source, for_probes, instruments.clone());
            let deps = PollerDeps {
                clock,
                instruments,
                limiter,
            };
            let (poller, reader) = Poller::new(account.clone(), client, deps, first_walk_in);
            pollers.push(poller);
            readers.push(reader);
            first_walk_in += stagger;
        }
        Ok(Self {
            pollers,
            readers,
            prober: Arc::new(prober),
            instruments: all_instruments,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::telemetry::logs::{Captured, Format, Level};

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_panics_is_logged_with_its_account_and_the_others_go_on() {
        let log = Captured::default();
        let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
        let mut tasks = JoinSet::new();
        let broken = async { panic!("a bug, on purpose") };
        tasks.spawn(log_poller_panic("broken".into(), broken));
        let (done, other) = oneshot::channel();
        let good = async {
            sleep(Duration::from_secs(60)).await;
            done.send(()).unwrap();
        };
        tasks.spawn(log_poller_panic("good".into(), good));
        other.await.unwrap();
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("level=error") && text.contains("account=broken"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rendering_starts_again_after_a_panic() {
        let (done, rendered) = oneshot::channel();
        let (started, mut done) = (AtomicU32::new(0), Some(done));
        tokio::spawn(restart_rendering(move || {
            let is_first = started.fetch_add(1, Ordering::Relaxed) == 0;
            let done = if is_first { None } else { done.take() };
            async move { done.expect("a bug, on purpose").send(()).unwrap() }
        }));
        rendered.await.unwrap();
    }
}

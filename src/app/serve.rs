//! Runs the exporter until a signal arrives: the pollers of all accounts, the rendering, and the HTTP server.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    panic::AssertUnwindSafe,
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{Mutex, Notify},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    ExitError,
    accounts::Accounts,
    reload::{Reloader, Source},
    running::{Probes, RunningAccounts},
    servers::Servers,
    systemd::{SEND_TIMEOUT, Systemd},
};
use crate::{
    cli::{ServeArgs, WebArgs},
    clock::Clock,
    config::{self, Config},
    exposition::Exposition,
    http::Lifecycle,
    shutdown::CancellationToken,
    state::{PastReader, Store},
    telemetry::Instruments,
    walk::FIRST_WALKS_WITHIN,
    web_config::WebConfig,
};

/// Pause before rendering starts again after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Loads the configuration and serves until `shutdown`. Notifies systemd if `NOTIFY_SOCKET` is set. `passed` has the
/// listening sockets from systemd. `hang_ups` announces each SIGHUP.
pub(super) async fn serve(
    args: &ServeArgs,
    environment: &[(String, String)],
    passed: Vec<TcpListener>,
    hang_ups: Arc<Notify>,
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    let systemd = Systemd::from_environment(environment, process::id());
    let status = "STATUS=reading the configuration";
    systemd.notify(SEND_TIMEOUT, status).await;
    let source = Source {
        file: args.config_file.clone(),
        environment: environment.to_vec(),
    };
    // A later change differs from this digest, so it is not missed while the state is loaded.
    let digest = source.digest();
    let config = load_config(args, environment)?;
    tracing::debug!(configuration = %config.redacted(), "configuration loaded");
    let status = "STATUS=loading the stored state";
    systemd.notify(SEND_TIMEOUT, status).await;
    let lifecycle = Arc::new(OnceLock::new());
    let handler = Arc::clone(&lifecycle) as Arc<dyn Lifecycle>;
    let exporter = Exporter::start(config, &args.web, passed, Some(handler), &shutdown).await?;
    let Some(exporter) = exporter else {
        return Ok(());
    };
    // A separate task sends notifications. If the runtime no longer runs tasks, systemd's watchdog expires.
    let exposition = Arc::clone(&exporter.exposition);
    let notifications = systemd.clone().notify_loop(exposition, shutdown.clone());
    let notifications = tokio::spawn(notifications);
    let accounts = Arc::clone(&exporter.accounts);
    let reloader = Reloader::new(source, digest, accounts, systemd.clone(), shutdown.clone()).await;
    let reloader = Arc::new(reloader);
    let _ = lifecycle.set(Arc::clone(&reloader));
    let mut reloads = JoinSet::new();
    if args.enable_auto_reload {
        let period = args.auto_reload_interval;
        reloads.spawn(Arc::clone(&reloader).after_changes(period));
    }
    reloads.spawn(reloader.after_signals(hang_ups));
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

/// An exporter that serves and polls its accounts.
pub(super) struct Exporter {
    pub(super) addresses: Vec<SocketAddr>,
    accounts: Arc<Mutex<RunningAccounts>>,
    exposition: Arc<Exposition>,
    instruments: Instruments,
    server: JoinHandle<()>,
    web_config: Option<WebConfig>,
}

impl Exporter {
    /// Binds all listeners, loads the stored state, and starts the pollers. The server runs from the start, and refuses
    /// scrapes until the state is loaded. `lifecycle` answers `/-/reload` and `/-/config`. `None` after `shutdown`.
    ///
    /// # Errors
    /// Exit code 1 if an address cannot be bound, or if another exporter uses the state directory. Exit code 2 if
    /// an account has no usable HTTP client, if the web configuration is invalid, or if the stored state is not for
    /// this version.
    pub(super) async fn start(
        config: Config,
        web: &WebArgs,
        passed: Vec<TcpListener>,
        lifecycle: Option<Arc<dyn Lifecycle>>,
        shutdown: &CancellationToken,
    ) -> Result<Option<Self>, ExitError> {
        let web_config = load_web_config(web)?;
        let mut servers = Servers::bind(web, passed).await?;
        let mut accounts = Accounts::build(&config, FIRST_WALKS_WITHIN)?;
        let probes = Probes::new(&config, &accounts);
        let past = config.state.directory.clone().map(PastReader::new);
        servers = servers.with_handlers(probes.handlers(), (probes.pages(), past), lifecycle);
        if let Some(web_config) = &web_config {
            servers = servers.with_web_config(web_config.clone());
        }
        servers.log_addresses(web, config.accounts.len());
        let addresses = servers.local_addrs().to_vec();
        let data = Arc::new(OnceLock::new());
        let (instruments, clock) = (accounts.shared.instruments.clone(), accounts.shared.clock);
        let exposition = |accounts: &Accounts| {
            let (readers, instruments) = (accounts.readers(), instruments.clone());
            Arc::clone(data.get_or_init(|| Exposition::new(readers, instruments, clock)))
        };
        if config.state.directory.is_none() {
            // There is nothing to load, so no scrape is refused.
            exposition(&accounts);
        }
        let serving = servers.serve(
            Arc::clone(&data) as _,
            instruments.clone(),
            shutdown.clone(),
        );
        let server = tokio::spawn(serving);
        let opened = open_store(&config.state, &mut accounts);
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
        let exposition = exposition(&accounts);
        let shown = Arc::clone(&exposition);
        let running =
            RunningAccounts::start(config, accounts, store, shown, probes, shutdown.clone());
        Ok(Some(Self {
            addresses,
            exposition,
            accounts: Arc::new(Mutex::new(running)),
            instruments,
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

    /// Renders and serves until `shutdown`, then finishes the responses in progress.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        if let Some(web_config) = self.web_config {
            let instruments = self.instruments;
            tasks.spawn(async move { web_config.watch(instruments).await });
        }
        let exposition = self.exposition;
        tasks.spawn(restart_rendering(move || Arc::clone(&exposition).run()));
        shutdown.cancelled().await;
        let closing = async {
            tasks.shutdown().await;
            self.accounts.lock().await.stop().await;
        };
        let (served, ()) = tokio::join!(self.server, closing);
        if served.is_err() {
            tracing::error!("the server has ended with an internal error");
        }
        tracing::info!("shutdown complete");
    }
}

/// Loads the stored state and gives it to the pollers. `None` if no state directory is configured.
///
/// # Errors
/// Exit code 1 if another exporter uses the directory; exit code 2 if its file is not for this version.
async fn open_store(
    settings: &config::State,
    accounts: &mut Accounts,
) -> Result<Option<Store>, ExitError> {
    let Some(directory) = settings.directory.clone() else {
        tracing::info!(
            "state.directory is not set: a restart forgets when registrations were lost"
        );
        return Ok(None);
    };
    let names = accounts.names();
    let (retention, instruments) = (settings.retention, accounts.shared.instruments.clone());
    let opened = Store::open(directory, retention, names, Clock::system(), instruments).await;
    let (store, restored) = opened.map_err(|error| {
        let kind = if error.is_final() {
            ExitError::Configuration
        } else {
            ExitError::RunTime
        };
        kind(error.to_string())
    })?;
    accounts.use_restored(restored, |name| Some(store.account(name)));
    Ok(Some(store))
}

/// Runs `render`, and starts it again after a panic, because all accounts depend on rendering.
async fn restart_rendering<F: Future<Output = ()>>(mut render: impl FnMut() -> F) {
    while AssertUnwindSafe(render()).catch_unwind().await.is_err() {
        tracing::error!("rendering of the metrics panicked and is started again");
        sleep(RESTART_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;

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

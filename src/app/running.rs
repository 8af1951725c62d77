//! The accounts of a running exporter, and their change by a new configuration.

use std::{collections::HashMap, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    ExitError,
    accounts::{Accounts, Handle, Shared},
};
use crate::{
    api::Client,
    config::{Account, Config, Effect},
    exposition::Exposition,
    http::{ProbeHandler, ProbeHandlers},
    pages,
    probe::Prober,
    shutdown::CancellationToken,
    state::Store,
    telemetry::AccountInstruments,
    walk::{FIRST_WALKS_WITHIN, NewSettings, Poller, log_condition_changes, stagger},
};

/// The accounts of a running exporter, and the configuration in force.
pub(super) struct RunningAccounts {
    shared: Shared,
    /// The accounts in the configured order.
    accounts: Vec<RunningAccount>,
    config: watch::Sender<Arc<Config>>,
    store: Option<Store>,
    exposition: Arc<Exposition>,
    probes: Probes,
    shutdown: CancellationToken,
}

/// An account with its task, which ends after `stop`.
struct RunningAccount {
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The handler of `/probe`, and the settings of the pages.
pub(super) struct Probes {
    prober: Arc<Prober<Client>>,
    /// `None` while probes are disabled.
    handler: watch::Sender<Option<Arc<dyn ProbeHandler>>>,
    pages: watch::Sender<pages::Settings>,
}

/// What a new configuration has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
    /// The keys whose new values need a restart.
    pub(super) needs_restart: Vec<&'static str>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            added,
            changed,
            removed,
            needs_restart,
        } = self;
        writeln!(
            f,
            "configuration reloaded; accounts: {added} added, {changed} changed, {removed} removed"
        )?;
        for key in needs_restart {
            writeln!(f, "{key} has changed: restart the exporter to use it")?;
        }
        Ok(())
    }
}

impl Probes {
    pub(super) fn new(config: &Config, accounts: &Accounts) -> Self {
        let mut prober = Prober::new(config);
        for handle in &accounts.handles {
            handle.add_to(&mut prober);
        }
        let probes = Self {
            prober: Arc::new(prober),
            handler: watch::Sender::new(None),
            pages: watch::Sender::default(),
        };
        probes.configure(config);
        probes
    }

    /// The present settings of the pages, for the server.
    pub(super) fn pages(&self) -> watch::Receiver<pages::Settings> {
        self.pages.subscribe()
    }

    /// The present handler, for the server.
    pub(super) fn handlers(&self) -> ProbeHandlers {
        self.handler.subscribe()
    }

    /// Serves the present prober, if probes are on. Logs that they are now on.
    fn configure(&self, config: &Config) {
        let settings = &config.probe;
        self.pages.send_replace(pages::Settings {
            level: config.web.pages,
            has_probes: settings.enabled,
        });
        let prober = || Arc::clone(&self.prober) as Arc<dyn ProbeHandler>;
        let before = self.handler.send_replace(settings.enabled.then(prober));
        if settings.enabled && before.is_none() {
            tracing::info!(
                requests_per_second = settings.requests_per_second,
                "probes are on: every client of this port can spend API requests of every account"
            );
        }
    }
}

impl RunningAccounts {
    /// Starts the tasks of all accounts. They end at `shutdown`.
    pub(super) fn start(
        config: Config,
        accounts: Accounts,
        store: Option<Store>,
        exposition: Arc<Exposition>,
        probes: Probes,
        shutdown: CancellationToken,
    ) -> Self {
        let polled = accounts.pollers.into_iter().zip(accounts.handles);
        let run = |(poller, handle)| RunningAccount::start(poller, handle, &shutdown);
        Self {
            shared: accounts.shared,
            accounts: polled.map(run).collect(),
            config: watch::Sender::new(Arc::new(config)),
            store,
            exposition,
            probes,
            shutdown,
        }
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Uses `config` from now on. Accounts with equal settings are not touched.
    ///
    /// # Errors
    /// An account has no usable HTTP client. Then nothing has changed.
    pub(super) async fn apply(&mut self, mut config: Config) -> Result<Changes, ExitError> {
        let needs_restart = self.keep_fixed_settings(&mut config);
        let mut clients = self.clients(&config.accounts)?;
        let removed = self.stop_removed(&config.accounts).await;
        let changed = self.change(&config.accounts, &mut clients);
        let added = self.add(&config, clients).await;
        let place = |name: &str| config.accounts.iter().position(|one| one.name == name);
        self.accounts
            .sort_by_cached_key(|one| place(&one.handle.settings.name));
        for handle in &removed {
            self.shared.instruments.remove(&handle.instruments);
        }
        self.publish(config).await;
        Ok(Changes {
            added,
            changed,
            removed: removed.len(),
            needs_restart,
        })
    }

    /// Shows that a new configuration was refused.
    pub(super) async fn refuse(&self) {
        self.shared.instruments.config_failed();
        let exposition = Arc::clone(&self.exposition);
        let _ = spawn_blocking(move || exposition.refresh()).await;
    }

    /// Keeps the values of the settings that only a restart can change. Returns the keys of those that differ.
    fn keep_fixed_settings(&self, config: &mut Config) -> Vec<&'static str> {
        let current = self.config.borrow();
        let mut keys = Vec::new();
        if config.max_concurrent_requests != current.max_concurrent_requests {
            config.max_concurrent_requests = current.max_concurrent_requests;
            keys.push("api.max_concurrent_requests");
        }
        if config.state.directory != current.state.directory {
            config.state.directory.clone_from(&current.state.directory);
            keys.push("state.directory");
        }
        keys
    }
}

type NewClients = HashMap<String, (Arc<Client>, AccountInstruments)>;

impl RunningAccounts {
    /// Makes the clients of the added accounts, and of those that must walk. The others keep theirs, which have the newest
    /// token of a token file.
    fn clients(&mut self, accounts: &[Account]) -> Result<NewClients, ExitError> {
        let (mut clients, mut added) = (NewClients::new(), Vec::new());
        for account in accounts {
            let name = &account.name;
            let mut running = self.accounts.iter().map(|one| &one.handle);
            let instruments = match running.find(|handle| handle.settings.name == *name) {
                Some(handle) if account.effect_after(&handle.settings) != Some(Effect::Walk) => {
                    continue;
                }
                Some(handle) => handle.instruments.clone(),
                None => {
                    added.push(self.shared.instruments.account(name));
                    added[added.len() - 1].clone()
                }
            };
            match self.shared.client(account, instruments.clone()) {
                Ok(client) => _ = clients.insert(name.clone(), (client, instruments)),
                Err(error) => {
                    for instruments in &added {
                        self.shared.instruments.remove(instruments);
                    }
                    return Err(error);
                }
            }
        }
        Ok(clients)
    }

    /// Ends the tasks of the accounts that are not in `accounts`.
    async fn stop_removed(&mut self, accounts: &[Account]) -> Vec<Handle> {
        let is_removed = |one: &mut RunningAccount| {
            let name = &one.handle.settings.name;
            !accounts.iter().any(|account| account.name == *name)
        };
        let removed = self.accounts.extract_if(.., is_removed);
        let removed: Vec<_> = removed.map(RunningAccount::stop).collect();
        join_all(removed).await
    }

    /// Gives changed accounts their new settings. Returns the number of these accounts.
    fn change(&mut self, accounts: &[Account], clients: &mut NewClients) -> usize {
        let mut changed = 0;
        for RunningAccount { handle, .. } in &mut self.accounts {
            let mut accounts = accounts.iter();
            let account = accounts.find(|one| one.name == handle.settings.name);
            let changed_account =
                account.filter(|account| account.effect_after(&handle.settings).is_some());
            let Some(account) = changed_account else {
                continue;
            };
            if let Some((client, _)) = clients.remove(&account.name) {
                handle.limiter = self.shared.limiter(account);
                handle.client = client;
            }
            handle.settings = account.clone();
            handle.new_settings.send_replace(Some(Arc::new(NewSettings {
                account: account.clone(),
                source: Arc::clone(&handle.client),
                limiter: Arc::clone(&handle.limiter),
            })));
            changed += 1;
        }
        changed
    }

    /// Starts the added accounts, which are those in `clients`. Returns their number.
    async fn add(&mut self, config: &Config, mut clients: NewClients) -> usize {
        let names = config.accounts.iter().map(|one| one.name.as_str().into());
        let mut restored = HashMap::new();
        if let Some(store) = &self.store {
            restored = store
                .reconfigure(names.collect(), config.state.retention)
                .await;
        }
        let (number, mut first_in) = (clients.len(), Duration::ZERO);
        for account in &config.accounts {
            let Some((client, instruments)) = clients.remove(&account.name) else {
                continue;
            };
            let (mut poller, handle) =
                self.shared
                    .account(account.clone(), client, instruments, first_in);
            first_in += stagger(number, FIRST_WALKS_WITHIN);
            let store = self.store.as_ref();
            let store = store.map(|store| store.account(handle.name()));
            poller.restore(store, restored.remove(&*account.name));
            self.accounts
                .push(RunningAccount::start(poller, handle, &self.shutdown));
        }
        number
    }

    /// Publishes the accounts and the configuration.
    async fn publish(&mut self, config: Config) {
        let mut prober = Prober::after(&self.probes.prober, &config);
        for account in &self.accounts {
            account.handle.add_to(&mut prober);
        }
        self.probes.prober = Arc::new(prober);
        self.probes.configure(&config);
        let readers = self
            .accounts
            .iter()
            .map(|one| one.handle.reader.clone())
            .collect();
        let exposition = Arc::clone(&self.exposition);
        self.shared.retain(&config.accounts);
        let now = self.shared.clock.now();
        self.shared.instruments.config_loaded(now);
        let published = spawn_blocking(move || exposition.set_accounts(readers)).await;
        if let Err(error) = published {
            tracing::error!(%error, "publishing the accounts has failed");
        }
        self.config.send_replace(Arc::new(config));
    }

    /// Ends all tasks, and closes the state database.
    pub(super) async fn stop(&mut self) {
        let all = std::mem::take(&mut self.accounts);
        join_all(all.into_iter().map(RunningAccount::stop)).await;
        if let Some(store) = self.store.take() {
            store.stop().await;
        }
    }
}

impl RunningAccount {
    fn start(poller: Poller<Client>, handle: Handle, shutdown: &CancellationToken) -> Self {
        let stop = shutdown.child_token();
        let run = poll(handle.name(), poller.run(stop.clone()));
        let log = stop
            .clone()
            .run_until_cancelled_owned(log_condition_changes(handle.reader.clone()));
        let task = tokio::spawn(async move {
            tokio::join!(run, log);
        });
        Self { handle, stop, task }
    }

    /// Ends the task of the account, and waits for its end.
    async fn stop(self) -> Handle {
        self.stop.cancel();
        let _ = self.task.await;
        self.handle
    }
}

/// Runs a poller, and logs a panic that ends the poller. The other pollers continue. The account of the failed
/// poller is no longer polled, and the snapshot of this account is withdrawn at the maximum age.
async fn poll(account: Arc<str>, poller: impl Future<Output = ()>) {
    if AssertUnwindSafe(poller).catch_unwind().await.is_err() {
        tracing::error!(
            %account,
            "the poller panicked and its account is no longer polled: restart the exporter"
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::JoinSet, time::sleep};

    use super::*;
    use crate::telemetry::logs::{Captured, Format, Level};

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_panics_is_logged_with_its_account_and_the_others_go_on() {
        let log = Captured::default();
        let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
        let mut tasks = JoinSet::new();
        let broken = async { panic!("a bug, on purpose") };
        tasks.spawn(poll("broken".into(), broken));
        let (done, other) = oneshot::channel();
        let good = async {
            sleep(Duration::from_secs(60)).await;
            done.send(()).unwrap();
        };
        tasks.spawn(poll("good".into(), good));
        other.await.unwrap();
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("level=error") && text.contains("account=broken"),
            "{text}"
        );
    }
}

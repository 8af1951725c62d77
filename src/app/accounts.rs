//! Builds the pollers of all accounts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::ExitError;
use crate::{
    api::{Client, RateLimiter, RateLimiters, Transports},
    clock::Clock,
    config::{Account, Config},
    probe::Prober,
    snapshot::Reader,
    state::{AccountStore, Restored},
    telemetry::{AccountInstruments, Instruments},
    walk::{Poller, PollerDeps, SettingsSender, stagger},
};

/// The accounts in the order of the configuration, before their pollers run. All accounts share the limit on requests in
/// flight. Accounts with equal settings for connections share connections. Accounts with the same base URL and auth id
/// share a rate limiter.
pub(super) struct Accounts {
    pub(super) shared: Shared,
    pub(super) handles: Vec<Handle>,
    pub(super) pollers: Vec<Poller<Client>>,
}

/// What all accounts share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) instruments: Instruments,
    transports: Transports,
    limiters: RateLimiters,
}

/// One account, and the connections of its poller to other parts of the exporter.
pub(super) struct Handle {
    pub(super) settings: Account,
    pub(super) client: Arc<Client>,
    pub(super) limiter: Arc<RateLimiter>,
    pub(super) instruments: AccountInstruments,
    pub(super) reader: Reader,
    pub(super) new_settings: SettingsSender<Client>,
}

impl Accounts {
    /// Builds all pollers without starting them. All first walks begin within `first_walks_within`.
    ///
    /// # Errors
    /// A proxy URL, a CA file or an auth id is not usable. The message has the name of the account.
    pub(super) fn build(config: &Config, first_walks_within: Duration) -> Result<Self, ExitError> {
        let mut shared = Shared {
            clock: Clock::system(),
            instruments: Instruments::new(),
            transports: Transports::default(),
            limiters: RateLimiters::new(config.max_concurrent_requests),
        };
        shared.instruments.config_loaded(shared.clock.now());
        let (mut handles, mut pollers) = (Vec::new(), Vec::new());
        let stagger = stagger(config.accounts.len(), first_walks_within);
        let mut first_walk_in = Duration::ZERO;
        for account in &config.accounts {
            let instruments = shared.instruments.account(&account.name);
            let client = shared.client(account, instruments.clone())?;
            let (poller, handle) =
                shared.account(account.clone(), client, instruments, first_walk_in);
            pollers.push(poller);
            handles.push(handle);
            first_walk_in += stagger;
        }
        Ok(Self {
            shared,
            handles,
            pollers,
        })
    }

    /// The names of all accounts.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.handles.iter().map(Handle::name).collect()
    }

    /// The readers of the published states of all accounts.
    pub(super) fn readers(&self) -> Vec<Reader> {
        self.handles.iter().map(|one| one.reader.clone()).collect()
    }

    /// Gives each poller its restored state, and its way to the database.
    pub(super) fn use_restored(
        &mut self,
        mut restored: HashMap<Arc<str>, Restored>,
        store: impl Fn(Arc<str>) -> Option<AccountStore>,
    ) {
        for (poller, handle) in self.pollers.iter_mut().zip(&self.handles) {
            let name = handle.name();
            let restored = restored.remove(&name);
            poller.restore(store(name), restored);
        }
    }
}

impl Shared {
    /// Makes the client of an account.
    pub(super) fn client(
        &mut self,
        account: &Account,
        instruments: AccountInstruments,
    ) -> Result<Arc<Client>, ExitError> {
        let client = self.transports.client(account, instruments, self.clock);
        client
            .map(Arc::new)
            .map_err(|error| ExitError::Configuration(format!("account {}: {error}", account.name)))
    }

    /// The rate limiter of an account, with the rate of this account.
    pub(super) fn limiter(&mut self, account: &Account) -> Arc<RateLimiter> {
        self.limiters.limiter(account)
    }

    /// Builds the poller of an account. The first walk begins after `first_in`.
    pub(super) fn account(
        &mut self,
        settings: Account,
        client: Arc<Client>,
        instruments: AccountInstruments,
        first_in: Duration,
    ) -> (Poller<Client>, Handle) {
        let limiter = self.limiter(&settings);
        let deps = PollerDeps {
            clock: self.clock,
            instruments: instruments.clone(),
            limiter: Arc::clone(&limiter),
        };
        let source = Arc::clone(&client);
        let (mut poller, reader) = Poller::new(settings.clone(), source, deps, first_in);
        let new_settings = poller.settings_sender();
        let handle = Handle {
            settings,
            client,
            limiter,
            instruments,
            reader,
            new_settings,
        };
        (poller, handle)
    }

    /// Drops what no account of `accounts` uses.
    pub(super) fn retain(&mut self, accounts: &[Account]) {
        self.transports.retain(accounts);
        self.limiters.retain(accounts);
    }
}

impl Handle {
    /// The name of the account.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.reader.borrow().account)
    }

    /// Adds the account to the prober.
    pub(super) fn add_to(&self, prober: &mut Prober<Client>) {
        let (client, limiter) = (Arc::clone(&self.client), Arc::clone(&self.limiter));
        prober.add(&self.settings, client, limiter, self.instruments.clone());
    }
}

//! The pollers of all accounts and what they share.

use std::{sync::Arc, time::Duration};

use super::ExitError;
use crate::{
    api::{Client, Transports},
    clock::Clock,
    config::Config,
    probe::Prober,
    snapshot::Reader,
    telemetry::Instruments,
    walk::{Poller, PollerDeps, RateLimiters},
};

/// The first walks of two accounts start at most this far apart,
const APART: Duration = Duration::from_secs(2);
/// and all of them within this.
const ALL_WITHIN: Duration = Duration::from_secs(10);

/// Every account's poller with the reading end of its gallery, in the configuration's order.
pub(super) struct Accounts {
    pub(super) pollers: Vec<Poller<Client>>,
    pub(super) readers: Vec<Reader>,
    pub(super) instruments: Instruments,
    /// Answers `/probe`, where that is wanted.
    pub(super) prober: Option<Prober<Client>>,
}

impl Accounts {
    /// Builds everything and starts nothing. With `staggered`, first walks do not all start at once.
    ///
    /// # Errors
    /// A proxy or CA file that cannot be used, with the account's name.
    pub(super) fn build(config: &Config, staggered: bool) -> Result<Self, ExitError> {
        let clock = Clock::system();
        let instruments = Instruments::new();
        instruments.config_loaded(clock.now());
        let mut limiters = RateLimiters::new(config.max_concurrent_requests);
        for account in &config.accounts {
            let api = &account.api;
            limiters.announce(&api.base_url, &account.auth_id, api.requests_per_second);
        }
        let mut transports = Transports::default();
        let mut first_in = Duration::ZERO;
        let apart = if staggered {
            stagger(config.accounts.len())
        } else {
            Duration::ZERO
        };
        let mut accounts = Self {
            pollers: Vec::new(),
            readers: Vec::new(),
            instruments,
            prober: config.probe.enabled.then(|| Prober::new(config)),
        };
        for account in &config.accounts {
            let own = accounts.instruments.account(&account.name);
            let client = transports
                .client(account, own.clone(), clock)
                .map_err(|error| {
                    ExitError::of_configuration(format!("account {}: {error}", account.name))
                })?;
            let client = Arc::new(client);
            let limiter = limiters.limiter(&account.api.base_url, &account.auth_id);
            if let Some(prober) = &mut accounts.prober {
                prober.add(
                    account,
                    Arc::clone(&client),
                    Arc::clone(&limiter),
                    own.clone(),
                );
            }
            let deps = PollerDeps {
                clock,
                instruments: own,
                limiter,
            };
            let (poller, reader) = Poller::new(account.clone(), client, deps, first_in);
            accounts.pollers.push(poller);
            accounts.readers.push(reader);
            first_in += apart;
        }
        Ok(accounts)
    }
}

/// Time between the first walks of two of `accounts` accounts.
fn stagger(accounts: usize) -> Duration {
    let accounts = u32::try_from(accounts.max(1)).unwrap_or(u32::MAX);
    APART.min(ALL_WITHIN / accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_walks_are_two_seconds_apart_but_all_within_ten() {
        assert_eq!(stagger(1), APART);
        assert_eq!(stagger(4), APART);
        assert!(stagger(300) * 300 <= ALL_WITHIN);
    }
}

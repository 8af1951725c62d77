//! Connections: TLS, proxies, and what accounts share of them.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{
    ClientBuilder, Proxy,
    header::{ACCEPT, HeaderMap, HeaderValue},
    redirect, retry,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::{Host, Url};

use super::{Client, ClientError, roots};
use crate::{clock::Clock, config::Account, telemetry::AccountInstruments};

/// How requests name their sender.
const USER_AGENT: &str = concat!("vobiz-exporter/", env!("CARGO_PKG_VERSION"));

/// Idle connections are closed after this. Common load balancers close theirs after 60 seconds, and a
/// request that meets such an end is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// A set of connections.
#[derive(Debug, Clone)]
pub(super) struct Http {
    pooled: reqwest::Client,
    /// Opens a connection for each request.
    unpooled: reqwest::Client,
    /// So many requests were lost with a connection that may have been idle, and are not sent again yet.
    lost: Arc<AtomicUsize>,
}

impl Http {
    /// The client for the next request, and whether it may use an idle connection. Behind one closed idle
    /// connection there may be others, so that the second attempt has a connection of its own.
    pub(super) fn client(&self) -> (&reqwest::Client, bool) {
        let take = |lost: usize| lost.checked_sub(1);
        let order = Ordering::Relaxed;
        match self.lost.fetch_update(order, order, take) {
            Ok(_) => (&self.unpooled, false),
            Err(_) => (&self.pooled, true),
        }
    }

    /// A request was lost with a connection that may have been idle.
    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes clients; those of accounts with equal settings share connections and roots.
///
/// Three hundred accounts of one vendor thus hold the trusted authorities once. Authorities and
/// proxy variables are read when they are first needed: a changed file needs new transports.
pub struct Transports {
    idle_timeout: Duration,
    roots: Option<Arc<RootCertStore>>,
    made: Vec<(Settings, Http)>,
}

/// What must be equal for two accounts to share connections.
#[derive(Clone, PartialEq)]
struct Settings {
    proxy: Route,
    ca_file: Option<PathBuf>,
    connect_timeout: Duration,
}

/// The way to the vendor.
#[derive(Clone, PartialEq)]
enum Route {
    /// No proxy, whatever the environment says: the vendor is on this machine.
    Direct,
    /// Through the configured proxy.
    Through(Url),
    /// As `HTTPS_PROXY` and `NO_PROXY` have it.
    Environment,
}

impl Transports {
    /// None yet.
    pub fn new() -> Self {
        Self::with_idle_timeout(IDLE_TIMEOUT)
    }

    pub(super) fn with_idle_timeout(idle_timeout: Duration) -> Self {
        Self {
            idle_timeout,
            roots: None,
            made: Vec::new(),
        }
    }

    /// A client for `account`. Fails on an unusable `api.ca_file`, `api.proxy_url` or `auth_id`;
    /// needs no network.
    pub fn client(
        &mut self,
        account: &Account,
        instruments: AccountInstruments,
        clock: Clock,
    ) -> Result<Client, ClientError> {
        let settings = Settings {
            proxy: route(&account.api.base_url, account.api.proxy_url.as_ref()),
            ca_file: account.api.ca_file.clone(),
            connect_timeout: account.api.connect_timeout,
        };
        let made = self.made.iter().find(|(known, _)| *known == settings);
        let http = if let Some((_, http)) = made {
            http.clone()
        } else {
            let idle_timeout = self.idle_timeout;
            let http = Http {
                pooled: self.make(&settings, |one| one.pool_idle_timeout(idle_timeout))?,
                unpooled: self.make(&settings, |one| one.pool_max_idle_per_host(0))?,
                lost: Arc::default(),
            };
            self.made.push((settings, http.clone()));
            http
        };
        Client::over(http, account, instruments, clock)
    }

    /// How many sets of connections there are.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        self.made.len()
    }

    fn make(
        &mut self,
        settings: &Settings,
        pool: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<reqwest::Client, ClientError> {
        let built_in = self.roots.get_or_insert_with(roots::built_in);
        let roots = match &settings.ca_file {
            Some(path) => roots::with_file(built_in, path)?,
            None => Arc::clone(built_in),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .gzip(true)
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .connect_timeout(settings.connect_timeout)
            // The token's headers must not reach another host, and a caller counts attempts.
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never());
        let builder = match &settings.proxy {
            Route::Direct => builder.no_proxy(),
            Route::Environment => builder,
            Route::Through(url) if matches!(url.scheme(), "http" | "https") => {
                // The cause may repeat the proxy's own password and is left out.
                builder.proxy(Proxy::all(url.clone()).map_err(|_| ClientError::Proxy)?)
            }
            Route::Through(_) => return Err(ClientError::Proxy),
        };
        pool(builder)
            .build()
            .map_err(|fault| ClientError::Build(fault.without_url()))
    }
}

/// The way to `base`: what is on this machine is never proxied.
fn route(base: &Url, proxy: Option<&Url>) -> Route {
    let loopback = match base.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match proxy {
        _ if loopback => Route::Direct,
        Some(proxy) => Route::Through(proxy.clone()),
        None => Route::Environment,
    }
}

impl Default for Transports {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transports")
            .field("made", &self.made.len())
            .finish_non_exhaustive()
    }
}

//! Connections: TLS, trusted authorities, proxies, and what accounts share of them.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    ClientBuilder, Proxy,
    header::{ACCEPT, HeaderMap, HeaderValue},
    redirect, retry,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

use super::error::ClientError;
use crate::config::{Api, is_loopback};

/// Idle connections are closed after this. Common load balancers close theirs after 60 seconds, and a
/// request on such a connection is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Makes clients; those of accounts with equal settings share connections and authorities.
///
/// Three hundred accounts thus hold the trusted authorities once. Authorities and proxy variables are
/// read when they are first needed: a changed file needs new transports.
#[derive(Default)]
pub struct Transports {
    /// Instead of [`IDLE_TIMEOUT`].
    pub(super) idle_timeout: Option<Duration>,
    authorities: Option<Arc<RootCertStore>>,
    pub(super) made: Vec<(Settings, reqwest::Client)>,
}

/// What must be equal for two accounts to share connections: is the server on this machine, `proxy_url`,
/// `ca_file`, `connect_timeout`.
type Settings = (bool, Option<Url>, Option<PathBuf>, Duration);

impl Transports {
    /// The connections for these settings, which are shared where the settings are equal.
    pub(super) fn http(&mut self, api: &Api) -> Result<reqwest::Client, ClientError> {
        let is_local = is_loopback(&api.base_url);
        let settings = (
            is_local,
            api.proxy_url.clone().filter(|_| !is_local),
            api.ca_file.clone(),
            api.connect_timeout,
        );
        if let Some((_, http)) = self.made.iter().find(|(known, _)| *known == settings) {
            return Ok(http.clone());
        }
        let authorities = self.authorities.get_or_insert_with(built_in_authorities);
        let authorities = match &api.ca_file {
            Some(path) => with_file(authorities, path)?,
            None => Arc::clone(authorities),
        };
        let idle_timeout = self.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        let http = builder(api, authorities)?.pool_idle_timeout(idle_timeout);
        let http = http.build();
        let http = http.map_err(|error| ClientError::Build(error.without_url()))?;
        self.made.push((settings, http.clone()));
        Ok(http)
    }
}

/// Everything but the pool of connections.
fn builder(api: &Api, authorities: Arc<RootCertStore>) -> Result<ClientBuilder, ClientError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let accept = (ACCEPT, HeaderValue::from_static("application/json"));
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .gzip(true)
        .default_headers(HeaderMap::from_iter([accept]))
        .connect_timeout(api.connect_timeout)
        // The token's headers must not reach another host, and a caller counts attempts.
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never());
    match &api.proxy_url {
        // No proxy, whatever the environment says: the server is on this machine.
        _ if is_loopback(&api.base_url) => Ok(builder.no_proxy()),
        // As `HTTPS_PROXY` and `NO_PROXY` have it.
        None => Ok(builder),
        Some(url) if matches!(url.scheme(), "http" | "https") => {
            // The cause is left out: it may repeat the proxy's password.
            let proxy = Proxy::all(url.clone()).map_err(|_| ClientError::Proxy)?;
            Ok(builder.proxy(proxy))
        }
        Some(_) => Err(ClientError::Proxy),
    }
}

/// Mozilla's authorities, which are part of the program, and those of the operating system, if any.
pub(super) fn built_in_authorities() -> Arc<RootCertStore> {
    let mut all = RootCertStore::empty();
    all.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let mut system = RootCertStore::empty();
    system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // Most systems have Mozilla's list; a second copy would only cost memory.
    for anchor in system.roots {
        if !all.roots.contains(&anchor) {
            all.roots.push(anchor);
        }
    }
    all.roots.shrink_to_fit();
    Arc::new(all)
}

/// `authorities` and the certificates of a PEM file.
fn with_file(authorities: &RootCertStore, path: &Path) -> Result<Arc<RootCertStore>, ClientError> {
    let read = || -> Result<_, Box<dyn Error>> {
        let mut all = authorities.clone();
        for certificate in CertificateDer::pem_slice_iter(&fs::read(path)?) {
            all.add(certificate?)?;
        }
        if all.len() == authorities.len() {
            return Err("it holds no certificate in PEM form".into());
        }
        Ok(Arc::new(all))
    };
    read().map_err(|error| ClientError::CaFile(path.to_owned(), error.to_string()))
}

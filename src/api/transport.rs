//! Connections to the API, with TLS, trusted authorities and proxies. Accounts may share connections.

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

/// Idle connections are closed after this time. Common load balancers close idle connections after 60 seconds,
/// and a request on a closed connection fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Makes HTTP clients. Accounts with equal settings share connections and trusted authorities.
///
/// So hundreds of accounts need memory for the authorities only once. Authorities and proxy variables are read
/// at their first use. A changed file has an effect only in a new value of this type.
#[derive(Default)]
pub struct Transports {
    /// Replaces [`IDLE_TIMEOUT`] in tests.
    pub(super) idle_timeout: Option<Duration>,
    authorities: Option<Arc<RootCertStore>>,
    pub(super) made: Vec<(Settings, Http)>,
}

/// The HTTP clients of one or more accounts.
#[derive(Debug, Clone)]
pub(super) struct Http {
    pub(super) pooled: reqwest::Client,
    /// Opens a connection for each request.
    pub(super) unpooled: reqwest::Client,
}

/// Two accounts share connections if these settings are equal: whether the server is on this machine,
/// `proxy_url`, `ca_file`, `connect_timeout`.
type Settings = (bool, Option<Url>, Option<PathBuf>, Duration);

impl Transports {
    /// The HTTP clients for these settings. Accounts with equal settings share the clients.
    pub(super) fn http(&mut self, api: &Api) -> Result<Http, ClientError> {
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
        let build = |max_idle, timeout| {
            let builder = builder(api, Arc::clone(&authorities))?.pool_max_idle_per_host(max_idle);
            let client = builder.pool_idle_timeout(timeout).build();
            client.map_err(|error| ClientError::Build(error.without_url()))
        };
        let http = Http {
            pooled: build(usize::MAX, self.idle_timeout.unwrap_or(IDLE_TIMEOUT))?,
            unpooled: build(0, IDLE_TIMEOUT)?,
        };
        self.made.push((settings, http.clone()));
        Ok(http)
    }
}

/// All settings of an HTTP client except the pool of connections.
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
        // A redirect could send the token to another host. A retry would hide an attempt from the caller.
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never());
    match &api.proxy_url {
        // The server is on this machine, so the proxy variables do not apply.
        _ if is_loopback(&api.base_url) => Ok(builder.no_proxy()),
        // The HTTP library applies `HTTPS_PROXY` and `NO_PROXY`.
        None => Ok(builder),
        Some(url) if matches!(url.scheme(), "http" | "https") => {
            // The error omits its cause, which may repeat the password of the proxy.
            let proxy = Proxy::all(url.clone()).map_err(|_| ClientError::Proxy)?;
            Ok(builder.proxy(proxy))
        }
        Some(_) => Err(ClientError::Proxy),
    }
}

/// Mozilla's authorities, which the program includes, and the operating system's authorities, if any.
pub(super) fn built_in_authorities() -> Arc<RootCertStore> {
    let mut all = RootCertStore::empty();
    all.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let mut system = RootCertStore::empty();
    system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // Most systems have the same authorities, and a second copy would only use memory.
    for anchor in system.roots {
        if !all.roots.contains(&anchor) {
            all.roots.push(anchor);
        }
    }
    all.roots.shrink_to_fit();
    Arc::new(all)
}

/// A copy of `authorities` with the certificates of a PEM file.
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

//! The client of one account: its connections, the operations of the API, and the attempts of each request.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    ClientBuilder, Proxy,
    header::{self, ACCEPT, DATE, HeaderMap, HeaderName, HeaderValue},
    redirect, retry,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::watch, time::Instant};
use url::Url;

use super::{
    error::{self, ClientError, Error},
    json::pick,
    row::{Endpoint, Page, read_endpoint, read_page},
};
use crate::{
    clock::Clock,
    config::{Account, Api, ApiToken, is_loopback},
    telemetry::{AccountInstruments, ErrorKind, Operation},
};

const USER_AGENT: &str = concat!("vobiz-exporter/", env!("CARGO_PKG_VERSION"));
const X_AUTH_ID: HeaderName = HeaderName::from_static("x-auth-id");
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// The characters that are percent-encoded in a path segment: all except the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The maximum size of the body of an error response, in bytes. A larger body is treated as empty.
const MAX_ERROR_BYTES: u64 = 64 * 1024;
/// The client closes a connection that is idle for this time. Common load balancers close an idle connection
/// after 60 seconds, and a request on a closed connection fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Sends the requests of one account, and counts each attempt. Repeats a request once if the connection breaks
/// without a response. Tasks share the client. The token may change while requests are in flight. `Debug`
/// hides credentials.
pub struct Client {
    http: Http,
    /// `{base_url}/Account/{auth_id}/Endpoint/`, with these capital letters and the final slash.
    endpoints: Url,
    filter: BTreeMap<String, String>,
    /// The value of the header `X-Auth-ID`; `None` if a header cannot hold the auth id.
    auth_id: Option<HeaderValue>,
    /// The value of the header `X-Auth-Token`; `None` if the token is empty or a header cannot hold it.
    token: watch::Sender<Option<HeaderValue>>,
    request_timeout: Duration,
    max_page_bytes: u64,
    instruments: AccountInstruments,
    clock: Clock,
}

/// A successful response.
struct Response {
    /// The body without a byte order mark. U+FFFD replaces invalid UTF-8.
    body: String,
    status: u16,
    clock_offset: Option<f64>,
}

/// Makes HTTP clients. Accounts with equal settings share two HTTP clients, so hundreds of accounts need memory
/// for the trusted certificate authorities only once.
///
/// After an HTTP client is made, changes of certificate files or proxy variables have no effect on that client.
#[derive(Default)]
pub struct Transports {
    /// Replaces [`IDLE_TIMEOUT`] in tests.
    pub(super) idle_timeout: Option<Duration>,
    authorities: Option<Arc<RootCertStore>>,
    pub(super) made: Vec<(Settings, Http)>,
}

/// Two HTTP clients, which one or more accounts use.
#[derive(Debug, Clone)]
pub(super) struct Http {
    pub(super) pooled: reqwest::Client,
    /// Opens a connection for each request.
    pub(super) unpooled: reqwest::Client,
}

/// Two accounts share HTTP clients if these settings are equal: whether the server is on this machine,
/// `proxy_url`, `ca_file`, `connect_timeout`.
type Settings = (bool, Option<Url>, Option<PathBuf>, Duration);

impl Transports {
    /// Makes the client of `account`. The variants of [`ClientError`] are the reasons for a failure.
    pub fn client(
        &mut self,
        account: &Account,
        instruments: AccountInstruments,
        clock: Clock,
    ) -> Result<Client, ClientError> {
        let (ApiToken::Inline(token) | ApiToken::File { initial: token, .. }) = &account.token;
        let auth_id = segment(&account.auth_id).ok_or(ClientError::AuthId)?;
        let mut endpoints = account.api.base_url.clone();
        endpoints.set_query(None);
        let base = endpoints.path().trim_end_matches('/');
        endpoints.set_path(&format!("{base}/Account/{auth_id}/Endpoint/"));
        Ok(Client {
            http: self.http(&account.api)?,
            endpoints,
            filter: account.filter.clone(),
            auth_id: secret_header(&account.auth_id),
            token: watch::Sender::new(secret_header(token.expose_secret())),
            request_timeout: account.api.request_timeout,
            max_page_bytes: account.api.max_page_bytes,
            instruments,
            clock,
        })
    }

    /// Drops the HTTP clients that no account of `accounts` uses.
    pub fn retain(&mut self, accounts: &[Account]) {
        let used: Vec<_> = accounts.iter().map(|one| settings(&one.api)).collect();
        self.made.retain(|(settings, _)| used.contains(settings));
    }

    /// The HTTP clients for the settings `api`. Accounts with equal `Settings` share the clients.
    pub(super) fn http(&mut self, api: &Api) -> Result<Http, ClientError> {
        let settings = settings(api);
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

fn settings(api: &Api) -> Settings {
    let is_local = is_loopback(&api.base_url);
    (
        is_local,
        api.proxy_url.clone().filter(|_| !is_local),
        api.ca_file.clone(),
        api.connect_timeout,
    )
}

/// A builder with all settings of an HTTP client except the settings of its connection pool.
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
        // A redirect could send the token to another host. The exporter could not count a retry by the library.
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never());
    match &api.proxy_url {
        // The API's server is on this machine, so no proxy is used.
        _ if is_loopback(&api.base_url) => Ok(builder.no_proxy()),
        // Without `api.proxy_url`, the HTTP library applies variables such as `HTTPS_PROXY` and `NO_PROXY`.
        None => Ok(builder),
        Some(url) if matches!(url.scheme(), "http" | "https") => {
            // The library's error may quote the proxy's password, so `ClientError::Proxy` omits that error.
            let proxy = Proxy::all(url.clone()).map_err(|_| ClientError::Proxy)?;
            Ok(builder.proxy(proxy))
        }
        Some(_) => Err(ClientError::Proxy),
    }
}

/// Mozilla's certificate authorities, which the program includes, and those of the operating system, if any.
pub(super) fn built_in_authorities() -> Arc<RootCertStore> {
    let mut all = RootCertStore::empty();
    all.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let mut system = RootCertStore::empty();
    system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // Most systems have Mozilla's authorities, too. A second copy would only use memory.
    for anchor in system.roots {
        if !all.roots.contains(&anchor) {
            all.roots.push(anchor);
        }
    }
    all.roots.shrink_to_fit();
    Arc::new(all)
}

/// A copy of `authorities`, to which the certificates of the PEM file at `path` are added.
fn with_file(authorities: &RootCertStore, path: &Path) -> Result<Arc<RootCertStore>, ClientError> {
    let read = || -> Result<_, Box<dyn std::error::Error>> {
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

impl Client {
    /// Uses `token` from the next request on. Requests in flight keep the earlier token.
    pub fn set_token(&self, token: &SecretString) {
        self.token
            .send_replace(secret_header(token.expose_secret()));
    }

    /// `GET .../Endpoint/?limit=&offset=` with the account's filter: `limit` rows from `offset` on. The API may
    /// return fewer or more rows, or rows from another offset.
    pub async fn list_page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        let mut url = self.endpoints.clone();
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string())
            .append_pair("offset", &offset.to_string())
            .extend_pairs(&self.filter);
        let response = self.get(Operation::ListEndpoints, url).await?;
        let mut page = read_page(&response.body, limit).map_err(|(kind, message)| {
            Error::of_body(kind, response.status, &message, &response.body)
        })?;
        page.clock_offset = response.clock_offset;
        Ok(page)
    }

    /// `GET .../Endpoint/{id}/`: the record of one endpoint, and the status (2xx) of the response. Rows of the
    /// list have no `sip_registration`, but the record may have it.
    ///
    /// `Malformed` means: a 2xx response contains an error, the record of another endpoint, or no record.
    pub async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        let url = segment(id).and_then(|id| self.endpoints.join(&format!("{id}/")).ok());
        let Some(url) = url else {
            let message = "the endpoint's id cannot be a segment of a path";
            return Err(Error::new(ErrorKind::ClientError, None, message));
        };
        let Response { body, status, .. } = self.get(Operation::RetrieveEndpoint, url).await?;
        // A record with the right id does not prove success. An error body may contain the id, too.
        let is_error = pick(&body, &["error", "status"]).map_or(true, |[error, status]| {
            error::is_error_body(&error, &status)
        });
        let message = match read_endpoint(&body) {
            Ok(_) if is_error => "an error where an endpoint was expected",
            Ok(endpoint) if endpoint.id == id => return Ok((endpoint, status)),
            Ok(_) => "the record of another endpoint",
            Err(_) => "no record of an endpoint",
        };
        Err(Error::of_body(ErrorKind::Malformed, status, message, &body))
    }

    /// Describes the request of [`Self::retrieve`], with `***` instead of the auth id. If `id` cannot be a
    /// segment of a path, the text omits `id`.
    pub fn describe_retrieve(&self, id: &str) -> String {
        let path = format!("../../***/Endpoint/{}/", segment(id).unwrap_or_default());
        let url = self.endpoints.join(&path);
        url.map_or_else(|_| String::new(), |url| format!("GET {url}"))
    }

    /// Sends a request. If an open connection breaks without a valid response, sends the request once more on a
    /// new connection. The server may have closed the first connection as idle. Counts both attempts.
    async fn send(
        &self,
        operation: Operation,
        url: Url,
    ) -> Result<(reqwest::Response, Attempt<'_>), Error> {
        let credentials = self.auth_id.clone().zip(self.token.borrow().clone());
        let Some((auth_id, token)) = credentials else {
            let message = "the token is empty or holds characters that a header cannot hold";
            return Err(Error::new(ErrorKind::Auth, None, message));
        };
        let send = |http: &reqwest::Client| {
            let request = http.get(url.clone()).timeout(self.request_timeout);
            let request = request.header(header::USER_AGENT, USER_AGENT);
            let request = request.header(X_AUTH_ID, auth_id.clone());
            request.header(X_AUTH_TOKEN, token.clone()).send()
        };
        let begin = || Attempt {
            instruments: &self.instruments,
            operation,
            begun: Instant::now(),
            status: None,
        };
        let mut attempt = begin();
        let mut response = send(&self.http.pooled).await;
        let is_lost = |error: &reqwest::Error| {
            error.is_request() && !error.is_connect() && !error.is_timeout()
        };
        if response.as_ref().is_err_and(is_lost) {
            attempt = begin();
            response = send(&self.http.unpooled).await;
        }
        let response = response.map_err(|error| Error::of_connection(None, &error))?;
        Ok((response, attempt))
    }

    /// Gets `url` and reads the whole response.
    async fn get(&self, operation: Operation, url: Url) -> Result<Response, Error> {
        let (response, mut attempt) = self.send(operation, url).await?;
        let arrived = self.clock.now();
        let status = response.status().as_u16();
        let date = error::date_header(response.headers(), DATE);
        if !response.status().is_success() {
            attempt.status = Some(status);
            let wait = error::retry_after_header(response.headers(), date.unwrap_or(arrived));
            // An unreadable or too large body is treated as empty: the status decides the kind of error.
            let body = read_body(response, MAX_ERROR_BYTES).await.ok().flatten();
            return Err(Error::of_status(status, wait, &body.unwrap_or_default()));
        }
        let body = read_body(response, self.max_page_bytes).await;
        let body = body.map_err(|error| Error::of_connection(Some(status), &error))?;
        attempt.status = Some(status);
        let body = body.ok_or_else(|| {
            let message = format!("the body exceeds {} bytes", self.max_page_bytes);
            Error::new(ErrorKind::TooLarge, Some(status), message)
        })?;
        Ok(Response {
            body,
            status,
            clock_offset: date.map(|date| date.as_seconds() - arrived.as_seconds()),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.endpoints.host_str())
            .finish_non_exhaustive()
    }
}

/// One attempt of a request. `drop` counts the attempt, so that a cancelled attempt is counted, too.
struct Attempt<'a> {
    instruments: &'a AccountInstruments,
    operation: Operation,
    begun: Instant,
    /// The HTTP status; `None` without a response, or if the body of a 2xx response breaks off or times out.
    status: Option<u16>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.instruments
            .request(self.operation, self.status, self.begun.elapsed());
    }
}

/// The body after decompression, in the form of [`Response::body`]; `None` if the body exceeds `limit` bytes.
async fn read_body(
    mut response: reqwest::Response,
    limit: u64,
) -> Result<Option<String>, reqwest::Error> {
    // `content_length` is `None` for a compressed body, because its decompressed size is not known yet.
    let announced = response.content_length().unwrap_or(0);
    if announced > limit {
        return Ok(None);
    }
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = response.chunk().await? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        body.drain(..3);
    }
    // The body is nearly always valid UTF-8. For valid UTF-8, `from_utf8` makes no copy.
    let body = String::from_utf8(body);
    let body = body.or_else(|error| Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()));
    body.map(Some)
}

/// Encodes `text` as a segment of a path; `None` for empty text, `.` and `..`, which cannot be a segment.
fn segment(text: &str) -> Option<String> {
    let dots_only = text.bytes().all(|byte| byte == b'.');
    (!dots_only || text.len() > 2).then(|| utf8_percent_encode(text, SEGMENT).to_string())
}

/// A header value that `Debug` output hides; `None` for empty text or text that a header cannot hold.
fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    (!value.is_empty()).then_some(value)
}

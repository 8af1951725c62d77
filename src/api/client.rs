//! One request: the operations of the API, and the attempt that each of them makes.

use std::{collections::BTreeMap, fmt, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{self, DATE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::watch, time::Instant};
use url::Url;

use super::{
    error::{self, ClientError, Error},
    json::pick,
    row::{Endpoint, Page, read_endpoint, read_page},
    transport::Transports,
};
use crate::{
    clock::Clock,
    config::{Account, ApiToken},
    telemetry::{AccountInstruments, ErrorKind, Operation},
};

const USER_AGENT: &str = concat!("vobiz-exporter/", env!("CARGO_PKG_VERSION"));
const X_AUTH_ID: HeaderName = HeaderName::from_static("x-auth-id");
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// All but the unreserved characters are encoded in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The part of an error's body that is read, in bytes.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// Requests for one account: one attempt per call, each counted, none repeated.
///
/// Shared between tasks; the token may be changed while requests are in flight. Debug output holds
/// no credential.
pub struct Client {
    http: reqwest::Client,
    /// `{base_url}/Account/{auth_id}/Endpoint/`, in exactly this case and with the last slash.
    endpoints: Url,
    filter: BTreeMap<String, String>,
    /// `X-Auth-ID` and `X-Auth-Token`; `None` if a header cannot hold the value.
    auth_id: Option<HeaderValue>,
    token: watch::Sender<Option<HeaderValue>>,
    request_timeout: Duration,
    max_page_bytes: u64,
    instruments: AccountInstruments,
    clock: Clock,
}

/// A successful response.
struct Response {
    /// Without a byte order mark; bytes that are no UTF-8 are replaced.
    body: String,
    status: u16,
    clock_offset: Option<f64>,
}

impl Transports {
    /// A client for `account`. Fails on an unusable `api.ca_file`, `api.proxy_url` or `auth_id`;
    /// needs no network.
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
}

impl Client {
    /// Uses `token` from the next request on; requests in flight keep the one they were sent with.
    pub fn set_token(&self, token: &SecretString) {
        self.token
            .send_replace(secret_header(token.expose_secret()));
    }

    /// `GET .../Endpoint/?limit=&offset=` with the account's filter: `limit` rows from `offset` on.
    /// The API may return fewer rows, or others, than were asked for.
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

    /// `GET .../Endpoint/{id}/`: the record of one endpoint, which alone has `sip_registration`, and the
    /// status of the response, which is one of the 200s.
    ///
    /// A response about another endpoint, or one without a usable id, is `Malformed`.
    pub async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        let url = segment(id).and_then(|id| self.endpoints.join(&format!("{id}/")).ok());
        let Some(url) = url else {
            let message = "the endpoint's id cannot be a segment of a path";
            return Err(Error::new(ErrorKind::ClientError, None, message));
        };
        let Response { body, status, .. } = self.get(Operation::RetrieveEndpoint, url).await?;
        // The record alone does not prove success: an error may repeat the id of the request.
        let is_error = pick(&body, &["error", "status"])
            .is_ok_and(|[error, status]| error::is_error_body(&error, &status));
        let message = match read_endpoint(&body) {
            Ok(_) if is_error => "an error where an endpoint was expected",
            Ok(endpoint) if endpoint.id == id => return Ok((endpoint, status)),
            Ok(_) => "the record of another endpoint",
            Err(_) => "no record of an endpoint",
        };
        Err(Error::of_body(ErrorKind::Malformed, status, message, &body))
    }

    /// The request of [`Self::retrieve`] as it may be shown: its URL with the auth id replaced. An id
    /// that cannot be a segment of a path is not shown.
    pub fn describe_retrieve(&self, id: &str) -> String {
        let path = format!("../../***/Endpoint/{}/", segment(id).unwrap_or_default());
        let url = self.endpoints.join(&path);
        url.map_or_else(|_| String::new(), |url| format!("GET {url}"))
    }

    /// One attempt at `url`, counted however it ends.
    async fn get(&self, operation: Operation, url: Url) -> Result<Response, Error> {
        let credentials = self.auth_id.clone().zip(self.token.borrow().clone());
        let Some((auth_id, token)) = credentials else {
            let message = "the token is empty or holds characters that a header cannot hold";
            return Err(Error::new(ErrorKind::Auth, None, message));
        };
        let mut attempt = Attempt {
            instruments: &self.instruments,
            operation,
            begun: Instant::now(),
            status: None,
        };
        let request = (self.http.get(url))
            .header(header::USER_AGENT, USER_AGENT)
            .header(X_AUTH_ID, auth_id)
            .header(X_AUTH_TOKEN, token)
            .timeout(self.request_timeout);
        let response = request.send().await;
        let response = response.map_err(|error| Error::of_connection(None, &error))?;
        let arrived = self.clock.now();
        let status = response.status().as_u16();
        let date = error::date_header(response.headers(), DATE);
        if !response.status().is_success() {
            attempt.status = Some(status);
            let wait = error::retry_after_header(response.headers(), date.unwrap_or(arrived));
            // The status is enough: a body that cannot be read counts as empty.
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

/// A request in flight. It is counted on drop, so that a request whose caller gave up counts as well.
struct Attempt<'a> {
    instruments: &'a AccountInstruments,
    operation: Operation,
    begun: Instant,
    /// Set once the response is complete; a response that breaks off has none.
    status: Option<u16>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.instruments
            .request(self.operation, self.status, self.begun.elapsed());
    }
}

/// The body after decompression, as [`Response::body`] holds it; `None` if it exceeds `limit` bytes.
async fn read_body(
    mut response: reqwest::Response,
    limit: u64,
) -> Result<Option<String>, reqwest::Error> {
    // Absent for compressed bodies, whose announced size says nothing.
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
    // Nearly always valid, which costs a check and no copy.
    let body = String::from_utf8(body);
    let body = body.or_else(|error| Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()));
    body.map(Some)
}

/// One segment of a path; `None` for text that a URL cannot hold as one, however it is encoded.
fn segment(text: &str) -> Option<String> {
    let dots_only = text.bytes().all(|byte| byte == b'.');
    (!dots_only || text.len() > 2).then(|| utf8_percent_encode(text, SEGMENT).to_string())
}

/// A header whose value debug output hides; `None` for text that a header cannot hold.
fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    (!value.is_empty()).then_some(value)
}

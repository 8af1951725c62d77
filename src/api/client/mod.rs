//! The one request function, and the operations that are built on it.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderName;
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use super::{
    ClientError, Endpoint, Error, ErrorKind, Page, Transports,
    answer::{self, Unread},
    credential::Credential,
    decode::{self, NotAPage, pick},
    refusal,
    transport::Http,
};
use crate::{
    clock::Clock,
    config::{Account, ApiToken},
    telemetry::{AccountInstruments, Operation},
};

mod fault;
mod network;
#[cfg(test)]
mod tests;

const X_AUTH_ID: HeaderName = HeaderName::from_static("x-auth-id");
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// Everything but the unreserved characters is encoded in a path's segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Asks the vendor about one account: one attempt per call, each counted, none repeated.
///
/// Shared between tasks; the token may be changed while requests are under way. Debug output holds
/// no credential.
pub struct Client {
    http: Http,
    /// `{base_url}/Account/{auth_id}/Endpoint/`, in exactly this case and with the last slash.
    endpoints: Url,
    filter: Vec<(&'static str, String)>,
    credential: RwLock<Arc<Credential>>,
    request_timeout: Duration,
    max_page_bytes: u64,
    instruments: AccountInstruments,
    clock: Clock,
}

/// A successful answer.
struct Answer {
    body: Vec<u8>,
    status: u16,
    clock_offset: Option<f64>,
}

impl Client {
    /// A client with connections of its own; [`Transports::client`] makes clients that share them.
    ///
    /// Fails on an unusable `api.ca_file`, `api.proxy_url` or `auth_id`; needs no network.
    pub fn new(
        account: &Account,
        instruments: AccountInstruments,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        Transports::new().client(account, instruments, clock)
    }

    /// A client over connections that stand already.
    pub(super) fn over(
        http: Http,
        account: &Account,
        instruments: AccountInstruments,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let token = match &account.token {
            ApiToken::Inline(token) => token,
            ApiToken::File { initial, .. } => initial,
        };
        let auth_id = segment(&account.auth_id).ok_or(ClientError::AuthId)?;
        let mut endpoints = account.api.base_url.clone();
        endpoints.set_query(None);
        let base = endpoints.path().trim_end_matches('/');
        endpoints.set_path(&format!("{base}/Account/{auth_id}/Endpoint/"));
        Ok(Self {
            http,
            endpoints,
            filter: account.filter.0.clone(),
            credential: RwLock::new(Arc::new(Credential::new(&account.auth_id, token))),
            request_timeout: account.api.request_timeout,
            max_page_bytes: account.api.max_page_bytes,
            instruments,
            clock,
        })
    }

    /// Uses `token` from the next request on; requests under way keep the one they were sent with.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller keeps no copy of a token"
    )]
    pub fn set_token(&self, token: SecretString) {
        let mut credential = self
            .credential
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *credential = Arc::new(credential.rotated(&token));
    }

    /// `GET .../Endpoint/?limit=&offset=` with the account's filter: `limit` rows from `offset` on.
    /// The vendor may give fewer, or others, than were asked for.
    pub async fn list_page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        let mut url = self.endpoints.clone();
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string())
            .append_pair("offset", &offset.to_string())
            .extend_pairs(&self.filter);
        let answer = self.get(Operation::ListEndpoints, url).await?;
        let body = answer.text();
        match decode::page(&body, limit) {
            Ok((rows, total, shape)) => Ok(Page {
                rows,
                total,
                shape,
                clock_offset: answer.clock_offset,
            }),
            Err(NotAPage::Malformed(what)) => {
                Err(fault::misunderstood(&what, answer.status, &body))
            }
            Err(NotAPage::TooManyRows) => {
                let message = "the page holds far more rows than were asked for".to_owned();
                Err(Error::of(ErrorKind::TooLarge, Some(answer.status), message))
            }
        }
    }

    /// `GET .../Endpoint/{id}/`: the record of one endpoint, which alone has `sip_registration`.
    ///
    /// An answer about another endpoint, or one without a usable id, is `Malformed`.
    pub async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.retrieve(id).await.map(|(endpoint, _)| endpoint)
    }

    /// The same with the status of the answer, which is of the 200s.
    pub async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        let url = segment(id).and_then(|id| self.endpoints.join(&format!("{id}/")).ok());
        let Some(url) = url else {
            let message = "the endpoint's id cannot stand in a path".to_owned();
            return Err(Error::of(ErrorKind::ClientError, None, message));
        };
        let answer = self.get(Operation::RetrieveEndpoint, url).await?;
        let body = answer.text();
        let what = match decode::record(&body) {
            Ok(_) if is_an_error(&body) => "an error where an endpoint was expected",
            Ok(endpoint) if endpoint.id == id => return Ok((endpoint, answer.status)),
            Ok(_) => "the record of another endpoint",
            Err(_) => "no endpoint's record",
        };
        Err(fault::misunderstood(what, answer.status, &body))
    }

    /// The request of [`Self::retrieve`] as it may be shown: its URL with the auth id masked. An id
    /// that cannot stand in a path is not shown.
    pub fn retrieve_shown(&self, id: &str) -> String {
        let mut url = self.endpoints.clone();
        let base = url.path().rsplitn(4, '/').last().unwrap_or_default();
        let id = segment(id).unwrap_or_default();
        let path = format!("{base}/***/Endpoint/{id}/");
        url.set_path(&path);
        format!("GET {url}")
    }

    fn credential(&self) -> Arc<Credential> {
        let credential = self
            .credential
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&credential)
    }

    /// One attempt at `url`, counted however it ends.
    async fn get(&self, operation: Operation, url: Url) -> Result<Answer, Error> {
        let Some([auth_id, token]) = self.credential().headers() else {
            let message = "the token is empty or holds characters that no header can".to_owned();
            return Err(Error::of(ErrorKind::Auth, None, message));
        };
        let mut attempt = Attempt::begin(&self.instruments, operation);
        let (client, may_be_idle) = self.http.client();
        let request = client
            .get(url)
            .header(X_AUTH_ID, auth_id)
            .header(X_AUTH_TOKEN, token)
            .timeout(self.request_timeout);
        let response = request.send().await.map_err(|error| {
            let broke_off = error.is_request() && !error.is_connect() && !error.is_timeout();
            let stale_connection = broke_off && may_be_idle;
            if stale_connection {
                self.http.lost();
            }
            Error {
                stale_connection,
                ..fault::broken(None, &error)
            }
        })?;
        let arrived = self.clock.now();
        let status = response.status().as_u16();
        let date = answer::date(response.headers());
        if let Some(kind) = answer::fault(response.status()) {
            attempt.status = Some(status);
            let now = date.unwrap_or(arrived);
            return Err(fault::refused(kind, response, now).await);
        }
        let mut body = Vec::new();
        let read = answer::read(response, self.max_page_bytes, &mut body).await;
        if let Err(Unread::Broken(error)) = read {
            return Err(fault::broken(Some(status), &error));
        }
        attempt.status = Some(status);
        if let Err(Unread::TooLarge) = read {
            let message = format!("the body exceeds {} bytes", self.max_page_bytes);
            return Err(Error::of(ErrorKind::TooLarge, Some(status), message));
        }
        Ok(Answer {
            body,
            status,
            clock_offset: date.map(|date| date.as_seconds() - arrived.as_seconds()),
        })
    }
}

impl Answer {
    /// The body as text: bytes that are no UTF-8 are replaced.
    fn text(&self) -> Cow<'_, str> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf");
        let body = body.unwrap_or(&self.body);
        // Checking is several times as fast as replacing, and nearly always enough.
        match str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(body),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.endpoints.host_str())
            .finish_non_exhaustive()
    }
}

/// A request under way. It is counted when this goes, also if the caller gave up waiting.
struct Attempt<'a> {
    instruments: &'a AccountInstruments,
    operation: Operation,
    begun: Instant,
    /// Set once the answer is complete; an answer that breaks off counts as none.
    status: Option<u16>,
}

impl<'a> Attempt<'a> {
    fn begin(instruments: &'a AccountInstruments, operation: Operation) -> Self {
        Self {
            instruments,
            operation,
            begun: Instant::now(),
            status: None,
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.instruments
            .request(self.operation, self.status, self.begun.elapsed());
    }
}

/// A record's own keys do not tell: a refusal may repeat the id that was asked for.
fn is_an_error(body: &str) -> bool {
    match pick(body, &["error", "status"]) {
        Ok([error, status]) => refusal::is_told_by(error, status),
        Err(_) => true,
    }
}

/// One segment of a path; `None` for what a URL cannot hold as one, however it is encoded.
fn segment(text: &str) -> Option<String> {
    let dots_only = text.bytes().all(|byte| byte == b'.');
    (!dots_only || text.len() > 2).then(|| utf8_percent_encode(text, SEGMENT).to_string())
}

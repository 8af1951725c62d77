//! The errors of one request: from its status, its body or its connection.
//!
//! No error holds text of the API, which may repeat the token in any spelling. A library's error may
//! quote the peer as well (a certificate names hosts), so that only its type is used.

use std::{
    error::Error as StdError,
    io,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use rustls::CertificateError;

use super::json::{Json, pick};
use crate::{clock::UnixMillis, telemetry::ErrorKind};

/// The longest wait that is believed, in seconds; a longer one is cut to this.
const MAX_WAIT: f64 = 30.0 * 24.0 * 3600.0;

/// Why a request gave no page or record. Safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", status.map(|status| format!(" (status {status})")).unwrap_or_default())]
pub struct Error {
    /// The closed kind, safe as a label's value.
    pub kind: ErrorKind,
    /// HTTP status, where a response came.
    pub status: Option<u16>,
    /// What happened, for a person; of the response it repeats numbers only.
    pub message: String,
    /// The API asks for no request before this much time has passed.
    pub retry_after: Option<Duration>,
}

impl ErrorKind {
    /// Whether the same request may succeed later: 408, 429, 5xx and faults of the network.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Timeout | Self::Network | Self::ServerError
        )
    }
}

impl Error {
    /// An error of a kind, without a wait.
    pub(super) fn new(kind: ErrorKind, status: Option<u16>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The connection failed before the response was complete.
    pub(super) fn of_connection(status: Option<u16>, error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::new(ErrorKind::Timeout, status, "no complete response in time");
        }
        let message = format!("the connection failed: {}", connection_cause(error));
        Self::new(ErrorKind::Network, status, message)
    }

    /// The status is no success. `in_header` is the wait from `Retry-After`, which takes precedence over
    /// the body.
    pub(super) fn of_status(status: u16, in_header: Option<Duration>, body: &str) -> Self {
        let (kind, message) = match status {
            401 => (
                ErrorKind::Auth,
                "the credentials, the auth id or the path were refused",
            ),
            402 => (ErrorKind::PaymentRequired, "payment is required"),
            403 => (ErrorKind::Forbidden, "access is forbidden"),
            404 => (ErrorKind::NotFound, "not found"),
            407 => (
                ErrorKind::ClientError,
                "the proxy refused the request; check the credentials in api.proxy_url",
            ),
            408 => (ErrorKind::Timeout, "no complete response in time"),
            429 => (ErrorKind::RateLimited, "too many requests"),
            300..=399 => (
                ErrorKind::Redirect,
                "a redirect, which is never followed; check api.base_url",
            ),
            400..=499 => (ErrorKind::ClientError, "the request was refused"),
            500..=599 => (ErrorKind::ServerError, "the API's server failed"),
            _ => (ErrorKind::Malformed, "the response is not understood"),
        };
        Self {
            retry_after: in_header.or_else(|| retry_after_in_body(body)),
            ..Self::of_body(kind, status, message, body)
        }
    }

    /// The body is not the expected one. An HTML page comes from a gateway or a wrong address, and not
    /// from the API, so that the message names it.
    pub(super) fn of_body(kind: ErrorKind, status: u16, message: &str, body: &str) -> Self {
        let page = body.trim_start().starts_with('<');
        let page = page.then(|| format!(": an HTML page of {} bytes", body.len()));
        let message = format!("{message}{}", page.unwrap_or_default());
        Self::new(kind, Some(status), message)
    }
}

/// Why there is no client for an account: the configuration names something unusable.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of additional authorities, and why it is not usable.
    #[error("api.ca_file {} is not usable: {_1}", _0.display())]
    CaFile(PathBuf, String),
    /// The proxy is no `http` or `https` URL with a host; it is not repeated, it may hold a password.
    #[error("api.proxy_url is not a usable http or https address")]
    Proxy,
    /// The auth id cannot stand in a path or a header.
    #[error("auth_id cannot be sent: it is empty, dots only, or holds control characters")]
    AuthId,
    /// The HTTP library refuses its settings.
    #[error("the HTTP client cannot be set up")]
    Build(#[source] reqwest::Error),
}

/// A header with an HTTP date.
pub(super) fn date_header(headers: &HeaderMap, name: HeaderName) -> Option<UnixMillis> {
    let date = headers.get(name)?.to_str().ok()?;
    let date = httpdate::parse_http_date(date.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// The `Retry-After` header: seconds, or a date seen from `now`. `None` where it asks for no wait.
pub(super) fn retry_after_header(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    if let Some(date) = date_header(headers, RETRY_AFTER) {
        return wait(date.since(now).as_secs_f64());
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    wait(seconds.trim().parse().ok()?)
}

/// `error.details.retryAfter` of an error's body, which may be empty, HTML, or truncated.
fn retry_after_in_body(body: &str) -> Option<Duration> {
    let object = |text, key| match pick(text, &[key]) {
        Ok([Json::Object(object)]) => Some(object),
        _ => None,
    };
    let details = object(object(body, "error")?, "details")?;
    let values = pick(details, &["retryAfter", "retry_after"]).ok()?;
    let mut words = values.iter().filter_map(Json::word);
    wait(words.find(|word| !word.is_empty())?.parse().ok()?)
}

/// The wait that a number of seconds asks for; `None` for none and for nonsense.
fn wait(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_WAIT)))
}

/// Whether these values of a body's `error` and `status` announce an error. Empty ones do not.
pub(super) fn is_error_body(error: &Json<'_>, status: &Json<'_>) -> bool {
    let has_error = match error {
        Json::Null | Json::Bool(false) | Json::Array("[]") | Json::Object("{}") => false,
        Json::Text(text) => !text.is_empty(),
        _ => true,
    };
    has_error || matches!(status, Json::Text(text) if text.eq_ignore_ascii_case("error"))
}

/// Why a connection failed, without text of the peer.
fn connection_cause(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return "the host's name cannot be resolved".to_owned();
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return tls_cause(tls);
        }
        next = match error.downcast_ref::<io::Error>() {
            // The operating system's own text of an error number.
            Some(io) if io.raw_os_error().is_some() => return io.to_string(),
            // `source` would skip the inner error itself.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    if error.is_connect() {
        return "no connection to the server or through the proxy".to_owned();
    }
    "the response breaks off or is not valid HTTP".to_owned()
}

fn tls_cause(error: &rustls::Error) -> String {
    let certificate = match error {
        rustls::Error::InvalidCertificate(error) => error,
        rustls::Error::AlertReceived(alert) => {
            return format!("the server ended TLS with {alert:?}");
        }
        rustls::Error::InvalidMessage(_) => return "the server does not speak TLS".to_owned(),
        _ => return "TLS failed".to_owned(),
    };
    let cause = match certificate {
        CertificateError::UnknownIssuer => "is from an unknown authority; api.ca_file adds one",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; check the clock of this machine"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another host name than that of api.base_url"
        }
        // The type behind it is not public here; its name is a constant.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is that of an authority (CA:TRUE); give the server one of its own, issued by that authority"
        }
        _ => "is not valid",
    };
    format!("the server's certificate {cause}")
}

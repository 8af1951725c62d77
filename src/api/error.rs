//! Makes the error of a failed request from the status and body of the response, or from the error of the
//! connection. Reads the pause that the API asks for.
//!
//! No error holds text of a response, because a response may contain the token. A library's error may quote
//! the server, for example a certificate's host name. This module uses only texts that never quote the server.

use std::{
    error::Error as StdError,
    io,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use rustls::CertificateError;
use url::Url;

use super::json::{Json, pick};
use crate::{clock::UnixMillis, telemetry::ErrorKind};

/// The reason why a request gave no page or record. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", status.map(|status| format!(" (status {status})")).unwrap_or_default())]
pub struct Error {
    /// The kind. The number of kinds is fixed, so the kind may be the value of a label.
    pub kind: ErrorKind,
    /// The HTTP status; `None` without a response.
    pub status: Option<u16>,
    /// A description for people. It may contain numbers from the response, but no text from the response.
    pub message: String,
    /// The time that the API asks the client to wait before the next request.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error without `retry_after`.
    pub(super) fn new(kind: ErrorKind, status: Option<u16>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The error of a request that failed before the client had read the whole response.
    pub(super) fn of_connection(status: Option<u16>, error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::new(ErrorKind::Timeout, status, "no complete response in time");
        }
        let host = error.url().and_then(Url::host_str).unwrap_or("the API");
        let message = format!(
            "the connection to {host} failed: {}",
            connection_cause(error)
        );
        Self::new(ErrorKind::Network, status, message)
    }

    /// The error of a status that is not 2xx. `in_header` is the wait from the `Retry-After` header. This wait
    /// takes precedence over a wait in the body.
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

    /// The error of an unexpected status or body. If the body looks like HTML, the message says so. The API
    /// never sends HTML, but a gateway, or the server at a wrong `api.base_url`, may send an HTML page.
    pub(super) fn of_body(kind: ErrorKind, status: u16, message: &str, body: &str) -> Self {
        let page = body.trim_start().starts_with('<');
        let page = page.then(|| format!(": an HTML page of {} bytes", body.len()));
        let message = format!("{message}{}", page.unwrap_or_default());
        Self::new(kind, Some(status), message)
    }
}

/// The reason why the exporter cannot make the client of an account.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of additional certificate authorities, and the reason why the file is unusable.
    #[error("api.ca_file {} is not usable: {_1}", _0.display())]
    CaFile(PathBuf, String),
    /// The proxy is not an `http` or `https` URL with a host. The message omits the URL and its password.
    #[error("api.proxy_url is not a usable http or https address")]
    Proxy,
    /// The auth id cannot be a segment of a path.
    #[error("auth_id cannot be sent: it is empty, or has only dots")]
    AuthId,
    /// The HTTP library refuses the settings.
    #[error("the HTTP client cannot be set up")]
    Build(#[source] reqwest::Error),
}

/// Whether the values of `error` and `status` in a body report an error. Empty values report no error.
pub(super) fn is_error_body(error: &Json<'_>, status: &Json<'_>) -> bool {
    let has_error = match error {
        Json::Null | Json::Bool(false) | Json::Array("[]") | Json::Object("{}") => false,
        Json::Text(text) => !text.is_empty(),
        _ => true,
    };
    has_error || matches!(status, Json::Text(text) if text.eq_ignore_ascii_case("error"))
}

/// The reason why a connection failed, without text of the server.
fn connection_cause(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return "this host or the host of a proxy cannot be resolved".to_owned();
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return tls_cause(tls);
        }
        next = match error.downcast_ref::<io::Error>() {
            // This text is the operating system's description of an error number. It does not quote the server.
            Some(io) if io.raw_os_error().is_some() => return io.to_string(),
            // `source` would skip the inner error and return the source of the inner error.
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
        // The type of this error is private, but its `Debug` text always contains this name.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is that of an authority (CA:TRUE); give the server one of its own, issued by that authority"
        }
        _ => "is not valid",
    };
    format!("the server's certificate {cause}")
}

/// The HTTP date in the header `name`.
pub(super) fn date_header(headers: &HeaderMap, name: HeaderName) -> Option<UnixMillis> {
    let date = headers.get(name)?.to_str().ok()?;
    let date = httpdate::parse_http_date(date.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// The wait from the `Retry-After` header, which gives seconds or a date. `None` means no wait.
pub(super) fn retry_after_header(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    if let Some(date) = date_header(headers, RETRY_AFTER) {
        return wait(date.since(now).as_secs_f64());
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    wait(seconds.trim().parse().ok()?)
}

/// The wait from `retryAfter` or `retry_after` in `error.details`. The body may be empty, HTML, or truncated.
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

/// A wait of `seconds`; `None` if `seconds` is not above zero.
fn wait(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

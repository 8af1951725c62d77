//! Reads a failed response: the kind of the error, and the pause that the API asks for.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

use super::{
    Error, ErrorKind,
    raw_value::{Json, pick},
};
use crate::clock::UnixMillis;

impl Error {
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

/// The wait from `error.details.retryAfter` in a body, which may be empty, HTML, or truncated.
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

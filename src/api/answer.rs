//! An HTTP answer, before anything of it is believed: status, the headers that matter, the body.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use super::{ErrorKind, refusal};
use crate::clock::UnixMillis;

/// Why a body was not read to its end.
pub(super) enum Unread {
    /// It is, or becomes, larger than allowed.
    TooLarge,
    /// The connection failed it, or time ran out.
    Broken(reqwest::Error),
}

/// The kind of error that a status is; `None` for a success.
pub(super) fn fault(status: StatusCode) -> Option<ErrorKind> {
    Some(match status.as_u16() {
        200..=299 => return None,
        401 => ErrorKind::Auth,
        402 => ErrorKind::PaymentRequired,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        429 => ErrorKind::RateLimited,
        300..=399 => ErrorKind::Redirect,
        400..=499 => ErrorKind::ClientError,
        500..=599 => ErrorKind::ServerError,
        _ => ErrorKind::Malformed,
    })
}

/// What a kind of error means.
pub(super) fn meaning(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "the credentials, the auth id or the path were refused",
        ErrorKind::PaymentRequired => "payment is required",
        ErrorKind::Forbidden => "access is forbidden",
        ErrorKind::NotFound => "not found",
        ErrorKind::RateLimited => "too many requests",
        ErrorKind::Timeout => "no complete answer in time",
        ErrorKind::Network => "the connection failed",
        ErrorKind::ServerError => "the vendor's server failed",
        ErrorKind::Redirect => "a redirect, which is never followed; check api.base_url",
        ErrorKind::ClientError => "the request was refused",
        ErrorKind::Malformed => "the answer is not understood",
        ErrorKind::TooLarge => "the answer is larger than allowed",
    }
}

/// The `Date` header.
pub(super) fn date(headers: &HeaderMap) -> Option<UnixMillis> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// The `Retry-After` header: seconds, or a date seen from `now`. `None` where it asks for no wait.
pub(super) fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match http_date(value) {
        Some(date) => refusal::seconds(&date.since(now).as_secs_f64().to_string()),
        None => refusal::seconds(value),
    }
}

fn http_date(value: &str) -> Option<UnixMillis> {
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// Reads the body into `body` while it streams, up to `limit` bytes after decompression.
///
/// What had arrived before a failure stays in `body`.
pub(super) async fn read(
    mut response: Response,
    limit: u64,
    body: &mut Vec<u8>,
) -> Result<(), Unread> {
    // Absent for compressed bodies, whose announced size says nothing.
    if let Some(announced) = response.content_length() {
        if announced > limit {
            return Err(Unread::TooLarge);
        }
        body.reserve_exact(usize::try_from(announced).unwrap_or(0));
    }
    while let Some(piece) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() as u64 + piece.len() as u64 > limit {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(())
}

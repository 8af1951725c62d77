//! Errors, from a status or from what broke. No text of the vendor's is in them.

use reqwest::Response;

use super::network;
use crate::{
    api::{Error, ErrorKind, answer, refusal},
    clock::UnixMillis,
};

/// The one status that no vendor gives.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// What of an error's body is read, in bytes.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// The error of a connection that failed before the answer was complete.
pub(super) fn broken(status: Option<u16>, error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        let message = answer::meaning(ErrorKind::Timeout).to_owned();
        return Error::of(ErrorKind::Timeout, status, message);
    }
    let (meaning, cause) = (answer::meaning(ErrorKind::Network), network::cause(error));
    Error::of(ErrorKind::Network, status, format!("{meaning}: {cause}"))
}

/// The error of an answer that is no success.
pub(super) async fn refused(kind: ErrorKind, response: Response, now: UnixMillis) -> Error {
    let status = response.status().as_u16();
    let in_header = answer::retry_after(response.headers(), now);
    let mut body = Vec::new();
    // The status is known; what cannot be read of the body is not missed.
    let body = match answer::read(response, MAX_REFUSAL_BYTES, &mut body).await {
        Ok(()) => String::from_utf8_lossy(&body),
        Err(_) => "".into(),
    };
    let what = if status == PROXY_AUTHENTICATION_REQUIRED {
        "the request was refused by the proxy, which wants other credentials"
    } else {
        answer::meaning(kind)
    };
    Error {
        retry_after: in_header.or_else(|| refusal::retry_after(&body)),
        ..Error::of(kind, Some(status), told(what, &body))
    }
}

/// The error that a success with the wrong body is.
pub(super) fn misunderstood(what: &str, status: u16, body: &str) -> Error {
    Error::of(ErrorKind::Malformed, Some(status), told(what, body))
}

/// A page for people comes from a gateway or a wrong address, and not from the API.
fn told(what: &str, body: &str) -> String {
    if body.trim_start().starts_with('<') {
        format!("{what}: an HTML page of {} bytes", body.len())
    } else {
        what.to_owned()
    }
}

//! Errors, put together from what came and what broke.

use reqwest::{
    Response,
    header::{HeaderName, LOCATION},
};

use crate::{
    api::{
        Error, ErrorKind, answer,
        credential::Credential,
        refusal::{self, Refusal},
    },
    clock::UnixMillis,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The one status that no vendor gives.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// What of an error's body is read, in bytes.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// The error of a connection that failed before the answer was complete.
pub(super) fn broken(status: Option<u16>, error: reqwest::Error, credential: &Credential) -> Error {
    if error.is_timeout() {
        let message = answer::meaning(ErrorKind::Timeout).to_owned();
        return Error::of(ErrorKind::Timeout, status, message);
    }
    // Its URL holds the auth id; the innermost cause says most.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let meaning = answer::meaning(ErrorKind::Network);
    let message = credential.told(meaning, Some(&cause.to_string()));
    Error::of(ErrorKind::Network, status, message)
}

/// The error of an answer that is no success.
pub(super) async fn refused(
    kind: ErrorKind,
    response: Response,
    now: UnixMillis,
    credential: &Credential,
) -> Error {
    let status = response.status().as_u16();
    let retry_after = answer::retry_after(response.headers(), now);
    let header_id = response.headers().get(X_REQUEST_ID);
    let header_id = header_id.and_then(|id| Some(id.to_str().ok()?.to_owned()));
    let target = redirected_to(&response);
    let mut body = Vec::new();
    // The status is known; what cannot be read of the body is not missed.
    let mut refusal = match answer::read(response, MAX_REFUSAL_BYTES, &mut body).await {
        Ok(()) => refusal::read(&String::from_utf8_lossy(&body)),
        Err(_) => Refusal::default(),
    };
    refusal.request_id = refusal.request_id.or(header_id);
    refusal.retry_after = retry_after.or(refusal.retry_after);
    let mut what = answer::meaning(kind);
    if kind == ErrorKind::Redirect {
        if target.is_some() {
            what = "a redirect, which is never followed, to the host";
        }
        refusal.message = target;
        refusal.is_html = false;
    }
    if status == PROXY_AUTHENTICATION_REQUIRED {
        // It was shown the proxy's password, which nothing here can tell from other words.
        refusal = Refusal::default();
        what = "the request was refused by the proxy, which wants other credentials";
    }
    error(kind, status, what, refusal, credential)
}

/// The error that a success with the wrong body is.
pub(super) fn misunderstood(what: &str, status: u16, body: &str, credential: &Credential) -> Error {
    let kind = ErrorKind::Malformed;
    error(kind, status, what, refusal::read(body), credential)
}

fn error(
    kind: ErrorKind,
    status: u16,
    what: &str,
    refusal: Refusal,
    credential: &Credential,
) -> Error {
    let message = if refusal.is_html {
        format!("{what}: an HTML page")
    } else {
        credential.told(what, refusal.message.as_deref())
    };
    let clean = |text: Option<String>| {
        let text = credential.cleaned(&text?);
        (!text.is_empty()).then_some(text)
    };
    Error {
        kind,
        status: Some(status),
        code: clean(refusal.code),
        request_id: clean(refusal.request_id),
        message,
        retry_after: refusal.retry_after,
        stale_connection: false,
    }
}

/// The host of a redirect, for a person who has the wrong base URL; its path may name the account.
fn redirected_to(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    target.host_str().map(str::to_owned)
}

//! The parts of responses that are no exposition.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};

use crate::exposition::EncodedBody;

/// The response to another method than `allowed`.
pub(super) fn method_not_allowed(allowed: &'static str) -> Response<EncodedBody> {
    let response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed}\n"));
    with(response, ALLOW, allowed)
}

/// Sets a header of the response. Replaces an earlier value.
pub(super) fn with(
    mut response: Response<EncodedBody>,
    name: HeaderName,
    value: &'static str,
) -> Response<EncodedBody> {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}

/// A plain text response. Caches must not store it, because the content can change at any time.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<EncodedBody> {
    let mut response = Response::new(text.into().into());
    *response.status_mut() = status;
    let response = with(response, CONTENT_TYPE, "text/plain; charset=utf-8");
    with(response, CACHE_CONTROL, "no-store")
}

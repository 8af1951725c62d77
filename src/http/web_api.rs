//! The responses of the interface for programs: entity tags, and errors as problem details (RFC 9457).

use bytes::Bytes;
use futures_util::stream::StreamExt;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, RETRY_AFTER},
    http::request::Parts,
};
use ring::digest::{SHA256, digest};

use super::{
    body::{Body, BoxError},
    response::{method_not_allowed, text, with},
};
use crate::{
    exposition::EncodedBody,
    web_api::{Answer, ApiRequest, Csv, Problem, Refusal, WebApi},
};

/// The header with what a list as CSV lacks, once for each warning.
const WARNINGS: &str = "vobiz-exporter-warning";

/// The number of bytes of a digest in an entity tag.
const TAG_BYTES: usize = 16;

/// The response to a request for a path of the interface.
pub(super) async fn respond(api: &WebApi, request: &Parts, asked: ApiRequest) -> Response<Body> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return problem(method_not_allowed("GET, HEAD")).map(Body::Whole);
    }
    match api.respond(&asked).await {
        Ok(Answer::Json(json)) => tagged(json, &request.headers).map(Body::Whole),
        Ok(Answer::Csv(csv)) => streamed(csv),
        Err(refusal) => problem(refused(&refusal)).map(Body::Whole),
    }
}

/// The response with the targets of probes.
pub(super) async fn targets(api: &WebApi, query: &str) -> Response<EncodedBody> {
    match api.targets(query).await {
        Ok(json) => with(text(StatusCode::OK, json), CONTENT_TYPE, "application/json"),
        Err(refusal) => refused(&refusal),
    }
}

/// The JSON with its entity tag, or status 304 if the client has the same.
fn tagged(json: Bytes, headers: &HeaderMap) -> Response<EncodedBody> {
    use std::fmt::Write as _;
    let mut tag = "\"".to_owned();
    for byte in &digest(&SHA256, &json).as_ref()[..TAG_BYTES] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let mut response = if has(headers, &tag) {
        text(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        text(StatusCode::OK, json)
    };
    let value = HeaderValue::try_from(tag).expect("hexadecimal digits are a header value");
    response.headers_mut().insert(ETAG, value);
    let response = with(response, CONTENT_TYPE, "application/json");
    // A client may keep the answer, and asks each time whether it still holds.
    with(response, CACHE_CONTROL, "private, no-cache")
}

/// Whether `If-None-Match` has the tag.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn streamed(csv: Csv) -> Response<Body> {
    let warnings = csv.warnings;
    let parts = csv.parts.map(|part| {
        part.map_err(|refusal| {
            tracing::warn!(%refusal, "a list as CSV ended early");
            BoxError::from(refusal)
        })
    });
    let mut response = Response::new(Body::Parted {
        parts: parts.boxed(),
        estimate: csv.estimate,
    });
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Names of accounts have no control characters.
    for value in warnings
        .iter()
        .filter_map(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
    {
        headers.append(WARNINGS, value);
    }
    response
}

fn refused(refusal: &Refusal) -> Response<EncodedBody> {
    let reason = format!("{refusal}\n");
    match refusal {
        Refusal::BadRequest(_) => text(StatusCode::BAD_REQUEST, reason),
        Refusal::NotFound(_) => text(StatusCode::NOT_FOUND, reason),
        Refusal::Failed => text(StatusCode::INTERNAL_SERVER_ERROR, reason),
        Refusal::Unavailable(_) => with(
            text(StatusCode::SERVICE_UNAVAILABLE, reason),
            RETRY_AFTER,
            "1",
        ),
    }
}

/// The error `response` as problem details, whose detail is the text of the response.
pub(super) fn problem(response: Response<EncodedBody>) -> Response<EncodedBody> {
    let (head, body) = response.into_parts();
    let reason: Vec<u8> = body.pieces.flatten().collect();
    let problem = Problem::new(
        head.status.as_u16(),
        head.status.canonical_reason().unwrap_or(""),
        String::from_utf8_lossy(&reason).trim_end(),
    );
    let response = Response::from_parts(head, EncodedBody::from(problem.json()));
    with(response, CONTENT_TYPE, "application/problem+json")
}

//! The responses with pages for people, and the text about readiness.

use hyper::{
    Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER},
    http::request::Parts,
};

use super::{
    lifecycle,
    response::{method_not_allowed, text, with},
};
use crate::{
    exposition::{AccountSummary, EncodedBody, Encoding, Format},
    pages::{self, Page, PageRequest, PageResponse, Pages, STARTING},
    probe::ProbeRequest,
};

/// The response to a button that a page of another site may have sent.
const FOREIGN: &str = "only the page of the endpoint may send this request\n";

/// The text of `/-/ready`. An error means that at least one account has not finished its first walk.
pub(super) fn readiness(accounts: Option<&[AccountSummary]>) -> Result<&'static str, &'static str> {
    let accounts = accounts.ok_or(STARTING)?;
    let is_waiting = accounts.iter().any(|one| one.is_awaited);
    let ready = (!is_waiting).then_some("ready\n");
    ready.ok_or("not ready: the first walk of some account has not finished\n")
}

/// The request of the API that the button of a page sends, as a probe.
pub(super) fn button(account: &str, id: &str) -> ProbeRequest {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("account", account);
    query.append_pair("endpoint_id", id);
    query.append_pair("debug", "true");
    ProbeRequest {
        query: query.finish(),
        timeout: None,
        format: Format::Text,
        encoding: Encoding::Identity,
    }
}

/// The response to a request for a page with a wrong method, or to a button of another site. A browser names the site of
/// the button in one of two headers.
pub(super) fn refused(request: &Parts, page: Option<&Page>) -> Option<Response<EncodedBody>> {
    match request.method {
        Method::GET | Method::HEAD => return None,
        Method::POST if matches!(page, Some(Page::Endpoint { .. })) => {}
        _ => return Some(method_not_allowed("GET, HEAD")),
    }
    let site = request.headers.get("sec-fetch-site");
    let is_same_origin = match site {
        Some(site) => site == "same-origin",
        None => request.headers.contains_key("origin") && !lifecycle::is_foreign(request),
    };
    (!is_same_origin).then(|| text(StatusCode::FORBIDDEN, FOREIGN))
}

/// The response with a page.
pub(super) async fn respond(pages: &Pages, request: PageRequest) -> Response<EncodedBody> {
    let html = |status, html: String| {
        let response = text(status, html);
        let response = with(response, CONTENT_TYPE, "text/html; charset=utf-8");
        let response = with(response, REFERRER_POLICY, "same-origin");
        with(response, CONTENT_SECURITY_POLICY, pages::POLICY)
    };
    match pages.respond(request).await {
        PageResponse::Html(page) => html(StatusCode::OK, page),
        PageResponse::NotFound(page) => html(StatusCode::NOT_FOUND, page),
        PageResponse::Failed => {
            let reason = "the page cannot be rendered\n";
            text(StatusCode::INTERNAL_SERVER_ERROR, reason)
        }
        PageResponse::Unavailable(reason) => with(
            text(StatusCode::SERVICE_UNAVAILABLE, reason),
            RETRY_AFTER,
            "1",
        ),
    }
}

/// The response with a style or a script. Its URL has the version, so a browser may keep it.
pub(super) fn asset(name: &str) -> Response<EncodedBody> {
    let Some(asset) = pages::asset(name) else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    let response = text(StatusCode::OK, asset.text);
    let response = with(response, CONTENT_TYPE, asset.content_type);
    with(response, CACHE_CONTROL, "private, max-age=86400")
}

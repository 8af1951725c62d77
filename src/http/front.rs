//! Who asks for what, and the answer.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use tokio::sync::Semaphore;

use super::{
    body::{Body, Ticket},
    landing, negotiation,
    pages::Pages,
    settings::Settings,
};
use crate::{exposition::Encoding, telemetry::Instruments};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const NEGOTIATED: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");
const ONE_SECOND: HeaderValue = HeaderValue::from_static("1");

/// What a path stands for; also the closed set of the `handler` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handler {
    Metrics,
    Index,
    Healthy,
    Ready,
    Other,
}

impl Handler {
    fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Index => "index",
            Self::Healthy => "healthy",
            Self::Ready => "ready",
            Self::Other => "other",
        }
    }
}

/// Answers requests. Shared by all connections.
#[derive(Debug)]
pub(super) struct Front<P> {
    pages: Arc<P>,
    instruments: Instruments,
    telemetry_path: String,
    /// One permit for each scrape that may be answered at the same time; `None` is no limit.
    scrapes: Option<Arc<Semaphore>>,
}

type Answer<P> = Response<Body<<P as Pages>::Body>>;

impl<P: Pages> Front<P> {
    pub(super) fn new(settings: &Settings, pages: Arc<P>, instruments: Instruments) -> Self {
        let scrapes = match settings.max_requests {
            0 => None,
            limit => Some(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))),
        };
        Self {
            pages,
            instruments,
            telemetry_path: settings.telemetry_path.clone(),
            scrapes,
        }
    }

    /// The answer to one request. The request's own body, if it has one, is never looked at.
    pub(super) fn answer<B>(&self, request: &Request<B>, ticket: Ticket) -> Answer<P> {
        let handler = self.handler(request.uri().path());
        let method = request.method();
        let only_reads = method == Method::GET || method == Method::HEAD;
        let mut answer = match handler {
            Handler::Other => small(StatusCode::NOT_FOUND, PLAIN, "not found\n", ticket),
            _ if !only_reads => not_allowed(ticket),
            Handler::Metrics => self.metrics(request.headers(), ticket),
            Handler::Index => self.index(ticket),
            Handler::Healthy => small(StatusCode::OK, PLAIN, "healthy\n", ticket),
            Handler::Ready => self.ready(ticket),
        };
        answer
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        self.instruments
            .http_request(handler.label(), answer.status().as_u16());
        if method == Method::HEAD {
            let length = answer.body().left();
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
            return answer.map(Body::withheld);
        }
        answer
    }

    fn handler(&self, path: &str) -> Handler {
        match path {
            // First, so that it wins wherever the operator has put it.
            _ if path == self.telemetry_path => Handler::Metrics,
            "/" => Handler::Index,
            "/-/healthy" | "/healthz" => Handler::Healthy,
            "/-/ready" | "/readyz" => Handler::Ready,
            _ => Handler::Other,
        }
    }

    fn metrics(&self, wanted: &HeaderMap, mut ticket: Ticket) -> Answer<P> {
        if let Some(scrapes) = &self.scrapes {
            match Arc::clone(scrapes).try_acquire_owned() {
                Ok(permit) => ticket.permit = Some(permit),
                Err(_) => return too_many(ticket),
            }
        }
        let media_type = negotiation::media_type(wanted);
        let encoding = negotiation::encoding(wanted);
        let (length, body) = self.pages.metrics(media_type.format(), encoding);
        let mut answer = Response::new(Body::scrape(length, body, ticket));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, media_type.header());
        if encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, GZIP);
        }
        headers.insert(VARY, NEGOTIATED);
        answer
    }

    fn index(&self, ticket: Ticket) -> Answer<P> {
        let page = landing::page(&self.telemetry_path, &self.pages.accounts());
        let mut answer = small(StatusCode::OK, HTML, page, ticket);
        answer.headers_mut().insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(landing::POLICY),
        );
        answer
    }

    fn ready(&self, ticket: Ticket) -> Answer<P> {
        if self.pages.is_ready() {
            small(StatusCode::OK, PLAIN, "ready\n", ticket)
        } else {
            let reason = "not ready: the first walk of some account has not finished\n";
            small(StatusCode::SERVICE_UNAVAILABLE, PLAIN, reason, ticket)
        }
    }
}

fn not_allowed<B>(ticket: Ticket) -> Response<Body<B>> {
    let reason = "only GET and HEAD\n";
    let mut answer = small(StatusCode::METHOD_NOT_ALLOWED, PLAIN, reason, ticket);
    answer.headers_mut().insert(ALLOW, METHODS);
    answer
}

fn too_many<B>(ticket: Ticket) -> Response<Body<B>> {
    let reason = "too many scrapes at the same time (see --web.max-requests)\n";
    let mut answer = small(StatusCode::SERVICE_UNAVAILABLE, PLAIN, reason, ticket);
    answer.headers_mut().insert(RETRY_AFTER, ONE_SECOND);
    answer
}

/// An answer of a few bytes, which says how things are now and should not be kept.
fn small<B>(
    status: StatusCode,
    content_type: HeaderValue,
    text: impl Into<Bytes>,
    ticket: Ticket,
) -> Response<Body<B>> {
    let mut answer = Response::new(Body::page(text.into(), ticket));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    answer
}

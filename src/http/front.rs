//! Who asks for what, and the answer.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, FutureExt};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use tokio::sync::Semaphore;

use super::{
    bell::{self, Bell},
    body::{Body, Ticket},
    landing,
    negotiation::{self, MediaType},
    pages::Pages,
    settings::Settings,
};
use crate::{exposition::Encoding, probe::ProbeResponse, telemetry::Instruments};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const NEGOTIATED: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");
const TOO_MANY_SCRAPES: &str = "too many scrapes at the same time (see --web.max-requests)\n";
const TOO_MANY_PROBES: &str = "too many probes at the same time\n";
const ONE_SECOND: HeaderValue = HeaderValue::from_static("1");

/// What a path stands for; also the closed set of the `handler` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handler {
    Metrics,
    Index,
    Probe,
    Healthy,
    Ready,
    Other,
}

impl Handler {
    fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Index => "index",
            Self::Probe => "probe",
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
    bell: Option<Arc<dyn Bell>>,
    /// One permit for each probe that may wait at the same time.
    probes: Arc<Semaphore>,
}

type Answer<P> = Response<Body<<P as Pages>::Body>>;

/// Nearly always at once: only a probe takes its time.
type Answering<P> = Either<Ready<Answer<P>>, BoxFuture<'static, Answer<P>>>;

impl<P: Pages> Front<P> {
    pub(super) fn new(
        settings: &Settings,
        pages: Arc<P>,
        bell: Option<Arc<dyn Bell>>,
        instruments: Instruments,
    ) -> Self {
        let scrapes = match settings.max_requests {
            0 => None,
            limit => Some(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))),
        };
        Self {
            pages,
            instruments,
            telemetry_path: settings.telemetry_path.clone(),
            scrapes,
            bell,
            probes: Arc::new(Semaphore::new(settings.limits.probes)),
        }
    }

    /// The answer to one request. The request's own body, if it has one, is never looked at.
    pub(super) fn answer<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        ticket: Ticket,
    ) -> Answering<P> {
        let handler = self.handler(request.uri().path());
        let is_head = request.method() == Method::HEAD;
        let only_reads = is_head || request.method() == Method::GET;
        let answer = match handler {
            Handler::Other => small(StatusCode::NOT_FOUND, PLAIN, "not found\n", ticket),
            _ if !only_reads => not_allowed(ticket),
            Handler::Metrics => self.metrics(request.headers(), ticket),
            Handler::Index => self.index(ticket),
            Handler::Probe => match self.probe(request, ticket) {
                Either::Left(now) => now,
                Either::Right(later) => {
                    let front = Arc::clone(self);
                    let later = later.map(move |answer| front.finish(handler, is_head, answer));
                    return Either::Right(later.boxed());
                }
            },
            Handler::Healthy => small(StatusCode::OK, PLAIN, "healthy\n", ticket),
            Handler::Ready => self.ready(ticket),
        };
        Either::Left(ready(self.finish(handler, is_head, answer)))
    }

    /// What every answer has in common.
    fn finish(&self, handler: Handler, is_head: bool, mut answer: Answer<P>) -> Answer<P> {
        answer
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        self.instruments
            .http_request(handler.label(), answer.status().as_u16());
        if is_head {
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
            "/probe" => Handler::Probe,
            "/-/healthy" | "/healthz" => Handler::Healthy,
            "/-/ready" | "/readyz" => Handler::Ready,
            _ => Handler::Other,
        }
    }

    fn metrics(&self, wanted: &HeaderMap, mut ticket: Ticket) -> Answer<P> {
        if let Some(scrapes) = &self.scrapes {
            match Arc::clone(scrapes).try_acquire_owned() {
                Ok(permit) => ticket.permit = Some(permit),
                Err(_) => return too_many(TOO_MANY_SCRAPES, ticket),
            }
        }
        let media_type = negotiation::media_type(wanted);
        let encoding = negotiation::encoding(wanted);
        let (length, body) = self.pages.metrics(media_type.format(), encoding);
        negotiated(Body::scrape(length, body, ticket), media_type, encoding)
    }

    /// The answer to a probe, which comes later, or why there is none.
    fn probe<B>(
        &self,
        request: &Request<B>,
        mut ticket: Ticket,
    ) -> Either<Answer<P>, BoxFuture<'static, Answer<P>>> {
        let Some(bell) = &self.bell else {
            let reason = "probing is off (see probe.enabled in the configuration)\n";
            return Either::Left(small(StatusCode::NOT_FOUND, PLAIN, reason, ticket));
        };
        match Arc::clone(&self.probes).try_acquire_owned() {
            Ok(permit) => ticket.permit = Some(permit),
            Err(_) => return Either::Left(too_many(TOO_MANY_PROBES, ticket)),
        }
        let (asked, media_type, encoding) = bell::asked(request);
        let reply = Arc::clone(bell).ring(asked);
        let answer = reply.map(move |reply| match reply {
            ProbeResponse::BadRequest(reason) => {
                small(StatusCode::BAD_REQUEST, PLAIN, reason, ticket)
            }
            ProbeResponse::DebugText(words) => small(StatusCode::OK, PLAIN, words, ticket),
            ProbeResponse::Samples(samples) => {
                let mut answer = negotiated(Body::page(samples, ticket), media_type, encoding);
                answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
                answer
            }
        });
        Either::Right(answer.boxed())
    }

    fn index(&self, ticket: Ticket) -> Answer<P> {
        let (probes, accounts) = (self.bell.is_some(), self.pages.accounts());
        let page = landing::page(&self.telemetry_path, probes, &accounts);
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

fn too_many<B>(reason: &'static str, ticket: Ticket) -> Response<Body<B>> {
    let mut answer = small(StatusCode::SERVICE_UNAVAILABLE, PLAIN, reason, ticket);
    answer.headers_mut().insert(RETRY_AFTER, ONE_SECOND);
    answer
}

/// An answer in the type and the encoding that the request prefers.
fn negotiated<B>(body: Body<B>, media_type: MediaType, encoding: Encoding) -> Response<Body<B>> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.header());
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    headers.insert(VARY, NEGOTIATED);
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

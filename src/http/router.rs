//! The router: finds the route of a request and builds the response.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures_util::{
    future::{BoxFuture, FutureExt},
    stream,
};
use http_body_util::StreamBody;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Frame,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{negotiation, pages, settings::Settings};
use crate::{
    exposition::{DataSource, EncodedBody, Encoding},
    probe::{ProbeRequest, ProbeResponse, Prober, Retrieve},
    telemetry::{Instruments, labels::Route},
};

/// The handler of `/probe`. Tests replace it. It waits at most as long as the request allows.
pub trait ProbeHandler: Send + Sync + 'static {
    /// Runs one probe.
    fn probe(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResponse>;
}

impl<R: Retrieve> ProbeHandler for Prober<R> {
    fn probe(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResponse> {
        async move { Prober::probe(&self, &asked).await }.boxed()
    }
}

/// The permit of a scrape or of a probe.
type Permit = Option<OwnedSemaphorePermit>;

type Frames = Box<dyn Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send>;

/// The body of a response, as hyper reads it.
pub(super) type ResponseBody = StreamBody<stream::Iter<Frames>>;

/// Bytes of a response that is in progress. hyper reads a body to its end before the socket has taken
/// it, but drops each piece only then.
struct ResponseBytes {
    bytes: Bytes,
    _response: Arc<(Weak<()>, Permit)>,
}

impl AsRef<[u8]> for ResponseBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Responds to the requests of all connections.
pub(super) struct Router {
    data: Arc<dyn DataSource>,
    instruments: Instruments,
    telemetry_path: String,
    /// One permit for each concurrent scrape.
    scrapes: Arc<Semaphore>,
    probe_handler: Option<Arc<dyn ProbeHandler>>,
    /// One permit for each concurrent probe.
    probes: Arc<Semaphore>,
}

impl Router {
    pub(super) fn new(
        settings: &Settings,
        data: Arc<dyn DataSource>,
        probe_handler: Option<Arc<dyn ProbeHandler>>,
        instruments: Instruments,
    ) -> Self {
        let max_scrapes = match settings.max_requests {
            0 => Semaphore::MAX_PERMITS,
            limit => limit.min(Semaphore::MAX_PERMITS),
        };
        Self {
            data,
            instruments,
            telemetry_path: settings.telemetry_path.clone(),
            scrapes: Arc::new(Semaphore::new(max_scrapes)),
            probe_handler,
            probes: Arc::new(Semaphore::new(settings.max_probes)),
        }
    }

    /// Responds to one request. Only a probe waits. `in_progress` and the permit of a scrape or of a
    /// probe are kept until the socket has taken the last byte of the response.
    pub(super) async fn respond(
        &self,
        request: Parts,
        in_progress: Weak<()>,
    ) -> Response<ResponseBody> {
        let route = match request.uri.path() {
            // First, because the operator may choose any path.
            path if path == self.telemetry_path => Route::Metrics,
            "/" => Route::Index,
            "/probe" => Route::Probe,
            "/-/healthy" | "/healthz" => Route::Healthy,
            "/-/ready" | "/readyz" => Route::Ready,
            _ => Route::Other,
        };
        let mut permit = None;
        let mut response = match route {
            Route::Other => text(StatusCode::NOT_FOUND, "not found\n"),
            _ if !matches!(request.method, Method::GET | Method::HEAD) => {
                let response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                with(response, ALLOW, "GET, HEAD")
            }
            Route::Metrics => self.metrics(&request.headers, &mut permit),
            Route::Index => self.index(),
            Route::Probe => self.probe(&request, &mut permit).await,
            Route::Healthy => text(StatusCode::OK, "healthy\n"),
            Route::Ready if self.data.is_ready() => text(StatusCode::OK, "ready\n"),
            Route::Ready => {
                let reason = "not ready: the first walk of some account has not finished\n";
                text(StatusCode::SERVICE_UNAVAILABLE, reason)
            }
        };
        self.instruments
            .http_request(route.label(), response.status().as_u16());
        let length = response.body().length.into();
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_LENGTH, length);
        let in_progress = Arc::new((in_progress, permit));
        response.map(|body| {
            let frames = body.pieces.map(move |bytes| {
                let piece = ResponseBytes {
                    bytes,
                    _response: Arc::clone(&in_progress),
                };
                Ok(Frame::data(Bytes::from_owner(piece)))
            });
            StreamBody::new(stream::iter(Box::new(frames) as Frames))
        })
    }

    fn metrics(&self, headers: &HeaderMap, permit: &mut Permit) -> Response<EncodedBody> {
        *permit = Arc::clone(&self.scrapes).try_acquire_owned().ok();
        if permit.is_none() {
            return too_many("too many scrapes at the same time (see --web.max-requests)\n");
        }
        let (format, content_type) = negotiation::format(headers);
        let encoding = negotiation::encoding(headers);
        exposition(self.data.body(format, encoding), content_type, encoding)
    }

    async fn probe(&self, request: &Parts, permit: &mut Permit) -> Response<EncodedBody> {
        let Some(handler) = &self.probe_handler else {
            let reason = "probing is off (see probe.enabled in the configuration)\n";
            return text(StatusCode::NOT_FOUND, reason);
        };
        *permit = Arc::clone(&self.probes).try_acquire_owned().ok();
        if permit.is_none() {
            return too_many("too many probes at the same time\n");
        }
        let (format, content_type) = negotiation::format(&request.headers);
        let encoding = negotiation::encoding(&request.headers);
        let asked = ProbeRequest {
            query: request.uri.query().unwrap_or_default().to_owned(),
            timeout: scrape_timeout(&request.headers),
            format,
            encoding,
        };
        match Arc::clone(handler).probe(asked).await {
            ProbeResponse::BadRequest(reason) => text(StatusCode::BAD_REQUEST, reason),
            ProbeResponse::DebugText(words) => text(StatusCode::OK, words),
            ProbeResponse::Samples(samples) => {
                let response = exposition(samples.into(), content_type, encoding);
                with(response, CACHE_CONTROL, "no-store")
            }
        }
    }

    fn index(&self) -> Response<EncodedBody> {
        let (probes, accounts) = (self.probe_handler.is_some(), self.data.accounts());
        let page = pages::start_page(&self.telemetry_path, probes, &accounts);
        let response = text(StatusCode::OK, page);
        let response = with(response, CONTENT_TYPE, "text/html; charset=utf-8");
        with(response, CONTENT_SECURITY_POLICY, pages::POLICY)
    }
}

/// The value of the header with Prometheus' scrape timeout, in seconds. Several headers are one list,
/// which is no valid number.
fn scrape_timeout(headers: &HeaderMap) -> Option<String> {
    let values = headers
        .get_all("x-prometheus-scrape-timeout-seconds")
        .into_iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The response with this header.
fn with(
    mut response: Response<EncodedBody>,
    name: HeaderName,
    value: &'static str,
) -> Response<EncodedBody> {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}

/// A plain text response. It is valid only now, so caches must not store it.
fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<EncodedBody> {
    let mut response = Response::new(text.into().into());
    *response.status_mut() = status;
    let response = with(response, CONTENT_TYPE, "text/plain; charset=utf-8");
    with(response, CACHE_CONTROL, "no-store")
}

fn too_many(reason: &'static str) -> Response<EncodedBody> {
    let response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    with(response, RETRY_AFTER, "1")
}

/// A response in the negotiated format and encoding.
fn exposition(
    body: EncodedBody,
    content_type: &'static str,
    encoding: Encoding,
) -> Response<EncodedBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

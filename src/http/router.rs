//! The router: finds the route of a request and builds the response.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};
use tokio::sync::Semaphore;

use super::{
    connection::{Chunks, ResponseBody, ResponseGuard, Settings},
    negotiation::{self, MediaType},
    pages,
};
use crate::{
    exposition::{AccountSummary, Encoding, Exposition, Format},
    probe::{ProbeRequest, ProbeResponse, Prober, Retrieve},
    telemetry::{Instruments, labels::Route},
};

/// The content of the responses. Tests replace it. No method waits for the API or the disk.
pub trait DataSource: Send + Sync + 'static {
    /// The exact length of a scrape in bytes, and its chunks.
    fn metrics(&self, format: Format, encoding: Encoding) -> (u64, Chunks);

    /// Whether every account has finished its first walk. Once true, it stays true.
    fn is_ready(&self) -> bool;

    /// The name and the state of every account.
    fn accounts(&self) -> Vec<AccountSummary>;
}

impl DataSource for Exposition {
    fn metrics(&self, format: Format, encoding: Encoding) -> (u64, Chunks) {
        let body = self.body(format, encoding);
        (body.content_length(), Box::new(body))
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn accounts(&self) -> Vec<AccountSummary> {
        self.accounts()
    }
}

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

    /// Responds to one request. Only a probe waits.
    pub(super) async fn respond(
        &self,
        request: Parts,
        mut guard: ResponseGuard,
    ) -> Response<ResponseBody> {
        let is_head = request.method == Method::HEAD;
        let route = self.route(request.uri.path());
        let mut response = match route {
            Route::Other => text(StatusCode::NOT_FOUND, "not found\n"),
            _ if !is_head && request.method != Method::GET => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                insert(&mut response, ALLOW, "GET, HEAD");
                response
            }
            Route::Metrics => self.metrics(&request.headers, &mut guard),
            Route::Index => self.index(),
            Route::Probe => self.probe(&request, &mut guard).await,
            Route::Healthy => text(StatusCode::OK, "healthy\n"),
            Route::Ready if self.data.is_ready() => text(StatusCode::OK, "ready\n"),
            Route::Ready => {
                let reason = "not ready: the first walk of some account has not finished\n";
                text(StatusCode::SERVICE_UNAVAILABLE, reason)
            }
        };
        insert(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
        let code = response.status().as_u16();
        self.instruments.http_request(route.label(), code);
        if is_head {
            let length = response.body_mut().clear();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response.body_mut().set_guard(guard);
        response
    }

    fn route(&self, path: &str) -> Route {
        match path {
            // First, because the operator may choose any path.
            _ if path == self.telemetry_path => Route::Metrics,
            "/" => Route::Index,
            "/probe" => Route::Probe,
            "/-/healthy" | "/healthz" => Route::Healthy,
            "/-/ready" | "/readyz" => Route::Ready,
            _ => Route::Other,
        }
    }

    fn metrics(&self, headers: &HeaderMap, guard: &mut ResponseGuard) -> Response<ResponseBody> {
        if !guard.acquire(&self.scrapes) {
            let reason = "too many scrapes at the same time (see --web.max-requests)\n";
            return too_many(reason);
        }
        let media_type = negotiation::media_type(headers);
        let encoding = negotiation::encoding(headers);
        let (length, chunks) = self.data.metrics(media_type.format(), encoding);
        exposition(ResponseBody::new(length, chunks), media_type, encoding)
    }

    async fn probe(&self, request: &Parts, guard: &mut ResponseGuard) -> Response<ResponseBody> {
        let Some(handler) = &self.probe_handler else {
            let reason = "probing is off (see probe.enabled in the configuration)\n";
            return text(StatusCode::NOT_FOUND, reason);
        };
        if !guard.acquire(&self.probes) {
            return too_many("too many probes at the same time\n");
        }
        let media_type = negotiation::media_type(&request.headers);
        let encoding = negotiation::encoding(&request.headers);
        let asked = ProbeRequest {
            query: request.uri.query().unwrap_or_default().to_owned(),
            timeout: scrape_timeout(&request.headers),
            format: media_type.format(),
            encoding,
        };
        match Arc::clone(handler).probe(asked).await {
            ProbeResponse::BadRequest(reason) => text(StatusCode::BAD_REQUEST, reason),
            ProbeResponse::DebugText(words) => text(StatusCode::OK, words),
            ProbeResponse::Samples(samples) => {
                let mut response = exposition(samples.into(), media_type, encoding);
                insert(&mut response, CACHE_CONTROL, "no-store");
                response
            }
        }
    }

    fn index(&self) -> Response<ResponseBody> {
        let (probes, accounts) = (self.probe_handler.is_some(), self.data.accounts());
        let page = pages::start_page(&self.telemetry_path, probes, &accounts);
        let mut response = text(StatusCode::OK, page);
        insert(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
        insert(&mut response, CONTENT_SECURITY_POLICY, pages::POLICY);
        response
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

fn insert(response: &mut Response<ResponseBody>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

/// A plain text response. It is valid only now, so caches must not store it.
fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(text.into().into());
    *response.status_mut() = status;
    insert(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    insert(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn too_many(reason: &'static str) -> Response<ResponseBody> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    insert(&mut response, RETRY_AFTER, "1");
    response
}

/// A response in the negotiated media type and encoding.
fn exposition(
    body: ResponseBody,
    media_type: MediaType,
    encoding: Encoding,
) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, media_type.content_type());
    if encoding == Encoding::Gzip {
        insert(&mut response, CONTENT_ENCODING, "gzip");
    }
    insert(&mut response, VARY, "Accept, Accept-Encoding");
    response
}

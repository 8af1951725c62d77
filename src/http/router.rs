//! The router: finds the route of a request and builds the response.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use hyper::{
    HeaderMap, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, VARY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
    http::request::Parts,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use super::{
    access::{Access, Refusal},
    activity::Activity,
    body::{self, Body, InProgress, ResponseBody},
    connections::Connections,
    lifecycle::{self, Lifecycle, Peer},
    limits_and_timeouts::Settings,
    negotiation, pages,
    paths::{Paths, STATIC, api, page},
    response::{method_not_allowed, text, with},
    web_api,
};
use crate::{
    clock::Clock,
    config::PagesLevel,
    exposition::{DataSource, EncodedBody, Encoding},
    fleet::Threads,
    pages::{Page, PageRequest, Pages, STARTING},
    probe::{ProbeRequest, ProbeResponse, Prober, Retrieve},
    state::PastReader,
    telemetry::{
        Instruments,
        labels::{ConnectionOutcome, Route},
    },
    web_api::{ApiRequest, WebApi},
};

/// The value of the header `Retry-After`. A scrape or probe above the limit gets this header and status 503.
const RETRY_AFTER_SECONDS: &str = "1";

/// The response while probes are disabled.
const PROBING_OFF: &str = "probing is off (see probe.enabled in the configuration)\n";

/// The memory for answers for programs, in units: 16 MiB in all, and up to 1 MiB for one that is made.
const UNIT_BYTES: u64 = 4096;
const UNITS: usize = 4096;
const MAX_UNITS: u32 = 256;

/// The longest time that an answer for a program waits for memory.
const MEMORY_WAIT: Duration = Duration::from_secs(5);

/// The longest time that a scrape waits for a permit.
const PERMIT_WAIT: Duration = Duration::from_secs(1);

/// The response to a probe; the error is the text of a response with status 400.
type ProbeResult = Result<ProbeResponse, &'static str>;

/// The handler of `/probe`: a [`Prober`], which responds within the scrape timeout, or a fake in tests.
pub trait ProbeHandler: Send + Sync + 'static {
    /// Runs one probe.
    fn probe(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResult>;
}

impl<R: Retrieve> ProbeHandler for Prober<R> {
    fn probe(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResult> {
        async move { Prober::probe(&self, &asked).await }.boxed()
    }
}

/// The present handler of `/probe`; `None` while probes are disabled.
pub type ProbeHandlers = watch::Receiver<Option<Arc<dyn ProbeHandler>>>;

/// The handlers of the paths that not every server has.
pub(super) struct Handlers {
    pub(super) probe: ProbeHandlers,
    pub(super) lifecycle: Option<Arc<dyn Lifecycle>>,
    pub(super) pages: PageSettings,
}

/// The settings of the pages, and the reader of the state database, if there is one.
pub type PageSettings = (watch::Receiver<crate::pages::Settings>, Option<PastReader>);

impl Default for Handlers {
    fn default() -> Self {
        Self {
            probe: watch::Sender::new(None).subscribe(),
            lifecycle: None,
            pages: (watch::Sender::default().subscribe(), None),
        }
    }
}

/// Responds to the requests of all connections.
pub(super) struct Router {
    data: Arc<dyn DataSource>,
    pages: Pages,
    api: WebApi,
    instruments: Instruments,
    paths: Paths,
    /// The permits of this semaphore limit the concurrent scrapes.
    scrapes: Arc<Semaphore>,
    handlers: Handlers,
    /// The permits of this semaphore limit the concurrent probes.
    probes: Arc<Semaphore>,
    /// A permit for each [`UNIT_BYTES`] of answers for programs that are made, or that their clients have not read.
    answers: Arc<Semaphore>,
    connections: Arc<Connections>,
    access: Access,
    enable_lifecycle: bool,
}

impl Router {
    pub(super) fn new(
        settings: &Settings,
        access: Access,
        data: Arc<dyn DataSource>,
        handlers: Handlers,
        instruments: Instruments,
        connections: Arc<Connections>,
    ) -> Self {
        let max_scrapes = match settings.max_requests {
            0 => Semaphore::MAX_PERMITS,
            limit => limit.min(Semaphore::MAX_PERMITS),
        };
        let (page_settings, past) = handlers.pages.clone();
        let (clock, threads) = (Clock::system(), Threads::start());
        let (source, of_api) = (Arc::clone(&data), Arc::clone(&threads));
        Self {
            api: WebApi::new(source, past.clone(), clock, of_api),
            pages: Pages::new(Arc::clone(&data), page_settings, past, clock, threads),
            data,
            instruments,
            paths: Paths::new(
                &settings.route_prefix,
                settings.external_url.as_ref(),
                &settings.telemetry_path,
                settings.health_only,
            ),
            scrapes: Arc::new(Semaphore::new(max_scrapes)),
            handlers,
            probes: Arc::new(Semaphore::new(settings.max_probes)),
            answers: Arc::new(Semaphore::new(UNITS)),
            connections,
            access,
            enable_lifecycle: settings.enable_lifecycle,
        }
    }

    /// Responds to one request. Only a probe waits for the API. A scrape may wait up to a second for a permit. The
    /// response is in progress, and a probe holds its permit, until the stream has accepted the last byte. A scrape holds
    /// its permit only while its client reads, and with HTTP/2 only until its response begins.
    pub(super) async fn respond(
        &self,
        request: Parts,
        activity: &Arc<Activity>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let mut in_progress = InProgress::begin(activity);
        let handler = self.paths.route(request.uri.path());
        let is_health = matches!(handler, Route::Healthy | Route::Ready);
        let response = match self.access.check(&request, is_health, peer).await {
            Err(refusal) => {
                let response = refused(refusal);
                let response = match refusal.outcome() {
                    Some(outcome) => closing(response, &request, activity, outcome),
                    None => response,
                };
                as_problem(handler, response).map(Body::Whole)
            }
            Ok(()) if matches!(handler, Route::Api | Route::ServiceDiscovery) => {
                self.program(handler, &request, &mut in_progress).await
            }
            Ok(()) => {
                let response = self.handle(handler, &request, peer, &mut in_progress);
                response.await.map(Body::Whole)
            }
        };
        let code = response.status().as_u16();
        self.instruments.http_request(handler, code);
        let mut response = body::in_progress(response, &request, in_progress);
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.access.add_headers(headers);
        response
    }

    /// Responds to a program. The answer has a part in the memory of all such answers until its client has read it.
    async fn program(
        &self,
        handler: Route,
        request: &Parts,
        in_progress: &mut InProgress,
    ) -> Response<Body> {
        self.connections.take_place(&in_progress.activity);
        let (response, permit) = {
            let _waiting = in_progress.activity.wait_for_page();
            let memory = Arc::clone(&self.answers).acquire_many_owned(MAX_UNITS);
            match timeout(MEMORY_WAIT, memory).await {
                Ok(Ok(permit)) => (self.answer(handler, request).await, Some(permit)),
                _ => (busy(handler), None),
            }
        };
        in_progress.permit = permit.map(|mut permit| {
            let units = match response.body() {
                Body::Whole(body) => usize::try_from(body.length.div_ceil(UNIT_BYTES)),
                Body::Parted { .. } => Ok(0),
            };
            let units = units.unwrap_or(usize::MAX);
            drop(permit.split(permit.num_permits().saturating_sub(units)));
            permit
        });
        if request.version >= Version::HTTP_2 {
            self.connections.limit_responses();
        }
        response
    }

    /// Makes the answer for a program.
    async fn answer(&self, handler: Route, request: &Parts) -> Response<Body> {
        let query = request.uri.query().unwrap_or_default();
        if handler == Route::ServiceDiscovery {
            let has_probes = self.handlers.probe.borrow().is_some();
            let response = if !matches!(request.method, Method::GET | Method::HEAD) {
                method_not_allowed("GET, HEAD")
            } else if !has_probes {
                text(StatusCode::NOT_FOUND, PROBING_OFF)
            } else {
                web_api::targets(&self.api, query).await
            };
            return response.map(Body::Whole);
        }
        let path = api(self.paths.below(request.uri.path()));
        let asked = ApiRequest {
            path: path.unwrap_or_default().to_owned(),
            query: query.to_owned(),
            base: self.paths.api(),
            level: self.pages.settings().level,
        };
        web_api::respond(&self.api, request, asked).await
    }

    async fn handle(
        &self,
        handler: Route,
        request: &Parts,
        peer: Peer,
        in_progress: &mut InProgress,
    ) -> Response<EncodedBody> {
        let probe = self.handlers.probe.borrow().clone();
        match handler {
            Route::Other | Route::Api | Route::ServiceDiscovery => {
                text(StatusCode::NOT_FOUND, "not found\n")
            }
            Route::Reload | Route::Config => {
                self.connections.take_place(&in_progress.activity);
                self.lifecycle(handler, request, peer).await
            }
            Route::Index
            | Route::Endpoints
            | Route::Groups
            | Route::Outages
            | Route::Reports
            | Route::Walks => {
                self.connections.take_place(&in_progress.activity);
                self.page(request, probe, in_progress).await
            }
            _ if !matches!(request.method, Method::GET | Method::HEAD) => {
                method_not_allowed("GET, HEAD")
            }
            Route::Metrics => self.exposition(request, None, in_progress).await,
            Route::Probe if probe.is_none() => text(StatusCode::NOT_FOUND, PROBING_OFF),
            Route::Probe => self.exposition(request, probe.as_ref(), in_progress).await,
            Route::Healthy => text(StatusCode::OK, "healthy\n"),
            Route::Ready => match pages::readiness(self.data.accounts().as_deref()) {
                Ok(ready) => text(StatusCode::OK, ready),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            Route::Static => {
                let path = self.paths.below(request.uri.path());
                pages::asset(path.strip_prefix(STATIC).unwrap_or(""))
            }
        }
    }

    /// A page, or a redirection to the start page from another path.
    async fn page(
        &self,
        request: &Parts,
        probe: Option<Arc<dyn ProbeHandler>>,
        in_progress: &mut InProgress,
    ) -> Response<EncodedBody> {
        let path = request.uri.path();
        let found = page(self.paths.below(path)).filter(|_| self.paths.has(path));
        if let Some(refused) = pages::refused(request, found.as_ref().map(|(page, _)| page)) {
            return refused;
        }
        let Some((page, depth)) = found else {
            let location = self.paths.location();
            let mut response = text(StatusCode::FOUND, format!("see {location}\n"));
            let location = HeaderValue::try_from(location).expect("a path of a flag is plain");
            response.headers_mut().insert(LOCATION, location);
            return response;
        };
        let mut answer = None;
        if let (&Method::POST, Page::Endpoint { account, id }) = (&request.method, &page) {
            match self.button(account, id, probe, in_progress).await {
                Ok(text) => answer = Some(text),
                Err(response) => return response,
            }
        }
        let request = PageRequest {
            page,
            query: request.uri.query().unwrap_or_default().to_owned(),
            root: self.paths.root(depth),
            metrics_path: self.paths.telemetry_path().to_owned(),
            answer,
        };
        let _waiting = in_progress.activity.wait_for_page();
        pages::respond(&self.pages, request).await
    }

    /// Asks the API for one endpoint, as the button of its page does.
    async fn button(
        &self,
        account: &str,
        id: &str,
        probe: Option<Arc<dyn ProbeHandler>>,
        in_progress: &mut InProgress,
    ) -> Result<String, Response<EncodedBody>> {
        let is_shown = self.pages.settings().level == PagesLevel::Full;
        let Some(handler) = probe.filter(|_| is_shown) else {
            return Err(text(StatusCode::NOT_FOUND, PROBING_OFF));
        };
        if !self.pages.lists(account, id) {
            let reason = "no account with this name lists an endpoint with this id\n";
            return Err(text(StatusCode::NOT_FOUND, reason));
        }
        if !self.take_permit(true, in_progress).await {
            return Err(too_many(true));
        }
        match handler.probe(pages::button(account, id)).await {
            Ok(ProbeResponse::DebugText(words)) => Ok(words),
            Ok(ProbeResponse::Samples(samples)) => {
                Ok(String::from_utf8_lossy(&samples).into_owned())
            }
            Err(reason) => Err(text(StatusCode::BAD_REQUEST, reason)),
        }
    }

    /// Reloads the configuration, or responds with it.
    async fn lifecycle(&self, route: Route, request: &Parts, peer: Peer) -> Response<EncodedBody> {
        let Some(lifecycle) = &self.handlers.lifecycle else {
            return text(
                StatusCode::NOT_FOUND,
                "this exporter has no configuration to reload\n",
            );
        };
        let is_known = self.access.is_authenticated(peer) || lifecycle::is_local(request, peer);
        let forbidden = |reason| text(StatusCode::FORBIDDEN, reason);
        if route == Route::Config {
            if !matches!(request.method, Method::GET | Method::HEAD) {
                return method_not_allowed("GET, HEAD");
            }
            if !is_known {
                return forbidden(lifecycle::MAY_NOT_READ);
            }
            let response = text(StatusCode::OK, lifecycle.configuration());
            return with(response, CONTENT_TYPE, "application/json");
        }
        if request.method != Method::POST {
            return method_not_allowed("POST");
        }
        if lifecycle::is_foreign(request) {
            return forbidden(lifecycle::FOREIGN_ORIGIN);
        }
        if !(is_known || self.enable_lifecycle) {
            return forbidden(lifecycle::MAY_NOT_RELOAD);
        }
        match Arc::clone(lifecycle).reload().await {
            Ok(outcome) => text(StatusCode::OK, outcome),
            Err(reasons) => text(StatusCode::INTERNAL_SERVER_ERROR, reasons),
        }
    }

    /// Responds with the exposition if `probe` is `None`, and otherwise with the result of a probe.
    async fn exposition(
        &self,
        request: &Parts,
        probe: Option<&Arc<dyn ProbeHandler>>,
        in_progress: &mut InProgress,
    ) -> Response<EncodedBody> {
        self.connections.take_place(&in_progress.activity);
        if !self.take_permit(probe.is_some(), in_progress).await {
            let response = too_many(probe.is_some());
            let outcome = ConnectionOutcome::Refused;
            return closing(response, request, &in_progress.activity, outcome);
        }
        let (format, content_type) = negotiation::format(&request.headers);
        let encoding = negotiation::encoding(&request.headers);
        let mut response = if let Some(handler) = probe {
            let asked = ProbeRequest {
                query: request.uri.query().unwrap_or_default().to_owned(),
                timeout: scrape_timeout(&request.headers),
                format,
                encoding,
            };
            match Arc::clone(handler).probe(asked).await {
                Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
                Ok(ProbeResponse::DebugText(words)) => return text(StatusCode::OK, words),
                Ok(ProbeResponse::Samples(samples)) => text(StatusCode::OK, samples),
            }
        } else {
            match self.data.body(format, encoding) {
                Some(body) => Response::new(body),
                None => return starting(),
            }
        };
        if request.version >= Version::HTTP_2 {
            self.connections.limit_responses();
            // A client can stop the response by flow control, which the stream of the connection cannot see.
            in_progress.activity.release_permits();
            in_progress.permit = None;
        }
        // The head of the metrics proves nothing about the interest of a client in them.
        if request.method == Method::GET {
            in_progress.scrape = Some(Instant::now());
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// Takes a permit for a scrape or a probe. A scrape waits for it. Returns whether there was a permit.
    async fn take_permit(&self, is_probe: bool, in_progress: &mut InProgress) -> bool {
        if is_probe {
            in_progress.permit = Arc::clone(&self.probes).try_acquire_owned().ok();
            return in_progress.permit.is_some();
        }
        let permit = timeout(PERMIT_WAIT, Arc::clone(&self.scrapes).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return false;
        };
        in_progress.activity.hold_permit(permit);
        true
    }
}

/// The response to a request that is not answered.
fn refused(refusal: Refusal) -> Response<EncodedBody> {
    let response = text(refusal.status(), refusal.text());
    match refusal {
        Refusal::Unauthorized => with(response, WWW_AUTHENTICATE, "Basic"),
        Refusal::RateLimit | Refusal::Busy => with(response, RETRY_AFTER, RETRY_AFTER_SECONDS),
        Refusal::InvalidHost | Refusal::HostNotAllowed => response,
    }
}

/// The response above the limit of concurrent scrapes or probes.
fn too_many(is_probe: bool) -> Response<EncodedBody> {
    let reason = if is_probe {
        "too many probes at the same time\n"
    } else {
        "too many scrapes at the same time (see --web.max-requests)\n"
    };
    let response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    with(response, RETRY_AFTER, RETRY_AFTER_SECONDS)
}

/// The response, after which the connection ends with the outcome. A connection with HTTP/2 first ends its other
/// responses.
fn closing(
    response: Response<EncodedBody>,
    request: &Parts,
    activity: &Activity,
    outcome: ConnectionOutcome,
) -> Response<EncodedBody> {
    activity.end_as(outcome);
    if request.version >= Version::HTTP_2 {
        activity.close();
        return response;
    }
    with(response, CONNECTION, "close")
}

/// The response while other answers take all memory.
fn busy(handler: Route) -> Response<Body> {
    let reason = "too many answers are not read\n";
    let response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    let response = with(response, RETRY_AFTER, RETRY_AFTER_SECONDS);
    as_problem(handler, response).map(Body::Whole)
}

/// The error `response`, which has problem details below `/api/v1`.
fn as_problem(handler: Route, response: Response<EncodedBody>) -> Response<EncodedBody> {
    if handler == Route::Api {
        web_api::problem(response)
    } else {
        response
    }
}

/// The response before the stored state is loaded.
fn starting() -> Response<EncodedBody> {
    let response = text(StatusCode::SERVICE_UNAVAILABLE, STARTING);
    with(response, RETRY_AFTER, RETRY_AFTER_SECONDS)
}

/// The text of the header with Prometheus' scrape timeout, in seconds. If the request has several such headers,
/// the function joins their texts with commas, and the joined text is no valid number.
fn scrape_timeout(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("x-prometheus-scrape-timeout-seconds");
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let texts = values.iter().map(text);
    texts.reduce(|list, text| list + "," + &text)
}

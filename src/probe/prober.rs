//! Runs a probe: reads its parameters, retrieves the record and builds the response.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    params::{ProbeParams, timeout},
    report::{Outcome, ProbeError, Report},
};
use crate::{
    api::{Client, Endpoint, Error, ErrorKind, RateLimiter, RetryPolicy},
    config::{Account, Config, Metrics},
    exposition::{Encoding, Format},
    telemetry::{AccountInstruments, labels::THROTTLED},
};

/// Maximum number of requests in flight within one share, unless the rate of the share is higher. The
/// limit keeps the number of requests low while the API hangs.
const MAX_IN_FLIGHT: usize = 8;
/// A time longer than any deadline. A request has no deadline; it ends when no probe waits for it.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// One request for `/probe`.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The query as it was sent, without `?`.
    pub query: String,
    /// The text of the header `X-Prometheus-Scrape-Timeout-Seconds`; `None` without the header.
    pub timeout: Option<String>,
    /// The format of the samples.
    pub format: Format,
    /// The encoding of the samples.
    pub encoding: Encoding,
}

/// The response to a valid [`ProbeRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResponse {
    /// Samples, in the format and the encoding of the request.
    Samples(Bytes),
    /// `debug=true`: a text for a person.
    DebugText(String),
}

/// The part of the API that probes use. [`Client`] implements it; tests use a fake.
pub trait Retrieve: Send + Sync + 'static {
    /// Makes one attempt to retrieve the endpoint's record. Returns the record and the HTTP status.
    fn retrieve(&self, id: &str) -> impl Future<Output = Result<(Endpoint, u16), Error>> + Send;

    /// The method and URL of that request for display, without credentials.
    fn describe(&self, id: &str) -> String;
}

impl Retrieve for Client {
    async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        Client::retrieve(self, id).await
    }

    fn describe(&self, id: &str) -> String {
        self.describe_retrieve(id)
    }
}

/// Answers the probes of every account.
pub struct Prober<R> {
    accounts: Vec<Arc<AccountProber<R>>>,
    /// Requests in flight by account index and endpoint id. The map must not keep a request alive.
    pub(super) in_flight: Mutex<HashMap<(usize, String), Weak<InFlight>>>,
    timeout_offset: Duration,
    requests_per_second: f64,
    permits: Arc<Semaphore>,
    /// The rate limiters of probes (their shares), by base URL and auth id.
    shares: HashMap<(String, String), Arc<RateLimiter>>,
}

impl<R: Retrieve> Prober<R> {
    /// A prober without accounts. All probes together use at most half of `api.max_concurrent_requests`,
    /// so that the other half remains for walks.
    pub fn new(config: &Config) -> Self {
        let permits = (config.max_concurrent_requests / 2).max(1);
        Self {
            accounts: Vec::new(),
            in_flight: Mutex::default(),
            timeout_offset: config.probe.timeout_offset,
            requests_per_second: config.probe.requests_per_second,
            permits: Arc::new(Semaphore::new(permits)),
            shares: HashMap::new(),
        }
    }

    /// Adds an account. The walks of the account use the same `limiter`.
    pub fn add(
        &mut self,
        account: &Account,
        source: Arc<R>,
        limiter: Arc<RateLimiter>,
        instruments: AccountInstruments,
    ) {
        // The share must not be faster than the limiter. Otherwise probes would hold permits while they
        // wait for the limiter, and probes of other accounts need these permits.
        let limit = 1.0 / limiter.gap().as_secs_f64();
        let rate = self.requests_per_second.min(limit);
        // The configuration allows at most 100 requests per second.
        let per_second = (1..=100_u8).rev().find(|count| f64::from(*count) <= rate);
        let in_flight = per_second.map_or(0, usize::from).max(MAX_IN_FLIGHT);
        let key = (account.api.base_url.to_string(), account.auth_id.clone());
        let share = self.shares.entry(key);
        let share = share.or_insert_with(|| Arc::new(RateLimiter::new(Some(rate), in_flight)));
        self.accounts.push(Arc::new(AccountProber {
            name: account.name.clone(),
            metrics: account.metrics.clone(),
            source,
            limiter,
            share: Arc::clone(share),
            permits: Arc::clone(&self.permits),
            instruments,
            retry: RetryPolicy::default(),
            request_ms: AtomicU64::new(0),
        }));
    }

    /// Responds within the timeout of the scrape. The error describes a valid request and repeats no text
    /// of this request.
    pub async fn probe(&self, request: &ProbeRequest) -> Result<ProbeResponse, &'static str> {
        let begun = Instant::now();
        let find = |name: &str| {
            let mut accounts = self.accounts.iter();
            accounts.position(|one| one.name == name)
        };
        let params = ProbeParams::read(&request.query, find)?;
        let timeout = timeout(request.timeout.as_deref(), self.timeout_offset)?;
        let account = &self.accounts[params.account];
        let (outcome, sent) = self.outcome(&params, begun + timeout).await;
        let report = Report {
            account: &account.name,
            metrics: &account.metrics,
            request: account.source.describe(&params.id),
            outcome: &outcome,
            begun,
            sent,
            timeout,
            took: begun.elapsed(),
        };
        if let Err(error) = &*outcome {
            tracing::debug!(
                account = %account.name, endpoint_id = %params.id,
                reason = error.reason, detail = %error.message, "probe failed"
            );
        }
        if params.debug {
            return Ok(ProbeResponse::DebugText(report.to_string()));
        }
        let samples = report.samples().encode(request.format, request.encoding);
        Ok(ProbeResponse::Samples(samples))
    }

    /// The outcome, at the latest at `deadline`, and the time at which the request was sent.
    async fn outcome(
        &self,
        params: &ProbeParams,
        deadline: Instant,
    ) -> (Arc<Outcome>, Option<Instant>) {
        let account = &self.accounts[params.account];
        if account.limiter.pause().is_some_and(|end| end > deadline) {
            return (Arc::new(Err(paused())), None);
        }
        let request = self.join(params);
        let outcome = account.wait(&request, deadline).await;
        let sent = match *lock(&request.stage) {
            Stage::Sent(at) => Some(at),
            Stage::Share | Stage::Limiter => None,
        };
        (outcome, sent)
    }

    /// The request in flight for this endpoint, or a new request. A new request makes no progress until a
    /// probe waits for it.
    fn join(&self, params: &ProbeParams) -> Arc<InFlight> {
        let mut requests = lock(&self.in_flight);
        // A request is removed if no probe waits for it, or if it has ended and its result is old.
        let is_in_flight = |request: Arc<InFlight>| request.outcome.peek().is_none();
        requests.retain(|_, request| request.upgrade().is_some_and(is_in_flight));
        let (account, id) = (&self.accounts[params.account], params.id.clone());
        let key = (params.account, id.clone());
        if let Some(request) = requests.get(&key).and_then(Weak::upgrade) {
            return request;
        }
        let stage = Arc::new(Mutex::new(Stage::Share));
        let work = Arc::clone(account).request(id, Arc::clone(&stage));
        let outcome = AssertUnwindSafe(work).catch_unwind().map(|outcome| {
            Arc::new(outcome.unwrap_or_else(|_| {
                // No reason stands for a panic. As for a walk, `malformed` is the closest reason.
                let message = "a panic in this program ended the probe; the log has its place";
                let reason = ErrorKind::Malformed.label();
                Err(ProbeError::without_response(reason, message))
            }))
        });
        let outcome = outcome.boxed().shared();
        let request = Arc::new(InFlight { outcome, stage });
        requests.insert(key, Arc::downgrade(&request));
        request
    }
}

/// The probes of one account.
struct AccountProber<R> {
    name: String,
    metrics: Metrics,
    source: Arc<R>,
    /// The account's rate limiter, which walks also use.
    limiter: Arc<RateLimiter>,
    /// The rate limiter for the requests of probes, which may use only a share of the requests.
    share: Arc<RateLimiter>,
    /// Permits for the requests of all probes in the process.
    permits: Arc<Semaphore>,
    instruments: AccountInstruments,
    retry: RetryPolicy,
    /// Duration of the last request, in milliseconds.
    request_ms: AtomicU64,
}

impl<R: Retrieve> AccountProber<R> {
    /// Waits for the limits without a deadline, then retrieves the endpoint.
    async fn request(self: Arc<Self>, id: String, stage: Arc<Mutex<Stage>>) -> Outcome {
        let _share = self.share.acquire(NO_DEADLINE).await;
        let _permit = self.permits.acquire().await;
        *lock(&stage) = Stage::Limiter;
        let permit = self.limiter.acquire(NO_DEADLINE).await;
        let permit = permit.map_err(|_| paused())?;
        permit.count(&self.instruments);
        let sent = Instant::now();
        *lock(&stage) = Stage::Sent(sent);
        let result = self.source.retrieve(&id).await;
        let took = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.request_ms.store(took, Ordering::Relaxed);
        match &result {
            Ok(_) => self.retry.succeeded(),
            Err(error) => _ = self.retry.decide(error, &self.limiter),
        }
        Ok(result?)
    }

    /// The outcome of the request, or an error if the wait ends before the request.
    ///
    /// The wait ends early if the request has not been sent and could not end before the deadline. It
    /// would use the share without a result. Under overload, this would happen to most requests.
    async fn wait(&self, request: &InFlight, deadline: Instant) -> Arc<Outcome> {
        let usual = Duration::from_millis(self.request_ms.load(Ordering::Relaxed));
        let left = deadline.saturating_duration_since(Instant::now());
        let mut outcome = request.outcome.clone();
        for end in [deadline - usual.min(left / 2), deadline] {
            tokio::select! {
                // The timer is polled first, so that no request is sent for a probe that has ended.
                biased;
                () = sleep_until(end) => {}
                outcome = &mut outcome => return outcome,
            }
            if !matches!(*lock(&request.stage), Stage::Sent(_)) {
                break;
            }
        }
        let outcome = request.outcome.peek().cloned();
        outcome.unwrap_or_else(|| Arc::new(Err(self.deadline_error(*lock(&request.stage)))))
    }

    /// The error of a probe without an outcome at its deadline.
    fn deadline_error(&self, stage: Stage) -> ProbeError {
        let message = match stage {
            Stage::Sent(_) => {
                let message = "no complete response within the time of this probe";
                return ProbeError::without_response(ErrorKind::Timeout.label(), message);
            }
            _ if self.limiter.pause().is_some() => return paused(),
            Stage::Share => "more than probe.requests_per_second allows",
            _ if self.limiter.is_full() => "more in flight than api.max_concurrent_requests allows",
            Stage::Limiter => "more than api.requests_per_second allows",
        };
        ProbeError::without_response(THROTTLED, message)
    }
}

/// The error of a probe during a pause that the API has requested.
fn paused() -> ProbeError {
    let message = "the API has asked for a pause that is longer than the time of this probe";
    ProbeError::without_response(ErrorKind::RateLimited.label(), message)
}

/// The stages of a request, in order.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The request waits for the account's share of requests.
    Share,
    /// The request waits for the rate limiter, or for the end of a pause that the API has requested.
    Limiter,
    /// The request was sent at this time.
    Sent(Instant),
}

/// A request that one or more probes of the same endpoint wait for. The request is cancelled when the
/// last of these probes ends.
pub(super) struct InFlight {
    /// The future outcome of the request. Each probe waits for a clone of this future.
    outcome: Shared<BoxFuture<'static, Arc<Outcome>>>,
    /// The current stage. The request writes it, and every waiting probe reads it.
    stage: Arc<Mutex<Stage>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

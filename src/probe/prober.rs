//! Runs a probe: reads its parameters, retrieves the record of the endpoint and builds the response.

use std::{
    collections::{HashMap, HashSet},
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

/// Maximum number of API requests in flight for one rate limiter of probes, for example while the API hangs. If
/// the limiter allows more than 8 requests per second, the maximum is the limiter's rate instead of 8.
const MAX_IN_FLIGHT: usize = 8;
/// Maximum total pause during a wait for a rate limiter. It is so long that no rate limiter rejects a request.
const ANY_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// One HTTP request for `/probe`.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The query of the URL, without `?` and not decoded.
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
    /// Text for a person, if the query has `debug=true`.
    DebugText(String),
}

/// The operation of the API that probes use. [`Client`] implements this trait; tests use a fake.
pub trait Retrieve: Send + Sync + 'static {
    /// Retrieves the record of the endpoint `id`. Returns the record and the HTTP status.
    fn retrieve(&self, id: &str) -> impl Future<Output = Result<(Endpoint, u16), Error>> + Send;

    /// The method and the URL of the request that [`Self::retrieve`] sends, without credentials.
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
    /// Unsent and sent API requests, by account index and endpoint id. Each exists only while a probe waits.
    pub(super) in_flight: Mutex<HashMap<(usize, String), Weak<InFlight>>>,
    timeout_offset: Duration,
    requests_per_second: f64,
    permits: Arc<Semaphore>,
    /// The rate limiters that only probes use, by base URL and auth id.
    shares: HashMap<(String, String), Arc<RateLimiter>>,
}

impl<R: Retrieve> Prober<R> {
    /// A prober without accounts. All probes together may send at most half of `api.max_concurrent_requests`
    /// at the same time (one request if this option is 1). The rest remains for walks.
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

    /// A prober without accounts that replaces `earlier`. It keeps the limits of the requests in flight and of the rates,
    /// so that a replacement allows no further requests.
    pub fn after(earlier: &Self, config: &Config) -> Self {
        let keys = config.accounts.iter();
        let keys: HashSet<_> = keys.map(key).collect();
        let shares = earlier.shares.iter();
        let shares = shares.filter(|(key, _)| keys.contains(key));
        Self {
            permits: Arc::clone(&earlier.permits),
            shares: shares
                .map(|(key, share)| (key.clone(), Arc::clone(share)))
                .collect(),
            ..Self::new(config)
        }
    }

    /// Adds an account. `limiter` is the rate limiter that the walks of the account also use.
    pub fn add(
        &mut self,
        account: &Account,
        source: Arc<R>,
        limiter: Arc<RateLimiter>,
        instruments: AccountInstruments,
    ) {
        // The rate of `share` is at most the rate of `limiter`. With a higher rate, requests would wait for
        // `limiter` while they occupy the semaphore `permits`, which probes of other accounts also need.
        let limit = 1.0 / limiter.gap().as_secs_f64();
        let rate = self.requests_per_second.min(limit);
        // Rounds `rate` down. The configuration allows at most 100 for `probe.requests_per_second`.
        let per_second = (1..=100_u8).rev().find(|count| f64::from(*count) <= rate);
        let in_flight = per_second.map_or(0, usize::from).max(MAX_IN_FLIGHT);
        let share = self.shares.entry(key(account));
        let share = share.or_insert_with(|| Arc::new(RateLimiter::new(Some(rate), in_flight)));
        share.set_rate(Some(rate));
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

    /// Runs one probe, which ends within the scrape timeout. The error names the wrong parameter or header,
    /// and contains no text of `request`.
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

    /// Waits for the API request, at most until `deadline`. Returns its outcome and the time of its sending.
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

    /// Returns the request in flight for the endpoint of `params`, or a new request. A new request makes no
    /// progress until a probe waits for it.
    fn join(&self, params: &ProbeParams) -> Arc<InFlight> {
        let mut requests = lock(&self.in_flight);
        // Removes requests without a waiting probe, and ended requests: a new probe never uses their records.
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
                // No `reason` exists for a panic, so the probe reports `malformed`, as a walk does.
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

/// The base URL and the auth id, for which the API counts requests.
fn key(account: &Account) -> (String, String) {
    (account.api.base_url.to_string(), account.auth_id.clone())
}

/// Sends the requests for the probes of one account.
struct AccountProber<R> {
    name: String,
    metrics: Metrics,
    source: Arc<R>,
    /// The account's rate limiter, which walks also use.
    limiter: Arc<RateLimiter>,
    /// A second rate limiter, for probes only. It limits probes to `probe.requests_per_second`.
    share: Arc<RateLimiter>,
    /// The probes of all accounts share this semaphore. It limits their requests in flight, but no rate.
    permits: Arc<Semaphore>,
    instruments: AccountInstruments,
    retry: RetryPolicy,
    /// Duration of the most recent request that ended, in milliseconds; 0 if no request has ended.
    request_ms: AtomicU64,
}

impl<R: Retrieve> AccountProber<R> {
    /// Waits for `share`, `permits` and `limiter`, in this order. Then retrieves the record.
    async fn request(self: Arc<Self>, id: String, stage: Arc<Mutex<Stage>>) -> Outcome {
        let _share = self.share.acquire(ANY_PAUSE).await;
        let _permit = self.permits.acquire().await;
        *lock(&stage) = Stage::Limiter;
        let permit = self.limiter.acquire(ANY_PAUSE).await;
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

    /// Waits for the outcome of the request. Returns an error if the wait ends without an outcome.
    ///
    /// A request that is sent shortly before `deadline` would probably end after `deadline`. Under overload,
    /// such late requests would use most of the allowed rate. So the wait for an unsent request ends early.
    async fn wait(&self, request: &InFlight, deadline: Instant) -> Arc<Outcome> {
        let usual = Duration::from_millis(self.request_ms.load(Ordering::Relaxed));
        let left = deadline.saturating_duration_since(Instant::now());
        let mut outcome = request.outcome.clone();
        for end in [deadline - usual.min(left / 2), deadline] {
            tokio::select! {
                // `outcome` can send the request. The timer is first, so this probe sends nothing after `end`.
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

    /// The error of a probe whose wait has ended without an outcome. `stage` is the stage of the request.
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

/// The error of a probe that has no time to wait for the end of a pause that the API has requested.
fn paused() -> ProbeError {
    let message = "the API has asked for a pause that is longer than the time of this probe";
    ProbeError::without_response(ErrorKind::RateLimited.label(), message)
}

/// The stages of a request, in order.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The request waits for `AccountProber::share` or `AccountProber::permits`.
    Share,
    /// The request waits for `AccountProber::limiter`, or for the end of a pause that the API requests.
    Limiter,
    /// The request was sent at this time.
    Sent(Instant),
}

/// A request for the record of one endpoint. All waiting probes of the endpoint share the request. If all of
/// these probes end before the request, the request is cancelled.
pub(super) struct InFlight {
    /// The future that sends the request and returns the outcome. Each probe awaits a clone of this future.
    outcome: Shared<BoxFuture<'static, Arc<Outcome>>>,
    /// The current stage of the request. The request writes the stage, and every waiting probe reads it.
    stage: Arc<Mutex<Stage>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

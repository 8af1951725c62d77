//! Decides when a request may start, and whether a failed request may be repeated.
//!
//! In [`RateLimiters`], each pair of base URL and auth id has one [`RateLimiter`]. In any T seconds, a limiter
//! gives at most `rate x T + 1` permits. A cancelled wait delays no other request. A pause that the API asks
//! for delays every request that has no permit yet. While a walk runs, no request for a detail gets a permit.
//! No single crate has all these properties.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use url::Url;

use super::{Error, ErrorKind};
use crate::{
    config::Account,
    telemetry::{AccountInstruments, ThrottleCause},
};

/// The maximum wait before the first retry. The jitter shortens this wait by at most half.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest pause. A longer `Retry-After` is shortened to this time, so that no account stops for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The longest wait before a retry.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Gives permits for requests, one at a time.
#[derive(Debug)]
pub struct RateLimiter {
    /// The minimum time between the starts of two requests, in nanoseconds; zero without a rate limit.
    gap: AtomicU64,
    /// The earliest start of the next request. [`RateLimiter::acquire`] holds the lock until it gives the permit.
    next: Mutex<Instant>,
    /// The API wants no request before this time.
    paused_until: watch::Sender<Instant>,
    /// The number of running walks that use this limiter.
    walks: watch::Sender<usize>,
    in_flight: InFlight,
}

/// The limit on requests in flight. The limiters of one [`RateLimiters`] share this limit.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    all: Arc<Semaphore>,
    /// The part of the limit that [`RateLimiter::acquire_when_idle`] may use.
    idle: Arc<Semaphore>,
}

impl InFlight {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            // Hanging requests for details leave permits for walks. If `most` is 1, no detail is requested.
            idle: Arc::new(Semaphore::new((most / 4).max(1).min(most - 1))),
        }
    }
}

/// Marks a walk as running until the guard is dropped.
#[derive(Debug)]
pub struct WalkGuard<'a>(&'a RateLimiter);

impl Drop for WalkGuard<'_> {
    fn drop(&mut self) {
        self.0.walks.send_modify(|walks| *walks -= 1);
    }
}

/// The permit for one request. The request counts as in flight until the permit is dropped. In a permit of
/// [`RateLimiter::acquire_when_idle`], `waited` and `paused` are zero.
#[derive(Debug)]
pub struct Permit {
    _in_flight: [Option<OwnedSemaphorePermit>; 2],
    /// Time waited for the gap, for earlier callers of the limiter, and for the limit on requests in flight.
    pub waited: Duration,
    /// Time waited for the end of a pause that the API asked for.
    pub paused: Duration,
}

impl Permit {
    /// Adds the waiting times to `vobiz_api_throttle_seconds_total`.
    pub fn count(&self, instruments: &AccountInstruments) {
        instruments.throttled(ThrottleCause::Limiter, self.waited);
        instruments.throttled(ThrottleCause::Vendor, self.paused);
    }
}

/// The error of a wait for a permit: the API wants no request before this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Instant);

impl RateLimiter {
    /// A limiter of `rate` requests per second (`None`: unlimited), with at most `in_flight` requests at once.
    /// Other limiters do not share the limit `in_flight`.
    pub fn new(rate: Option<f64>, in_flight: usize) -> Self {
        Self::sharing(rate, InFlight::new(in_flight))
    }

    pub(super) fn sharing(rate: Option<f64>, in_flight: InFlight) -> Self {
        Self {
            gap: AtomicU64::new(gap_nanos(rate)),
            next: Mutex::new(Instant::now()),
            paused_until: watch::Sender::new(Instant::now()),
            walks: watch::Sender::new(0),
            in_flight,
        }
    }

    /// The minimum time between the starts of two requests; zero without a rate limit.
    pub fn gap(&self) -> Duration {
        Duration::from_nanos(self.gap.load(Ordering::Relaxed))
    }

    /// Allows `rate` requests per second from the next request on (`None`: unlimited). A pause stays in force.
    pub fn set_rate(&self, rate: Option<f64>) {
        self.gap.store(gap_nanos(rate), Ordering::Relaxed);
    }

    /// Waits for the permit for one request. Fails as soon as the pauses of the API would delay this request by
    /// more than `longest_pause` in total.
    pub async fn acquire(&self, longest_pause: Duration) -> Result<Permit, Paused> {
        let (mut waited, mut paused) = (Duration::ZERO, Duration::ZERO);
        loop {
            let begun = Instant::now();
            if let Some(end) = self.pause() {
                if end > begun + longest_pause.saturating_sub(paused) {
                    return Err(Paused(end));
                }
                sleep_until(end).await;
                paused += begun.elapsed();
                continue;
            }
            let mut next = self.next.lock().await;
            sleep_until(*next).await;
            let permit = in_flight(&self.in_flight.all).await;
            waited += begun.elapsed();
            // A pause may have begun during the wait.
            if self.pause().is_some() {
                continue;
            }
            // The gap begins now. If it began at the planned start, a late timer would make the time between
            // two requests shorter than the gap.
            *next = Instant::now() + self.gap();
            return Ok(Permit {
                _in_flight: [Some(permit), None],
                waited,
                paused,
            });
        }
    }

    /// Begins a walk. During the walk, [`Self::acquire_when_idle`] gives no permit.
    pub fn begin_walk(&self) -> WalkGuard<'_> {
        self.walks.send_modify(|walks| *walks += 1);
        WalkGuard(self)
    }

    /// Waits for the permit for one request that must not delay a walk. Gives the permit only while no walk
    /// runs and no pause applies. `InFlight::idle` limits these requests. The caller may cancel the wait.
    pub async fn acquire_when_idle(&self) -> Permit {
        let mut walks = self.walks.subscribe();
        loop {
            if let Some(end) = self.pause() {
                sleep_until(end).await;
                continue;
            }
            // `wait_for` fails only without a sender, but this limiter owns the sender.
            let _ = walks.wait_for(|walks| *walks == 0).await;
            tokio::select! {
                permit = self.try_acquire_when_idle() => if let Some(permit) = permit {
                    return permit;
                },
                // When a walk begins, this wait for a permit ends, because the walk needs the lock at once.
                _ = walks.wait_for(|walks| *walks > 0) => {}
            }
        }
    }

    async fn try_acquire_when_idle(&self) -> Option<Permit> {
        // The wait until `start` holds neither the lock nor a permit, so that it delays no other request.
        let start = *self.next.lock().await;
        sleep_until(start).await;
        let spare = in_flight(&self.in_flight.idle).await;
        let mut next = self.next.try_lock().ok()?;
        if *next > Instant::now() {
            return None;
        }
        let permit = in_flight(&self.in_flight.all).await;
        if self.pause().is_some() || *self.walks.borrow() > 0 {
            return None;
        }
        *next = Instant::now() + self.gap();
        Some(Permit {
            _in_flight: [Some(permit), Some(spare)],
            waited: Duration::ZERO,
            paused: Duration::ZERO,
        })
    }

    /// Whether the requests in flight have reached their limit.
    pub fn is_full(&self) -> bool {
        self.in_flight.all.available_permits() == 0
    }

    /// Lets no request start before `until`.
    pub fn pause_until(&self, until: Instant) {
        (self.paused_until).send_modify(|earlier| *earlier = until.max(*earlier));
    }

    /// The end of the current pause that the API asked for; `None` without a pause.
    pub fn pause(&self) -> Option<Instant> {
        let until = *self.paused_until.borrow();
        (until > Instant::now()).then_some(until)
    }
}

/// The limiters of all accounts. Probes have additional limiters of their own.
/// Accounts with the same base URL and auth id share a limiter, because the API counts their requests together.
/// The configuration ensures that these accounts have the same rate.
#[derive(Debug)]
pub struct RateLimiters {
    in_flight: InFlight,
    limiters: HashMap<(Url, String), Arc<RateLimiter>>,
}

impl RateLimiters {
    /// An empty set. All limiters of the set together allow at most `in_flight` requests in flight.
    pub fn new(in_flight: usize) -> Self {
        Self {
            in_flight: InFlight::new(in_flight),
            limiters: HashMap::new(),
        }
    }

    /// Drops the limiters of accounts that are not in `accounts`.
    pub fn retain(&mut self, accounts: &[Account]) {
        let keys = accounts.iter();
        let keys: HashSet<_> = keys
            .map(|account| (&account.api.base_url, &account.auth_id))
            .collect();
        (self.limiters).retain(|(base_url, auth_id), _| keys.contains(&(base_url, auth_id)));
    }

    /// The limiter of this account, with the rate of this account.
    pub fn limiter(&mut self, account: &Account) -> Arc<RateLimiter> {
        let api = &account.api;
        let key = (api.base_url.clone(), account.auth_id.clone());
        let new = || RateLimiter::sharing(api.requests_per_second, self.in_flight.clone());
        let limiter = self.limiters.entry(key).or_insert_with(|| Arc::new(new()));
        limiter.set_rate(api.requests_per_second);
        Arc::clone(limiter)
    }
}

/// The minimum time between the starts of two requests, in nanoseconds.
fn gap_nanos(rate: Option<f64>) -> u64 {
    let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
    u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX)
}

async fn in_flight(of: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

/// The decision about a retry after a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request may succeed after this wait.
    After(Duration),
    /// The same request may succeed after the pause of the limiter, which applies to every request.
    AfterPause,
    /// The same request would fail again. Another request of the account may succeed after this wait.
    Never(Duration),
}

/// Decides about retries after failed requests.
#[derive(Debug, Default)]
pub struct RetryPolicy {
    /// The number of successive failures, which determines the length of a wait.
    failures: AtomicU32,
}

impl RetryPolicy {
    /// The number of successive failures.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Resets the number of failures after a successful request. The wait after the next failure is then short.
    pub fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Decides about a retry after `error`. Pauses `limiter` if the API asks for a pause (`Retry-After`) or
    /// limits the rate (429). The caller limits the number of retries.
    pub fn decide(&self, error: &Error, limiter: &RateLimiter) -> Retry {
        let is_limited = error.kind == ErrorKind::RateLimited;
        // With 429, the API often refuses all requests in flight. These refusals count as one failure.
        let is_known = is_limited && limiter.pause().is_some();
        if error.kind == ErrorKind::NotFound {
            // This response shows that the API works. Only the requested endpoint does not exist.
            self.succeeded();
        } else if !is_known {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let wait = backoff(self.failures(), fastrand::f64());
        match error.retry_after {
            Some(asked) => limiter.pause_until(Instant::now() + pause_for(asked)),
            None if is_limited && !is_known => limiter.pause_until(Instant::now() + wait),
            None => {}
        }
        match error.kind {
            ErrorKind::RateLimited => Retry::AfterPause,
            ErrorKind::NotFound => Retry::Never(Duration::ZERO),
            _ if is_retryable(error) => Retry::After(wait),
            _ => Retry::Never(wait),
        }
    }
}

/// Whether the same request may succeed later.
pub(super) fn is_retryable(error: &Error) -> bool {
    match error.status {
        // Without an error status, a retry helps only if no complete response arrived.
        None | Some(200..=299) => matches!(error.kind, ErrorKind::Timeout | ErrorKind::Network),
        Some(status) => matches!(status, 408 | 429 | 500..=599),
    }
}

/// The pause after a `Retry-After` of `asked`.
fn pause_for(asked: Duration) -> Duration {
    if asked > LONGEST_PAUSE {
        tracing::warn!(
            asked_s = asked.as_secs(),
            used_s = LONGEST_PAUSE.as_secs(),
            "the vendor asks for a longer pause than is honoured"
        );
    }
    asked.min(LONGEST_PAUSE)
}

/// The wait before retry `retry`, counted from 1. Each retry doubles the maximum wait, from 0.5 s up to 30 s.
/// `chance` (0 to 1) selects a wait from half the maximum to the maximum, so clients retry at different times.
pub(super) fn backoff(retry: u32, chance: f64) -> Duration {
    let doublings = retry.saturating_sub(1).min(16);
    let full = FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF);
    full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

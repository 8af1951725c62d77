//! When a request may start: the rate limiter, and the budget of details.
//!
//! One [`RateLimiter`] exists per base URL and auth id. It is written here because no crate keeps all
//! of its promises. In any T seconds, at most `rate x T + 1` requests start. A cancelled wait delays no
//! other request. A pause that the vendor asks for holds for every request. A request that can wait
//! never delays a walk. Its clock can be paused in tests.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use url::Url;

use crate::{
    config::Account,
    telemetry::{AccountInstruments, ThrottleCause},
};

/// A longer `Retry-After` is cut to this: a vendor must not silence an account for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const MINUTE: Duration = Duration::from_secs(60);
/// Requests that could not start in time, because of a walk, are made up for at twice the rate. Only so
/// much time is made up for, so that an idle exporter does not flood the vendor.
const MADE_UP: Duration = Duration::from_secs(10);

/// Permits requests one after the other.
#[derive(Debug)]
pub struct RateLimiter {
    /// Time between two requests; zero when the limiter is off.
    gap: Duration,
    /// When the next request may start. The holder of the lock is next.
    next: Mutex<Instant>,
    /// The vendor wants no request before this.
    paused_until: watch::Sender<Instant>,
    /// Walks under way that use this limiter.
    walks: watch::Sender<usize>,
    in_flight: InFlight,
}

/// The cap on requests in flight over the whole process.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    all: Arc<Semaphore>,
    /// The part of them for requests that can wait.
    idle: Arc<Semaphore>,
}

impl InFlight {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            // At least one is left for walks: a request that hangs must not hold them up.
            idle: Arc::new(Semaphore::new((most / 4).max(1).min(most - 1))),
        }
    }
}

/// A walk is under way, until this is dropped.
#[derive(Debug)]
pub struct WalkGuard<'a>(&'a RateLimiter);

impl Drop for WalkGuard<'_> {
    fn drop(&mut self) {
        self.0.walks.send_modify(|walks| *walks -= 1);
    }
}

/// The right to make one request, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _in_flight: [Option<OwnedSemaphorePermit>; 2],
    /// Time waited for the rate limiter, requests before this one, and the limit on requests in flight.
    pub waited: Duration,
    /// Time waited for the end of a pause that the vendor asked for.
    pub paused: Duration,
}

impl Permit {
    /// Counts the time waited for `vobiz_api_throttle_seconds_total`.
    pub fn count(&self, instruments: &AccountInstruments) {
        instruments.throttled(ThrottleCause::Limiter, self.waited);
        instruments.throttled(ThrottleCause::Vendor, self.paused);
    }
}

/// The vendor wants no request before this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Instant);

impl RateLimiter {
    /// A limiter of `rate` requests per second (`None`: unlimited) with at most `in_flight` at once, which
    /// shares nothing with others.
    pub fn new(rate: Option<f64>, in_flight: usize) -> Self {
        Self::sharing(rate, InFlight::new(in_flight))
    }

    pub(super) fn sharing(rate: Option<f64>, in_flight: InFlight) -> Self {
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            gap,
            next: Mutex::new(Instant::now()),
            paused_until: watch::Sender::new(Instant::now()),
            walks: watch::Sender::new(0),
            in_flight,
        }
    }

    /// Time between two requests; zero when the limiter is off.
    pub fn gap(&self) -> Duration {
        self.gap
    }

    /// Waits for the right to make one request now.
    ///
    /// # Errors
    /// The vendor has asked for pauses that last longer than `longest_pause` together.
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
            // Counted from the moment of leaving, so that a late timer never brings two requests
            // closer together than the gap.
            *next = Instant::now() + self.gap;
            return Ok(Permit {
                _in_flight: [Some(permit), None],
                waited,
                paused,
            });
        }
    }

    /// Begins a walk. While it lasts, [`Self::acquire_when_idle`] gives no permit.
    pub fn begin_walk(&self) -> WalkGuard<'_> {
        self.walks.send_modify(|walks| *walks += 1);
        WalkGuard(self)
    }

    /// Waits for the right to make one request that can wait: between walks, after pauses, and within
    /// the part of the cap that such requests have. May be cancelled at any time.
    pub async fn acquire_when_idle(&self) -> Permit {
        let mut walks = self.walks.subscribe();
        loop {
            if let Some(end) = self.pause() {
                sleep_until(end).await;
                continue;
            }
            // The sender is this limiter's own, so it is still there.
            let _ = walks.wait_for(|walks| *walks == 0).await;
            tokio::select! {
                permit = self.try_acquire_when_idle() => if let Some(permit) = permit {
                    return permit;
                },
                // The walk needs the lock at once.
                _ = walks.wait_for(|walks| *walks > 0) => {}
            }
        }
    }

    async fn try_acquire_when_idle(&self) -> Option<Permit> {
        // The wait comes first and without the lock: a slow limiter must not occupy the cap.
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
        *next = Instant::now() + self.gap;
        Some(Permit {
            _in_flight: [Some(permit), Some(spare)],
            waited: Duration::ZERO,
            paused: Duration::ZERO,
        })
    }

    /// Whether the process has as many requests in flight as it may have.
    pub fn is_full(&self) -> bool {
        self.in_flight.all.available_permits() == 0
    }

    /// The vendor asks (`Retry-After`) for no request before this much time has passed.
    pub(super) fn apply_retry_after(&self, wait: Duration) {
        if wait > LONGEST_PAUSE {
            tracing::warn!(
                asked_s = wait.as_secs(),
                used_s = LONGEST_PAUSE.as_secs(),
                "the vendor asks for a longer pause than is honoured"
            );
        }
        self.pause_until(Instant::now() + wait.min(LONGEST_PAUSE));
    }

    /// No request starts before `until`.
    pub fn pause_until(&self, until: Instant) {
        (self.paused_until).send_modify(|earlier| *earlier = until.max(*earlier));
    }

    /// The end of the pause that the vendor asked for, while it lasts.
    pub fn pause(&self) -> Option<Instant> {
        let until = *self.paused_until.borrow();
        (until > Instant::now()).then_some(until)
    }
}

/// A number of requests per minute: spread evenly, and in no minute more.
#[derive(Debug)]
pub(super) struct RequestBudget {
    pub(super) gap: Duration,
    /// When the next request would start if all started evenly.
    due: Instant,
    /// The starts of the last minute, at most as many as it may have.
    spent: VecDeque<Instant>,
    most: usize,
}

impl RequestBudget {
    /// An unused budget of so many requests per minute, 0.1 to 6000.
    pub(super) fn new(per_minute: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "6000 at most, and positive"
        )]
        let most = per_minute.ceil() as usize;
        Self {
            gap: MINUTE.div_f64(per_minute),
            due: Instant::now(),
            spent: VecDeque::new(),
            most,
        }
    }

    /// When the next request may start; perhaps already.
    pub(super) fn next(&self) -> Instant {
        let is_full = self.spent.len() == self.most;
        let oldest = self.spent.front().filter(|_| is_full);
        let minute = oldest.map(|oldest| *oldest + MINUTE);
        let spacing = self.spent.back().map(|last| *last + self.gap / 2);
        self.due.max(minute.max(spacing).unwrap_or(self.due))
    }

    /// A request starts now.
    pub(super) fn spend(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(MADE_UP).unwrap_or(now);
        self.due = self.due.max(earliest) + self.gap;
        if self.spent.len() == self.most {
            self.spent.pop_front();
        }
        self.spent.push_back(now);
    }
}

/// The average time between two requests beside walks of such length that start every `interval`, where a
/// budget and a limiter have these gaps. The budget makes up for a part of the time that walks take.
pub(super) fn gap_beside(
    budget: Duration,
    limiter: Duration,
    walk: Duration,
    interval: Duration,
) -> Duration {
    // Never zero: it is a divisor.
    let left = |lost: Duration| (1.0 - lost.div_duration_f64(interval)).clamp(0.01, 1.0);
    let limiter = limiter.div_f64(left(walk));
    limiter.max(budget.div_f64(left(walk.saturating_sub(MADE_UP))))
}

/// Every limiter of the process.
///
/// Accounts with the same base URL and auth id share one, because the vendor counts them as one. The
/// configuration gives them the same rate.
#[derive(Debug)]
pub struct RateLimiters {
    in_flight: InFlight,
    limiters: HashMap<(Url, String), Arc<RateLimiter>>,
}

impl RateLimiters {
    /// No limiter yet. Over all that will be, at most `in_flight` requests start at once.
    pub fn new(in_flight: usize) -> Self {
        Self {
            in_flight: InFlight::new(in_flight),
            limiters: HashMap::new(),
        }
    }

    /// The limiter of this account.
    pub fn limiter(&mut self, account: &Account) -> Arc<RateLimiter> {
        let api = &account.api;
        let key = (api.base_url.clone(), account.auth_id.clone());
        let new = || RateLimiter::sharing(api.requests_per_second, self.in_flight.clone());
        Arc::clone(self.limiters.entry(key).or_insert_with(|| Arc::new(new())))
    }
}

async fn in_flight(of: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

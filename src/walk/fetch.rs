//! Reads one page with retries, within the time limits of the walk. Defines the errors of a walk.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    api::{
        Client, Endpoint, Error, ErrorKind, Page, Paused, Permit, RateLimiter, Retry, RetryPolicy,
    },
    clock::Clock,
    config::{Account, Api, Optional, Poll},
    telemetry::{
        AccountInstruments, Metric, Operation,
        labels::{DEADLINE, INCONSISTENT},
    },
};

/// The operations of the API that a poller needs. The program uses [`Client`]; tests use a list in memory.
pub trait Source: Send + Sync + 'static {
    /// Makes one attempt to read up to `limit` rows of the list from `offset` on.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Makes one attempt to retrieve the record of one endpoint.
    fn endpoint(&self, id: &str) -> impl Future<Output = Result<Endpoint, Error>> + Send;

    /// Uses `token` from the next request on.
    fn set_token(&self, token: SecretString);
}

impl Source for Client {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        self.list_page(offset, limit).await
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.retrieve(id).await.map(|(endpoint, _)| endpoint)
    }

    fn set_token(&self, token: SecretString) {
        Client::set_token(self, &token);
    }
}

/// The dependencies of a poller, besides its source and the settings of its account.
#[derive(Debug, Clone)]
pub struct PollerDeps {
    /// The wall clock.
    pub clock: Clock,
    /// The account's instruments.
    pub instruments: AccountInstruments,
    /// The rate limiter. Accounts with the same base URL and auth id share it.
    pub limiter: Arc<RateLimiter>,
}

/// The reason of a failed walk, which is the `reason` label of `vobiz_walk_failures_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A request failed, the vendor asked for a pause that is too long, the list had too many pages, or the
    /// walk panicked.
    Request(ErrorKind),
    /// The list was not proven complete, or the vendor ignores the offset.
    Inconsistent,
    /// The walk reached one of its time limits, and no failed request explains the delay.
    Deadline,
}

impl Reason {
    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Request(kind) => kind.label(),
            Self::Inconsistent => INCONSISTENT,
            Self::Deadline => DEADLINE,
        }
    }

    /// Whether the walk ended with status 401, 402 or 403, so that the API refuses the account.
    pub(super) fn is_refusal(self) -> bool {
        use ErrorKind::{Auth, Forbidden, PaymentRequired};
        matches!(self, Self::Request(Auth | PaymentRequired | Forbidden))
    }
}

/// The error of a failed walk.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {detail}", reason.label())]
pub struct WalkError {
    /// The reason of the failure.
    pub reason: Reason,
    /// A description for the log.
    pub detail: String,
    /// The HTTP status of the response that ended the walk; `None` without one.
    pub status: Option<u16>,
    /// The end of the pause that the vendor asks for; `None` without a pause.
    pub not_before: Option<Instant>,
}

impl WalkError {
    /// Creates an error without a status and without a pause that the vendor asks for.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            status: None,
            not_before: None,
        }
    }

    /// The error of a walk that could not be proven complete.
    pub(super) fn inconsistent(detail: impl Into<String>) -> Self {
        Self::new(Reason::Inconsistent, detail)
    }

    /// The error of a walk that panicked. The panic hook has already logged the panic.
    ///
    /// There is no [`Reason`] for a panic. The error has the reason `malformed`, because nearly every panic of
    /// a walk comes from an unexpected response.
    pub(super) fn panicked() -> Self {
        Self::new(
            Reason::Request(ErrorKind::Malformed),
            "a fault of this program broke the walk off (a panic, logged before this)",
        )
    }
}

/// Reads the pages of one walk.
#[derive(Debug)]
pub(super) struct PageFetcher<S> {
    source: Arc<S>,
    pub(super) deps: PollerDeps,
    pub(super) api: Api,
    poll: Poll,
    /// Whether the addresses of devices are stored.
    pub(super) with_contacts: bool,
    progress: Mutex<Progress>,
}

/// The work of a walk so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    /// The number of received pages.
    pub(super) pages: u64,
    /// The number of sent requests, including retries.
    pub(super) requests: u64,
    /// The number of repeated requests.
    pub(super) retries: u64,
}

#[derive(Debug, Default)]
struct Progress {
    work: Work,
    /// The number of *active* pages: their request or backoff runs. Pages that wait for permits are not active.
    active: u32,
    /// The time at which `active` rose from zero; `None` while it is zero.
    active_since: Option<Instant>,
    /// The total time with at least one active page, without the time since `active_since`.
    active_time: Duration,
    /// The value of [`Self::under_way`] when the walk received the latest page.
    last_completed: Duration,
    /// The last error since the latest received page. A walk that reaches a time limit fails with this error.
    last_error: Option<Error>,
}

impl Progress {
    /// The total time in which the walk has at least one active page.
    fn under_way(&self) -> Duration {
        let now = self.active_since.map_or(Duration::ZERO, |at| at.elapsed());
        self.active_time + now
    }

    fn retries_after(&mut self, error: Error) {
        self.work.retries += 1;
        self.last_error = Some(error);
    }

    fn page_completed(&mut self) {
        self.work.pages += 1;
        self.last_completed = self.under_way();
        self.last_error = None;
    }
}

/// Marks a page as active until this value is dropped.
struct Active<'a>(&'a Mutex<Progress>);

impl<'a> Active<'a> {
    fn begin(progress: &'a Mutex<Progress>) -> Self {
        let mut state = lock(progress);
        state.active += 1;
        state.active_since.get_or_insert_with(Instant::now);
        Self(progress)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let mut state = lock(self.0);
        state.active -= 1;
        if state.active == 0 {
            state.active_time = state.under_way();
            state.active_since = None;
        }
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Source> PageFetcher<S> {
    /// A fetcher for one walk.
    pub(super) fn new(source: Arc<S>, deps: &PollerDeps, account: &Account) -> Self {
        Self {
            source,
            deps: deps.clone(),
            api: account.api.clone(),
            poll: account.poll.clone(),
            with_contacts: account.metrics.groups.contains(&Optional::Contact),
            progress: Mutex::default(),
        }
    }

    /// The work of the walk so far.
    pub(super) fn work(&self) -> Work {
        lock(&self.progress).work
    }

    /// Reads the page at `offset`. Retries the request after a temporary error.
    ///
    /// # Errors
    /// The last attempt failed, the vendor's pauses were too long, or the walk reached one of its time limits.
    pub(super) async fn page(&self, offset: u64) -> Result<Page, WalkError> {
        let PollerDeps { limiter, .. } = &self.deps;
        let policy = RetryPolicy::default();
        let mut retries_left = self.api.retries;
        let mut paused = Duration::ZERO;
        loop {
            let permit = self.acquire(paused).await?;
            paused += permit.paused;
            let _active = Active::begin(&self.progress);
            lock(&self.progress).work.requests += 1;
            // The large future is boxed after the wait for a permit. So a call that waits needs less memory.
            let response = Box::pin(self.source.page(offset, self.api.page_size));
            let error = match self.within_limits(response).await? {
                Ok(page) => {
                    lock(&self.progress).page_completed();
                    return Ok(page);
                }
                Err(error) => error,
            };
            drop(permit);
            let retry = policy.decide(&error, limiter);
            let is_long = (error.retry_after).is_some_and(|wait| wait > self.poll.interval);
            if matches!(retry, Retry::Never(_)) || retries_left == 0 || is_long {
                let pause = error.retry_after.and_then(|_| limiter.pause());
                return Err(WalkError {
                    not_before: pause,
                    status: error.status,
                    ..WalkError::new(Reason::Request(error.kind), error.to_string())
                });
            }
            retries_left -= 1;
            let operation = Operation::ListEndpoints.label();
            (self.deps.instruments).count(Metric::ApiRetries, &[operation], 1);
            lock(&self.progress).retries_after(error);
            if let Retry::After(wait) = retry {
                self.within_limits(sleep(wait)).await?;
            }
        }
    }

    /// Waits for the permit for one request of a page. `paused` is the total of the vendor's pauses that have
    /// already delayed the page. The walk fails if this total becomes longer than the interval.
    async fn acquire(&self, paused: Duration) -> Result<Permit, WalkError> {
        let longest_pause = self.poll.interval.saturating_sub(paused);
        let permit = self.deps.limiter.acquire(longest_pause).await;
        let permit = permit.map_err(|Paused(end)| WalkError {
            not_before: Some(end),
            ..WalkError::new(
                Reason::Request(ErrorKind::RateLimited),
                "the vendor asks for pauses that are longer than poll.interval",
            )
        })?;
        permit.count(&self.deps.instruments);
        Ok(permit)
    }

    /// Awaits `work`, a request or a backoff. Returns an error if the walk reaches a time limit first.
    async fn within_limits<T>(&self, work: impl Future<Output = T>) -> Result<T, WalkError> {
        let mut work = pin!(work);
        loop {
            // If the walk receives another page during the wait, more time is left, so the loop repeats.
            let left = self.time_left()?;
            if let Ok(done) = timeout(left, &mut work).await {
                return Ok(done);
            }
        }
    }

    /// The time until the walk reaches the first of two limits: `poll.deadline` without a received page, and
    /// the maximum duration of a walk. Neither limit includes time in which all pages wait for a permit.
    fn time_left(&self) -> Result<Duration, WalkError> {
        let longest_walk = self.poll.max_age.max(2 * self.poll.interval);
        let progress = lock(&self.progress);
        let under_way = progress.under_way();
        let stalled = under_way.saturating_sub(progress.last_completed);
        let until_stalled = self.poll.deadline.saturating_sub(stalled);
        let left = until_stalled.min(longest_walk.saturating_sub(under_way));
        if !left.is_zero() {
            return Ok(left);
        }
        if let Some(error) = &progress.last_error {
            let detail = format!("no further page was completed after: {error}");
            return Err(WalkError {
                status: error.status,
                ..WalkError::new(Reason::Request(error.kind), detail)
            });
        }
        let detail = if under_way >= longest_walk {
            format!(
                "the walk was under way for {} s, the longer of 2 x poll.interval and poll.max_age; \
                 raise api.concurrency or poll.interval",
                longest_walk.as_secs_f64()
            )
        } else {
            format!(
                "no page was completed for {} s (poll.deadline)",
                self.poll.deadline.as_secs_f64()
            )
        };
        Err(WalkError::new(Reason::Deadline, detail))
    }
}

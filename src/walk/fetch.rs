//! Reads one page, with retries, within the limits of its walk.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Reason, WalkError,
    rate_limit::{Paused, Permit, RateLimiter, Waited, backoff},
};
use crate::{
    api::{self, Client, Endpoint, Error, ErrorKind, Page},
    config::{Account, Optional},
    telemetry::{AccountInstruments, Operation, ThrottleCause},
};

/// The API, as walks use it: [`Client`] in the program, a list in memory in tests with a paused clock.
pub trait Source: Send + Sync + 'static {
    /// One attempt to read up to `limit` rows of the list from `offset` on.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Page, Error>> + Send;

    /// One attempt to retrieve the record of one endpoint.
    fn endpoint(&self, id: &str) -> impl Future<Output = Result<Endpoint, Error>> + Send;

    /// From now on, ask with this token.
    fn set_token(&self, token: SecretString);
}

impl Source for Client {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        self.list_page(offset, limit).await
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        Client::endpoint(self, id).await
    }

    fn set_token(&self, token: SecretString) {
        Client::set_token(self, token);
    }
}

/// Reads the pages of one walk.
#[derive(Debug)]
pub(super) struct PageFetcher<S> {
    pub(super) source: Arc<S>,
    pub(super) limiter: Arc<RateLimiter>,
    pub(super) instruments: AccountInstruments,
    pub(super) page_size: u32,
    pub(super) retries: u32,
    pub(super) concurrency: usize,
    /// Whether the addresses of devices are kept.
    pub(super) with_contacts: bool,
    limits: Limits,
    progress: Mutex<Progress>,
}

/// When a walk has failed.
#[derive(Debug)]
struct Limits {
    /// Time without a completed page. Waiting for a permit does not count.
    stalled: Duration,
    /// Time of the whole walk. Waiting for permits does not count.
    under_way: Duration,
    /// Pauses of the vendor for one page.
    pause: Duration,
}

/// What a walk has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    /// Pages received.
    pub(super) pages: u64,
    /// Requests sent, retries included.
    pub(super) requests: u64,
    /// The sum of the times that requests took.
    pub(super) request_time: Duration,
    /// The sum of the times that requests waited.
    pub(super) waited: Waited,
}

#[derive(Debug, Default)]
struct Progress {
    work: Work,
    /// Pages that are being requested, or wait for a retry after an error.
    active: u32,
    /// Since when there has been an active page.
    active_since: Option<Instant>,
    /// Time with an active page, before `active_since`.
    active_time: Duration,
    /// The same when the last page was completed.
    last_completed: Duration,
    /// The last error since then; it explains a walk that makes no progress.
    last_error: Option<api::Error>,
}

impl Progress {
    /// Time of the walk without the time in which every page waited.
    fn under_way(&self) -> Duration {
        let now = self.active_since.map_or(Duration::ZERO, |at| at.elapsed());
        self.active_time + now
    }
}

/// Marks a page as active until it is dropped.
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
    /// A fetcher for one walk, which begins now.
    pub(super) fn new(
        source: Arc<S>,
        limiter: Arc<RateLimiter>,
        instruments: AccountInstruments,
        account: &Account,
    ) -> Self {
        let poll = &account.poll;
        Self {
            source,
            limiter,
            instruments,
            page_size: account.api.page_size,
            retries: account.api.retries,
            concurrency: account.api.concurrency,
            with_contacts: account.metrics.groups.contains(&Optional::Contact),
            limits: Limits {
                stalled: poll.deadline,
                under_way: poll.max_age.max(2 * poll.interval),
                pause: poll.interval,
            },
            progress: Mutex::default(),
        }
    }

    /// What the walk has done so far.
    pub(super) fn work(&self) -> Work {
        self.progress().work
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Reads the page at `offset`. Errors that may pass are retried.
    ///
    /// # Errors
    /// The request failed for good, or the walk has reached one of its limits.
    pub(super) async fn page(&self, offset: u64) -> Result<Page, WalkError> {
        let mut retry = 0;
        let mut reconnected = false;
        let mut paused = Duration::ZERO;
        loop {
            let permit = self.acquire(paused).await?;
            paused += permit.waited.vendor;
            let active = Active::begin(&self.progress);
            let error = match self.request(offset, permit).await? {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if error.stale_connection && !reconnected {
                reconnected = true;
                continue;
            }
            let is_long = (error.retry_after).is_some_and(|wait| wait > self.limits.pause);
            let not_before = error
                .retry_after
                .map(|wait| self.limiter.apply_retry_after(wait));
            if !error.kind.is_retryable() || retry == self.retries || is_long {
                return Err(WalkError::request(&error, not_before));
            }
            retry += 1;
            self.instruments.retry(Operation::ListEndpoints);
            let again = Instant::now() + backoff(retry, fastrand::f64());
            let is_rate_limited = error.kind == ErrorKind::RateLimited;
            self.progress().last_error = Some(error);
            if is_rate_limited {
                // The limit concerns every request of the account, so all of them wait.
                drop(active);
                self.limiter.pause_until(again);
            } else {
                self.within_limits(sleep_until(again)).await?;
            }
        }
    }

    /// Waits for the right to send one request of a page that has been `paused` by the vendor for so long.
    async fn acquire(&self, paused: Duration) -> Result<Permit, WalkError> {
        let longest_pause = self.limits.pause.saturating_sub(paused);
        let permit = self.limiter.acquire(longest_pause).await;
        let permit = permit.map_err(|Paused(end)| WalkError {
            not_before: Some(end),
            ..WalkError::new(
                Reason::Request(ErrorKind::RateLimited),
                "the vendor asks for pauses that are longer than poll.interval",
            )
        })?;
        let Waited {
            limiter,
            in_flight,
            vendor,
        } = permit.waited;
        self.instruments
            .throttled(ThrottleCause::Limiter, limiter + in_flight);
        self.instruments.throttled(ThrottleCause::Vendor, vendor);
        self.progress().work.waited += permit.waited;
        Ok(permit)
    }

    /// One attempt; the outer error is a walk that has reached one of its limits.
    async fn request(
        &self,
        offset: u64,
        permit: Permit,
    ) -> Result<Result<Page, api::Error>, WalkError> {
        let begun = Instant::now();
        // Boxed, because many places of a walk hold this future and a process may have hundreds
        // of walks.
        let response = Box::pin(self.source.page(offset, self.page_size));
        let response = self.within_limits(response).await;
        drop(permit);
        let mut progress = self.progress();
        progress.work.requests += 1;
        progress.work.request_time += begun.elapsed();
        if let Ok(Ok(_)) = response {
            progress.work.pages += 1;
            progress.last_completed = progress.under_way();
            progress.last_error = None;
        }
        response
    }

    /// Does `work` of an active page until the walk reaches one of its limits.
    async fn within_limits<T>(&self, work: impl Future<Output = T>) -> Result<T, WalkError> {
        let mut work = pin!(work);
        loop {
            // Another page that is completed meanwhile moves the limit.
            let left = self.time_left();
            if left.is_zero() {
                return Err(self.out_of_time());
            }
            if let Ok(done) = timeout_at(Instant::now() + left, &mut work).await {
                return Ok(done);
            }
        }
    }

    fn time_left(&self) -> Duration {
        let progress = self.progress();
        let under_way = progress.under_way();
        let stalled = under_way.saturating_sub(progress.last_completed);
        let until_stalled = self.limits.stalled.saturating_sub(stalled);
        until_stalled.min(self.limits.under_way.saturating_sub(under_way))
    }

    fn out_of_time(&self) -> WalkError {
        let progress = self.progress();
        if let Some(error) = &progress.last_error {
            let detail = format!("no further page was completed after: {error}");
            return WalkError::new(Reason::Request(error.kind), detail);
        }
        let detail = if progress.under_way() >= self.limits.under_way {
            format!(
                "the walk was under way for {} s, the longer of 2 x poll.interval and poll.max_age; \
                 raise api.concurrency or poll.interval",
                self.limits.under_way.as_secs_f64()
            )
        } else {
            format!(
                "no page was completed for {} s (poll.deadline)",
                self.limits.stalled.as_secs_f64()
            )
        };
        WalkError::new(Reason::Deadline, detail)
    }
}

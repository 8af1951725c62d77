//! The retry policy of walks, details and probes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{Error, ErrorKind, rate_limit::RateLimiter};

/// The first wait before a retry, without jitter.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest pause. A longer `Retry-After` is shortened to this time, so that no account stops for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The longest wait before a retry.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

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
        // The API often refuses all requests in flight together. Their refusals count as one failure.
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
        Some(408 | 429 | 500..=599) => true,
        // No response arrived, or the body of a successful response broke off.
        None | Some(200..=299) => matches!(error.kind, ErrorKind::Timeout | ErrorKind::Network),
        Some(_) => false,
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

/// The wait before retry number `retry`, from 1. The maximum wait doubles from 0.5 s up to 30 s. `chance` (0 to
/// 1) selects a wait from half the maximum to the maximum, so that clients do not retry at the same time.
pub(super) fn backoff(retry: u32, chance: f64) -> Duration {
    let doublings = retry.saturating_sub(1).min(16);
    let full = FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF);
    full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

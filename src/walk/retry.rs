//! What follows a failed request: the one retry policy of walks, details and probes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::rate_limit::RateLimiter;
use crate::api::{Error, ErrorKind};

/// The first wait before a retry, without jitter.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait before a retry.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// What follows a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may succeed after this wait.
    After(Duration),
    /// It may succeed after the pause of the limiter, which holds for every request.
    AfterPause,
    /// It would fail again. Another request of the account may succeed after this wait.
    Never(Duration),
}

/// Decides what follows a failed request. Walks, details and probes share this one policy.
#[derive(Debug, Default)]
pub struct RetryPolicy {
    /// Failures in a row, on which the length of a wait depends.
    failures: AtomicU32,
}

impl RetryPolicy {
    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// A request succeeded: the next wait is the shortest.
    pub fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Decides what follows `error`. Pauses `limiter` where the vendor asks for a pause (`Retry-After`),
    /// and where it limits the rate (429). The caller limits the number of retries.
    pub fn decide(&self, error: &Error, limiter: &RateLimiter) -> Retry {
        let is_limited = error.kind == ErrorKind::RateLimited;
        // Requests that were in flight together are refused together: they are one failure.
        let is_known = is_limited && limiter.pause().is_some();
        if error.kind == ErrorKind::NotFound {
            // The API works; only this endpoint is gone.
            self.succeeded();
        } else if !is_known {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let wait = backoff(self.failures(), fastrand::f64());
        match error.retry_after {
            Some(asked) => limiter.apply_retry_after(asked),
            None if is_limited && !is_known => limiter.pause_until(Instant::now() + wait),
            None => {}
        }
        match error.kind {
            ErrorKind::RateLimited => Retry::AfterPause,
            ErrorKind::NotFound => Retry::Never(Duration::ZERO),
            kind if kind.is_retryable() => Retry::After(wait),
            _ => Retry::Never(wait),
        }
    }
}

/// The wait before attempt `retry` (1 is the first repetition). It doubles from half a second to thirty,
/// and `chance` (0 to 1) spreads its upper half, so that many clients do not return at once.
pub(super) fn backoff(retry: u32, chance: f64) -> Duration {
    let doublings = retry.saturating_sub(1).min(16);
    let full = FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF);
    full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

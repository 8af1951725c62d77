//! Wall time.
//!
//! Durations and waits use Tokio's clock, which tests can pause. The program reads the wall
//! time from a [`Clock`], so that a test can set the wall time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Seconds since the Unix epoch, as Prometheus expects times.
    #[allow(
        clippy::cast_precision_loss,
        clippy::allow_attributes,
        reason = "a float represents milliseconds exactly for the next 280,000 years"
    )]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The point in time as RFC 3339, in UTC, for people.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|time| time.to_string())
            .unwrap_or_default()
    }

    /// The point in time that is later by the duration `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The point in time that is earlier by the duration `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to this point; zero if `earlier` is after this point.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A source of wall time: the system clock, or a clock for tests that advances with Tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Option<(UnixMillis, Instant)>);

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that starts at `wall` and advances with Tokio's clock, which a test can pause.
    pub fn anchored(wall: UnixMillis) -> Self {
        Self(Some((wall, Instant::now())))
    }

    /// The wall time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only read of the system clock"
    )]
    pub fn now(&self) -> UnixMillis {
        if let Some((wall, at)) = self.0 {
            return wall.plus(at.elapsed());
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixMillis(0).plus(since_epoch.unwrap_or_default())
    }
}

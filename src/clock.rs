//! Wall time, from one place.
//!
//! Durations and waits use Tokio's clock, which tests pause. Points in time that are shown to
//! people and to Prometheus come from a [`Clock`], so that a test can decide what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Seconds since the epoch, as Prometheus wants them.
    #[allow(
        clippy::cast_precision_loss,
        clippy::allow_attributes,
        reason = "milliseconds stay exact in a float for the next 280,000 years"
    )]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This point moved by `by` into the future.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Tells the wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Anchored { wall: UnixMillis, at: Instant },
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `wall` now and moves with Tokio's clock, which a test may pause.
    pub fn anchored(wall: UnixMillis) -> Self {
        Self(Source::Anchored {
            wall,
            at: Instant::now(),
        })
    }

    /// The wall time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the operating system"
    )]
    pub fn now(&self) -> UnixMillis {
        match self.0 {
            Source::Anchored { wall, at } => wall.plus(at.elapsed()),
            Source::System => {
                let since_epoch = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                UnixMillis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

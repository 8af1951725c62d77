//! The rate limit of requests (`rate_limit`): a token bucket.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::document::{Error, RateLimitSection, Warnings};

/// The values of the section `rate_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimit {
    /// The time in which the bucket gains one request; not zero.
    interval: Duration,
    /// The size of the bucket, in requests. Zero refuses every request.
    burst: u32,
}

impl RateLimit {
    /// The limit of the section; `None` without a limit.
    ///
    /// # Errors
    /// `interval` is not a duration, or `burst` is not a whole number, or one of them is negative.
    pub(super) fn new(
        file: &Path,
        section: &RateLimitSection,
        warnings: &mut Warnings,
    ) -> Result<Option<Self>, Error> {
        let key = "rate_limit.interval";
        let interval = match section.interval.as_deref() {
            None => Duration::ZERO,
            Some(text) => go_duration(text).ok_or_else(|| {
                let message = "must be a duration of at least 0 with a unit, such as 1s or 500ms";
                Error::new(file, key, message)
            })?,
        };
        let burst = match section.burst.as_deref() {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                let message = format!("must be a whole number from 0 to {}", u32::MAX);
                Error::new(file, "rate_limit.burst", message)
            })?,
        };
        if interval.is_zero() {
            return Ok(None);
        }
        if section.interval.as_deref().is_some_and(has_no_unit) {
            let message = "has no unit, so it is a number of nanoseconds; write a unit such as s";
            warnings.add(file, key, message);
        }
        if burst == 0 {
            warnings.add(
                file,
                "rate_limit.burst",
                "is 0, so every request is refused",
            );
        }
        Ok(Some(Self { interval, burst }))
    }
}

fn has_no_unit(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A duration in the notation of Go's `time.ParseDuration`, such as `1m30s` or `1.5h`. As in the
/// exporter-toolkit, a whole number without a unit is a number of nanoseconds. `None` for a negative duration.
fn go_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && has_no_unit(text) {
        return text.parse().ok().map(Duration::from_nanos);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        let part = Duration::try_from_secs_f64(number * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(total)
}

/// A token bucket. It is full at first, and gains one request per interval.
#[derive(Debug)]
pub(super) struct RateLimiter {
    limit: RateLimit,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// The requests in the bucket, as the number of nanoseconds in which the bucket gains them.
    credit: u128,
    updated: Instant,
}

impl RateLimiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let bucket = Mutex::new(Bucket {
            credit: limit.interval.as_nanos() * u128::from(limit.burst),
            updated: Instant::now(),
        });
        Self { limit, bucket }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes one request from the bucket. False if the bucket holds less than one request.
    pub(super) fn allows_request(&self) -> bool {
        let cost = self.limit.interval.as_nanos();
        let full = cost * u128::from(self.limit.burst);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.saturating_duration_since(bucket.updated).as_nanos();
        bucket.credit = full.min(bucket.credit + gained);
        bucket.updated = now;
        let is_allowed = bucket.credit >= cost;
        if is_allowed {
            bucket.credit -= cost;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn read(interval: &str, burst: &str) -> Result<(Option<RateLimit>, usize), Error> {
        let section = RateLimitSection {
            interval: Some(interval.to_owned()),
            burst: Some(burst.to_owned()),
        };
        let mut warnings = Warnings::default();
        let limit = RateLimit::new(Path::new("web.yml"), &section, &mut warnings)?;
        Ok((limit, warnings.0.len()))
    }

    #[test]
    fn an_interval_has_the_notation_of_go() {
        for (text, milliseconds) in [
            ("1s", 1_000),
            ("+250ms", 250),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0.001s", 1),
            ("2000us", 2),
        ] {
            let read = go_duration(text);
            assert_eq!(read, Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(go_duration("7"), Some(Duration::from_nanos(7)));
        for text in [
            "", "s", "1", "-1s", "1 s", "1d", "1s2", "1.2.3s", ".s", "∞s",
        ] {
            let is_number = text == "1";
            assert_eq!(go_duration(text).is_some(), is_number, "{text}");
        }
    }

    #[test]
    fn without_an_interval_there_is_no_limit() {
        for interval in ["0", "0s"] {
            assert_eq!(read(interval, "0").unwrap(), (None, 0), "{interval}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key() {
        let error = read("fast", "1").unwrap_err().to_string();
        assert!(
            error.starts_with("web.yml: rate_limit.interval: must be a duration"),
            "{error}"
        );
        for burst in ["-1", "many", "1.5", ""] {
            let error = read("1s", burst).unwrap_err().to_string();
            assert!(
                error.starts_with("web.yml: rate_limit.burst: must be a whole"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_number_without_unit_and_a_burst_of_zero_are_warned_about() {
        assert_eq!(read("5", "1").unwrap().1, 1);
        assert_eq!(read("5s", "0").unwrap().1, 1);
        assert_eq!(read("5s", "1").unwrap().1, 0);
    }

    fn limiter(interval: &str, burst: &str) -> RateLimiter {
        RateLimiter::new(read(interval, burst).unwrap().0.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_one_request_per_interval() {
        let limiter = limiter("1s", "3");
        let allowed = |number| (0..number).filter(|_| limiter.allows_request()).count();
        assert_eq!(allowed(10), 3);
        advance(Duration::from_millis(999)).await;
        assert_eq!(allowed(10), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!(allowed(10), 1);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(allowed(10), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_an_interval_add_up_to_a_request() {
        let limiter = limiter("1s", "1");
        assert!(limiter.allows_request());
        for _ in 0..9 {
            advance(Duration::from_millis(100)).await;
            assert!(!limiter.allows_request());
        }
        advance(Duration::from_millis(100)).await;
        assert!(limiter.allows_request());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_zero_refuses_every_request() {
        let limiter = limiter("1ms", "0");
        assert!(!limiter.allows_request());
        advance(Duration::from_secs(60)).await;
        assert!(!limiter.allows_request());
    }
}

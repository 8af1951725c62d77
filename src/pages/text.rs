//! Times, durations and numbers as people read them.

use std::time::Duration;

use askama::{Template, filters::HtmlSafe};
use jiff::{Timestamp, tz::TimeZone};

use crate::clock::UnixMillis;

/// A point in time on a page.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<time datetime="{{ rfc3339 }}">{{ clock }}</time> <span class="distance">{{ distance }}</span>"#,
    ext = "html"
)]
pub(super) struct Time {
    /// RFC 3339, for programs.
    pub(super) rfc3339: String,
    /// The time of day in UTC. The date stands before it unless it is today.
    pub(super) clock: String,
    /// The time since then, or until then: `12 min ago` or `in 5 min`.
    pub(super) distance: String,
}

/// A template may contain a time without escapes.
impl HtmlSafe for Time {}

impl Time {
    /// The time `at` on a page of the time `now`.
    pub(super) fn new(at: UnixMillis, now: UnixMillis) -> Self {
        let zoned = |time: UnixMillis| {
            let time = Timestamp::from_millisecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH);
            time.to_zoned(TimeZone::UTC)
        };
        let (time, today) = (zoned(at), zoned(now));
        let format = if time.date() == today.date() {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        let distance = if at > now {
            format!("in {}", duration(at.since(now)))
        } else {
            format!("{} ago", duration(now.since(at)))
        };
        Self {
            rfc3339: at.to_rfc3339(),
            clock: time.strftime(format).to_string(),
            distance,
        }
    }
}

/// A duration in its two largest units: `45 s`, `12 min`, `2 h 5 min` or `3 d 4 h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A number of things, such as `1 endpoint` or `3 endpoints`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

/// Why a walk failed, in words. `reason` is the value of the label `reason`.
pub(super) fn failure(reason: &str) -> &str {
    match reason {
        "auth" => "the API refused the credentials",
        "payment_required" => "the API wants a payment",
        "forbidden" => "the API refused access",
        "not_found" => "the API has no such account",
        "rate_limited" => "the API limits the requests",
        "timeout" => "the API did not answer in time",
        "network" => "the connection failed",
        "server_error" => "the API has an internal error",
        "redirect" => "the API answered with a redirect",
        "client_error" => "the API rejected the request",
        "malformed" => "the answer of the API is no list",
        "too_large" => "the answer of the API is too large",
        "inconsistent" => "the list could not be proven complete",
        "deadline" => "the walk took too long",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::WALK_FAILURE_REASONS;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7_500, "2 h 5 min"),
            (277_200, "3 d 5 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let now = UnixMillis(1_795_851_000_000);
        let earlier = |seconds| Time::new(now.minus(Duration::from_secs(seconds)), now);
        let day = &now.to_rfc3339()[..10];
        assert!(!earlier(60).clock.contains('-'), "{day}");
        assert_eq!(earlier(60).distance, "1 min ago");
        assert!(earlier(86_400).clock.contains('-'));
        let later = Time::new(now.plus(Duration::from_secs(90)), now);
        assert_eq!(later.distance, "in 1 min");
    }

    #[test]
    fn every_reason_has_words() {
        for reason in WALK_FAILURE_REASONS.iter() {
            assert_ne!(failure(reason), *reason);
        }
    }
}

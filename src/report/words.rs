//! Times, shares and names as people read them.

use std::time::Duration;

use super::{availability::Times, spans::Period};
use crate::clock::UnixMillis;

/// A point in time in UTC, to the second.
pub(super) fn time(at: UnixMillis) -> String {
    UnixMillis(at.0.div_euclid(1000) * 1000).to_rfc3339()
}

/// Both ends of a period.
pub(super) fn period(period: Period) -> String {
    format!("{} to {}", time(period.from), time(period.until))
}

/// A duration in its two largest units, such as `45 s`, `12 min 30 s` or `3 d 4 h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (large, small) = match seconds {
        0..60 => (format!("{seconds} s"), None),
        60..3600 => (format!("{minutes} min"), Some((seconds % 60, "s"))),
        3600..86_400 => (format!("{hours} h"), Some((minutes % 60, "min"))),
        _ => (format!("{days} d"), Some((hours % 24, "h"))),
    };
    match small.filter(|(number, _)| *number > 0) {
        Some((number, unit)) => format!("{large} {number} {unit}"),
        None => large,
    }
}

/// The availability in percent. It is rounded down, so that 100 % means no time without a registration.
pub(super) fn availability(times: &Times) -> String {
    match times.availability() {
        Some(share) => format!("{:.3} %", (share * 100_000.0).floor() / 1000.0),
        None => "unknown".to_owned(),
    }
}

/// The name of a group, or a text for the endpoints without one.
pub(super) fn group(name: &str) -> &str {
    if name.is_empty() { "no group" } else { name }
}

/// What people call the endpoint: its alias, else its username, else nothing.
pub(super) fn name<'a>(alias: &'a str, username: &'a str) -> &'a str {
    if alias.is_empty() { username } else { alias }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (60, "1 min"),
            (3599, "59 min 59 s"),
            (7_500, "2 h 5 min"),
            (277_200, "3 d 5 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn only_a_time_without_losses_has_a_hundred_percent() {
        let times = |registered, unregistered| Times {
            registered: Duration::from_secs(registered),
            unregistered: Duration::from_secs(unregistered),
            unknown: Duration::from_secs(9),
        };
        assert_eq!(availability(&times(5, 0)), "100.000 %");
        assert_eq!(availability(&times(2_592_000, 1)), "99.999 %");
        assert_eq!(availability(&times(0, 5)), "0.000 %");
        assert_eq!(availability(&times(0, 0)), "unknown");
    }
}

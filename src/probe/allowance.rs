//! How much time a probe has.

use std::time::Duration;

/// Without a word from whoever asks: the usual time-out of Prometheus.
const USUAL: Duration = Duration::from_secs(10);
/// Nobody keeps a connection waiting for longer.
const LONGEST: Duration = Duration::from_secs(120);

/// What is said of a header that holds anything else.
pub(super) const REFUSAL: &str = "the header X-Prometheus-Scrape-Timeout-Seconds must hold one \
    number of seconds above zero, such as 10\n";

/// The time that a probe may take: the scrape's own time-out (`header`, in seconds) less `offset`,
/// but never less than half of it. `None` for a header that is no number above zero.
pub(super) fn allowed(header: Option<&str>, offset: Duration) -> Option<Duration> {
    let timeout = match header {
        None => USUAL,
        Some(text) => {
            let seconds: f64 = text.trim().parse().ok()?;
            if !seconds.is_finite() || seconds <= 0.0 {
                return None;
            }
            Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
        }
    };
    Some(timeout.saturating_sub(offset).max(timeout / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: Duration = Duration::from_millis(500);

    fn allowed_ms(header: &str) -> Option<u128> {
        allowed(Some(header), OFFSET).map(|time| time.as_millis())
    }

    #[test]
    fn a_probe_gives_up_before_the_scrape_does() {
        assert_eq!(allowed(None, OFFSET), Some(Duration::from_millis(9_500)));
        assert_eq!(allowed_ms("5"), Some(4_500));
        assert_eq!(allowed_ms(" 2.5 "), Some(2_000));
        assert_eq!(allowed_ms("1e1"), Some(9_500));
    }

    #[test]
    fn an_offset_leaves_at_least_half_of_the_time() {
        assert_eq!(allowed_ms("0.6"), Some(300));
        assert_eq!(
            allowed(Some("10"), Duration::from_secs(10)),
            Some(Duration::from_secs(5))
        );
    }

    #[test]
    fn nobody_waits_for_longer_than_two_minutes() {
        assert_eq!(allowed_ms("121"), Some(119_500));
        assert_eq!(allowed_ms("1e300"), Some(119_500));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for header in [
            "", " ", "0", "-1", "-0", "ten", "10s", "1,2", "nan", "inf", "1e999", "0x10",
        ] {
            assert_eq!(allowed_ms(header), None, "{header}");
        }
    }
}

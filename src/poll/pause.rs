//! What the vendor asks for when it wants to be left alone, and how much of it is honoured.

use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, backoff};

/// A longer `Retry-After` is cut to this: a vendor must not silence an account for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Pace {
    /// The vendor asks (`Retry-After`) for no request before this much time has passed: nobody
    /// starts before the end of it, which is given back. It is cut to ten minutes.
    pub fn heed(&self, wait: Duration) -> Instant {
        if wait > LONGEST_PAUSE {
            tracing::warn!(
                asked_s = wait.as_secs(),
                used_s = LONGEST_PAUSE.as_secs(),
                "the vendor asks for a longer pause than is honoured"
            );
        }
        let end = Instant::now() + wait.min(LONGEST_PAUSE);
        self.pause_until(end);
        end
    }

    /// The vendor has had too many requests `times` times in a row and does not say when to come
    /// again: nobody starts for half a second at first, and for half a minute at last. While a pause
    /// holds, its answer is to a request that left before, and says nothing new.
    pub fn back_off(&self, times: u32) {
        if self.pause().is_none() {
            self.pause_until(Instant::now() + backoff::wait(times, fastrand::f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(None, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_honoured_up_to_ten_minutes() {
        let (pace, start) = (pace(), Instant::now());
        for (asked, honoured) in [(30, 30), (86_400, 600)] {
            let end = pace.heed(Duration::from_secs(asked));
            assert_eq!(end, start + Duration::from_secs(honoured));
            assert_eq!(pace.pause(), Some(end));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_from_the_vendor_pauses_grow_and_end() {
        let start = Instant::now();
        let paused = |times| {
            let pace = pace();
            pace.back_off(times);
            pace.pause().expect("it is paused") - start
        };
        assert!(paused(1) <= Duration::from_millis(500));
        assert!(paused(4) > Duration::from_secs(1));
        assert!(paused(u32::MAX) <= Duration::from_secs(30));
    }
}

//! When the next walk starts: arithmetic over Tokio's instants, without waiting.

use std::time::Duration;

use tokio::time::Instant;

/// How a walk ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The list was read.
    Well {
        /// How long that took.
        took: Duration,
        /// The next walk starts at this moment, whenever its tick is.
        confirm_at: Option<Instant>,
    },
    /// Failed; the vendor may have asked for a pause.
    Badly {
        /// The credentials were refused.
        refused: bool,
        /// No request before this.
        not_before: Option<Instant>,
    },
}

/// The rhythm of one account's walks.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    max_age: Duration,
    /// The interval in force: stretched to a multiple when a good walk takes longer.
    effective: Duration,
    /// The tick that the current or next walk belongs to.
    tick: Instant,
    not_before: Option<Instant>,
    /// The next walk confirms the last one, at this moment.
    confirm_at: Option<Instant>,
    /// How long the last walk took.
    took: Duration,
    /// Walks in a row that ended because the credentials were refused.
    refusals: u32,
}

impl Schedule {
    /// A schedule whose first tick is `first`.
    pub fn new(interval: Duration, max_age: Duration, first: Instant) -> Self {
        Self {
            interval,
            max_age,
            effective: interval,
            tick: first,
            not_before: None,
            confirm_at: None,
            took: Duration::ZERO,
            refusals: 0,
        }
    }

    /// The smallest multiple of the interval that the last good walk fits in.
    pub fn effective_interval(&self) -> Duration {
        self.effective
    }

    /// How long a snapshot is shown: at least three effective intervals.
    pub fn effective_max_age(&self) -> Duration {
        self.max_age.max(self.effective * 3)
    }

    /// When the next walk starts. `chance` (0 to 1) spreads it over a tenth of the interval, so that
    /// many exporters do not ask in step. A tenth of the interval stays free, or a walk that nearly fills
    /// the interval would run into the next tick.
    pub fn next_start(&self, chance: f64) -> Instant {
        let tenth = self.interval / 10;
        let slack = self.effective.saturating_sub(self.took + tenth);
        let jitter = tenth.min(slack).mul_f64(chance.clamp(0.0, 1.0));
        let start = self.confirm_at.unwrap_or(self.tick + jitter);
        self.not_before
            .map_or(start, |not_before| start.max(not_before))
    }

    /// Were the credentials refused, so that a changed token should be tried at once?
    pub(super) fn is_backing_off(&self) -> bool {
        self.refusals > 0
    }

    /// A walk begins at `now`. That may be before its tick, where it confirms another walk or tries a new
    /// token, or after ticks that went by during a pause of the vendor.
    pub(super) fn begins(&mut self, now: Instant) {
        self.confirm_at = None;
        self.tick = self.tick.min(now);
        while self.tick + self.effective <= now {
            self.tick += self.effective;
        }
    }

    /// Moves on after a walk that ended at `now`; tells how many ticks went by while it ran.
    pub(super) fn ended(&mut self, now: Instant, how: Ended) -> u64 {
        let late = now.saturating_duration_since(self.tick);
        let skipped = ticks_within(late, self.effective);
        match how {
            Ended::Well { took, confirm_at } => {
                self.took = took;
                self.confirm_at = confirm_at;
                let stretch = ticks_within(took, self.interval).saturating_add(1);
                self.effective = self
                    .interval
                    .saturating_mul(u32::try_from(stretch).unwrap_or(u32::MAX));
                self.not_before = None;
                self.refusals = 0;
            }
            Ended::Badly {
                refused,
                not_before,
            } => {
                self.not_before = not_before;
                self.refusals = if refused {
                    self.refusals.saturating_add(1)
                } else {
                    0
                };
            }
        }
        self.tick += self.effective;
        while self.tick < now {
            self.tick += self.effective;
        }
        if self.refusals > 0 {
            let longest = (self.effective_max_age() / 2).max(self.effective);
            let wait = self
                .effective
                .saturating_mul(1 << self.refusals.min(16))
                .min(longest);
            self.tick = self.tick.max(now + wait);
        }
        skipped
    }
}

/// Whole steps that lie strictly inside `time`.
fn ticks_within(time: Duration, step: Duration) -> u64 {
    let nanos = time.as_nanos().saturating_sub(1) / step.as_nanos().max(1);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn schedule() -> (Schedule, Instant) {
        let start = Instant::now();
        (Schedule::new(MINUTE, 5 * MINUTE, start), start)
    }

    fn badly(refused: bool) -> Ended {
        Ended::Badly {
            refused,
            not_before: None,
        }
    }

    fn well(took: Duration) -> Ended {
        Ended::Well {
            took,
            confirm_at: None,
        }
    }

    #[test]
    fn quick_walks_start_every_interval_with_a_little_jitter() {
        let (mut schedule, start) = schedule();
        for tick in 1..=3_u32 {
            let now = schedule.next_start(0.5) + Duration::from_secs(1);
            assert_eq!(schedule.ended(now, well(Duration::from_secs(1))), 0);
            assert_eq!(
                schedule.next_start(0.0),
                start + MINUTE * tick,
                "jitter does not add up"
            );
            assert_eq!(
                schedule.next_start(1.0),
                start + MINUTE * tick + MINUTE / 10
            );
        }
    }

    #[test]
    fn a_walk_longer_than_the_interval_stretches_it_to_a_multiple() {
        let (mut schedule, start) = schedule();
        let took = Duration::from_secs(203);
        assert_eq!(
            schedule.ended(start + took, well(took)),
            3,
            "60, 120 and 180 s"
        );
        assert_eq!(schedule.effective_interval(), 4 * MINUTE);
        assert_eq!(schedule.effective_max_age(), 12 * MINUTE);
        assert_eq!(schedule.next_start(0.0), start + 4 * MINUTE);
        let end = start + 4 * MINUTE + took;
        assert_eq!(
            schedule.ended(end, well(took)),
            0,
            "the stretched schedule is honest"
        );
        let end = start + 8 * MINUTE + MINUTE;
        assert_eq!(schedule.ended(end, well(MINUTE)), 0);
        assert_eq!(
            schedule.effective_interval(),
            MINUTE,
            "a walk of exactly an interval fits"
        );
        assert_eq!(schedule.effective_max_age(), 5 * MINUTE);
    }

    #[test]
    fn refused_credentials_back_off_up_to_half_of_max_age_and_recover() {
        let (mut schedule, start) = schedule();
        let waits: Vec<_> = (0..4)
            .map(|_| {
                let now = schedule.next_start(0.0);
                schedule.ended(now, badly(true));
                (schedule.next_start(0.0) - now).as_secs()
            })
            .collect();
        assert_eq!(waits, [120, 150, 150, 150]);
        assert!(schedule.is_backing_off());
        let now = schedule.next_start(0.0);
        schedule.ended(now, well(Duration::from_secs(1)));
        assert!(!schedule.is_backing_off());
        assert_eq!(schedule.next_start(0.0) - now, MINUTE);
        assert!(start < now);

        schedule.ended(now, badly(true));
        let repaired = now + Duration::from_secs(5);
        schedule.begins(repaired);
        schedule.ended(repaired, well(Duration::ZERO));
        assert_eq!(
            schedule.next_start(0.0) - repaired,
            MINUTE,
            "a token that is repaired early brings the rhythm back at once"
        );
    }

    #[test]
    fn other_failures_keep_the_rhythm_and_a_pause_of_the_vendor_is_kept() {
        let (mut schedule, start) = schedule();
        schedule.ended(start + Duration::from_secs(1), badly(false));
        assert_eq!(schedule.next_start(0.0), start + MINUTE);
        let pause = start + 5 * MINUTE;
        schedule.ended(
            start + MINUTE,
            Ended::Badly {
                refused: false,
                not_before: Some(pause),
            },
        );
        assert_eq!(schedule.next_start(0.0), pause);
        schedule.begins(pause);
        let ended = well(Duration::from_secs(1));
        let skipped = schedule.ended(pause + Duration::from_secs(1), ended);
        assert_eq!(skipped, 0, "no walk was running meanwhile");
        assert_eq!(schedule.next_start(0.0), pause + MINUTE);
    }

    #[test]
    fn a_walk_that_nearly_fills_the_interval_skips_no_tick_whatever_the_jitter() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut schedule = Schedule::new(10 * second, 50 * second, start);
        let took = Duration::from_millis(9_500);
        let mut now = schedule.next_start(0.0) + took;
        for tick in 1..=20_u32 {
            assert_eq!(schedule.ended(now, well(took)), 0, "tick {tick}");
            let begins = schedule.next_start(1.0);
            assert!(begins < start + second * (10 * tick + 1), "tick {tick}");
            schedule.begins(begins);
            now = begins + took;
        }
    }

    #[test]
    fn a_confirming_walk_comes_early_and_once() {
        let (mut schedule, start) = schedule();
        let second = Duration::from_secs(1);
        let confirm_at = Some(start + 16 * second);
        let took = second;
        schedule.ended(start + second, Ended::Well { took, confirm_at });
        assert_eq!(schedule.next_start(1.0), start + 16 * second);
        schedule.begins(start + 16 * second);
        schedule.ended(start + 17 * second, badly(false));
        assert_eq!(schedule.next_start(0.0), start + 16 * second + MINUTE);
    }
}

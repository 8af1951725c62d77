//! Computes the start of the next walk. The functions read no clock and never wait; the caller gives the time.

use std::time::Duration;

use tokio::time::Instant;

use super::fetch::Reason;
use crate::api::ErrorKind;

/// The maximum time between the first walks of two successive accounts.
const STAGGER: Duration = Duration::from_secs(2);
/// The maximum time until the first walks of all accounts have started.
pub const FIRST_WALKS_WITHIN: Duration = Duration::from_secs(10);

/// The minimum time from the end of a walk to the start of the walk that confirms it.
const LEAST_CONFIRMATION_DELAY: Duration = Duration::from_secs(10);

/// The time from the end of a walk to the confirming walk: a quarter of `interval`, but at least 10 s.
pub(super) fn confirmation_delay(interval: Duration) -> Duration {
    LEAST_CONFIRMATION_DELAY.max(interval / 4)
}

/// The schedule of the walks of one account.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    interval: Duration,
    max_age: Duration,
    /// The smallest multiple of the interval in which the last successful walk fits.
    effective: Duration,
    /// During a walk, this is the tick of the walk. Between two walks, it is the tick of the next walk.
    tick: Instant,
    /// Whether the tick has a jitter. The first tick has none, because the first ticks of all accounts already differ.
    has_jitter: bool,
    not_before: Option<Instant>,
    /// The planned start of the walk that must confirm the last walk. [`Schedule::begins`] sets it to `None`.
    confirm_at: Option<Instant>,
    /// The duration of the last successful walk.
    took: Duration,
    /// The number of successive walks whose credentials the API refused.
    refusals: u32,
}

impl Schedule {
    /// A schedule whose first tick is `first`.
    pub(super) fn new(interval: Duration, max_age: Duration, first: Instant) -> Self {
        Self {
            interval,
            max_age,
            effective: interval,
            tick: first,
            has_jitter: false,
            not_before: None,
            confirm_at: None,
            took: Duration::ZERO,
            refusals: 0,
        }
    }

    /// Begins again with other settings, at the tick `now`. A pause that the vendor asks for stays in force.
    pub(super) fn restart(&mut self, interval: Duration, max_age: Duration, now: Instant) {
        self.interval = interval;
        self.max_age = max_age;
        self.fit(self.took);
        self.tick = now;
        self.has_jitter = false;
        self.confirm_at = None;
        self.refusals = 0;
    }

    /// Sets the effective interval after a successful walk, or one of an earlier process. The walk took `took`.
    pub(super) fn fit(&mut self, took: Duration) {
        self.took = took;
        let extra = u32::try_from(ticks_within(took, self.interval)).unwrap_or(u32::MAX);
        self.effective = self.interval.saturating_mul(extra.saturating_add(1));
    }

    /// The smallest multiple of the interval in which the last successful walk fits.
    pub(super) fn effective_interval(&self) -> Duration {
        self.effective
    }

    /// The maximum age of an exported snapshot. It is at least three effective intervals.
    pub(super) fn effective_max_age(&self) -> Duration {
        self.max_age.max(self.effective * 3)
    }

    /// The start of the next walk: `confirm_at`, or the tick plus a jitter, but not before `not_before`. Jitter
    /// separates the walks of several exporters. The jitter is a tenth of the interval times `chance`
    /// (random, 0 to 1), but smaller after a long walk, so that the next walk ends before the following tick.
    pub(super) fn next_start(&self, chance: f64) -> Instant {
        let tenth = self.interval / 10;
        let slack = self.effective.saturating_sub(self.took + tenth);
        let jitter = tenth.min(slack).mul_f64(chance.clamp(0.0, 1.0));
        let jitter = if self.has_jitter {
            jitter
        } else {
            Duration::ZERO
        };
        let start = self.confirm_at.unwrap_or(self.tick + jitter);
        start.max(self.not_before.unwrap_or(start))
    }

    /// Whether the API refused the credentials of the last walk. The poller then watches the token file.
    pub(super) fn is_backing_off(&self) -> bool {
        self.refusals > 0
    }

    /// Sets the tick of a walk that begins at `now`. A walk that confirms another walk or tries a new token may
    /// begin before its tick. After a pause that the vendor asks for, a walk may begin several ticks late.
    pub(super) fn begins(&mut self, now: Instant) {
        self.confirm_at = None;
        self.tick = self.tick.min(now);
        while self.tick + self.effective <= now {
            self.tick += self.effective;
        }
    }

    /// Advances the schedule after a walk that succeeded at `now` and took the time `took`. The next walk
    /// starts at `confirm_at` if it must confirm this walk. Returns the number of ticks during this walk.
    pub(super) fn succeeded(
        &mut self,
        now: Instant,
        took: Duration,
        confirm_at: Option<Instant>,
    ) -> u64 {
        let skipped = self.ticks_before(now);
        self.confirm_at = confirm_at;
        self.not_before = None;
        self.refusals = 0;
        self.fit(took);
        self.advance(now);
        skipped
    }

    /// Advances the schedule after a walk that failed at `now`. `not_before` is the end of a pause that the
    /// vendor asks for. Returns the number of ticks during the walk.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        reason: Reason,
        not_before: Option<Instant>,
    ) -> u64 {
        let skipped = self.ticks_before(now);
        self.not_before = not_before;
        self.advance(now);
        // The wait doubles, up to half of the maximum age: the vendor may lock an account after many refusals.
        if let Reason::Request(ErrorKind::Auth | ErrorKind::Forbidden) = reason {
            self.refusals = self.refusals.saturating_add(1);
            let longest = (self.effective_max_age() / 2).max(self.effective);
            let wait = self.effective.saturating_mul(1 << self.refusals.min(16));
            self.tick = self.tick.max(now + wait.min(longest));
        } else {
            self.refusals = 0;
        }
        skipped
    }

    fn ticks_before(&self, now: Instant) -> u64 {
        ticks_within(now.saturating_duration_since(self.tick), self.effective)
    }

    /// Advances to the next tick that is not in the past.
    fn advance(&mut self, now: Instant) {
        self.has_jitter = true;
        self.tick += self.effective;
        while self.tick < now {
            self.tick += self.effective;
        }
    }
}

/// The number of multiples of `step` that are above zero and below `time`.
fn ticks_within(time: Duration, step: Duration) -> u64 {
    let nanos = time.as_nanos().saturating_sub(1) / step.as_nanos().max(1);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// The time between the first walks of two successive accounts, so that all `accounts` start within `total`.
pub fn stagger(accounts: usize, total: Duration) -> Duration {
    let accounts = u32::try_from(accounts.max(1)).unwrap_or(u32::MAX);
    STAGGER.min(total / accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const REFUSED: Reason = Reason::Request(ErrorKind::Auth);

    fn schedule() -> (Schedule, Instant) {
        let start = Instant::now();
        (Schedule::new(MINUTE, 5 * MINUTE, start), start)
    }

    #[test]
    fn quick_walks_start_every_interval_with_a_little_jitter() {
        let (mut schedule, start) = schedule();
        for tick in 1..=3_u32 {
            let now = schedule.next_start(0.5) + Duration::from_secs(1);
            assert_eq!(schedule.succeeded(now, Duration::from_secs(1), None), 0);
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
            schedule.succeeded(start + took, took, None),
            3,
            "60, 120 and 180 s"
        );
        assert_eq!(schedule.effective_interval(), 4 * MINUTE);
        assert_eq!(schedule.effective_max_age(), 12 * MINUTE);
        assert_eq!(schedule.next_start(0.0), start + 4 * MINUTE);
        let end = start + 4 * MINUTE + took;
        assert_eq!(
            schedule.succeeded(end, took, None),
            0,
            "the stretched schedule is honest"
        );
        let end = start + 8 * MINUTE + MINUTE;
        assert_eq!(schedule.succeeded(end, MINUTE, None), 0);
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
                schedule.failed(now, REFUSED, None);
                (schedule.next_start(0.0) - now).as_secs()
            })
            .collect();
        assert_eq!(waits, [120, 150, 150, 150]);
        assert!(schedule.is_backing_off());
        let now = schedule.next_start(0.0);
        schedule.succeeded(now, Duration::from_secs(1), None);
        assert!(!schedule.is_backing_off());
        assert_eq!(schedule.next_start(0.0) - now, MINUTE);
        assert!(start < now);

        schedule.failed(now, REFUSED, None);
        let repaired = now + Duration::from_secs(5);
        schedule.begins(repaired);
        schedule.succeeded(repaired, Duration::ZERO, None);
        assert_eq!(
            schedule.next_start(0.0) - repaired,
            MINUTE,
            "a token that is repaired early brings the rhythm back at once"
        );
    }

    #[test]
    fn other_failures_keep_the_rhythm_and_a_pause_of_the_vendor_is_kept() {
        let (mut schedule, start) = schedule();
        schedule.failed(start + Duration::from_secs(1), Reason::Deadline, None);
        assert_eq!(schedule.next_start(0.0), start + MINUTE);
        let pause = start + 5 * MINUTE;
        schedule.failed(start + MINUTE, Reason::Deadline, Some(pause));
        assert_eq!(schedule.next_start(0.0), pause);
        schedule.begins(pause);
        let second = Duration::from_secs(1);
        let skipped = schedule.succeeded(pause + second, second, None);
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
            assert_eq!(schedule.succeeded(now, took, None), 0, "tick {tick}");
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
        schedule.succeeded(start + second, second, confirm_at);
        assert_eq!(schedule.next_start(1.0), start + 16 * second);
        schedule.begins(start + 16 * second);
        schedule.failed(start + 17 * second, Reason::Deadline, None);
        assert_eq!(schedule.next_start(0.0), start + 16 * second + MINUTE);
    }

    #[test]
    fn first_walks_are_two_seconds_apart_but_all_within_ten() {
        assert_eq!(stagger(1, FIRST_WALKS_WITHIN), STAGGER);
        assert_eq!(stagger(4, FIRST_WALKS_WITHIN), STAGGER);
        assert!(stagger(300, FIRST_WALKS_WITHIN) * 300 <= FIRST_WALKS_WITHIN);
        assert_eq!(stagger(300, Duration::ZERO), Duration::ZERO);
    }
}

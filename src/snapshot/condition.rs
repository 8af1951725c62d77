//! Computes the condition of an account from its published state and the time.

use tokio::time::Instant;

use super::state::AccountState;
use crate::telemetry::Condition;

/// The number of successive refused walks from which the account is refused.
const REFUSALS: u32 = 2;

impl AccountState {
    /// The condition of the account at `now`. It can change while no walk ends.
    pub fn condition(&self, now: Instant) -> Condition {
        // The failure of the last walk is also known after a restart.
        let has_failed = self.failure.is_some();
        let has_walked = self.up.is_some() || has_failed;
        let has_succeeded = self.last_success.is_some();
        if self.refusals >= REFUSALS {
            Condition::Refused
        } else if has_walked && !has_succeeded {
            Condition::Never
        } else if self.is_withdrawn(now) {
            Condition::Withdrawn
        } else if self.stale_at.is_some_and(|at| now >= at) {
            Condition::Stale
        } else if has_failed {
            Condition::Failing
        } else if !has_succeeded {
            Condition::Starting
        } else {
            Condition::Ok
        }
    }

    /// The next time after `now` at which the account becomes stale or its snapshot is withdrawn, unless a new
    /// state is published. The condition of this state changes at no other time.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let times = [self.stale_at, self.withdraw_at].into_iter().flatten();
        times.filter(|at| now < *at).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock::UnixMillis, snapshot::LastSuccess};

    const INTERVAL: Duration = Duration::from_secs(60);

    /// The state of an account whose first walk has not finished.
    fn starting() -> AccountState {
        AccountState {
            poll_interval: INTERVAL,
            max_age: INTERVAL * 5,
            ..AccountState::default()
        }
    }

    /// The state after a walk that was published at `now`.
    fn published(now: Instant) -> AccountState {
        AccountState {
            up: Some(true),
            last_success: Some(LastSuccess::new(UnixMillis(0), Duration::ZERO)),
            stale_at: Some(now + INTERVAL * 3),
            withdraw_at: Some(now + INTERVAL * 5),
            ..starting()
        }
    }

    fn failed(before: &AccountState, refusals: u32) -> AccountState {
        AccountState {
            up: Some(false),
            failure: Some("auth"),
            refusals,
            ..before.clone()
        }
    }

    /// The condition at `now`, and every later change of the condition with its time after `now`.
    fn by_the_clock(state: &AccountState, now: Instant) -> Vec<(u64, Condition)> {
        let mut conditions = vec![(0, state.condition(now))];
        let mut at = now;
        while let Some(next) = state.next_change(at) {
            let just_before = next.checked_sub(Duration::from_nanos(1)).unwrap();
            assert_eq!(state.condition(just_before), conditions.last().unwrap().1);
            conditions.push(((next - now).as_secs(), state.condition(next)));
            at = next;
        }
        conditions
    }

    #[test]
    fn an_account_is_starting_until_its_first_walk_has_finished() {
        let now = Instant::now();
        assert_eq!(
            by_the_clock(&starting(), now),
            [(0, Condition::Starting)],
            "the clock alone changes nothing"
        );
    }

    #[test]
    fn an_account_without_a_success_is_never_and_after_two_refusals_refused() {
        let now = Instant::now();
        for (refusals, condition) in [
            (0, Condition::Never),
            (1, Condition::Never),
            (2, Condition::Refused),
            (u32::MAX, Condition::Refused),
        ] {
            let state = failed(&starting(), refusals);
            assert_eq!(by_the_clock(&state, now), [(0, condition)], "{refusals}");
        }
    }

    #[test]
    fn without_walks_a_published_account_becomes_stale_and_then_withdrawn() {
        let now = Instant::now();
        let later = [(180, Condition::Stale), (300, Condition::Withdrawn)];
        for (state, first) in [
            (published(now), Condition::Ok),
            (failed(&published(now), 0), Condition::Failing),
            (failed(&published(now), 1), Condition::Failing),
        ] {
            let expected = [&[(0, first)][..], &later].concat();
            assert_eq!(by_the_clock(&state, now), expected);
        }
    }

    #[test]
    fn a_snapshot_that_is_withdrawn_before_it_is_stale_stays_withdrawn() {
        let now = Instant::now();
        let early = AccountState {
            withdraw_at: Some(now + INTERVAL * 2),
            ..published(now)
        };
        let expected = [
            (0, Condition::Ok),
            (120, Condition::Withdrawn),
            (180, Condition::Withdrawn),
        ];
        assert_eq!(by_the_clock(&early, now), expected);
    }

    #[test]
    fn a_refused_account_stays_refused_when_its_snapshot_is_withdrawn() {
        let now = Instant::now();
        let refused = failed(&published(now), 2);
        let times = [0, 180, 300].map(|at| (at, Condition::Refused));
        assert_eq!(by_the_clock(&refused, now), times);
    }

    #[test]
    fn after_a_restart_the_last_success_decides_until_a_walk_has_finished() {
        let now = Instant::now();
        let restored = AccountState {
            up: None,
            ..published(now)
        };
        let conditions = by_the_clock(&restored, now).into_iter();
        let conditions: Vec<_> = conditions.map(|(_, condition)| condition).collect();
        assert_eq!(
            conditions,
            [Condition::Ok, Condition::Stale, Condition::Withdrawn]
        );
    }
}

//! Tests of the budget of detail requests, with a paused clock.

use proptest::prelude::*;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep_until};

use crate::walk::details::{RequestBudget, gap_beside};

const MINUTE: Duration = Duration::from_secs(60);

/// Starts each request as soon as the budget allows it, until `length` has passed. If `busy` gives a time,
/// waits until this time before the next attempt. Returns the start times of the requests.
async fn spend_for(
    length: Duration,
    per_minute: f64,
    busy: impl Fn(Duration) -> Option<Duration>,
) -> Vec<Duration> {
    let start = Instant::now();
    let mut budget = RequestBudget::new(per_minute);
    let mut left = Vec::new();
    while start.elapsed() < length {
        sleep_until(budget.next()).await;
        if let Some(until) = busy(start.elapsed()) {
            sleep_until(start + until).await;
            continue;
        }
        budget.spend();
        left.push(start.elapsed());
        // Simulates a rate limiter, which requires 50 ms between two requests.
        advance(Duration::from_millis(50)).await;
    }
    left
}

#[tokio::test(start_paused = true)]
async fn requests_leave_evenly() {
    let left = spend_for(Duration::from_millis(18_500), 60.0, |_| None).await;
    assert_eq!(left.len(), 20);
    for (number, at) in (0..).zip(left) {
        assert_eq!(at.as_secs(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_catch_up_after_a_walk_without_exceeding_the_rate_per_minute() {
    // A walk takes the first two seconds of every ten seconds.
    let busy = |at: Duration| {
        (at.as_secs() % 10 < 2).then(|| Duration::from_secs(at.as_secs() / 10 * 10 + 2))
    };
    let left = spend_for(Duration::from_millis(179_900), 600.0, busy).await;
    assert!((1760..=1800).contains(&left.len()), "{}", left.len());
    for (index, at) in left.iter().enumerate() {
        let within = left[index..]
            .iter()
            .take_while(|later| **later < *at + MINUTE);
        assert!(within.count() <= 600);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_budget_makes_up_for_ten_seconds_at_twice_the_rate() {
    let mut budget = RequestBudget::new(60.0);
    advance(Duration::from_secs(3_600)).await;
    let start = Instant::now();
    let mut left = Vec::new();
    for _ in 0..30 {
        sleep_until(budget.next()).await;
        budget.spend();
        left.push(start.elapsed().as_millis() / 500);
    }
    let hurried = (0..20).chain((20..40).step_by(2));
    assert!(left.into_iter().eq(hurried));
}

#[test]
fn walks_leave_what_can_be_made_up_for_and_what_the_limiter_allows() {
    let seconds = Duration::from_secs;
    let gap = |rate: f64| seconds(1).div_f64(rate);
    for (granted, limiter, walk, rate) in [
        (1.0, None, 2, 1.0),
        (1.0, None, 10, 1.0),
        (1.0, None, 40, 0.5),
        (1.0, None, 600, 0.01),
        (4.6, Some(5.0), 12, 4.0),
        (1.0, Some(5.0), 12, 1.0 - 2.0 / 60.0),
    ] {
        let limiter = limiter.map_or(Duration::ZERO, gap);
        let found = gap_beside(gap(granted), limiter, seconds(walk), seconds(60));
        let difference = found.as_secs_f64() - 1.0 / rate;
        assert!(difference.abs() < 1e-6, "{granted} {walk}: {found:?}");
    }
}

proptest! {
    #[test]
    fn no_budget_makes_the_arithmetic_panic(per_minute in 0.1..=6000.0_f64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut budget = RequestBudget::new(per_minute);
            for _ in 0..20 {
                budget.spend();
            }
            assert!(budget.next() > Instant::now());
        });
    }
}

//! Tests of the rate limiter with a paused clock, and of the retry policy.

use futures_util::{FutureExt, future::join_all};
use proptest::prelude::*;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::account;
use crate::api::{Error, ErrorKind, retry_and_rate_limit::*};

/// The maximum pause that a request accepts. It is longer than any pause in these tests.
const HOUR: Duration = Duration::from_secs(3_600);

fn limiter(rate: Option<f64>) -> RateLimiter {
    RateLimiter::new(rate, 32)
}

#[tokio::test(start_paused = true)]
async fn requests_leave_evenly_spaced_however_many_ask_at_once() {
    let limiter = limiter(Some(5.0));
    let start = Instant::now();
    let left = join_all((0..6).map(|_| async {
        limiter.acquire(HOUR).await.unwrap();
        start.elapsed()
    }))
    .await;
    let expected: Vec<_> = (0..6)
        .map(|number| Duration::from_millis(200 * number))
        .collect();
    for (left, expected) in left.iter().zip(&expected) {
        // Tokio's timers have a resolution of one millisecond and never end early.
        assert!(
            left >= expected && *left <= *expected + Duration::from_millis(10),
            "{left:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_delays_no_other_request() {
    let limiter = limiter(Some(1.0));
    let start = Instant::now();
    limiter.acquire(HOUR).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(500), limiter.acquire(HOUR)).await;
    limiter.acquire(HOUR).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_vendor_holds_for_every_request_and_is_counted_apart() {
    let limiter = limiter(None);
    limiter.pause_until(Instant::now() + Duration::from_secs(30));
    let permit = limiter.acquire(HOUR).await.unwrap();
    assert_eq!((permit.paused.as_secs(), permit.waited.as_secs()), (30, 0));
    let permit = limiter.acquire(HOUR).await.unwrap();
    assert_eq!(permit.paused, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_caller_accepts_is_not_waited_for() {
    let limiter = limiter(None);
    let start = Instant::now();
    let end = start + Duration::from_secs(30);
    limiter.pause_until(end);
    let refused = limiter.acquire(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(refused, Paused(end));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_cap_is_counted_like_a_wait_for_the_limiter() {
    let limiter = RateLimiter::new(Some(1.0), 1);
    let first = limiter.acquire(HOUR).await.unwrap();
    assert!(limiter.is_full());
    let second = async {
        let permit = limiter.acquire(HOUR).await.unwrap();
        permit.waited.as_secs()
    };
    let end = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(first);
    };
    assert_eq!(tokio::join!(second, end).0, 5);
}

#[tokio::test(start_paused = true)]
async fn accounts_with_one_auth_id_share_a_limiter() {
    let mut limiters = RateLimiters::new(2);
    let [first, second, other] = ["MA_1", "MA_1", "MA_2"].map(|auth_id| {
        let mut account = account("http://127.0.0.1/api/v1");
        account.auth_id = auth_id.to_owned();
        account.api.requests_per_second = (auth_id == "MA_1").then_some(2.0);
        limiters.limiter(&account)
    });
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.gap(), Duration::from_millis(500));
    assert_eq!(other.gap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn details_get_no_permit_while_a_walk_is_under_way() {
    let limiter = limiter(Some(10.0));
    let start = Instant::now();
    let walk = async {
        let _walking = limiter.begin_walk();
        for _ in 0..5 {
            limiter.acquire(HOUR).await.unwrap();
            // The vendor responds slowly, so the walk does not use every permit.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        start.elapsed()
    };
    let detail = async {
        limiter.acquire_when_idle().await;
        start.elapsed()
    };
    let (walked, retrieved) = tokio::join!(walk, detail);
    assert_eq!(walked.as_secs(), 5);
    assert!(retrieved >= walked, "{retrieved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_begins_goes_before_waiting_details() {
    let limiter = limiter(Some(1.0));
    limiter.acquire(HOUR).await.unwrap();
    let start = Instant::now();
    let detail = async {
        limiter.acquire_when_idle().await;
        start.elapsed()
    };
    let walk = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let _walking = limiter.begin_walk();
        limiter.acquire(HOUR).await.unwrap();
        start.elapsed()
    };
    let (retrieved, walked) = tokio::join!(detail, walk);
    assert_eq!((walked.as_secs(), retrieved.as_secs()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_vendor_holds_for_details_too() {
    let limiter = limiter(None);
    limiter.pause_until(Instant::now() + Duration::from_secs(30));
    let start = Instant::now();
    limiter.acquire_when_idle().await;
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn details_never_use_up_the_cap() {
    let limiter = RateLimiter::new(None, 8);
    let retained = [
        limiter.acquire_when_idle().await,
        limiter.acquire_when_idle().await,
    ];
    assert!(limiter.acquire_when_idle().now_or_never().is_none());
    limiter.acquire(HOUR).await.unwrap();
    drop(retained);
    limiter.acquire_when_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_limiter_occupies_no_permit_that_a_quick_one_needs() {
    let in_flight = InFlight::new(32);
    let slow: Vec<_> = (0..100)
        .map(|_| RateLimiter::sharing(Some(0.2), in_flight.clone()))
        .collect();
    let quick = RateLimiter::sharing(Some(5.0), in_flight.clone());
    let mut permits = 0;
    let end = Instant::now() + Duration::from_secs(60);
    let retrieve = async |limiter: &RateLimiter| {
        let permit = limiter.acquire_when_idle().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(permit);
    };
    let others = join_all(slow.iter().map(async |limiter| {
        while Instant::now() < end {
            retrieve(limiter).await;
        }
    }));
    let one = async {
        while Instant::now() < end {
            retrieve(&quick).await;
            permits += 1;
        }
    };
    tokio::join!(others, one);
    assert!(permits > 200, "{permits} of 300");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_honoured_up_to_ten_minutes() {
    let (limiter, start) = (limiter(None), Instant::now());
    for (asked, honoured) in [(30, 30), (86_400, 600)] {
        let refused = Error {
            retry_after: Some(Duration::from_secs(asked)),
            ..Error::new(ErrorKind::RateLimited, None, "refused")
        };
        RetryPolicy::default().decide(&refused, &limiter);
        assert_eq!(limiter.pause(), Some(start + Duration::from_secs(honoured)));
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_without_retry_after_grow_up_to_half_a_minute() {
    let (policy, limiter) = (RetryPolicy::default(), limiter(None));
    let refused = Error::new(ErrorKind::RateLimited, None, "refused");
    let mut pauses = Vec::new();
    for _ in 0..20 {
        assert_eq!(policy.decide(&refused, &limiter), Retry::AfterPause);
        let pause = limiter.pause().expect("it is paused");
        // A refusal of a request that was sent before the pause does not extend the pause.
        policy.decide(&refused, &limiter);
        assert_eq!(limiter.pause(), Some(pause));
        pauses.push(pause - Instant::now());
        limiter.acquire(HOUR).await.unwrap();
    }
    assert!(pauses[0] <= Duration::from_millis(500));
    assert!(pauses[3] > Duration::from_secs(1));
    assert!(pauses[19] > Duration::from_secs(14) && pauses[19] <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn one_policy_decides_what_follows_each_kind_of_error() {
    let limiter = limiter(None);
    for (kind, status, waits) in [
        (ErrorKind::Timeout, None, true),
        (ErrorKind::Timeout, Some(408), true),
        (ErrorKind::Network, Some(200), true),
        (ErrorKind::ServerError, Some(500), true),
        (ErrorKind::Auth, Some(401), false),
        (ErrorKind::Malformed, Some(200), false),
        (ErrorKind::NotFound, Some(404), false),
    ] {
        let policy = RetryPolicy::default();
        let retry = policy.decide(&Error::new(kind, status, "refused"), &limiter);
        assert_eq!(matches!(retry, Retry::After(_)), waits, "{kind:?}");
        assert_eq!(matches!(retry, Retry::Never(_)), !waits, "{kind:?}");
        let failures = u32::from(kind != ErrorKind::NotFound);
        assert_eq!(policy.failures(), failures, "{kind:?}");
    }
}

proptest! {
    #[test]
    fn a_wait_is_never_shorter_than_half_its_step_nor_longer_than_the_cap(
        retry in 0_u32..=u32::MAX,
        chance in 0.0..=1.0_f64,
    ) {
        let wait = backoff(retry, chance);
        prop_assert!(wait >= FIRST_BACKOFF / 2);
        prop_assert!(wait <= LONGEST_BACKOFF);
    }

    #[test]
    fn waits_do_not_shrink_with_further_retries(retry in 1_u32..100, chance in 0.0..=1.0_f64) {
        prop_assert!(backoff(retry + 1, chance) >= backoff(retry, chance));
    }
}

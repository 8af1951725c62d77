//! Time at the limiter.

use futures_util::{FutureExt, future::join_all};

use super::*;

/// Longer than any pause here.
const HOUR: Duration = Duration::from_secs(3_600);

fn pace(rate: Option<f64>) -> Pace {
    Pace::new(rate, 32)
}

#[tokio::test(start_paused = true)]
async fn requests_leave_evenly_spaced_however_many_ask_at_once() {
    let pace = pace(Some(5.0));
    let start = Instant::now();
    let left = join_all((0..6).map(|_| async {
        pace.turn(HOUR).await.unwrap();
        start.elapsed()
    }))
    .await;
    let expected: Vec<_> = (0..6)
        .map(|turn| Duration::from_millis(200 * turn))
        .collect();
    for (left, expected) in left.iter().zip(&expected) {
        // Tokio's timers have steps of a millisecond and are never early.
        assert!(
            left >= expected && *left <= *expected + Duration::from_millis(10),
            "{left:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_given_up_costs_nobody_a_turn() {
    let pace = pace(Some(1.0));
    let start = Instant::now();
    pace.turn(HOUR).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(500), pace.turn(HOUR)).await;
    pace.turn(HOUR).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_vendor_holds_for_everybody_and_is_told_apart() {
    let pace = pace(None);
    pace.pause_until(Instant::now() + Duration::from_secs(30));
    let turn = pace.turn(HOUR).await.unwrap();
    let Waited {
        vendor, limiter, ..
    } = turn.waited;
    assert_eq!((vendor.as_secs(), limiter.as_secs()), (30, 0));
    let turn = pace.turn(HOUR).await.unwrap();
    assert_eq!(turn.waited.vendor, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_caller_accepts_is_not_waited_for() {
    let pace = pace(None);
    let start = Instant::now();
    let end = start + Duration::from_secs(30);
    pace.pause_until(end);
    let refused = pace.turn(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(refused, Paused(end));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_cap_is_told_apart_from_a_wait_for_the_limiter() {
    let pace = Pace::new(Some(1.0), 1);
    let first = pace.turn(HOUR).await.unwrap();
    assert!(pace.is_full());
    let second = async {
        let turn = pace.turn(HOUR).await.unwrap();
        (
            turn.waited.limiter.as_secs(),
            turn.waited.in_flight.as_secs(),
        )
    };
    let end = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(first);
    };
    assert_eq!(tokio::join!(second, end).0, (1, 4));
}

#[tokio::test(start_paused = true)]
async fn accounts_with_one_auth_id_share_the_slowest_pace() {
    let url = Url::parse("http://127.0.0.1/api/v1").unwrap();
    let mut paces = Paces::new(2);
    paces.announce(&url, "MA_1", Some(5.0));
    paces.announce(&url, "MA_1", Some(2.0));
    paces.announce(&url, "MA_2", None);
    assert!(Arc::ptr_eq(
        &paces.pace(&url, "MA_1"),
        &paces.pace(&url, "MA_1")
    ));
    assert_eq!(
        paces.pace(&url, "MA_1").time_for(10),
        Duration::from_secs(5)
    );
    assert_eq!(paces.pace(&url, "MA_2").time_for(10), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_can_wait_takes_no_turn_while_a_walk_is_under_way() {
    let pace = pace(Some(10.0));
    let start = Instant::now();
    let walk = async {
        let _walking = pace.walking();
        for _ in 0..5 {
            pace.turn(HOUR).await.unwrap();
            // The vendor takes its time: turns go unused meanwhile.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        start.elapsed()
    };
    let detail = async {
        pace.spare_turn().await;
        start.elapsed()
    };
    let (walked, retrieved) = tokio::join!(walk, detail);
    assert_eq!(walked.as_secs(), 5);
    assert!(retrieved >= walked, "{retrieved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_begins_goes_before_what_waits_already() {
    let pace = pace(Some(1.0));
    pace.turn(HOUR).await.unwrap();
    let start = Instant::now();
    let detail = async {
        pace.spare_turn().await;
        start.elapsed()
    };
    let walk = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let _walking = pace.walking();
        pace.turn(HOUR).await.unwrap();
        start.elapsed()
    };
    let (retrieved, walked) = tokio::join!(detail, walk);
    assert_eq!((walked.as_secs(), retrieved.as_secs()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_vendor_holds_for_what_can_wait_too() {
    let pace = pace(None);
    pace.pause_until(Instant::now() + Duration::from_secs(30));
    let start = Instant::now();
    pace.spare_turn().await;
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn what_can_wait_never_fills_the_process() {
    let pace = Pace::new(None, 8);
    let retained = [pace.spare_turn().await, pace.spare_turn().await];
    assert!(pace.spare_turn().now_or_never().is_none());
    pace.turn(HOUR).await.unwrap();
    drop(retained);
    pace.spare_turn().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_slow_limiter_keeps_no_place_from_a_quick_one() {
    let slots = Slots::new(32);
    let slow: Vec<_> = (0..100)
        .map(|_| Pace::sharing(Some(0.2), slots.clone()))
        .collect();
    let quick = Pace::sharing(Some(5.0), slots.clone());
    let mut turns = 0;
    let end = Instant::now() + Duration::from_secs(60);
    let retrieve = async |pace: &Pace| {
        let turn = pace.spare_turn().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(turn);
    };
    let others = join_all(slow.iter().map(async |pace| {
        while Instant::now() < end {
            retrieve(pace).await;
        }
    }));
    let one = async {
        while Instant::now() < end {
            retrieve(&quick).await;
            turns += 1;
        }
    };
    tokio::join!(others, one);
    assert!(turns > 200, "{turns} of 300");
}

//! When the vendor is asked, and what those who wait are told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{Fake, error, failed, house, settings};
use crate::{
    api::ErrorKind,
    exposition::{Encoding, Format},
    probe::{Asked, Prober},
    telemetry::Instruments,
    walk::RateLimiter,
};

#[tokio::test(start_paused = true)]
async fn two_hundred_equal_probes_are_one_request_and_leave_nothing_behind() {
    let house = house(&["default"], None, &[]);
    house.takes(2);
    let probes = (0..200).map(|_| house.samples("42"));
    let (begun, answers) = (Instant::now(), join_all(probes).await);
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert!(answers.iter().all(|answer| failed(answer).is_none()));
    assert_eq!((house.asked(), house.prober.flights()), (1, 0));
    // News of the past are not news: who asks later is a request of its own.
    house.samples("42").await;
    assert_eq!((house.asked(), house.prober.flights()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_is_given_up_and_one_that_somebody_does_goes_on() {
    let house = house(&["default"], None, &[]);
    house.takes(5);
    let leaving = || timeout(Duration::from_secs(2), house.samples("42"));
    let (left, stayed) = tokio::join!(leaving(), house.samples("42"));
    assert!(left.is_err());
    assert_eq!((failed(&stayed), house.asked()), (None, 1));

    assert!(leaving().await.is_err());
    assert_eq!((house.asked(), house.prober.flights()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_the_share_is_told_so_in_time() {
    let house = house(&["default"], Some(100.0), &[]);
    let ids: Vec<_> = (0..15).map(|id| id.to_string()).collect();
    let begun = Instant::now();
    let answers = join_all(ids.iter().map(|id| house.samples(id))).await;
    assert!(begun.elapsed() < Duration::from_millis(9_600));
    let answered = answers.iter().filter(|answer| failed(answer).is_none());
    // One a second, from the first moment on, within the nine and a half that there are.
    assert_eq!((answered.count(), house.asked()), (10, 10));
    let throttled = answers
        .iter()
        .filter(|answer| failed(answer) == Some("throttled"));
    assert_eq!((throttled.count(), house.prober.flights()), (5, 0));
    assert!(!answers[14].contains("http_status_code"), "{}", answers[14]);
}

#[tokio::test(start_paused = true)]
async fn accounts_with_one_auth_id_have_one_share_and_ask_each_for_themselves() {
    let house = house(&["default", "other"], None, &[]);
    let begun = Instant::now();
    let (one, other) = tokio::join!(house.samples("42"), house.samples_of("other", "42"));
    assert_eq!((begun.elapsed().as_secs(), house.asked()), (1, 2));
    assert!(one.contains("info{account=\"default\""), "{one}");
    assert!(other.contains("info{account=\"other\""), "{other}");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_does_not_answer_is_a_timeout_and_holds_few_places() {
    let house = house(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "5")],
    );
    house.takes(3_600);
    let ids: Vec<_> = (0..20).map(|id| id.to_string()).collect();
    let answers = join_all(ids.iter().map(|id| house.samples(id))).await;
    let count = |reason| {
        answers
            .iter()
            .filter(|answer| failed(answer) == Some(reason))
            .count()
    };
    assert_eq!((count("timeout"), count("throttled")), (8, 12));
    assert_eq!((house.asked(), house.prober.flights()), (8, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_vendor_asks_for_holds_for_walks_too_and_no_probe_waits_in_vain() {
    let house = house(&["default"], None, &[]);
    house.fails(error(ErrorKind::RateLimited, 429, Some(3_600)));
    let refused = house.samples("42").await;
    assert_eq!(failed(&refused), Some("rate_limited"));
    assert!(
        refused.contains("\nvobiz_probe_http_status_code 429\n"),
        "{refused}"
    );
    let pause = house.limiter.pause().expect("walks are paused, too");
    assert_eq!(
        (pause - Instant::now()).as_secs(),
        600,
        "it is cut to ten minutes"
    );

    let begun = Instant::now();
    let later = house.samples("42").await;
    assert_eq!(
        (failed(&later), begun.elapsed()),
        (Some("rate_limited"), Duration::ZERO)
    );
    assert!(!later.contains("http_status_code"), "{later}");
    assert_eq!(house.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_is_waited_for_and_grows_while_the_vendor_refuses() {
    let house = house(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "100")],
    );
    house.fails(error(ErrorKind::RateLimited, 429, None));
    let mut pauses = Vec::new();
    for _ in 0..5 {
        assert_eq!(failed(&house.samples("42").await), Some("rate_limited"));
        pauses.push(house.limiter.pause().expect("a pause") - Instant::now());
    }
    assert!(pauses[0] <= Duration::from_millis(500), "{pauses:?}");
    assert!(pauses[4] >= Duration::from_secs(4), "{pauses:?}");
    assert_eq!(house.asked(), 5);
    *house.fake.error.lock().unwrap() = None;
    assert_eq!(failed(&house.samples("42").await), None);
    house.fails(error(ErrorKind::RateLimited, 429, None));
    house.samples("42").await;
    let pause = house.limiter.pause().expect("a pause") - Instant::now();
    assert!(
        pause <= Duration::from_millis(500),
        "a success is forgiveness: {pause:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_comes_while_a_probe_waits_is_what_it_is_told() {
    let house = house(&["default"], None, &[]);
    house
        .limiter
        .pause_until(Instant::now() + Duration::from_secs(5));
    let waiting = house.samples("42");
    let longer = async {
        sleep(Duration::from_secs(1)).await;
        house
            .limiter
            .pause_until(Instant::now() + Duration::from_secs(60));
    };
    let (answer, ()) = tokio::join!(waiting, longer);
    assert_eq!((failed(&answer), house.asked()), (Some("rate_limited"), 0));
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_walks_have_used_up_throttles_a_probe() {
    let house = house(&["default"], Some(0.01), &[]);
    house.limiter.acquire(Duration::ZERO).await.unwrap();
    let words = house.words("42").await;
    assert!(
        words.contains("not sent: still waiting for the rate limiter"),
        "{words}"
    );
    assert!(words.contains("failure, throttled: "), "{words}");
    assert!(
        words.contains("waited for api.requests_per_second     9.5"),
        "{words}"
    );
    assert_eq!((house.asked(), house.prober.flights()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_this_program_costs_one_request_and_no_one_who_waits_for_it() {
    let house = house(&["default"], None, &[]);
    house.takes(1);
    house.fake.panics.store(true, Ordering::Relaxed);
    for answer in join_all((0..3).map(|_| house.samples("42"))).await {
        assert_eq!(failed(&answer), Some("malformed"));
    }
    assert_eq!((house.asked(), house.prober.flights()), (1, 0));
    house.fake.panics.store(false, Ordering::Relaxed);
    assert_eq!(failed(&house.samples("42").await), None);
}

#[tokio::test(start_paused = true)]
async fn far_more_probes_than_their_share_still_get_all_of_it() {
    let house = house(&["default"], Some(100.0), &[]);
    *house.fake.takes.lock().unwrap() = Duration::from_millis(800);
    let ids: Vec<_> = (0..360).map(|id| id.to_string()).collect();
    let third = Duration::from_secs(1) / 3;
    let answers = join_all((0..).zip(&ids).map(async |(number, id)| {
        sleep(third * number).await;
        house.samples(id).await
    }))
    .await;
    let answered = answers.iter().filter(|answer| failed(answer).is_none());
    // One a second for two minutes; a few leave while it is not known how long they take.
    let (answered, asked) = (answered.count(), house.asked());
    assert!(
        answered > 110 && asked - answered < 5,
        "{answered} of {asked}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_with_a_slow_limiter_takes_no_room_from_another() {
    let mut config = settings(&[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "100")]);
    let mut prober = Prober::new(&config);
    let (fake, instruments) = (Arc::<Fake>::default(), Instruments::new());
    for (name, rate) in [("slow", Some(0.1)), ("quick", None)] {
        let account = &mut config.accounts[0];
        name.clone_into(&mut account.name);
        account.auth_id = format!("MA_{name}");
        let limiter = Arc::new(RateLimiter::new(rate, 32));
        prober.add(
            account,
            Arc::clone(&fake),
            limiter,
            instruments.account(name),
        );
    }
    let ask = |account: &str, id: u64| Asked {
        query: format!("account={account}&endpoint_id={id}"),
        timeout: None,
        format: Format::Text,
        encoding: Encoding::Identity,
    };
    let flood = join_all((0..40).map(async |id| {
        sleep(Duration::from_millis(300) * id).await;
        prober.answer(&ask("slow", id.into())).await
    }));
    let quick = async {
        sleep(Duration::from_secs(7)).await;
        let begun = Instant::now();
        prober.answer(&ask("quick", 1)).await;
        begun.elapsed()
    };
    let (_, took) = tokio::join!(flood, quick);
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_idle_connection_costs_a_probe_one_more_request_and_not_its_success() {
    let house = house(&["default"], None, &[]);
    house.fake.stale.store(1, Ordering::Relaxed);
    assert_eq!(failed(&house.samples("42").await), None);
    assert_eq!(house.asked(), 2);
    house.fake.stale.store(2, Ordering::Relaxed);
    assert_eq!(failed(&house.samples("42").await), Some("network"));
    assert_eq!(house.asked(), 4, "but only one more");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_waits_for_the_cap_on_requests_names_the_cap() {
    let house = house(&["default"], None, &[]);
    let mut turns = Vec::new();
    for _ in 0..32 {
        turns.push(house.limiter.acquire(Duration::ZERO).await.unwrap());
    }
    let words = house.words("42").await;
    assert!(words.contains("failure, throttled: "), "{words}");
    assert!(words.contains("api.max_concurrent_requests"), "{words}");
    drop(turns);
    assert_eq!(failed(&house.samples("42").await), None);
}

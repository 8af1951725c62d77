//! The requests of probes: when the prober sends them, and which result each waiting probe gets.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{FakeApi, error, failed, fixture, settings};
use crate::{
    api::{ErrorKind, RateLimiter},
    exposition::{Encoding, Format},
    probe::{ProbeRequest, Prober},
    telemetry::Instruments,
};

#[tokio::test(start_paused = true)]
async fn two_hundred_equal_probes_are_one_request_and_leave_nothing_behind() {
    let fixture = fixture(&["default"], None, &[]);
    fixture.takes(2);
    let probes = (0..200).map(|_| fixture.samples("42"));
    let (begun, answers) = (Instant::now(), join_all(probes).await);
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert!(answers.iter().all(|answer| failed(answer).is_none()));
    assert_eq!((fixture.requests(), fixture.in_flight()), (1, 0));
    // A probe that begins after the end of this request sends a new request.
    fixture.samples("42").await;
    assert_eq!((fixture.requests(), fixture.in_flight()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_with_the_last_probe_that_waits_for_it() {
    let fixture = fixture(&["default"], None, &[]);
    fixture.takes(5);
    let leaving = || timeout(Duration::from_secs(2), fixture.samples("42"));
    let (left, stayed) = tokio::join!(leaving(), fixture.samples("42"));
    assert!(left.is_err());
    assert_eq!((failed(&stayed), fixture.requests()), (None, 1));

    assert!(leaving().await.is_err());
    assert_eq!((fixture.requests(), fixture.in_flight()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn probes_above_the_share_are_throttled_before_their_deadline() {
    let fixture = fixture(&["default"], Some(100.0), &[]);
    let ids: Vec<_> = (0..15).map(|id| id.to_string()).collect();
    let begun = Instant::now();
    let answers = join_all(ids.iter().map(|id| fixture.samples(id))).await;
    assert!(begun.elapsed() < Duration::from_millis(9_600));
    let answered = answers.iter().filter(|answer| failed(answer).is_none());
    // By default, a probe takes at most 9.5 s, and the prober sends one request per second, first at 0 s.
    assert_eq!((answered.count(), fixture.requests()), (10, 10));
    let throttled = answers
        .iter()
        .filter(|answer| failed(answer) == Some("throttled"));
    assert_eq!((throttled.count(), fixture.in_flight()), (5, 0));
    assert!(!answers[14].contains("http_status_code"), "{}", answers[14]);
}

#[tokio::test(start_paused = true)]
async fn accounts_with_one_auth_id_have_one_share_and_separate_requests() {
    let fixture = fixture(&["default", "other"], None, &[]);
    let begun = Instant::now();
    let (one, other) = tokio::join!(fixture.samples("42"), fixture.samples_of("other", "42"));
    assert_eq!((begun.elapsed().as_secs(), fixture.requests()), (1, 2));
    assert!(one.contains("info{account=\"default\""), "{one}");
    assert!(other.contains("info{account=\"other\""), "{other}");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_is_a_timeout_and_holds_few_requests() {
    let fixture = fixture(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "5")],
    );
    fixture.takes(3_600);
    let ids: Vec<_> = (0..20).map(|id| id.to_string()).collect();
    let answers = join_all(ids.iter().map(|id| fixture.samples(id))).await;
    let count = |reason| {
        answers
            .iter()
            .filter(|answer| failed(answer) == Some(reason))
            .count()
    };
    assert_eq!((count("timeout"), count("throttled")), (8, 12));
    assert_eq!((fixture.requests(), fixture.in_flight()), (8, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_api_holds_for_walks_and_fails_probes_that_it_outlasts() {
    let fixture = fixture(&["default"], None, &[]);
    fixture.fails(error(ErrorKind::RateLimited, 429, Some(3_600)));
    let refused = fixture.samples("42").await;
    assert_eq!(failed(&refused), Some("rate_limited"));
    assert!(
        refused.contains("\nvobiz_probe_http_status_code 429\n"),
        "{refused}"
    );
    let pause = fixture.limiter.pause().expect("walks are paused, too");
    assert_eq!(
        (pause - Instant::now()).as_secs(),
        600,
        "it is cut to ten minutes"
    );

    let begun = Instant::now();
    let later = fixture.samples("42").await;
    assert_eq!(
        (failed(&later), begun.elapsed()),
        (Some("rate_limited"), Duration::ZERO)
    );
    assert!(!later.contains("http_status_code"), "{later}");
    assert_eq!(fixture.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_without_retry_after_grows_with_each_refusal() {
    let fixture = fixture(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "100")],
    );
    fixture.fails(error(ErrorKind::RateLimited, 429, None));
    let mut pauses = Vec::new();
    for _ in 0..5 {
        assert_eq!(failed(&fixture.samples("42").await), Some("rate_limited"));
        pauses.push(fixture.limiter.pause().expect("a pause") - Instant::now());
    }
    assert!(pauses[0] <= Duration::from_millis(500), "{pauses:?}");
    assert!(pauses[4] >= Duration::from_secs(4), "{pauses:?}");
    assert_eq!(fixture.requests(), 5);
    *fixture.fake.error.lock().unwrap() = None;
    assert_eq!(failed(&fixture.samples("42").await), None);
    fixture.fails(error(ErrorKind::RateLimited, 429, None));
    fixture.samples("42").await;
    let pause = fixture.limiter.pause().expect("a pause") - Instant::now();
    assert!(
        pause <= Duration::from_millis(500),
        "a success resets the back-off: {pause:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_while_a_probe_waits_is_its_reason() {
    let fixture = fixture(&["default"], None, &[]);
    fixture
        .limiter
        .pause_until(Instant::now() + Duration::from_secs(5));
    let waiting = fixture.samples("42");
    let longer = async {
        sleep(Duration::from_secs(1)).await;
        fixture
            .limiter
            .pause_until(Instant::now() + Duration::from_secs(60));
    };
    let (answer, ()) = tokio::join!(waiting, longer);
    assert_eq!(
        (failed(&answer), fixture.requests()),
        (Some("rate_limited"), 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limiter_exhausted_by_walks_throttles_a_probe() {
    let fixture = fixture(&["default"], Some(0.01), &[]);
    fixture.limiter.acquire(Duration::ZERO).await.unwrap();
    let text = fixture.debug_text("42").await;
    let failure = "failure, throttled: more than api.requests_per_second allows";
    assert!(text.contains(failure), "{text}");
    assert!(text.contains("  waited               9.5"), "{text}");
    assert_eq!((fixture.requests(), fixture.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_one_request_and_every_probe_that_waits_for_it() {
    let fixture = fixture(&["default"], None, &[]);
    fixture.takes(1);
    fixture.fake.panics.store(true, Ordering::Relaxed);
    for answer in join_all((0..3).map(|_| fixture.samples("42"))).await {
        assert_eq!(failed(&answer), Some("malformed"));
    }
    assert_eq!((fixture.requests(), fixture.in_flight()), (1, 0));
    fixture.fake.panics.store(false, Ordering::Relaxed);
    assert_eq!(failed(&fixture.samples("42").await), None);
}

#[tokio::test(start_paused = true)]
async fn far_more_probes_than_their_share_still_get_all_of_it() {
    let fixture = fixture(&["default"], Some(100.0), &[]);
    *fixture.fake.takes.lock().unwrap() = Duration::from_millis(800);
    let ids: Vec<_> = (0..360).map(|id| id.to_string()).collect();
    let third = Duration::from_secs(1) / 3;
    let answers = join_all((0..).zip(&ids).map(async |(number, id)| {
        sleep(third * number).await;
        fixture.samples(id).await
    }))
    .await;
    let answered = answers.iter().filter(|answer| failed(answer).is_none());
    // By default, probes send one request per second, and the test lasts two minutes. At first, the prober
    // does not know how long a request takes, so it sends a few requests too late for their probes.
    let (answered, asked) = (answered.count(), fixture.requests());
    assert!(
        answered > 110 && asked - answered < 5,
        "{answered} of {asked}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_with_a_slow_limiter_takes_no_permits_from_another() {
    let mut config = settings(&[("VOBIZ_EXPORTER__PROBE__REQUESTS_PER_SECOND", "100")]);
    let mut prober = Prober::new(&config);
    let (fake, instruments) = (Arc::<FakeApi>::default(), Instruments::new());
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
    let ask = |account: &str, id: u64| ProbeRequest {
        query: format!("account={account}&endpoint_id={id}"),
        timeout: None,
        format: Format::Text,
        encoding: Encoding::Identity,
    };
    let flood = join_all((0..40).map(async |id| {
        sleep(Duration::from_millis(300) * id).await;
        prober.probe(&ask("slow", id.into())).await
    }));
    let quick = async {
        sleep(Duration::from_secs(7)).await;
        let begun = Instant::now();
        prober.probe(&ask("quick", 1)).await.unwrap();
        begun.elapsed()
    };
    let (_, took) = tokio::join!(flood, quick);
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_of_a_probe_is_not_repeated() {
    let fixture = fixture(&["default"], None, &[]);
    fixture.fake.failing.store(1, Ordering::Relaxed);
    assert_eq!(failed(&fixture.samples("42").await), Some("network"));
    assert_eq!(fixture.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_waits_for_the_cap_on_requests_names_the_cap() {
    let fixture = fixture(&["default"], None, &[]);
    let mut permits = Vec::new();
    for _ in 0..32 {
        permits.push(fixture.limiter.acquire(Duration::ZERO).await.unwrap());
    }
    let text = fixture.debug_text("42").await;
    assert!(text.contains("failure, throttled: "), "{text}");
    assert!(text.contains("api.max_concurrent_requests"), "{text}");
    drop(permits);
    assert_eq!(failed(&fixture.samples("42").await), None);
}

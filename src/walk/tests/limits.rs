//! Tests of the time limits of a walk: which waiting times count toward them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::list::{Fixture, List, account, fault};
use crate::{
    api::{Error, ErrorKind, RateLimiter, RateLimiters},
    config::Account,
    shutdown,
    telemetry::logs::{Captured, Format, Level},
    walk::Poller,
};

const SECOND: Duration = Duration::from_secs(1);

fn account_of(interval: Duration, deadline: Duration) -> Account {
    let mut account = account();
    account.poll.interval = interval;
    account.poll.deadline = deadline;
    account.poll.max_age = 5 * interval;
    account.api.concurrency = 4;
    account
}

/// Runs the pollers of `fixtures` for `time`. Returns the number of accounts whose state is `up` at the end.
async fn up_after(fixtures: Vec<Fixture>, time: Duration) -> usize {
    let shutdown = shutdown::CancellationToken::new();
    let readers: Vec<_> = fixtures
        .iter()
        .map(|fixture| fixture.reader.clone())
        .collect();
    let run = |fixture: Fixture| Box::pin(fixture.poller.run(shutdown.clone()));
    let all = join_all(fixtures.into_iter().map(run));
    let observe = async {
        sleep(time).await;
        shutdown.cancel();
        let states = readers.iter().map(|reader| reader.borrow().clone());
        states.filter(|state| state.up == Some(true)).count()
    };
    tokio::join!(observe, all).0
}

#[tokio::test(start_paused = true)]
async fn accounts_that_share_a_limiter_do_not_starve_each_other() {
    let limiter = Arc::new(RateLimiter::new(Some(1.0), 32));
    let list = List::of(1);
    let fixture = |_| {
        let account = account_of(30 * SECOND, 10 * SECOND);
        Fixture::sharing(&list, account, Arc::clone(&limiter))
    };
    let fixtures = (0..60).map(fixture).collect();
    let start = Instant::now();
    assert_eq!(up_after(fixtures, 600 * SECOND).await, 60);
    for minute in 0..10 {
        let from = start + minute * 60 * SECOND;
        let state = list.state();
        let requests = state.requests.iter();
        let read = requests.filter(|(_, at)| (from..from + 60 * SECOND).contains(at));
        assert!(read.count() > 55, "no permit is lost in minute {minute}");
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_that_share_the_cap_on_requests_do_not_starve_each_other() {
    let mut limiters = RateLimiters::new(32);
    let list = List::of(150);
    list.state().latency = Box::new(|| SECOND);
    let fixture = |number| {
        let mut account = account_of(30 * SECOND, 10 * SECOND);
        account.auth_id = format!("MA_{number}");
        let limiter = limiters.limiter(&account);
        Fixture::sharing(&list, account, limiter)
    };
    let fixtures = (0..300).map(fixture).collect();
    assert_eq!(up_after(fixtures, 90 * SECOND).await, 300);
}

#[tokio::test(start_paused = true)]
async fn a_single_walk_of_many_accounts_waits_for_the_limiter_however_long_it_takes() {
    let limiter = Arc::new(RateLimiter::new(Some(2.0), 32));
    let list = List::of(1);
    let fixture = |_| {
        let account = account_of(60 * SECOND, 10 * SECOND);
        Fixture::sharing(&list, account, Arc::clone(&limiter))
    };
    let mut fixtures: Vec<_> = (0..40).map(fixture).collect();
    let pollers = fixtures.iter_mut().map(|fixture| &mut fixture.poller);
    let walks = join_all(pollers.map(Poller::walk)).await;
    assert!(walks.iter().all(Result::is_ok), "{walks:?}");
    assert_eq!(list.take_offsets().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_large_list_on_a_slow_vendor_is_published_and_stretches_the_interval() {
    let list = List::of(6_000);
    list.state().latency = Box::new(|| Duration::from_millis(800));
    let mut account = account_of(20 * SECOND, 10 * SECOND);
    account.api.requests_per_second = Some(5.0);
    account.api.concurrency = 2;
    let mut fixture = Fixture::new(&list, account);
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!(state.snapshot.as_ref().unwrap().len(), 6_000);
    assert_eq!(
        state.poll_interval,
        40 * SECOND,
        "the interval is stretched"
    );
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_makes_progress_for_ever_ends_after_max_age() {
    let list = List::of(100_000);
    list.state().latency = Box::new(|| 4 * SECOND);
    let mut fixture = Fixture::new(&list, account_of(60 * SECOND, 10 * SECOND));
    let start = Instant::now();
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "deadline");
    assert_eq!(start.elapsed().as_secs(), 300);
    assert!(
        failure.detail.contains("api.concurrency"),
        "{}",
        failure.detail
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_fits_is_waited_for_and_a_longer_one_ends_the_walk() {
    let limited = |wait| Error {
        retry_after: Some(Duration::from_secs(wait)),
        ..fault(ErrorKind::RateLimited)
    };
    let list = List::of(45);
    list.state().faults = [Some(limited(30))].into();
    let mut fixture = Fixture::new(&list, account());
    let start = Instant::now();
    fixture.poller.walk().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(
        fixture.count("vobiz_api_throttle_seconds_total", "vendor"),
        30
    );

    list.state().faults = [Some(limited(86_400))].into();
    let start = Instant::now();
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(
        start.elapsed().as_secs(),
        0,
        "it is longer than the interval"
    );
    assert_eq!(failure.reason.label(), "rate_limited");
    let pause = failure.not_before.unwrap() - Instant::now();
    assert_eq!(pause.as_secs(), 600, "and is cut to ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_longer_than_the_deadline_does_not_count_against_the_walk() {
    let list = List::of(45);
    let limited = Error {
        retry_after: Some(300 * SECOND),
        ..fault(ErrorKind::RateLimited)
    };
    list.state().faults = [Some(limited)].into();
    let mut fixture = Fixture::new(&list, account_of(600 * SECOND, 50 * SECOND));
    let start = Instant::now();
    fixture.poller.walk().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 300);
    let state = fixture.reader.borrow().clone();
    assert_eq!(state.snapshot.as_ref().unwrap().len(), 45);
}

#[tokio::test(start_paused = true)]
async fn a_walk_without_progress_says_deadline_unless_a_fault_explains_it() {
    let list = List::of(45);
    list.state().latency = Box::new(|| Duration::from_secs(3_600));
    let mut fixture = Fixture::new(&list, account());
    let start = Instant::now();
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "deadline");
    assert_eq!(start.elapsed().as_secs(), 50);

    let mut latencies = [20, 60_000].into_iter().cycle();
    list.state().latency = Box::new(move || Duration::from_millis(latencies.next().unwrap()));
    list.state().faults = [Some(fault(ErrorKind::ServerError))].into();
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "server_error");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_a_long_interval_ends_the_walk_although_it_is_cut_to_ten_minutes() {
    let list = List::of(45);
    let limited = Error {
        retry_after: Some(86_400 * SECOND),
        ..fault(ErrorKind::RateLimited)
    };
    list.state().faults = (0..9).map(|_| Some(limited.clone())).collect();
    let mut fixture = Fixture::new(&list, account_of(600 * SECOND, 50 * SECOND));
    let start = Instant::now();
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "rate_limited");
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn pauses_without_end_do_not_leave_accounts_up_without_data() {
    let limiter = Arc::new(RateLimiter::new(None, 32));
    let list = List::of(45);
    let fixture = |_| {
        Fixture::sharing(
            &list,
            account_of(60 * SECOND, 50 * SECOND),
            Arc::clone(&limiter),
        )
    };
    let fixtures: Vec<_> = (0..10).map(fixture).collect();
    let limited = Error {
        retry_after: Some(50 * SECOND),
        ..fault(ErrorKind::RateLimited)
    };
    let faults = (0..10).map(|_| None);
    let faults = faults.chain((0..10_000).map(|_| Some(limited.clone())));
    list.state().faults = faults.collect();
    assert_eq!(up_after(fixtures, 1_800 * SECOND).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_another_account_has_caused_is_called_rate_limited() {
    let limiter = Arc::new(RateLimiter::new(None, 32));
    let list = List::of(45);
    list.state().faults = [Some(fault(ErrorKind::Timeout))].into();
    let account = account_of(60 * SECOND, 50 * SECOND);
    let mut fixture = Fixture::sharing(&list, account, Arc::clone(&limiter));
    let other = async {
        sleep(SECOND / 10).await;
        limiter.pause_until(Instant::now() + 300 * SECOND);
    };
    let (walk, ()) = tokio::join!(fixture.poller.walk(), other);
    assert_eq!(walk.unwrap_err().reason.label(), "rate_limited");
}

#[tokio::test(start_paused = true)]
async fn a_walk_longer_than_the_interval_is_logged_once_until_walks_take_longer_still() {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::WARN, Format::Logfmt));
    // `tracing` caches whether a message is enabled. If there is only one dispatcher, a thread that does not
    // use it can cache "disabled" for all threads.
    let _second = log.dispatch(Level::WARN, Format::Logfmt);
    let list = List::of(1);
    let mut fixture = Fixture::new(&list, account_of(10 * SECOND, 60 * SECOND));
    for (seconds, warnings) in [(9, 0), (25, 1), (25, 1), (35, 2)] {
        list.state().page_latency = Some(seconds * SECOND);
        fixture.poller.walk().await.unwrap();
        assert_eq!(log.text().lines().count(), warnings, "{}", log.text());
    }
    let advice = "set poll.interval to at least 28s";
    assert!(log.text().contains(advice), "{}", log.text());
}

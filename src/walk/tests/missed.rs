//! Tests of records that cannot be retrieved, and of their effect on other endpoints.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::{
    list::{Fixture, List, START, fault},
    observe::{SECOND, failing, list, observe, wanting},
};
use crate::{
    api::{Endpoint, Error, ErrorKind, RateLimiter},
    clock::Clock,
    shutdown,
};

/// Runs a poller until `scenario` ends.
async fn run_poller(fixture: Fixture, scenario: impl Future<Output = ()>) {
    let shutdown = shutdown::CancellationToken::new();
    let run = fixture.poller.run(shutdown.clone());
    let scenario = async {
        scenario.await;
        shutdown.cancel();
    };
    tokio::join!(scenario, run);
}

/// Sets the responses to retrieve requests. The first `odd` endpoints get the error `fault`. If `fault` is
/// `None`, they get records with `sip_registered` false. Other records are registered and expire in an hour.
fn odd_before(list: &List, odd: usize, fault: Option<Error>) {
    let clock = Clock::anchored(START);
    list.state().record = Some(Box::new(move |row| {
        let row = row.cloned().unwrap();
        let is_odd = row.id < format!("{odd:06}");
        match &fault {
            Some(fault) if is_odd => Err(fault.clone()),
            _ => Ok(Endpoint {
                registered: Some(!is_odd),
                expires_at: Some(clock.now().plus(3_600 * SECOND)),
                ..row
            }),
        }
    }));
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_never_give_a_record_do_not_use_up_the_budget() {
    for (odd, error) in [
        (15, Some(fault(ErrorKind::Forbidden))),
        (80, Some(fault(ErrorKind::ServerError))),
        (200, Some(fault(ErrorKind::NotFound))),
        (300, None),
    ] {
        let list = list(odd + 100, 0..1_000);
        odd_before(&list, usize::try_from(odd).unwrap(), error.clone());
        observe(&list, wanting(60.0), |run| async move {
            // At first, the poller retrieves the endpoints in the order of their ids. After two requests
            // without a usable record, an endpoint comes last.
            run.at(45 * 60).await;
            assert_eq!(run.state().details.len(), 100, "{odd} {error:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_newly_registered_endpoint_keeps_its_rank_through_one_fault() {
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::ServerError,
        ErrorKind::Forbidden,
    ] {
        let list = list(2_000, 0..1_500);
        let clock = Clock::anchored(START);
        let mut has_failed = false;
        list.state().record = Some(Box::new(move |row| {
            let row = row.cloned().unwrap();
            if row.id == "001999" && !std::mem::replace(&mut has_failed, true) {
                return Err(fault(kind));
            }
            let expires_at = Some(clock.now().plus(3_600 * SECOND));
            Ok(Endpoint { expires_at, ..row })
        }));
        observe(&list, wanting(60.0), |run| async move {
            run.at(30).await;
            run.list.set_registered(1_999..2_000, true);
            run.at(30 + 3 * 60).await;
            assert!(run.has_detail("001999"), "{kind:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_end_while_walks_back_off_and_release_the_cap() {
    let list = list(500, 0..500);
    let limiter = Arc::new(RateLimiter::new(None, 4));
    let fixture = Fixture::sharing(&list, wanting(60.0), Arc::clone(&limiter));
    run_poller(fixture, async {
        sleep(57 * SECOND).await;
        list.state().latency = Box::new(|| 15 * SECOND);
        sleep(2 * SECOND).await;
        assert!(
            timeout(SECOND / 10, limiter.acquire_when_idle())
                .await
                .is_err()
        );
        // The API refuses the token of the next walk, so the walk after it starts minutes later.
        list.state().latency = Box::new(|| SECOND / 50);
        list.state().wanted_token = Some("second".to_owned());
        sleep(30 * SECOND).await;
        assert!(
            timeout(SECOND / 10, limiter.acquire_when_idle())
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_walk_begins_later_because_of_details_however_slow_the_limiter_is() {
    // Both cases have a limiter that is slower than the budget. The second case also has a pause
    // that ends just before a walk.
    for paused in [false, true] {
        let list = list(100, 0..100);
        let mut account = wanting(60.0);
        account.poll.interval = 600 * SECOND;
        account.poll.deadline = 500 * SECOND;
        let limiter = Arc::new(RateLimiter::new(Some(0.1), 32));
        let fixture = Fixture::sharing(&list, account, Arc::clone(&limiter));
        let start = Instant::now();
        run_poller(fixture, async {
            if paused {
                sleep(500 * SECOND).await;
                limiter.pause_until(start + 599 * SECOND);
            }
            sleep((start + 2_600 * SECOND).saturating_duration_since(Instant::now())).await;
        })
        .await;
        let state = list.state();
        assert!(state.retrieved.len() > 90);
        for (_, walk) in &state.requests {
            let before = state.retrieved.iter().map(|(_, at)| *at);
            let last = before.filter(|at| at < walk).max();
            // Permits are 10 s apart. A walk that starts exactly 10 s after a detail request had to wait.
            assert!(
                last.is_none_or(|last| *walk > last + 10 * SECOND),
                "{:?}",
                *walk - start
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_refused_together_are_one_failure() {
    let list = list(50, 0..50);
    let limiter = Arc::new(RateLimiter::new(None, 32));
    list.state().record = Some(failing(fault(ErrorKind::RateLimited)));
    list.state().latency = Box::new(|| 3 * SECOND);
    let fixture = Fixture::sharing(&list, wanting(600.0), Arc::clone(&limiter));
    run_poller(fixture, async {
        // The walk takes three seconds, and then the first eight retrieve requests take three seconds.
        sleep(SECOND * 6 + SECOND / 20).await;
        let first = limiter.pause().expect("a pause");
        assert!(first - Instant::now() <= SECOND / 2);
        sleep(SECOND * 2).await;
        assert_eq!(
            list.state().retrieved.len(),
            9,
            "eight at once, and one after the pause"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_that_are_fresh_are_not_pending_because_one_is_forbidden() {
    let list = list(200, 0..200);
    odd_before(&list, 0, None);
    observe(&list, wanting(600.0), |run| async move {
        run.at(15).await;
        let clock = Clock::anchored(START);
        run.list.state().record = Some(Box::new(move |row| {
            let row = row.cloned().unwrap();
            if row.id == "000199" {
                return Err(fault(ErrorKind::Forbidden));
            }
            let expires_at = Some(clock.now().plus(3_600 * SECOND));
            Ok(Endpoint { expires_at, ..row })
        }));
        run.at(30).await;
        let state = run.state();
        assert_eq!((state.details.len(), state.details_pending), (199, 1));
    })
    .await;
}

//! Tests of the retrieval of records between walks: which endpoints, when, and the use of the responses.

use tokio::time::Instant;

use super::{
    list::{START, count, fault},
    observe::{SECOND, failing, lasting, list, observe, wanting},
};
use crate::{
    api::{Endpoint, ErrorKind},
    clock::Clock,
    config::DetailMode,
    snapshot::AccountState,
    telemetry::logs::{Captured, Format, Level},
};

#[tokio::test(start_paused = true)]
async fn every_registered_endpoint_has_its_expiry_within_the_time_that_the_budget_allows() {
    let list = list(2_000, 0..1_500);
    let mut account = wanting(600.0);
    account.api.requests_per_second = Some(20.0);
    observe(&list, account, |run| async move {
        // 1,500 requests at 600 per minute take 150 s. Before them, the walk reads 21 pages at 20 pages per
        // second in 1 s. The last publication follows within 5 s.
        run.at(1 + 150 + 5).await;
        let state = run.state();
        let snapshot = state.snapshot.as_ref().unwrap();
        let known = snapshot.endpoints_with(&state.details);
        assert_eq!(known.filter(|one| one.expires_at.is_some()).count(), 1_500);
        assert_eq!(state.details_pending, 0);
        let list = run.list.state();
        let mut times: Vec<_> = list.retrieved.iter().map(|(_, at)| *at).collect();
        assert_eq!(times.len(), 1_500, "no endpoint is retrieved twice");
        for (index, at) in times.iter().enumerate() {
            let minute = times[index..]
                .iter()
                .take_while(|later| later.duration_since(*at) < 60 * SECOND);
            assert!(minute.count() <= 600, "the budget holds");
        }
        times.extend(list.requests.iter().map(|(_, at)| *at));
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] >= SECOND / 20, "the limiter holds");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_newly_registered_endpoint_goes_before_hundreds_that_wait() {
    let list = list(2_000, 0..1_500);
    observe(&list, wanting(60.0), |run| async move {
        run.at(30).await;
        run.list.set_registered(1_999..2_000, true);
        assert!(!run.has_detail("001999"));
        run.at(30 + 2 * 60).await;
        assert!(run.has_detail("001999"));
        assert!(run.state().details_pending > 1_300, "hundreds still wait");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn details_do_not_change_the_times_of_walk_requests() {
    let mut walks = Vec::new();
    for mode in [DetailMode::Never, DetailMode::Auto] {
        fastrand::seed(7);
        let list = list(2_000, 0..1_500);
        let mut account = wanting(600.0);
        account.details.mode = mode;
        account.api.requests_per_second = Some(10.0);
        observe(&list, account, |run| async move {
            run.at(300).await;
        })
        .await;
        let state = list.state();
        assert_eq!(state.retrieved.is_empty(), mode == DetailMode::Never);
        // The jitter of the ticks is random, so the test compares times relative to the start of
        // each walk.
        let mut begun = None;
        let times = state.requests.iter().map(|(offset, at)| {
            if *offset == 0 {
                begun = Some(*at);
            }
            (*offset, (*at - begun.unwrap()).as_millis() / 10)
        });
        walks.push(times.collect::<Vec<_>>());
    }
    assert_eq!(walks[0], walks[1]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_contradicts_the_list_is_dropped_and_retrieved_first_after_the_next_walk() {
    let list = list(300, 0..300);
    let clock = Clock::anchored(START);
    list.state().record = Some(Box::new(move |row| {
        let row = row.cloned().unwrap();
        let is_late = clock.now() >= START.plus(30 * SECOND);
        Ok(Endpoint {
            registered: Some(row.id != "000003" || is_late),
            expires_at: Some(clock.now().plus(3_600 * SECOND)),
            ..row
        })
    }));
    observe(&list, wanting(60.0), |run| async move {
        run.at(50).await;
        assert!(run.retrieved().contains(&"000003".to_owned()));
        assert!(!run.has_detail("000003"));
        let registered = |state: &AccountState| {
            let snapshot = state.snapshot.clone().unwrap();
            snapshot.endpoint("000003").unwrap().registered
        };
        assert_eq!(
            registered(&run.state()),
            Some(true),
            "the list alone decides"
        );
        let disagreed = count(&run.instruments, "vobiz_detail_disagreements_total", "main");
        assert_eq!(disagreed, 1);
        run.at(70).await;
        {
            let state = run.list.state();
            let walk = state.requests.last().unwrap().1;
            let mut asked = state.retrieved.iter().filter(|(_, at)| *at > walk);
            assert_eq!(asked.next().unwrap().0, "000003");
        }
        run.at(80).await;
        assert!(run.has_detail("000003"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_that_always_contradict_the_list_do_not_use_up_the_budget() {
    let list = list(100, 0..100);
    list.state().record = Some(Box::new(|row| {
        let row = row.cloned().unwrap();
        let registered = Some(row.id.as_str() >= "000060");
        Ok(Endpoint { registered, ..row })
    }));
    observe(&list, wanting(60.0), |run| async move {
        run.at(300).await;
        for number in 60..100 {
            assert!(run.has_detail(&format!("{number:06}")), "{number}");
        }
        assert_eq!(run.state().details_pending, 60);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_detail_is_dropped_when_its_endpoint_is_lost_changed_or_removed() {
    let list = list(100, 0..100);
    observe(&list, wanting(6_000.0), |run| async move {
        run.at(30).await;
        assert_eq!(run.state().details.len(), 100);
        run.list.set_registered(1..2, false);
        {
            let mut state = run.list.state();
            state.rows[2].alias = Some("Another user".to_owned());
            state.rows.remove(3);
            state.record = Some(failing(fault(ErrorKind::ServerError)));
        }
        run.at(80).await;
        let details = &run.state().details;
        assert_eq!(details.len(), 97);
        for id in ["000001", "000002", "000003"] {
            assert!(details.get(id).is_none(), "{id}");
        }
        let pending = run.state().details_pending;
        assert_eq!(pending, 1, "the changed one is wanted again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_is_retrieved_again_after_max_age_whatever_expiry_it_gave() {
    let list = list(20, 0..20);
    let clock = Clock::anchored(START);
    list.state().record = Some(Box::new(move |row| {
        let row = row.cloned().unwrap();
        let number: u64 = row.id.parse().unwrap();
        // In half of the records, the registration expires after two minutes. The other records have no
        // `expires_at`.
        let expires_at = (number >= 10).then(|| clock.now().plus(120 * SECOND));
        Ok(Endpoint { expires_at, ..row })
    }));
    observe(&list, wanting(600.0), |run| async move {
        run.at(100).await;
        assert_eq!(run.retrieved().len(), 20);
        run.at(590).await;
        assert_eq!(run.retrieved(), Vec::<String>::new());
        run.at(660).await;
        assert_eq!(run.retrieved().len(), 20);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_keep_up_reaches_every_endpoint() {
    let list = list(1_500, 0..1_500);
    list.state().record = Some(lasting(90 * SECOND));
    observe(&list, wanting(60.0), |run| async move {
        // The retrieval of all 1,500 endpoints takes 1,500 s. After that time, every endpoint
        // always has a detail.
        run.at(60 + 1_500).await;
        assert_eq!(run.state().details.len(), 1_500);
        run.at(60 + 4_500).await;
        assert_eq!(run.state().details.len(), 1_500);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_keep_up_is_logged_once_with_the_settings() {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::WARN, Format::Logfmt));
    // `tracing` caches whether a message is enabled. If there is only one dispatcher, a thread that does not
    // use it can cache "disabled" for all threads.
    let _second = log.dispatch(Level::WARN, Format::Logfmt);
    for (endpoints, warnings) in [(590, 0), (1_500, 1)] {
        observe(
            &list(endpoints, 0..2_000),
            wanting(60.0),
            |run| async move { run.at(200).await },
        )
        .await;
        assert_eq!(log.text().lines().count(), warnings, "{}", log.text());
    }
    let warning = "1500 endpoints want details, but the requests beside walks retrieve each only every 25 minutes; raise \
         details.requests_per_minute and api.requests_per_second, or set details.max_age to 30m";
    assert!(log.text().contains(warning), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_deleted_since_the_walk_is_no_error() {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::WARN, Format::Logfmt));
    let list = list(50, 0..50);
    list.state().record = Some(failing(fault(ErrorKind::NotFound)));
    observe(&list, wanting(60.0), |run| async move {
        run.at(58).await;
        assert_eq!(
            run.retrieved().len(),
            50,
            "each once, and none again before a walk"
        );
        assert_eq!(run.state().up, Some(true));
    })
    .await;
    assert_eq!(log.text(), "");
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_details_and_walks_alike() {
    let list = list(50, 0..50);
    let mut throttled = fault(ErrorKind::RateLimited);
    throttled.retry_after = Some(100 * SECOND);
    list.state().record = Some(failing(throttled));
    observe(&list, wanting(60.0), |run| async move {
        run.at(5).await;
        run.list.state().record = Some(lasting(3_600 * SECOND));
        assert_eq!(run.retrieved().len(), 1);
        let walks = run.list.take_offsets().len();
        assert_eq!(walks, 1);
        run.at(95).await;
        assert!(run.retrieved().is_empty() && run.list.take_offsets().is_empty());
        run.at(180).await;
        assert!(
            run.has_detail("000000"),
            "the refused one is retrieved again"
        );
        assert!(!run.list.take_offsets().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_stop_retrieval_until_a_walk_succeeds() {
    let list = list(50, 0..50);
    list.state().record = Some(failing(fault(ErrorKind::Forbidden)));
    observe(&list, wanting(60.0), |run| async move {
        run.at(50).await;
        assert_eq!(run.retrieved().len(), 1);
        run.list.state().record = Some(lasting(3_600 * SECOND));
        run.at(110).await;
        assert!(run.retrieved().len() > 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_spaced_out_and_a_walk_that_fails_ends_them() {
    let list = list(500, 0..500);
    list.state().record = Some(failing(fault(ErrorKind::ServerError)));
    observe(&list, wanting(600.0), |run| async move {
        run.at(55).await;
        let retrieved = run.retrieved().len();
        assert!((3..=12).contains(&retrieved), "{retrieved}");
        run.list.state().faults = [Some(fault(ErrorKind::Malformed))].into();
        run.at(67).await;
        run.retrieved();
        run.at(118).await;
        assert_eq!(run.state().up, Some(false));
        assert!(run.retrieved().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_reading_a_record_affects_no_other_record() {
    let list = list(3, 0..3);
    list.state().record = Some(Box::new(|row| {
        let row = row.cloned().unwrap();
        assert!(row.id != "000001", "a bug, on purpose");
        Ok(row)
    }));
    observe(&list, wanting(60.0), |run| async move {
        run.at(30).await;
        assert_eq!(run.state().details.len(), 2);
        // The panic has removed the closure `record`, so the test sets a new closure.
        run.list.state().record = Some(lasting(3_600 * SECOND));
        run.at(90).await;
        assert_eq!(run.state().details.len(), 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rows_with_an_expiry_are_retrieved_only_in_mode_always() {
    for (mode, expected) in [
        (DetailMode::Auto, 0),
        (DetailMode::Always, 10),
        (DetailMode::Never, 0),
    ] {
        let list = list(20, 0..10);
        for row in &mut list.state().rows {
            row.expires_at = Some(START.plus(3_600 * SECOND));
        }
        let mut account = wanting(600.0);
        account.details.mode = mode;
        observe(&list, account, |run| async move {
            run.at(100).await;
            assert_eq!(run.retrieved().len(), expected, "{mode:?}");
            assert_eq!(run.state().details_pending, 0);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_arrives_during_a_walk_has_its_time_of_arrival() {
    let list = list(3_000, 0..1_000);
    let mut account = wanting(600.0);
    account.api.requests_per_second = Some(1.0);
    account.poll.interval = 120 * SECOND;
    observe(&list, account, |run| async move {
        run.list.state().latency = Box::new(|| SECOND / 50);
        run.at(115).await;
        // Until second 138, each request takes 15 s. So some records arrive during the second walk.
        run.list.state().latency = Box::new(|| 15 * SECOND);
        run.at(138).await;
        run.list.state().latency = Box::new(|| SECOND / 50);
        run.at(220).await;
        let (state, list) = (run.state(), run.list.state());
        let since_start = |at: Instant| at.duration_since(run.start);
        let mut beside = 0;
        for (id, at) in &list.retrieved {
            let Some(detail) = state.details.get(&**id) else {
                continue;
            };
            let took = detail
                .retrieved_at
                .since(START)
                .saturating_sub(since_start(*at));
            assert!(took <= 15 * SECOND + SECOND / 10, "{id}: {took:?}");
            beside += u32::from(took > 10 * SECOND);
        }
        assert!(beside > 0, "some were slow");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn details_that_become_due_during_a_walk_stay_visible() {
    let list = list(300, 0..300);
    let mut account = wanting(1_200.0);
    account.details.max_age = 100 * SECOND;
    observe(&list, account, |run| async move {
        run.at(50).await;
        assert_eq!(run.state().details.len(), 300);
        // From now on, a walk takes 30 s of the interval of 60 s.
        run.list.state().page_latency = Some(10 * SECOND);
        for at in (50..1_200).step_by(1) {
            run.at(at).await;
            let known = run.state().details.len();
            assert_eq!(known, 300, "after {at} s");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn details_are_pending_while_walks_fail() {
    let list = list(100, 0..100);
    let mut account = wanting(1_200.0);
    account.details.max_age = 100 * SECOND;
    observe(&list, account, |run| async move {
        run.at(50).await;
        assert_eq!(run.state().details_pending, 0);
        let failing = (0..100).map(|_| Some(fault(ErrorKind::Malformed)));
        run.list.state().faults = failing.collect();
        run.at(200).await;
        let state = run.state();
        assert_eq!((state.up, state.details_pending), (Some(false), 100));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_accounts_that_share_a_slow_limiter_do_not_spin() {
    let limiter = std::sync::Arc::new(crate::api::RateLimiter::new(Some(1.0), 32));
    let shutdown = crate::shutdown::CancellationToken::new();
    let list = list(100, 0..100);
    let mut lives = Vec::new();
    for _ in 0..20 {
        let mut account = wanting(600.0);
        account.poll.interval = 30 * SECOND;
        account.details.mode = DetailMode::Always;
        let fixture =
            super::list::Fixture::sharing(&list, account, std::sync::Arc::clone(&limiter));
        lives.push(Box::pin(fixture.poller.run(shutdown.clone())));
    }
    let ten_minutes = async {
        tokio::time::sleep(600 * SECOND).await;
        shutdown.cancel();
    };
    // If a poller loops without waiting, the paused clock does not advance and the test hangs.
    tokio::join!(ten_minutes, futures_util::future::join_all(lives));
}

//! Tests of a poller over many walks: schedule, rate limiter, withdrawal and tokens.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::list::{Fixture, List, Total, account, count, fault};
use crate::{
    api::ErrorKind,
    config::ApiToken,
    shutdown,
    snapshot::AccountState,
    telemetry::{
        Condition,
        logs::{Captured, Format, Level},
    },
};

/// Runs a poller until the function `done` accepts the published state, and returns this state.
async fn until(fixture: Fixture, done: impl Fn(&AccountState) -> bool) -> Arc<AccountState> {
    let shutdown = shutdown::CancellationToken::new();
    let mut reader = fixture.reader.clone();
    let scenario = async {
        loop {
            reader.changed().await.unwrap();
            let state = reader.borrow_and_update().clone();
            if done(&state) {
                shutdown.cancel();
                return state;
            }
        }
    };
    let run = Box::pin(fixture.poller.run(shutdown.clone()));
    let (state, ()) = tokio::time::timeout(Duration::from_secs(86_400), async {
        tokio::join!(scenario, run)
    })
    .await
    .expect("the scenario ends");
    state
}

#[tokio::test(start_paused = true)]
async fn walk_starts_do_not_drift() {
    let list = List::of(45);
    let fixture = Fixture::new(&list, account());
    let start = Instant::now();
    let walks = std::sync::atomic::AtomicU32::new(0);
    until(fixture, |_| {
        walks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3
    })
    .await;
    let starts: Vec<_> = list
        .state()
        .requests
        .iter()
        .map(|(_, at)| (*at - start).as_secs_f64())
        .collect();
    assert_eq!(starts.len(), 4);
    for (tick, at) in (0_u32..).zip(starts) {
        let due = f64::from(tick) * 60.0;
        let jitter = if tick == 0 { 0.1 } else { 6.1 };
        assert!(at >= due && at <= due + jitter, "tick {tick} at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_too_large_for_the_limiter_stretches_interval_and_max_age() {
    let list = List::of(100_000);
    list.state().latency = Box::new(|| Duration::ZERO);
    let mut account = account();
    account.api.requests_per_second = Some(5.0);
    let fixture = Fixture::new(&list, account);
    let state = until(fixture, |state| state.up.is_some()).await;
    assert_eq!(
        state.up,
        Some(true),
        "the limiter's time is not counted against the walk"
    );
    let walk = &state.snapshot.as_ref().unwrap().walk;
    assert_eq!(walk.pages, 1_011);
    assert!(
        (202..=206).contains(&walk.duration.as_secs()),
        "{:?}",
        walk.duration
    );
    assert_eq!(state.poll_interval, Duration::from_secs(240));
    assert_eq!(state.max_age, Duration::from_secs(720));
}

#[tokio::test(start_paused = true)]
async fn the_limiter_holds_over_pages_and_retries() {
    let list = List::of(2_000);
    list.state().latency = Box::new(|| Duration::ZERO);
    list.state().faults = [None, Some(fault(ErrorKind::Network)), None].into();
    let mut account = account();
    account.api.requests_per_second = Some(10.0);
    account.api.concurrency = 8;
    until(Fixture::new(&list, account), |state| state.up.is_some()).await;
    let times: Vec<_> = list.state().requests.iter().map(|(_, at)| *at).collect();
    assert_eq!(times.len(), 22);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_walk_keeps_the_snapshot_and_the_moment_of_its_withdrawal() {
    let list = List::of(45);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    let good = fixture.reader.borrow().clone();
    tokio::time::advance(Duration::from_secs(100)).await;
    list.state().faults = [Some(fault(ErrorKind::Malformed))].into();
    fixture.poller.walk().await.unwrap_err();
    let state = fixture.reader.borrow().clone();
    assert_eq!((state.up, state.failure), (Some(false), Some("malformed")));
    assert_eq!(state.withdraw_at, good.withdraw_at);
    assert!(Arc::ptr_eq(
        state.snapshot.as_ref().unwrap(),
        good.snapshot.as_ref().unwrap()
    ));
    assert_eq!(fixture.count("vobiz_walk_failures_total", "malformed"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retained_endpoint_is_not_shown_past_max_age_while_walks_fail() {
    let list = List::of(45);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    tokio::time::advance(Duration::from_secs(230)).await;
    // One endpoint is missing from the pages, but `total_count` still includes it.
    list.state().rows.truncate(44);
    list.state().total = Total::Off(1);
    fixture.poller.walk().await.unwrap();
    let mut shown = Vec::new();
    let mut snapshots = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(50)).await;
        list.state().faults = [Some(fault(ErrorKind::Malformed))].into();
        fixture.poller.walk().await.unwrap_err();
        let snapshot = fixture.reader.borrow().snapshot.clone().unwrap();
        shown.push((snapshot.len(), snapshot.walk.retained));
        snapshots.push(snapshot);
    }
    assert_eq!(shown, [(45, 1), (44, 0), (44, 0)]);
    assert!(
        Arc::ptr_eq(&snapshots[1], &snapshots[2]),
        "nothing was left to drop"
    );
    let removed = fixture.count("vobiz_endpoint_changes_total", "removed");
    assert_eq!(removed, 1, "counted once");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_from_its_file_within_seconds() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"old").unwrap();
    let list = List::of(45);
    list.state().wanted_token = Some("new".to_owned());
    let mut account = account();
    account.token = ApiToken::File {
        path: file.path().to_owned(),
        initial: "old".to_owned().into(),
    };
    let path = file.path().to_owned();
    let fixture = Fixture::new(&list, account);
    let mut reader = fixture.reader.clone();
    let rotate = async {
        reader.changed().await.unwrap();
        assert_eq!(reader.borrow_and_update().up, Some(false));
        tokio::time::sleep(Duration::from_secs(7)).await;
        std::fs::write(&path, "new\n").unwrap();
        Instant::now()
    };
    let (rotated, state) = tokio::join!(rotate, until(fixture, |state| state.up == Some(true)));
    assert_eq!(state.failure, None);
    assert!(
        rotated.elapsed() <= Duration::from_secs(6),
        "{:?}",
        rotated.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_file_that_vanishes_leaves_the_old_token_in_use() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "good").unwrap();
    let list = List::of(45);
    list.state().wanted_token = Some("good".to_owned());
    list.state().token = "good".to_owned();
    let mut account = account();
    account.token = ApiToken::File {
        path: file.path().to_owned(),
        initial: "good".to_owned().into(),
    };
    let mut fixture = Fixture::new(&list, account);
    drop(file);
    fixture.poller.walk().await.unwrap();
    assert_eq!(fixture.count("vobiz_token_read_failures_total", "main"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_panics_has_failed_and_the_next_tick_walks_again() {
    let list = List::of(45);
    let mut walks = 0;
    list.state().edit = Some(Box::new(move |_| {
        walks += 1;
        assert_ne!(walks, 2, "a bug, on purpose");
    }));
    let fixture = Fixture::new(&list, account());
    let (instruments, mut reader) = (fixture.instruments.clone(), fixture.reader.clone());
    let start = Instant::now();
    let lines = Captured::default();
    let _logging = tracing::dispatcher::set_default(&lines.dispatch(Level::INFO, Format::Logfmt));
    let run = async {
        reader.changed().await.unwrap();
        let good = reader.borrow_and_update().clone();
        reader.changed().await.unwrap();
        let broken = reader.borrow_and_update().clone();
        assert_eq!((good.up, good.failure), (Some(true), None));
        assert_eq!(
            (broken.up, broken.failure),
            (Some(false), Some("malformed"))
        );
        assert!(broken.snapshot.is_some(), "the snapshot stays");
        assert_eq!(broken.withdraw_at, good.withdraw_at);
    };
    // The list's function `edit` panics in the second walk. The panic removes it, so the third walk succeeds.
    let failed_and_good = AtomicU32::new(0);
    let again = until(fixture, |state| {
        let failed = u32::from(state.up == Some(false));
        failed_and_good.fetch_or(failed, Ordering::Relaxed) == 1 && state.up == Some(true)
    });
    let (state, ()) = tokio::join!(again, run);
    assert_eq!(state.failure, None);
    let took = start.elapsed().as_secs();
    assert!((120..127).contains(&took), "no tick is missed: {took} s");
    assert_eq!(
        count(&instruments, "vobiz_walk_failures_total", "malformed"),
        1
    );
    assert_eq!(count(&instruments, "vobiz_walks_skipped_total", "main"), 0);
    let said = lines.text();
    let line = said.lines().find(|line| line.contains("reason=malformed"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("account=main") && line.contains("a fault of this program"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_condition_of_an_account_follows_its_walks() {
    let list = List::of(45);
    let mut fixture = Fixture::new(&list, account());
    let condition = |fixture: &Fixture| fixture.reader.borrow().condition(Instant::now());
    assert_eq!(condition(&fixture), Condition::Starting);
    for (kind, expected) in [
        (ErrorKind::Auth, Condition::Never),
        (ErrorKind::NotFound, Condition::Never),
        (ErrorKind::PaymentRequired, Condition::Never),
        (ErrorKind::Forbidden, Condition::Refused),
    ] {
        list.state().faults = [Some(fault(kind))].into();
        fixture.poller.walk().await.unwrap_err();
        assert_eq!(condition(&fixture), expected, "{kind:?}");
    }
    fixture.poller.walk().await.unwrap();
    assert_eq!(condition(&fixture), Condition::Ok);
    let good = fixture.reader.borrow().clone();
    let ended = Instant::now();
    assert_eq!(good.stale_at, Some(ended + Duration::from_secs(180)));
    let ended_at = good.snapshot.as_ref().unwrap().walk.ended_at;
    assert_eq!(good.last_success.map(|one| one.at), Some(ended_at));

    // A walk that waits for confirmation is no refusal, but it is not published either.
    let failed_walk = Some(fault(ErrorKind::Auth));
    list.state().faults = [failed_walk.clone()].into();
    fixture.poller.walk().await.unwrap_err();
    assert_eq!(condition(&fixture), Condition::Failing);
    list.set_registered(0..45, false);
    fixture.poller.walk().await.unwrap();
    let waiting = fixture.reader.borrow().clone();
    assert!(waiting.confirming);
    assert_eq!(waiting.stale_at, good.stale_at);
    assert_eq!(waiting.last_success, good.last_success);
    assert_eq!(condition(&fixture), Condition::Ok);
    list.state().faults = [failed_walk].into();
    fixture.poller.walk().await.unwrap_err();
    assert_eq!(condition(&fixture), Condition::Failing);
    tokio::time::advance(Duration::from_secs(180)).await;
    assert_eq!(condition(&fixture), Condition::Stale);
}

//! Tests of walks with so many changed endpoints that a later walk must confirm the changes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::list::{Fixture, List, Total, account, fault};
use crate::{
    api::{Endpoint, ErrorKind},
    clock::UnixMillis,
    shutdown,
    snapshot::{AccountState, Reader},
    walk::Poller,
};

const SECOND: Duration = Duration::from_secs(1);

/// Runs a poller while `scenario` observes its states.
async fn observe(fixture: Fixture, scenario: impl AsyncFnOnce(Run)) {
    let shutdown = shutdown::CancellationToken::new();
    let run = Run {
        reader: fixture.reader,
        start: Instant::now(),
    };
    let scenario = async {
        scenario(run).await;
        shutdown.cancel();
    };
    tokio::join!(scenario, Poller::run(fixture.poller, shutdown.clone()));
}

struct Run {
    reader: Reader,
    start: Instant,
}

impl Run {
    async fn at(&self, seconds: u64) -> Arc<AccountState> {
        let moment = self.start + Duration::from_secs(seconds);
        sleep(moment.saturating_duration_since(Instant::now())).await;
        self.reader.borrow().clone()
    }
}

/// The number of endpoints, and the number of registered endpoints.
fn shown(state: &AccountState) -> (usize, u64) {
    let snapshot = state.snapshot.as_ref().unwrap();
    (snapshot.len(), snapshot.group_counts(&[]).all.registered)
}

fn lost_at(state: &AccountState, id: &str) -> Option<UnixMillis> {
    state.snapshot.as_ref()?.endpoint(id)?.lost_at()
}

/// Replaces the rows of a list and returns the previous rows.
fn replace(list: &List, rows: Vec<Endpoint>) -> Vec<Endpoint> {
    std::mem::replace(&mut list.state().rows, rows)
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_for_seven_seconds_changes_no_endpoint_and_no_loss_time() {
    // The jitter is random. With the largest jitter, the walk would end after the fault. The fixed seed gives a
    // smaller jitter.
    fastrand::seed(7);
    for (count, interval) in [(50, 60), (9, 60), (2, 60), (50, 5)] {
        let list = List::of(count);
        let mut account = account();
        account.poll.interval = interval * SECOND;
        observe(Fixture::new(&list, account), async |run| {
            let interval = u64::from(interval);
            run.at(interval / 2).await;
            list.set_registered(0..1, false);
            let lost = lost_at(&*run.at(interval + interval / 2).await, "0");
            assert!(lost.is_some());
            let seen = 2 * interval - 1;
            run.at(seen).await;
            let rows = replace(&list, Vec::new());
            let state = run.at(seen + 7).await;
            let expected = (usize::try_from(count).unwrap(), count - 1);
            assert_eq!(shown(&state), expected, "the old snapshot stays");
            assert_eq!((state.up, state.confirming), (Some(true), true));
            replace(&list, rows);
            let state = run.at(seen + 40).await;
            assert_eq!(shown(&state), expected);
            assert_eq!((state.up, state.confirming), (Some(true), false));
            assert_eq!(lost_at(&state, "0"), lost);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_outage_is_published_by_an_early_walk_that_confirms_it() {
    for (interval, early) in [(60, 15), (20, 10), (600, 150)] {
        let list = List::of(40);
        let mut account = account();
        account.poll.interval = interval * SECOND;
        account.poll.max_age = 5 * interval * SECOND;
        let fixture = Fixture::new(&list, account);
        let instruments = fixture.instruments.clone();
        observe(fixture, async |run| {
            run.at(1).await;
            list.set_registered(0..40, false);
            // Jitter delays each walk, so the test waits for a change of `confirming` and not for a fixed time.
            let mut reader = run.reader.clone();
            let _ = reader.wait_for(|state| state.confirming).await;
            let seen = Instant::now();
            let _ = reader.wait_for(|state| !state.confirming).await;
            assert_eq!(seen.elapsed().as_secs(), early);
            assert_eq!(shown(&reader.borrow()), (40, 0));
            let lost = super::list::count(&instruments, "vobiz_registration_changes_total", "lost");
            assert_eq!(lost, 40);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_published_data_keeps_its_maximum_age_while_a_long_walk_waits_for_confirmation() {
    let list = List::of(40);
    let mut account = account();
    account.poll.interval = 5 * SECOND;
    account.poll.max_age = 15 * SECOND;
    observe(Fixture::new(&list, account), async |run| {
        let before = run.at(1).await;
        assert_eq!(before.max_age, 15 * SECOND);
        list.state().latency = Box::new(|| 7 * SECOND);
        list.set_registered(0..40, false);
        let mut reader = run.reader.clone();
        let waiting = reader.wait_for(|state| state.confirming).await.unwrap();
        assert_eq!(waiting.poll_interval, 10 * SECOND);
        assert_eq!(waiting.max_age, before.max_age);
        assert_eq!(waiting.withdraw_at, before.withdraw_at);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_comes_too_soon_confirms_nothing() {
    let list = List::of(40);
    let mut account = account();
    account.poll.interval = 4 * SECOND;
    observe(Fixture::new(&list, account), async |run| {
        run.at(5).await;
        replace(&list, Vec::new());
        let state = run.at(17).await;
        assert_eq!((shown(&state), state.confirming), ((40, 40), true));
        let state = run.at(22).await;
        assert_eq!((shown(&state), state.confirming), ((0, 0), false));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_walk_between_two_that_agree_changes_nothing() {
    let list = List::of(40);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    list.state().rows.truncate(10);
    fixture.poller.walk().await.unwrap();
    list.state().faults = [Some(fault(ErrorKind::Malformed))].into();
    fixture.poller.walk().await.unwrap_err();
    let state = fixture.reader.borrow().clone();
    assert_eq!((state.up, state.confirming), (Some(false), true));
    assert_eq!(shown(&state), (40, 40), "the old snapshot stays");
    sleep(20 * SECOND).await;
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), state.confirming), ((10, 10), false));
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_contradicts_both_others_must_be_confirmed_itself() {
    let list = List::of(40);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    list.set_registered(0..40, false);
    fixture.poller.walk().await.unwrap();
    sleep(20 * SECOND).await;
    let rows = replace(&list, Vec::new());
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), state.confirming), ((40, 40), true));
    sleep(20 * SECOND).await;
    replace(&list, rows);
    fixture.poller.walk().await.unwrap();
    assert!(fixture.reader.borrow().confirming, "still no two agree");
    sleep(20 * SECOND).await;
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), state.confirming), ((40, 0), false));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_agrees_with_itself_is_shown_once_the_old_one_is_withdrawn() {
    let list = List::of(40);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    for walk in 0..6 {
        sleep(60 * SECOND).await;
        // The first 25 or the last 25 endpoints are unregistered, alternately. So successive walks differ.
        list.set_registered(0..40, true);
        let half = if walk % 2 == 0 { 0..25 } else { 15..40 };
        list.set_registered(half, false);
        fixture.poller.walk().await.unwrap();
        let withdrawn = walk >= 4;
        assert_eq!(
            shown(&fixture.reader.borrow()).1 == 40,
            !withdrawn,
            "{walk}"
        );
    }
    let state = fixture.reader.borrow().clone();
    assert!(state.withdraw_at.unwrap() > Instant::now());
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_return_after_a_confirmed_empty_list_keep_their_loss_time() {
    let list = List::of(50);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    list.set_registered(0..3, false);
    fixture.poller.walk().await.unwrap();
    let lost = lost_at(&fixture.reader.borrow(), "0");
    assert!(lost.is_some());
    let rows = replace(&list, Vec::new());
    for _ in 0..2 {
        sleep(60 * SECOND).await;
        fixture.poller.walk().await.unwrap();
    }
    assert_eq!(shown(&fixture.reader.borrow()), (0, 0));
    sleep(3_600 * SECOND).await;
    replace(&list, rows);
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), lost_at(&state, "0")), ((50, 47), lost));
}

#[tokio::test(start_paused = true)]
async fn a_change_up_to_the_share_needs_no_confirmation() {
    for (count, changed) in [(40, 20), (2, 1), (1, 1)] {
        let list = List::of(count);
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        list.set_registered(0..changed, false);
        fixture.poller.walk().await.unwrap();
        assert!(!fixture.reader.borrow().confirming, "{changed} of {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_share_decides_which_changes_are_published_at_once() {
    for (share, changed, waits) in [
        (0.0, 1, true),
        (0.1, 4, false),
        (0.1, 5, true),
        (0.9, 36, false),
        (0.9, 37, true),
        (1.0, 40, false),
    ] {
        let list = List::of(40);
        let mut account = account();
        account.poll.flip_share = share;
        let mut fixture = Fixture::new(&list, account);
        fixture.poller.walk().await.unwrap();
        list.set_registered(0..changed, false);
        fixture.poller.walk().await.unwrap();
        let state = fixture.reader.borrow().clone();
        let registered = if waits { 40 } else { 40 - changed as u64 };
        assert_eq!(
            (state.confirming, shown(&state)),
            (waits, (40, registered)),
            "{changed} of 40 at {share}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_share_decides_whether_two_walks_agree() {
    for (share, agree) in [(0.1, false), (0.3, true)] {
        let list = List::of(40);
        let mut account = account();
        account.poll.flip_share = share;
        let mut fixture = Fixture::new(&list, account);
        fixture.poller.walk().await.unwrap();
        list.set_registered(0..20, false);
        fixture.poller.walk().await.unwrap();
        assert!(fixture.reader.borrow().confirming);
        sleep(20 * SECOND).await;
        // Five more endpoints are lost, so an eighth of the endpoints differs between the two walks.
        list.set_registered(20..25, false);
        fixture.poller.walk().await.unwrap();
        assert_eq!(fixture.reader.borrow().confirming, !agree, "{share}");
    }
}

#[tokio::test(start_paused = true)]
async fn removed_and_changed_endpoints_count_together() {
    let list = List::of(40);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    // 15 of 40 endpoints are removed, and 12 become unregistered. Only the sum is more than half of the 40.
    list.state().rows.truncate(25);
    list.set_registered(0..12, false);
    fixture.poller.walk().await.unwrap();
    assert!(fixture.reader.borrow().confirming);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_an_incomplete_walk_misses_do_not_count_as_unchanged() {
    let list = List::of(100);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    // Every endpoint becomes unregistered. The next walk is incomplete: it finds only 49 endpoints.
    list.set_registered(0..100, false);
    let rows = list.state().rows.clone();
    list.state().rows.truncate(49);
    list.state().total = Total::Off(51);
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), state.confirming), ((100, 100), true));
    // The list is complete again. After at most two walks, the poller publishes the change of every endpoint.
    replace(&list, rows);
    list.state().total = Total::Right;
    for _ in 0..2 {
        sleep(20 * SECOND).await;
        fixture.poller.walk().await.unwrap();
    }
    let state = fixture.reader.borrow().clone();
    assert_eq!((shown(&state), state.confirming), ((100, 0), false));
}

#[tokio::test(start_paused = true)]
async fn an_old_snapshot_stays_withdrawn_until_the_confirmation() {
    let list = List::of(40);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    sleep(301 * SECOND).await;
    list.set_registered(0..40, false);
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert!(state.confirming && state.is_withdrawn(Instant::now()));
    sleep(15 * SECOND).await;
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert!(!state.confirming && !state.is_withdrawn(Instant::now()));
    assert!(
        lost_at(&state, "7").is_some(),
        "what it knew is not forgotten"
    );
}

//! Tests of walks of faulty lists: no fault hides a readable endpoint, and every walk ends.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::list::{Fixture, List, Total, account, endpoint};
use crate::{api::RateLimiter, shutdown};

fn shown(fixture: &Fixture) -> (usize, u64, u64) {
    let state = fixture.reader.borrow().clone();
    let snapshot = state.snapshot.as_ref().expect("a walk was published");
    (
        snapshot.len(),
        snapshot.walk.missing,
        snapshot.walk.retained,
    )
}

#[tokio::test(start_paused = true)]
async fn an_id_on_any_two_rows_never_keeps_a_list_from_being_published() {
    let rows = [
        0, 10, 50, 89, 90, 98, 99, 100, 101, 110, 150, 197, 198, 199, 220, 249,
    ];
    for (at, from) in rows.iter().enumerate() {
        for to in &rows[at + 1..] {
            let list = List::of(250);
            list.copy_row(*from, *to);
            let mut fixture = Fixture::new(&list, account());
            for walk in 1..=3 {
                let result = fixture.poller.walk().await;
                assert!(
                    result.is_ok(),
                    "rows {from} and {to}, walk {walk}: {result:?}"
                );
                // One walk cannot distinguish a duplicate id from rows that moved during the walk.
                let missing = u64::from(walk == 1);
                assert_eq!(shown(&fixture), (249, missing, 0), "rows {from} and {to}");
            }
            let state = fixture.reader.borrow().clone();
            let rejected = state.snapshot.as_ref().unwrap().walk.rejected_rows;
            assert_eq!(rejected, [0, 0, 0, 0, 1], "rows {from} and {to}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn equal_unreadable_rows_affect_no_other_row() {
    for (from, to) in [(10, 20), (10, 110), (90, 150), (98, 100), (90, 249)] {
        let list = List::of(250);
        list.copy_row(from, to);
        let id = list.state().rows[from].id.clone();
        list.state().broken = vec![id];
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        assert_eq!(shown(&fixture), (248, 0, 0), "rows {from} and {to}");
        assert_eq!(list.take_offsets().len(), 3, "rows {from} and {to}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ignored_offset_is_noticed_although_the_list_is_edited() {
    for deletes in [true, false] {
        let list = List::of(150);
        list.state().ignores_offset = true;
        let mut answers = 0;
        list.state().edit = Some(Box::new(move |rows| {
            answers += 1;
            match (answers, deletes) {
                (2, true) => drop(rows.remove(99)),
                (2, false) => rows.insert(0, endpoint(7_000, true)),
                _ => {}
            }
        }));
        let mut fixture = Fixture::new(&list, account());
        let failure = fixture.poller.walk().await.unwrap_err();
        assert_eq!(failure.reason.label(), "inconsistent");
        assert!(list.take_offsets().len() < 20, "it does not run on");
    }
}

#[tokio::test(start_paused = true)]
async fn with_one_row_per_page_a_deletion_is_not_the_end_of_the_list() {
    let list = List::of(2);
    list.state().clamp = 1;
    let mut answers = 0;
    list.state().edit = Some(Box::new(move |rows| {
        answers += 1;
        if answers == 2 {
            rows.remove(0);
        }
    }));
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    assert!(
        state.snapshot.as_ref().unwrap().endpoint("1").is_some(),
        "it lived throughout"
    );
}

#[tokio::test(start_paused = true)]
async fn a_former_duplicate_id_does_not_hide_a_missing_endpoint() {
    let list = List::of(251);
    list.copy_row(10, 240);
    let mut fixture = Fixture::new(&list, account());
    for _ in 0..2 {
        fixture.poller.walk().await.unwrap();
    }
    assert_eq!(shown(&fixture), (250, 0, 0));
    // The duplicate row is removed. Another row leaves the pages, but `total_count` still includes it.
    list.state().rows.remove(240);
    list.state().rows.remove(200);
    list.state().total = Total::Off(1);
    fixture.poller.walk().await.unwrap();
    assert_eq!(shown(&fixture), (250, 1, 1), "short, and retained");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_count_neither_hides_a_good_list_nor_causes_a_walk_without_end() {
    for off in [990_000, 2_000_000_000, i64::MAX / 2] {
        let list = List::of(150);
        list.state().total = Total::Off(off);
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        assert_eq!(shown(&fixture).0, 150);
        assert!(list.take_offsets().len() < 20);

        list.state().clamp = 1;
        list.state().latency = Box::new(|| Duration::from_secs(10));
        let start = Instant::now();
        fixture.poller.walk().await.unwrap_err();
        assert!(
            start.elapsed() < Duration::from_secs(320),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_that_share_a_limiter_wait_for_each_other_and_all_succeed() {
    let limiter = Arc::new(RateLimiter::new(Some(5.0), 32));
    let shutdown = shutdown::CancellationToken::new();
    let (mut lives, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let list = List::of(1_500);
        list.state().latency = Box::new(|| Duration::from_millis(50));
        let mut account = account();
        account.api.requests_per_second = Some(5.0);
        let fixture = Fixture::sharing(&list, account, Arc::clone(&limiter));
        readers.push(fixture.reader);
        lives.push(Box::pin(fixture.poller.run(shutdown.clone())));
    }
    let living = futures_util::future::join_all(lives);
    let half_an_hour = async {
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        let up = readers
            .iter()
            .filter(|reader| reader.borrow().up == Some(true))
            .count();
        shutdown.cancel();
        up
    };
    let (_, up) = tokio::join!(living, half_an_hour);
    assert_eq!(up, 20);
}

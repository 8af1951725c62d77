//! Tests that start walks one by one: what the poller publishes, and when a walk reads pages again.

use std::time::Duration;

use super::list::{Fixture, List, Total, account, endpoint, fault};
use crate::{
    api::ErrorKind,
    snapshot::{Snapshot, WalkFacts, WalkResult},
};

fn snapshot(fixture: &Fixture) -> std::sync::Arc<Snapshot> {
    fixture.reader.borrow().snapshot.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn pages_overlap_by_one_row_and_every_endpoint_is_there_once() {
    for (count, asked) in [
        (0, vec![0]),
        (1, vec![0]),
        (45, vec![0]),
        (99, vec![0]),
        (100, vec![0, 99]),
        (101, vec![0, 99]),
        (199, vec![0, 99, 198]),
        (200, vec![0, 99, 198]),
        (450, vec![0, 99, 198, 297, 396]),
    ] {
        let list = List::of(count);
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        assert_eq!(list.take_offsets(), asked, "{count} endpoints");
        let snapshot = snapshot(&fixture);
        assert_eq!(snapshot.len() as u64, count);
        assert_eq!((snapshot.walk.missing, snapshot.walk.retained), (0, 0));
        assert_eq!(snapshot.walk.pages, asked.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_clamps_the_limit_or_does_not_count_is_read_to_the_end() {
    for clamp in [2, 3, 20, 99] {
        for total in [Total::Right, Total::Missing, Total::Off(-44)] {
            let list = List::of(45);
            list.state().clamp = clamp;
            list.state().total = total;
            let mut fixture = Fixture::new(&list, account());
            fixture.poller.walk().await.unwrap();
            assert_eq!(
                snapshot(&fixture).len(),
                45,
                "{clamp} rows a page, {total:?}"
            );
            assert_eq!(snapshot(&fixture).walk.missing, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_endpoint_without_a_count_is_a_whole_list() {
    let list = List::of(1);
    list.state().total = Total::Missing;
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    assert_eq!(snapshot(&fixture).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_one_row_at_a_time_is_proven_by_counting() {
    let list = List::of(7);
    list.state().clamp = 1;
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    assert_eq!(snapshot(&fixture).len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_believed_only_with_a_count_of_zero() {
    let list = List::of(0);
    list.state().total = Total::Off(5);
    let mut fixture = Fixture::new(&list, account());
    for total in [Total::Off(5), Total::Missing] {
        list.state().total = total;
        let failure = fixture.poller.walk().await.unwrap_err();
        assert_eq!(failure.reason.label(), "inconsistent");
    }
    list.state().total = Total::Right;
    fixture.poller.walk().await.unwrap();
    assert_eq!(fixture.reader.borrow().up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_offset_ends_the_walk_after_a_few_pages() {
    let list = List::of(1_000);
    list.state().ignores_offset = true;
    let mut fixture = Fixture::new(&list, account());
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "inconsistent");
    assert!(
        list.take_offsets().len() <= 6,
        "a few pages by overlap and a few by counting"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_without_end_fails_after_ten_thousand_pages() {
    let list = List::of(10);
    list.state().total = Total::Missing;
    list.state().clamp = 2;
    let mut next = 100;
    list.state().edit = Some(Box::new(move |rows| {
        rows.push(endpoint(next, true));
        rows.push(endpoint(next + 1, true));
        next += 2;
    }));
    let mut account = account();
    account.poll.max_age = Duration::from_secs(1_000_000);
    let mut fixture = Fixture::new(&list, account);
    let failure = fixture.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "too_large");
    assert!(list.take_offsets().len() <= 10_002);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_too_high_does_not_cause_requests_without_end() {
    let list = List::of(45);
    list.state().total = Total::Off(1_000_000);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    assert!(list.take_offsets().len() < 10, "a handful of pages");
    assert_eq!(snapshot(&fixture).walk.missing, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_list_is_published_at_once_and_the_next_walk_is_its_second_reading() {
    let list = List::of(450);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    list.take_offsets();
    // Five endpoints are missing from the pages, but `total_count` still includes them.
    list.state().rows.truncate(445);
    list.state().total = Total::Off(5);
    fixture.poller.walk().await.unwrap();
    assert_eq!(list.take_offsets().len(), 6, "the list is read once");
    let incomplete = snapshot(&fixture);
    let WalkFacts {
        missing, retained, ..
    } = incomplete.walk;
    assert_eq!((incomplete.len(), missing, retained), (450, 5, 5));
    list.state().total = Total::Right;
    fixture.poller.walk().await.unwrap();
    let complete = snapshot(&fixture);
    let WalkFacts {
        missing, retained, ..
    } = complete.walk;
    assert_eq!((complete.len(), missing, retained), (445, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_always_one_too_high_keeps_no_deleted_endpoint() {
    let list = List::of(450);
    list.state().total = Total::Off(1);
    let mut fixture = Fixture::new(&list, account());
    let mut missing = Vec::new();
    for walk in 0..6 {
        if walk == 4 {
            list.state().rows.remove(7);
        }
        fixture.poller.walk().await.unwrap();
        missing.push(snapshot(&fixture).walk.missing);
    }
    assert_eq!(missing, [1, 1, 0, 0, 0, 0]);
    assert_eq!(
        snapshot(&fixture).len(),
        449,
        "the deleted endpoint has left"
    );
    // The poller assumes a wrong count only after three walks with the same shortfall. The shortfall 2 is new.
    list.state().total = Total::Off(2);
    fixture.poller.walk().await.unwrap();
    assert_eq!(snapshot(&fixture).walk.missing, 2);
}

#[tokio::test(start_paused = true)]
async fn an_id_on_two_rows_is_a_rejected_row_and_not_a_missing_endpoint() {
    let list = List::of(300);
    let twin = list.state().rows[10].clone();
    list.state().rows.push(twin);
    let mut fixture = Fixture::new(&list, account());
    // The first walk cannot distinguish a duplicate id from a row that moved during the walk.
    for (missing, duplicates) in [(1, 0), (0, 1), (0, 1)] {
        fixture.poller.walk().await.unwrap();
        let snapshot = snapshot(&fixture);
        assert_eq!((snapshot.len(), snapshot.walk.missing), (300, missing));
        assert_eq!(snapshot.walk.rejected_rows, [0, 0, 0, 0, duplicates]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_row_that_the_list_shifts_hides_no_missing_endpoint() {
    let list = List::of(250);
    list.state().broken = vec!["98".to_owned()];
    list.state().total = Total::Off(1);
    let mut fixture = Fixture::new(&list, account());
    // After the first page, an endpoint is created at the start of the list. So the unreadable row 98 is also
    // on the second page.
    let mut answers = 0;
    list.state().edit = Some(Box::new(move |rows| {
        answers += 1;
        if answers == 2 {
            rows.insert(0, endpoint(7_000, true));
        }
    }));
    fixture.poller.walk().await.unwrap();
    let snapshot = snapshot(&fixture);
    assert_eq!(snapshot.walk.rejected_rows, [1, 0, 0, 0, 0]);
    assert_eq!((snapshot.len(), snapshot.walk.missing), (249, 1));
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_rounds_the_offset_to_whole_pages_is_proven_by_counting() {
    for clamp in [100, 20] {
        let list = List::of(450);
        list.state().clamp = clamp;
        list.state().rounds_offset = Some(clamp as usize);
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        let snapshot = snapshot(&fixture);
        assert_eq!((snapshot.len(), snapshot.walk.missing), (450, 0));
        assert!(list.take_offsets().len() <= 450 / clamp as usize + 5);
    }
}

#[tokio::test(start_paused = true)]
async fn counting_notices_a_deletion_where_the_offset_is_rounded() {
    let list = List::of(450);
    list.state().rounds_offset = Some(100);
    // The first endpoint of the list is deleted, so another endpoint moves to a page that the walk has already
    // read.
    let mut answers = 0;
    list.state().edit = Some(Box::new(move |rows| {
        answers += 1;
        if answers == 7 {
            rows.remove(0);
        }
    }));
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    let snapshot = snapshot(&fixture);
    assert_eq!((snapshot.len(), snapshot.walk.missing), (449, 0));
    let lived = (1..450_u64).all(|id| snapshot.endpoint(&id.to_string()).is_some());
    assert!(lived, "the second count found every endpoint");
    assert_eq!(fixture.count("vobiz_walk_rereads_total", "count"), 2);
}

#[tokio::test(start_paused = true)]
async fn unreadable_rows_affect_no_other_row_even_at_the_border_of_pages() {
    let list = List::of(450);
    list.state().broken = ["0", "99", "198", "300", "449"].map(str::to_owned).into();
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    let snapshot = snapshot(&fixture);
    assert_eq!((snapshot.len(), snapshot.walk.missing), (445, 0));
    assert_eq!(snapshot.walk.rejected_rows, [5, 0, 0, 0, 0]);
    assert_eq!(list.take_offsets().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_row_breaks_is_retained_until_it_was_unseen_for_max_age() {
    let list = List::of(20);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    list.state().broken = vec!["7".to_owned()];
    let removed = |fixture: &Fixture| fixture.count("vobiz_endpoint_changes_total", "removed");
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(60)).await;
        fixture.poller.walk().await.unwrap();
        let snapshot = snapshot(&fixture);
        assert_eq!((snapshot.len(), snapshot.walk.retained), (20, 1));
        assert_eq!(snapshot.walk.missing, 0);
        let seven = snapshot.endpoint("7").unwrap();
        assert_eq!((seven.retained, seven.registered), (true, Some(true)));
        assert_eq!(removed(&fixture), 0);
    }
    // The row becomes readable again. After that, it is unreadable for the maximum age of 300 s.
    list.state().broken.clear();
    fixture.poller.walk().await.unwrap();
    assert_eq!(snapshot(&fixture).walk.retained, 0);
    list.state().broken = vec!["7".to_owned()];
    tokio::time::advance(Duration::from_secs(299)).await;
    fixture.poller.walk().await.unwrap();
    assert_eq!(snapshot(&fixture).walk.retained, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    fixture.poller.walk().await.unwrap();
    assert_eq!(
        (snapshot(&fixture).len(), snapshot(&fixture).walk.retained),
        (19, 0)
    );
    assert_eq!(removed(&fixture), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_row_of_one_endpoint_hides_no_other_that_is_gone() {
    let list = List::of(20);
    let twin = list.state().rows[3].clone();
    list.state().rows.push(twin);
    let mut fixture = Fixture::new(&list, account());
    for _ in 0..2 {
        fixture.poller.walk().await.unwrap();
    }
    list.state().rows.remove(7);
    fixture.poller.walk().await.unwrap();
    let snapshot = snapshot(&fixture);
    assert_eq!(snapshot.walk.rejected_rows, [0, 0, 0, 0, 1]);
    assert_eq!((snapshot.len(), snapshot.walk.retained), (19, 0));
}

#[tokio::test(start_paused = true)]
async fn faults_that_may_pass_are_tried_again_and_others_are_not() {
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::Timeout,
        ErrorKind::Network,
        ErrorKind::ServerError,
    ] {
        let list = List::of(45);
        list.state().faults = [Some(fault(kind)), Some(fault(kind)), None].into();
        let mut fixture = Fixture::new(&list, account());
        fixture.poller.walk().await.unwrap();
        assert_eq!(list.take_offsets().len(), 3);
        assert_eq!(
            fixture.count("vobiz_api_retries_total", "list_endpoints"),
            2
        );
    }
    for kind in [
        ErrorKind::Auth,
        ErrorKind::PaymentRequired,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::Redirect,
        ErrorKind::ClientError,
        ErrorKind::Malformed,
        ErrorKind::TooLarge,
    ] {
        let list = List::of(45);
        list.state().faults = [Some(fault(kind))].into();
        let mut fixture = Fixture::new(&list, account());
        let failure = fixture.poller.walk().await.unwrap_err();
        assert_eq!(failure.reason.label(), kind.label());
        assert_eq!(list.take_offsets().len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_different_missing_row_in_each_walk_removes_no_endpoint() {
    let list = List::of(450);
    let mut fixture = Fixture::new(&list, account());
    fixture.poller.walk().await.unwrap();
    let rows = list.state().rows.clone();
    list.state().total = Total::Off(1);
    for hidden in (100..400).step_by(30) {
        let mut others = rows.clone();
        others.remove(hidden);
        list.state().rows = others;
        fixture.poller.walk().await.unwrap();
        assert_eq!(snapshot(&fixture).len(), 450, "row {hidden}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_has_the_last_walks_with_their_retries_status_and_changes() {
    let list = List::of(45);
    let mut account = account();
    account.api.retries = 1;
    let mut fixture = Fixture::new(&list, account);
    let failed = || Some(fault(ErrorKind::ServerError));
    list.state().faults.extend([failed(), failed()]);
    fixture.poller.walk().await.unwrap_err();
    list.state().faults.extend([failed(), None]);
    fixture.poller.walk().await.unwrap();
    list.state().rows.pop();
    fixture.poller.walk().await.unwrap();
    let state = fixture.reader.borrow().clone();
    let walks: Vec<_> = state.walks.recent().collect();
    let WalkResult::Failed { reason, status, .. } = &walks[0].result else {
        panic!("{walks:?}")
    };
    assert_eq!((*reason, *status), ("server_error", Some(500)));
    assert_eq!((walks[0].pages, walks[0].retries), (0, 1));
    let published = |number: usize| match &walks[number].result {
        WalkResult::Published(walk) => (walk.endpoints, walk.removed),
        other => panic!("{other:?}"),
    };
    assert_eq!((published(1), walks[1].retries), ((45, 0), 1));
    assert_eq!((published(2), walks[2].retries), ((44, 1), 0));
    assert_eq!(state.walks.last(), Some(walks[2]));
    assert!(state.next_walk_at.is_some());
}

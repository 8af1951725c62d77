//! One walk after the other: what is published, what is asked again, and why.

use std::time::Duration;

use tokio::time::Instant;

use super::list::{List, Stage, Total, account, endpoint, fault};
use crate::{
    api::{Error, ErrorKind},
    snapshot::Snapshot,
};

fn picture(stage: &Stage) -> std::sync::Arc<Snapshot> {
    stage.reader.current().picture.clone().unwrap()
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
        let mut stage = Stage::new(&list, account());
        stage.poller.walk().await.unwrap();
        assert_eq!(list.asked(), asked, "{count} endpoints");
        let picture = picture(&stage);
        assert_eq!(picture.len() as u64, count);
        assert_eq!((picture.walk.missing, picture.walk.held), (0, 0));
        assert_eq!(picture.walk.pages, asked.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_clamps_the_limit_or_does_not_count_is_read_to_the_end() {
    for clamp in [2, 3, 20, 99] {
        for total in [Total::Right, Total::Missing, Total::Off(-44)] {
            let list = List::of(45);
            list.state().clamp = clamp;
            list.state().total = total;
            let mut stage = Stage::new(&list, account());
            stage.poller.walk().await.unwrap();
            assert_eq!(picture(&stage).len(), 45, "{clamp} rows a page, {total:?}");
            assert_eq!(picture(&stage).walk.missing, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_endpoint_without_a_count_is_a_whole_list() {
    let list = List::of(1);
    list.state().total = Total::Missing;
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    assert_eq!(picture(&stage).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_one_row_at_a_time_is_proven_by_counting() {
    let list = List::of(7);
    list.state().clamp = 1;
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    assert_eq!(picture(&stage).len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_believed_only_with_a_count_of_zero() {
    let list = List::of(0);
    list.state().total = Total::Off(5);
    let mut stage = Stage::new(&list, account());
    for total in [Total::Off(5), Total::Missing] {
        list.state().total = total;
        let failure = stage.poller.walk().await.unwrap_err();
        assert_eq!(failure.reason.label(), "inconsistent");
    }
    assert_eq!(stage.count("vobiz_walk_rereads_total", "empty"), 2);
    list.state().total = Total::Right;
    stage.poller.walk().await.unwrap();
    assert_eq!(stage.reader.current().up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_offset_ends_the_walk_at_once() {
    let list = List::of(1_000);
    list.state().ignores_offset = true;
    let mut stage = Stage::new(&list, account());
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "inconsistent");
    assert!(
        list.asked().len() <= 3,
        "no page after page of the same rows"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_left_after_ten_thousand_pages() {
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
    account.poll.deadline = Duration::from_secs(1_000_000);
    let mut stage = Stage::new(&list, account);
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "too_large");
    assert!(list.asked().len() <= 10_002);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_promises_too_much_does_not_make_us_ask_for_nothing_for_ever() {
    let list = List::of(45);
    list.state().total = Total::Off(1_000_000);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    assert!(list.asked().len() < 20, "a handful of pages, twice");
    assert_eq!(picture(&stage).walk.missing, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_short_list_is_read_twice_once_and_published_as_short() {
    let list = List::of(450);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    // Five endpoints vanish from the pages, but the count still has them.
    list.state().rows.truncate(445);
    list.state().total = Total::Off(5);
    stage.poller.walk().await.unwrap();
    assert_eq!(stage.count("vobiz_walk_rereads_total", "count"), 1);
    let short = picture(&stage);
    assert_eq!(
        (short.len(), short.walk.missing, short.walk.held),
        (450, 5, 5)
    );
    stage.poller.walk().await.unwrap();
    assert_eq!(
        stage.count("vobiz_walk_rereads_total", "count"),
        1,
        "the debt is known"
    );
    list.state().total = Total::Right;
    stage.poller.walk().await.unwrap();
    let proven = picture(&stage);
    assert_eq!(
        (proven.len(), proven.walk.missing, proven.walk.held),
        (445, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_on_two_rows_is_a_rejected_row_and_not_a_missing_endpoint() {
    let list = List::of(300);
    let twin = list.state().rows[10].clone();
    list.state().rows.push(twin);
    let mut stage = Stage::new(&list, account());
    for _ in 0..2 {
        stage.poller.walk().await.unwrap();
        let picture = picture(&stage);
        assert_eq!((picture.len(), picture.walk.missing), (300, 0));
        assert_eq!(picture.walk.rejected_rows, [0, 0, 0, 0, 1]);
    }
    assert_eq!(stage.count("vobiz_walk_rereads_total", "count"), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_rows_cost_themselves_only_even_at_the_border_of_pages() {
    let list = List::of(450);
    list.state().broken = ["0", "99", "198", "300", "449"].map(str::to_owned).into();
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    let picture = picture(&stage);
    assert_eq!((picture.len(), picture.walk.missing), (445, 0));
    assert_eq!(picture.walk.rejected_rows, [5, 0, 0, 0, 0]);
    assert_eq!(list.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_row_breaks_is_held_until_it_was_unseen_for_max_age() {
    let list = List::of(20);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    list.state().broken = vec!["7".to_owned()];
    let removed = |stage: &Stage| stage.count("vobiz_endpoint_changes_total", "removed");
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(60)).await;
        stage.poller.walk().await.unwrap();
        let picture = picture(&stage);
        assert_eq!((picture.len(), picture.walk.held), (20, 1));
        assert_eq!(picture.walk.missing, 0);
        let seven = picture.endpoint("7").unwrap();
        assert_eq!((seven.held, seven.registered), (true, Some(true)));
        assert_eq!(removed(&stage), 0);
    }
    // It heals, and breaks again for longer.
    list.state().broken.clear();
    stage.poller.walk().await.unwrap();
    assert_eq!(picture(&stage).walk.held, 0);
    list.state().broken = vec!["7".to_owned()];
    tokio::time::advance(Duration::from_secs(299)).await;
    stage.poller.walk().await.unwrap();
    assert_eq!(picture(&stage).walk.held, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    stage.poller.walk().await.unwrap();
    assert_eq!((picture(&stage).len(), picture(&stage).walk.held), (19, 0));
    assert_eq!(removed(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_row_of_one_endpoint_hides_no_other_that_is_gone() {
    let list = List::of(20);
    let twin = list.state().rows[3].clone();
    list.state().rows.push(twin);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    list.state().rows.remove(7);
    stage.poller.walk().await.unwrap();
    let picture = picture(&stage);
    assert_eq!(picture.walk.rejected_rows, [0, 0, 0, 0, 1]);
    assert_eq!((picture.len(), picture.walk.held), (19, 0));
}

#[tokio::test(start_paused = true)]
async fn a_mass_flip_is_published_only_when_a_second_reading_shows_it_too() {
    let list = List::of(40);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    list.asked();
    // A glitch: one answer shows everybody unregistered, the next is right again.
    let mut answers = 0;
    list.state().edit = Some(Box::new(move |rows| {
        answers += 1;
        for row in rows {
            row.registered = Some(answers != 1);
        }
    }));
    stage.poller.walk().await.unwrap();
    assert_eq!(list.asked().len(), 2);
    assert_eq!(picture(&stage).tally(0).all.registered, 40);
    assert_eq!(stage.count("vobiz_walk_rereads_total", "flip"), 1);
    assert_eq!(stage.count("vobiz_registration_changes_total", "lost"), 0);
    // A real outage is confirmed and published at once.
    list.state().edit = None;
    list.set_registered(0..40, false);
    stage.poller.walk().await.unwrap();
    assert_eq!(picture(&stage).tally(0).all.unregistered, 40);
    assert_eq!(stage.count("vobiz_registration_changes_total", "lost"), 40);
    assert!(!stage.reader.current().suspect);
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_change_is_published_by_the_next_good_walk() {
    let list = List::of(40);
    let mut stage = Stage::new(&list, account());
    stage.poller.walk().await.unwrap();
    list.state().rows.truncate(10);
    list.state().faults = [None, Some(fault(ErrorKind::Malformed))].into();
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "unconfirmed");
    assert_eq!(stage.count("vobiz_walk_rereads_total", "shrink"), 1);
    let state = stage.reader.current();
    assert_eq!((state.up, state.suspect), (Some(false), true));
    assert_eq!(picture(&stage).len(), 40, "the old picture stays");
    list.asked();
    stage.poller.walk().await.unwrap();
    assert_eq!(list.asked().len(), 1, "no second reading");
    assert_eq!(picture(&stage).len(), 10);
    assert!(!stage.reader.current().suspect);
}

#[tokio::test(start_paused = true)]
async fn half_the_fleet_may_change_without_suspicion_and_a_small_fleet_as_it_likes() {
    for (count, changed) in [(40, 20), (9, 9)] {
        let list = List::of(count);
        let mut stage = Stage::new(&list, account());
        stage.poller.walk().await.unwrap();
        list.asked();
        list.set_registered(0..changed, false);
        stage.poller.walk().await.unwrap();
        assert_eq!(list.asked().len(), 1);
    }
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
        let mut stage = Stage::new(&list, account());
        stage.poller.walk().await.unwrap();
        assert_eq!(list.asked().len(), 3);
        assert_eq!(stage.count("vobiz_api_retries_total", "list_endpoints"), 2);
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
        let mut stage = Stage::new(&list, account());
        let failure = stage.poller.walk().await.unwrap_err();
        assert_eq!(failure.reason.label(), kind.label());
        assert_eq!(list.asked().len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_fits_is_waited_for_and_a_longer_one_ends_the_walk() {
    let limited = |wait| Error {
        retry_after: Some(Duration::from_secs(wait)),
        ..fault(ErrorKind::RateLimited)
    };
    let list = List::of(45);
    list.state().faults = [Some(limited(30))].into();
    let mut stage = Stage::new(&list, account());
    let start = Instant::now();
    stage.poller.walk().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(
        stage.count("vobiz_api_throttle_seconds_total", "vendor"),
        30
    );

    list.state().faults = [Some(limited(86_400))].into();
    let start = Instant::now();
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 0, "it cannot be waited for");
    assert_eq!(failure.reason.label(), "rate_limited");
    let pause = failure.not_before.unwrap() - Instant::now();
    assert_eq!(pause.as_secs(), 600, "and is cut to ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_runs_out_of_time_says_deadline_unless_a_fault_explains_it() {
    let list = List::of(45);
    list.state().latency = Box::new(|| Duration::from_secs(3_600));
    let mut stage = Stage::new(&list, account());
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "deadline");

    let mut latencies = [20, 60_000].into_iter().cycle();
    list.state().latency = Box::new(move || Duration::from_millis(latencies.next().unwrap()));
    list.state().faults = [Some(fault(ErrorKind::ServerError))].into();
    let failure = stage.poller.walk().await.unwrap_err();
    assert_eq!(failure.reason.label(), "server_error");
}

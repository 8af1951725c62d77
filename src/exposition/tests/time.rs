//! Tests how an exposition changes over time: publication, failure and withdrawal.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::time::{Instant, advance};

use super::{
    fixtures::*,
    parser::{Sample, checked, value},
};
use crate::{
    clock::{Clock, UnixMillis},
    exposition::{
        AccountSummary, Encoding, Exposition, Format, account::RenderedAccount, lines::FamilyWriter,
    },
    snapshot::{AccountState, Shown, channel},
    telemetry::{
        Condition, Instruments,
        catalogue::{Metric, Part},
    },
};

fn scrape(exposition: &Exposition) -> Vec<Sample> {
    checked(&inflated(exposition, Format::Text))
}

fn of<'a>(samples: &'a [Sample], account: &str, name: &str) -> Option<&'a str> {
    value(samples, name, &[("account", account)])
}

/// Whether the exposition shows any family of the account's snapshot.
fn shows_snapshot(samples: &[Sample], account: &str) -> bool {
    samples
        .iter()
        .filter(|sample| sample.label("account") == account)
        .filter_map(|sample| Metric::named(&sample.name))
        .any(|metric| metric.family().part == Part::Snapshot)
}

#[tokio::test(start_paused = true)]
async fn an_old_snapshot_is_withdrawn_on_time_and_the_other_accounts_stay() {
    let early = good("early", snapshot(phones(45), None, facts(0)));
    advance(Duration::from_secs(100)).await;
    let late = good("late", snapshot(phones(45), None, facts(0)));
    let (exposition, _publishers) = exposition([failed(&early, "timeout"), late]);
    let series = |samples: &[Sample]| -> u64 {
        let exported = of(samples, "early", "vobiz_exporter_series");
        exported.unwrap().parse().unwrap()
    };

    advance(Duration::from_millis(199_999)).await;
    let before = scrape(&exposition);
    assert_eq!(of(&before, "early", "vobiz_up"), Some("0"));
    assert_eq!(of(&before, "early", "vobiz_data_withdrawn"), Some("0"));
    assert!(shows_snapshot(&before, "early"));

    advance(Duration::from_millis(1)).await;
    let after = scrape(&exposition);
    assert_eq!(of(&after, "early", "vobiz_up"), Some("0"));
    assert_eq!(of(&after, "early", "vobiz_data_withdrawn"), Some("1"));
    assert!(
        !shows_snapshot(&after, "early"),
        "counts are withdrawn, too"
    );
    for stays in [
        "vobiz_walk_last_success_timestamp_seconds",
        "vobiz_walk_last_duration_seconds",
        "vobiz_walk_pages",
        "vobiz_walk_reported_endpoints",
        "vobiz_exporter_max_age_seconds",
    ] {
        assert!(of(&after, "early", stays).is_some(), "{stays}");
    }
    let gone = before.len() - after.len();
    assert_eq!(series(&before) - series(&after), gone as u64);
    assert_eq!(of(&after, "late", "vobiz_data_withdrawn"), Some("0"));
    assert!(shows_snapshot(&after, "late"));

    advance(Duration::from_secs(100)).await;
    let all = scrape(&exposition);
    assert!(!shows_snapshot(&all, "late"), "its own age counts");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_not_up_while_a_slow_walk_outlasts_its_data() {
    let walked = good("main", snapshot(phones(45), None, facts(0)));
    let (exposition, _publishers) = exposition([walked]);
    advance(Duration::from_millis(299_999)).await;
    let before = scrape(&exposition);
    assert_eq!(of(&before, "main", "vobiz_up"), Some("1"));
    assert!(shows_snapshot(&before, "main"));

    advance(Duration::from_millis(1)).await;
    let after = scrape(&exposition);
    assert_eq!(of(&after, "main", "vobiz_up"), Some("0"));
    assert!(!shows_snapshot(&after, "main"));
}

#[tokio::test(start_paused = true)]
async fn duty_follows_the_clock_without_a_walk_and_stays_while_data_is_withdrawn() {
    let duty = "[{times: [{start_time: '08:00', end_time: '12:00'}], location: Asia/Kolkata}]";
    let groups = groups(&format!(
        "[{{name: site, match: {{alias: x}}, duty: {duty}}}, {{name: other, match: {{alias: x}}}}]"
    ));
    let state = AccountState {
        shown: Arc::new(Shown { groups, ..shown() }),
        ..good("main", snapshot(phones(3), None, facts(0)))
    };
    let (_publisher, reader) = channel(state);
    // 07:59:30 in India.
    let clock = Clock::anchored(UnixMillis(1_795_573_770_000));
    let exposition = Exposition::new(vec![reader], Instruments::new(), clock);
    let on_duty = |group: &str| {
        let samples = scrape(&exposition);
        let labels = [("account", "main"), ("group", group)];
        value(&samples, "vobiz_group_on_duty", &labels).map(str::to_owned)
    };
    let day = [
        (0, "0"),
        (29_999, "0"),
        (1, "1"),
        (4 * 3_600_000 - 1, "1"),
        (1, "0"),
    ];
    for (passed, expected) in day.into_iter().chain([(20 * 3_600_000, "1")]) {
        advance(Duration::from_millis(passed)).await;
        assert_eq!(on_duty("site").as_deref(), Some(expected), "after {passed}");
        assert_eq!(on_duty("other").as_deref(), Some("1"));
    }
    assert!(
        !shows_snapshot(&scrape(&exposition), "main"),
        "withdrawn long ago"
    );
}

#[tokio::test(start_paused = true)]
async fn a_good_walk_ends_a_withdrawal() {
    let old = good("main", snapshot(phones(3), None, facts(0)));
    let (exposition, mut publishers) = exposition([old]);
    let run = tokio::spawn(exposition.clone().run());
    advance(MAX_AGE).await;
    assert!(!shows_snapshot(&scrape(&exposition), "main"));
    publishers[0].publish(good("main", snapshot(phones(4), None, facts(300))));
    rendered().await;
    run.abort();
    let samples = scrape(&exposition);
    assert_eq!(of(&samples, "main", "vobiz_data_withdrawn"), Some("0"));
    let registered = [("registration", "registered")];
    assert_eq!(value(&samples, "vobiz_endpoints", &registered), Some("2"));
}

/// The conditions of the account whose samples are 1. The account must have a sample for every condition.
fn conditions<'a>(samples: &'a [Sample], account: &str) -> Vec<&'a str> {
    let all = samples
        .iter()
        .filter(|sample| sample.name == "vobiz_account_condition")
        .filter(|sample| sample.label("account") == account);
    let labels: Vec<_> = all
        .clone()
        .map(|sample| sample.label("condition"))
        .collect();
    assert_eq!(labels, Condition::LABELS);
    let present = all.filter(|sample| sample.value == "1");
    present.map(|sample| sample.label("condition")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_condition_changes_by_the_clock_while_no_walk_ends() {
    let walked = good("main", snapshot(phones(45), None, facts(0)));
    let (exposition, mut publishers) = exposition([failed(&walked, "timeout"), fresh("new")]);
    let run = tokio::spawn(exposition.clone().run());
    let at_this_moment = || {
        let samples = scrape(&exposition);
        assert_eq!(conditions(&samples, "new"), ["starting"]);
        let withdrawn = of(&samples, "main", "vobiz_data_withdrawn") == Some("1");
        assert_eq!(shows_snapshot(&samples, "main"), !withdrawn);
        let [condition] = conditions(&samples, "main")[..] else {
            panic!("an account has one condition");
        };
        (condition.to_owned(), withdrawn)
    };
    let is = |condition: &str, withdrawn| (condition.to_owned(), withdrawn);
    advance(Duration::from_millis(179_999)).await;
    assert_eq!(at_this_moment(), is("failing", false));
    advance(Duration::from_millis(1)).await;
    assert_eq!(at_this_moment(), is("stale", false));
    advance(Duration::from_millis(119_999)).await;
    assert_eq!(at_this_moment(), is("stale", false));
    advance(Duration::from_millis(1)).await;
    assert_eq!(at_this_moment(), is("withdrawn", true));
    publishers[0].publish(good("main", snapshot(phones(45), None, facts(300))));
    rendered().await;
    run.abort();
    assert_eq!(at_this_moment(), is("ok", false));
}

#[tokio::test(start_paused = true)]
async fn the_condition_is_counted_in_the_series_of_the_account() {
    let walked = good("main", snapshot(phones(45), None, facts(0)));
    let (exposition, _publishers) = exposition([walked, fresh("new")]);
    for passed in [Duration::ZERO, Duration::from_secs(180), MAX_AGE] {
        advance(passed).await;
        let samples = scrape(&exposition);
        for account in ["main", "new"] {
            let shown = samples
                .iter()
                .filter(|sample| sample.label("account") == account)
                .filter_map(|sample| Metric::named(&sample.name))
                .filter(|metric| {
                    matches!(
                        metric.family().part,
                        Part::Snapshot | Part::Walk | Part::Judgement
                    )
                });
            let series = of(&samples, account, "vobiz_exporter_series");
            assert_eq!(series, Some(&*shown.count().to_string()), "{account}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_summary_of_an_account_describes_its_state() {
    let walked = good("a", snapshot(phones(45), None, facts(0)));
    let states = [
        walked.clone(),
        failed(&walked, "auth"),
        fresh("c"),
        failed(&fresh("d"), "network"),
    ];
    let (exposition, _publishers) = exposition(states);
    let summaries = || {
        let accounts = exposition.accounts().into_iter();
        let summary = |one: AccountSummary| (one.failure, one.is_withdrawn);
        accounts.map(summary).collect::<Vec<_>>()
    };
    for (passes, is_withdrawn) in [(12, false), (200, false), (7_300, true)] {
        advance(Duration::from_secs(passes)).await;
        assert_eq!(
            summaries(),
            [
                (None, is_withdrawn),
                (Some("auth"), is_withdrawn),
                (None, false),
                (Some("network"), false),
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_summary_of_an_account_follows_its_first_walk() {
    let (exposition, mut publishers) = exposition([fresh("a"), fresh("b")]);
    let run = tokio::spawn(exposition.clone().run());
    let has_finished = || {
        let accounts = exposition.accounts().into_iter();
        accounts.map(|one| one.has_walked).collect::<Vec<_>>()
    };
    assert_eq!(has_finished(), [false, false]);
    let a = good("a", snapshot(phones(3), None, facts(0)));
    publishers[0].publish(a);
    while of(&scrape(&exposition), "a", "vobiz_up").is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(has_finished(), [true, false], "b is still walking");
    publishers[1].publish(failed(&fresh("b"), "auth"));
    while has_finished() != [true, true] {
        rendered().await;
    }
    run.abort();
    assert_eq!(of(&scrape(&exposition), "b", "vobiz_up"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_walk_keeps_the_chunks_of_the_snapshot() {
    let mut writer = FamilyWriter::default();
    let state = good("main", snapshot(phones(45), None, facts(0)));
    let first = RenderedAccount::new(&state, None, &mut writer);
    let second = RenderedAccount::new(&failed(&state, "timeout"), Some(&first), &mut writer);
    let now = Instant::now();
    let place =
        |rendered: &RenderedAccount, metric| rendered.chunk(metric, now).unwrap().bytes.as_ptr();
    for metric in [
        Metric::EndpointInfo,
        Metric::EndpointRegistered,
        Metric::Endpoints,
    ] {
        assert_eq!(place(&first, metric), place(&second, metric));
    }
    let other = good("main", snapshot(phones(45), None, facts(0)));
    let third = RenderedAccount::new(&other, Some(&second), &mut writer);
    let metric = Metric::AccountCondition;
    assert_eq!(
        place(&first, metric),
        place(&third, metric),
        "the same condition"
    );
    let metric = Metric::EndpointInfo;
    assert_ne!(
        place(&second, metric),
        place(&third, metric),
        "another snapshot"
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_family_of_one_account_is_not_copied_by_a_new_state() {
    let state = good("main", snapshot(phones(20_000), None, facts(0)));
    let (exposition, mut publishers) = exposition([state.clone()]);
    let places = |exposition: &Exposition| -> Vec<_> {
        let body = exposition.body(Format::Text, Encoding::Gzip);
        let large = body.pieces.filter(|piece| piece.len() > 16 * 1024);
        large.map(|piece| piece.as_ptr()).collect()
    };
    let before = places(&exposition);
    assert!(before.len() >= 4, "{before:?}");
    publishers[0].publish(failed(&state, "timeout"));
    render(&exposition).await;
    assert_eq!(of(&scrape(&exposition), "main", "vobiz_up"), Some("0"));
    assert_eq!(places(&exposition), before);
}

/// The state after a walk that ended at `at(number)`. `number` is the alias and user agent of every endpoint.
fn walk(number: i64) -> AccountState {
    let endpoints = phones(500).map(|mut endpoint| {
        endpoint.alias = Some(number.to_string());
        endpoint.user_agent = Some(number.to_string());
        endpoint
    });
    good("main", snapshot(endpoints, None, facts(number)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_during_publishing_never_mixes_two_walks() {
    let (exposition, mut publishers) = exposition([walk(0)]);
    let run = tokio::spawn(exposition.clone().run());
    let enough = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&enough);
    let writer = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        while !stop.load(Ordering::Relaxed) {
            last += 1;
            publishers[0].publish(walk(last));
        }
        last
    });
    let exported = |samples: &[Sample]| {
        let ended = of(samples, "main", "vobiz_walk_last_success_timestamp_seconds");
        ended.unwrap().parse::<i64>().unwrap() - at(0).0 / 1000
    };
    let mut seen = BTreeSet::new();
    while seen.len() < 5 {
        let samples = checked(&inflated(&exposition, Format::OpenMetrics));
        let number = exported(&samples);
        for label in ["alias", "user_agent"] {
            let with = samples
                .iter()
                .filter(|sample| sample.labels.contains_key(label));
            let values: BTreeSet<_> = with.map(|sample| sample.label(label)).collect();
            assert_eq!(values, BTreeSet::from([number.to_string().as_str()]));
        }
        seen.insert(number);
    }
    enough.store(true, Ordering::Relaxed);
    let last = writer.await.unwrap();
    // The last walk is published.
    while exported(&scrape(&exposition)) < last {
        tokio::task::yield_now().await;
    }
    run.abort();
}

/// Waits until the new states are rendered, unless rendering pauses. The paused clock does not advance while a thread
/// renders.
async fn rendered() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Renders the new states.
async fn render(exposition: &Arc<Exposition>) {
    tokio::select! {
        () = exposition.clone().run() => {}
        () = rendered() => {}
    }
}

#[tokio::test(start_paused = true)]
async fn counters_are_encoded_once_a_second_and_not_at_every_scrape() {
    let (publisher, reader) = crate::snapshot::channel(fresh("main"));
    let instruments = crate::telemetry::Instruments::new();
    let counted = instruments.account("main");
    let exposition = Exposition::new(vec![reader], instruments, Clock::system());
    let walks = || {
        let samples = scrape(&exposition);
        of(&samples, "main", "vobiz_walks_total")
            .unwrap()
            .to_owned()
    };
    assert_eq!(walks(), "0");
    counted.count(Metric::Walks, &[], 1);
    advance(Duration::from_millis(999)).await;
    assert_eq!(walks(), "0");
    advance(Duration::from_millis(1)).await;
    assert_eq!(walks(), "1");
    counted.count(Metric::Walks, &[], 1);
    let mut publisher = publisher;
    publisher.publish(failed(&fresh("main"), "auth"));
    render(&exposition).await;
    assert_eq!(walks(), "2", "and after every walk");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_is_answered_while_an_account_is_rendered() {
    let state = good("main", snapshot(phones(3), None, facts(0)));
    let (exposition, _publishers) = exposition([state.clone()]);
    let (rendering, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let cache = Arc::clone(&exposition);
    let batch = vec![(0, Arc::new(state))];
    let update = tokio::task::spawn_blocking(move || {
        cache.update(batch, |state, last, writer| {
            rendering.send(()).unwrap();
            // If the test fails, it drops `release`. Then `recv` returns, and this thread ends.
            let _ = released.recv();
            RenderedAccount::new(state, last, writer)
        })
    });
    let long = Duration::from_secs(20);
    begun.recv_timeout(long).unwrap();
    // The second scrape encodes the exporter's own metrics again. The third finds a withdrawn snapshot.
    for passed in [Duration::ZERO, Duration::from_secs(2), MAX_AGE] {
        advance(passed).await;
        let (answer, answered) = mpsc::channel();
        let exposition = exposition.clone();
        tokio::task::spawn_blocking(move || answer.send(scrape(&exposition)));
        let samples = answered.recv_timeout(long).expect("a scrape does not wait");
        assert_eq!(shows_snapshot(&samples, "main"), passed < MAX_AGE);
    }
    release.send(()).unwrap();
    update.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn other_accounts_are_published_at_once_and_the_same_ones_keep_their_renderings() {
    let state = good("a", snapshot(phones(3), None, facts(0)));
    let instruments = crate::telemetry::Instruments::new();
    let [a, b] = ["a", "b"].map(|name| instruments.account(name));
    let (_a, reader) = channel(state);
    let (publisher, removed) = channel(good("b", snapshot(phones(3), None, facts(0))));
    let exposition = Exposition::new(
        vec![reader.clone(), removed],
        instruments.clone(),
        Clock::system(),
    );
    let run = tokio::spawn(exposition.clone().run());
    rendered().await;
    a.count(Metric::Walks, &[], 1);
    b.count(Metric::Walks, &[], 1);

    // `b` is removed, `c` is added, and the order changes.
    drop(publisher);
    instruments.remove(&b);
    b.count(Metric::Walks, &[], 1);
    instruments.account("c");
    let (mut publisher, added) = channel(fresh("c"));
    exposition.set_accounts(vec![added, reader.clone()]);
    let samples = scrape(&exposition);
    let of_b = |sample: &&Sample| sample.labels.get("account").is_some_and(|name| name == "b");
    assert_eq!(samples.iter().find(of_b), None);
    assert_eq!(of(&samples, "a", "vobiz_walks_total"), Some("1"));
    assert!(shows_snapshot(&samples, "a"));
    assert_eq!(conditions(&samples, "c"), ["starting"]);
    assert!(exposition.accounts().iter().all(|one| !one.is_awaited));
    let states = exposition.states().into_iter();
    let names: Vec<_> = states.map(|state| state.account.to_string()).collect();
    assert_eq!(names, ["c", "a"]);

    publisher.publish(good("c", snapshot(phones(2), None, facts(0))));
    rendered().await;
    assert!(shows_snapshot(&scrape(&exposition), "c"));
    run.abort();

    // The same name with another reader is another account, which shows nothing of the earlier one.
    let (_c, again) = channel(fresh("c"));
    exposition.set_accounts(vec![again, reader]);
    let samples = scrape(&exposition);
    assert!(!shows_snapshot(&samples, "c") && shows_snapshot(&samples, "a"));
}

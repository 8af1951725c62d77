//! The states of an account and of its endpoints: first walk, failures, withdrawal and recovery.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use vobiz_simulator::{Account, Effect, Endpoint, Fault, FaultId, RetryAfter, Vendor};

use crate::harness::{Exporter, Scrape, accounts_config, auth_id, label, listed, vendor};

const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";
const EXPIRES: &str = "vobiz_endpoint_registration_expiration_timestamp_seconds";
const REGISTRATIONS: &str = "vobiz_registration_changes_total";

fn withdrawn(scrape: &Scrape, account: &str) -> Option<f64> {
    scrape.only("vobiz_data_withdrawn", account)
}

/// The status codes of the health pages, and the state of the account on the status page.
async fn pages(exporter: &Exporter) -> (u16, u16, String) {
    let (healthy, ..) = exporter.get("/-/healthy").await;
    let (ready, ..) = exporter.get("/-/ready").await;
    let (_, _, landing) = exporter.get("/").await;
    let (_, rows) = landing.split_once("id=\"accounts\"").expect("the accounts");
    let row = rows.split("<tr><td>").nth(1).expect("a row");
    let tags = regex::Regex::new("<[^>]*>").unwrap();
    let cells: Vec<_> = row
        .split("</td>")
        .map(|cell| tags.replace_all(cell, ""))
        .collect();
    let [_, endpoints, condition, ..] = &cells[..] else {
        panic!("{row}")
    };
    (
        healthy,
        ready,
        format!("{}; {}", condition.trim(), endpoints.trim()),
    )
}

#[tokio::test]
async fn an_account_goes_through_every_state_of_the_table_and_back() {
    let vendor = vendor([("main", 45)]).await;
    let list = listed(&vendor, &auth_id("main"));
    // The first walk hangs until the test cancels the fault.
    let hang: FaultId = vendor.plan(Fault::new(Effect::Hang));
    let exporter = Exporter::start(&accounts_config(&vendor, "retries: 0", [("main", "")])).await;

    vendor.until(|counts| counts.in_flight == 1).await;
    let under_way = exporter.scrape().await;
    assert_eq!(
        (under_way.up("main"), under_way.last_success("main")),
        (None, None)
    );
    assert!(under_way.snapshot("main").is_empty());
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!(
        (healthy, ready, words.as_str()),
        (200, 503, "starting first walk under way; ")
    );

    vendor.plan(Fault::status(503));
    vendor.cancel(hang);
    let never = exporter
        .until("a failed walk", |scrape| scrape.up("main") == Some(0.0))
        .await;
    assert_eq!(
        (never.last_success("main"), withdrawn(&never, "main")),
        (None, Some(0.0))
    );
    assert!(never.snapshot("main").is_empty());
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!(
        (healthy, ready),
        (200, 200),
        "the first walk has ended, though badly"
    );
    assert!(words.starts_with("never the "), "{words}");
    assert!(words.ends_with("; no good walk yet; "), "{words}");

    vendor.heal();
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(good.endpoints("main"), list);
    assert_eq!(withdrawn(&good, "main"), Some(0.0));
    let (.., words) = pages(&exporter).await;
    let registered = list.values().filter(|state| **state == Some(true)).count();
    assert!(words.starts_with("ok last good walk "), "{words}");
    assert!(words.ends_with(&format!("; {registered} of 45")), "{words}");
    let next = exporter.until("the next walk", |scrape| {
        scrape.last_success("main") > good.last_success("main")
    });
    let good = next.await;

    vendor.plan(Fault::status(503));
    let failed = exporter
        .until("a failed walk", |scrape| scrape.up("main") == Some(0.0))
        .await;
    assert_eq!(failed.last_success("main"), good.last_success("main"));
    assert_eq!(
        (failed.snapshot("main"), withdrawn(&failed, "main")),
        (good.snapshot("main"), Some(0.0))
    );
    let (.., words) = pages(&exporter).await;
    assert!(
        words.starts_with("failing the API has an internal error (status 503); the data of "),
        "{words}"
    );
    assert!(words.ends_with(" of 45"), "{words}");

    let late = exporter
        .until("the withdrawal", |scrape| {
            withdrawn(scrape, "main") == Some(1.0)
        })
        .await;
    assert_eq!(
        (late.up("main"), late.last_success("main")),
        (Some(0.0), good.last_success("main"))
    );
    assert_eq!(
        late.snapshot("main"),
        BTreeMap::new(),
        "counts are withheld, too"
    );
    let max_age = late.only("vobiz_exporter_max_age_seconds", "main");
    assert_eq!(max_age, Some(15.0));
    assert!(age(&good) >= 15.0, "not before max_age");
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!((healthy, ready), (200, 200), "ready for good");
    assert!(
        words.starts_with(
            "withdrawn the API has an internal error (status 503); no good walk since "
        ),
        "{words}"
    );

    vendor.heal();
    let back = exporter
        .until("the return", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(
        (back.snapshot("main"), withdrawn(&back, "main")),
        (good.snapshot("main"), Some(0.0))
    );
    assert_eq!(exporter.terminate().await.code, Some(0));
}

#[tokio::test]
async fn the_condition_of_an_account_distinguishes_refusals_from_failures() {
    let vendor = vendor([("main", 45)]).await;
    let unpaid = vendor.plan(Fault::status(402));
    let times = "poll: {interval: 5s, max_age: 10m, deadline: 5s}";
    let configuration = accounts_config(&vendor, "retries: 0", [("main", times)]);
    let exporter = Exporter::start(&configuration).await;
    let reaches = async |expected: &str, text: &str| {
        let reached = exporter.until(expected, |scrape| scrape.condition("main") == expected);
        let scrape = reached.await;
        let (.., words) = pages(&exporter).await;
        assert!(words.starts_with(&format!("{expected} {text}")), "{words}");
        scrape
    };

    let failed = "the API wants a payment (status 402); no good walk yet";
    let never = reaches("never", failed).await;
    assert_eq!(never.only("vobiz_walks_total", "main"), Some(1.0));
    vendor.plan(Fault::status(403));
    vendor.cancel(unpaid);
    reaches(
        "refused",
        "the API refused access (status 403); check auth id and token",
    )
    .await;
    vendor.heal();
    reaches("ok", "last good walk ").await;
    vendor.plan(Fault::status(503));
    let failed = "the API has an internal error (status 503); ";
    let failing = reaches("failing", failed).await;
    let stale = reaches("stale", failed).await;
    assert_eq!(stale.snapshot("main"), failing.snapshot("main"));
    assert!(age(&stale) >= 15.0, "three intervals");
    vendor.heal();
    reaches("ok", "last good walk ").await;
    let log = exporter.terminate().await.log;
    let changes = log
        .lines()
        .filter(|line| line.contains("condition of the account has changed"));
    let changes: Vec<_> = changes.collect();
    let expected = [
        ("warn", "never", "starting"),
        ("warn", "refused", "never"),
        ("info", "ok", "refused"),
        ("warn", "failing", "ok"),
        ("warn", "stale", "failing"),
        ("info", "ok", "stale"),
    ];
    assert_eq!(changes.len(), expected.len(), "{changes:#?}");
    for (line, (level, condition, before)) in changes.into_iter().zip(expected) {
        assert!(line.contains(&format!("level={level} ")), "{line}");
        let fields = format!(" account=main condition={condition} before={before}");
        assert!(line.contains(&fields), "{line}");
    }
}

/// The seconds since the last successful walk that the scrape shows.
fn age(scrape: &Scrape) -> f64 {
    let now = vobiz_exporter::clock::Clock::system().now();
    now.as_seconds() - scrape.last_success("main").expect("a good walk")
}

#[tokio::test]
async fn an_incomplete_walk_keeps_what_it_misses_until_three_walks_miss_the_same() {
    let vendor = vendor([("main", 45)]).await;
    let list = listed(&vendor, &auth_id("main"));
    let exporter =
        Exporter::start(&accounts_config(&vendor, "page_size: 10", [("main", "")])).await;
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;

    let hidden: Vec<_> = list.keys().take(3).cloned().collect();
    let change = |change: &dyn Fn(&mut Account)| {
        vendor.edit(|world| change(world.account_mut(&auth_id("main")).unwrap()));
    };
    change(&|account| assert!(hidden.iter().all(|id| account.hide(id, true))));
    let missing = |scrape: &Scrape| {
        let missing = scrape.only("vobiz_walk_missing_endpoints", "main");
        (
            missing,
            scrape.only("vobiz_walk_retained_endpoints", "main"),
        )
    };
    let short = exporter
        .until("a short walk", |scrape| {
            missing(scrape) == (Some(3.0), Some(3.0))
        })
        .await;
    assert_eq!(short.up("main"), Some(1.0));
    assert!(short.last_success("main") > good.last_success("main"));
    assert_eq!(
        short.snapshot("main"),
        good.snapshot("main"),
        "retained with their last values"
    );
    let later = exporter
        .until("three walks", |scrape| {
            missing(scrape) == (Some(0.0), Some(0.0))
        })
        .await;
    assert_eq!(later.up("main"), Some(1.0));
    let walks = |scrape: &Scrape| scrape.only("vobiz_walks_total", "main").unwrap();
    assert!(walks(&later) >= walks(&good) + 3.0);
    let expected: BTreeMap<_, _> = (list.clone().into_iter())
        .filter(|(id, _)| !hidden.contains(id))
        .collect();
    assert_eq!(later.endpoints("main"), expected);

    change(&|account| assert!(hidden.iter().all(|id| account.hide(id, false))));
    exporter
        .until("all of them", |scrape| {
            missing(scrape) == (Some(0.0), Some(0.0)) && scrape.endpoints("main") == list
        })
        .await;

    change(&|account| assert!(account.hide(&hidden[0], true)));
    exporter
        .until("one is missing", |scrape| {
            missing(scrape) == (Some(1.0), Some(1.0))
        })
        .await;
    change(&|account| assert!(account.remove(&hidden[0]).is_some()));
    let gone = exporter
        .until("it is proven gone", |scrape| {
            missing(scrape) == (Some(0.0), Some(0.0))
        })
        .await;
    assert!(!gone.endpoints("main").contains_key(&hidden[0]));
    assert_eq!(gone.endpoints("main").len(), 44);
}

/// The ids of the first `MANY` registered endpoints of the account `main`.
fn registered<const MANY: usize>(vendor: &Vendor) -> [String; MANY] {
    let list = listed(vendor, &auth_id("main")).into_iter();
    let ids = list.filter_map(|(id, state)| (state == Some(true)).then_some(id));
    let ids: Vec<_> = ids.take(MANY).collect();
    ids.try_into().expect("enough of them are registered")
}

/// Pairs of a value of the label `change` and the counter's value for the account `main`.
fn changes(scrape: &Scrape, name: &str) -> Vec<(String, f64)> {
    let counted = scrape.counted(name, "main", "change").into_iter();
    counted
        .map(|(change, number)| (change.to_owned(), number))
        .collect()
}

#[tokio::test]
async fn an_endpoint_keeps_the_time_of_its_loss_until_it_is_back() {
    let vendor = vendor([("main", 45)]).await;
    let [lost] = registered(&vendor);
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", "")])).await;
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(good.count(LOST, &[]), 0, "nobody was lost before our eyes");
    let register = |registered| {
        vendor.edit(|world| {
            let now = world.now();
            let edited = world
                .first_mut()
                .edit(&lost, |one| one.set_registered(registered, now));
            assert!(edited);
        });
    };

    register(false);
    let id = format!("endpoint_id=\"{lost}\"");
    let lost_at = |scrape: &Scrape| scrape.value(LOST, &[&id]);
    let after = exporter
        .until("the loss", |scrape| lost_at(scrape).is_some())
        .await;
    assert_eq!(after.value("vobiz_endpoint_registered", &[&id]), Some(0.0));
    assert_eq!(after.value(EXPIRES, &[&id]), None);
    let since = lost_at(&after);
    assert!(since > good.last_success("main") && since < after.last_success("main"));
    assert_eq!(changes(&after, REGISTRATIONS), [("lost".to_owned(), 1.0)]);

    // Neither a failed walk nor a successful walk changes the time of the loss.
    vendor.plan(Fault::status(500));
    let failed = exporter
        .until("a failed walk", |scrape| scrape.up("main") == Some(0.0))
        .await;
    assert_eq!(lost_at(&failed), since);
    vendor.heal();
    let again = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert!(again.last_success("main") > after.last_success("main"));
    assert_eq!(lost_at(&again), since);

    register(true);
    let back = exporter
        .until("the return", |scrape| lost_at(scrape).is_none())
        .await;
    assert_eq!(back.value("vobiz_endpoint_registered", &[&id]), Some(1.0));
    let both = [("gained".to_owned(), 1.0), ("lost".to_owned(), 1.0)];
    assert_eq!(changes(&back, REGISTRATIONS), both);
    let log = exporter.terminate().await.log;
    for line in [
        "endpoint lost its registration",
        "endpoint registered again",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_deleted_or_changed_leaves_no_series_behind() {
    let vendor = vendor([("main", 45)]).await;
    let [deleted, recreated, rebound] = registered(&vendor);
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", "")])).await;
    exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    vendor.edit(|world| {
        let account = world.first_mut();
        let applications = [0, 1].map(|number| account.applications[number].id.clone());
        account.remove(&deleted);
        account.replace(&recreated, Endpoint::new("100000000000001").alias("anew"));
        account.edit(&rebound, |endpoint| {
            let other = applications
                .into_iter()
                .find(|id| endpoint.application.as_ref() != Some(id));
            endpoint.application = other;
            "renamed".clone_into(&mut endpoint.alias);
        });
    });
    let counts = ["added", "application", "removed"].map(str::to_owned);
    let expected: Vec<_> = counts.into_iter().zip([1.0, 1.0, 2.0]).collect();
    let after = exporter
        .until("the changes", |scrape| {
            changes(scrape, "vobiz_endpoint_changes_total") == expected
        })
        .await;
    assert_eq!(after.endpoints("main"), listed(&vendor, &auth_id("main")));
    for gone in [&deleted, &recreated] {
        assert!(
            !after.text.contains(gone),
            "a series of {gone} stays behind"
        );
    }
    assert!(after.endpoints("main").contains_key("100000000000001"));
    let of_rebound = format!("endpoint_id=\"{rebound}\"");
    let infos: Vec<_> = (after.family("vobiz_endpoint_info"))
        .filter(|(labels, _)| labels.contains(&of_rebound))
        .map(|(labels, _)| label(labels, "alias"))
        .collect();
    assert_eq!(infos, ["renamed"], "one info series, the new one");
    assert_eq!(
        after.count("vobiz_endpoint_application_info", &[&of_rebound]),
        1
    );
}

#[tokio::test]
async fn scrapes_and_health_checks_are_answered_while_walks_hang_fail_or_wait() {
    let vendor = vendor([("main", 45)]).await;
    // A walk hangs until its deadline of five seconds. The scrapes below need less time.
    let times = "poll: {max_age: 10m, interval: 5s}, api: {request_timeout: 5m, retries: 0}";
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", times)])).await;
    let list = listed(&vendor, &auth_id("main"));
    exporter
        .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let pause = RetryAfter::Seconds(1);
    for fault in [
        Fault::status(500),
        Fault::throttled(pause),
        Fault::new(Effect::Hang),
    ] {
        let requests = vendor.counts().requests;
        let planned = vendor.plan(fault);
        vendor.until(|counts| counts.requests > requests).await;
        let scrapes = join_all((0..30).map(|_| exporter.scrape())).await;
        for scrape in scrapes {
            assert_eq!(scrape.endpoints("main"), list);
        }
        assert_eq!(exporter.get("/-/healthy").await.0, 200);
        vendor.cancel(planned);
    }
    assert_eq!(vendor.counts().in_flight, 1, "the last walk still hangs");
}

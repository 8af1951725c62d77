//! The states of an account and of its endpoints, from the first walk to a withdrawal and back.

use std::collections::BTreeMap;

use vobiz_exporter::sim::{Account, Effect, Endpoint, Fault, FaultId};

use crate::stand::{Exporter, Scrape, auth_id, household, label, listed, vendor};

const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";

fn withdrawn(scrape: &Scrape, account: &str) -> Option<f64> {
    scrape.only("vobiz_data_withdrawn", account)
}

/// Status and account's words of the pages that are not for Prometheus.
async fn pages(exporter: &Exporter) -> (u16, u16, String) {
    let (healthy, ..) = exporter.get("/-/healthy").await;
    let (ready, ..) = exporter.get("/-/ready").await;
    let (_, _, landing) = exporter.get("/").await;
    let row = landing.split("<tr><td>").nth(1).expect("a row");
    let words = row.split("<td>").nth(1).expect("the account's state");
    (
        healthy,
        ready,
        words.split('<').next().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn an_account_goes_through_every_state_of_the_table_and_back() {
    let vendor = vendor([("main", 45)]).await;
    let list = listed(&vendor, &auth_id("main"));
    // The first walk waits for as long as the story wants.
    let hang: FaultId = vendor.plan(Fault::new(Effect::Hang));
    let exporter = Exporter::start(&household(&vendor, "retries: 0", [("main", "")])).await;

    vendor.until(|counts| counts.in_flight == 1).await;
    let under_way = exporter.scrape().await;
    assert_eq!(
        (under_way.up("main"), under_way.last_success("main")),
        (None, None)
    );
    assert!(under_way.picture("main").is_empty());
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!(
        (healthy, ready, words.as_str()),
        (200, 503, "first walk under way")
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
    assert!(never.picture("main").is_empty());
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!(
        (healthy, ready),
        (200, 200),
        "the first walk has ended, though badly"
    );
    assert!(words.starts_with("down ("), "{words}");
    assert!(words.ends_with("no good walk yet"), "{words}");

    vendor.heal();
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(good.endpoints("main"), list);
    assert_eq!(withdrawn(&good, "main"), Some(0.0));
    let (.., words) = pages(&exporter).await;
    let registered = list.values().filter(|state| **state == Some(true)).count();
    assert!(
        words.starts_with(&format!(
            "up: 45 endpoints, {registered} registered, walked "
        )),
        "{words}"
    );
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
        (failed.picture("main"), withdrawn(&failed, "main")),
        (good.picture("main"), Some(0.0))
    );
    let (.., words) = pages(&exporter).await;
    assert!(
        words.starts_with("down (server_error), last good walk "),
        "{words}"
    );

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
        late.picture("main"),
        BTreeMap::new(),
        "counts are withheld, too"
    );
    let max_age = late.only("vobiz_exporter_max_age_seconds", "main");
    assert_eq!(max_age, Some(15.0));
    assert!(age(&good) >= 15.0, "not before max_age");
    let (healthy, ready, words) = pages(&exporter).await;
    assert_eq!((healthy, ready), (200, 200), "ready for good");
    assert!(
        words.starts_with("withdrawn: down (server_error), last good walk "),
        "{words}"
    );

    vendor.heal();
    let back = exporter
        .until("the return", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(
        (back.picture("main"), withdrawn(&back, "main")),
        (good.picture("main"), Some(0.0))
    );
    assert_eq!(exporter.terminate().await.code, Some(0));
}

/// Seconds since the last good walk that a scrape knew of.
fn age(scrape: &Scrape) -> f64 {
    let now = vobiz_exporter::clock::Clock::system().now();
    now.as_seconds() - scrape.last_success("main").unwrap()
}

#[tokio::test]
async fn a_short_walk_holds_what_it_owes_until_max_age_or_until_it_is_proven_gone() {
    let vendor = vendor([("main", 45)]).await;
    let list = listed(&vendor, &auth_id("main"));
    let exporter = Exporter::start(&household(&vendor, "page_size: 10", [("main", "")])).await;
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;

    let hidden: Vec<_> = list.keys().take(3).cloned().collect();
    let change = |change: &dyn Fn(&mut Account)| {
        vendor.edit(|world| change(world.account_mut(&auth_id("main")).unwrap()));
    };
    change(&|account| assert!(hidden.iter().all(|id| account.hide(id, true))));
    let owed = |scrape: &Scrape| {
        let missing = scrape.only("vobiz_walk_missing_endpoints", "main");
        (missing, scrape.only("vobiz_walk_held_endpoints", "main"))
    };
    let short = exporter
        .until("a short walk", |scrape| {
            owed(scrape) == (Some(3.0), Some(3.0))
        })
        .await;
    assert_eq!(short.up("main"), Some(1.0));
    assert!(short.last_success("main") > good.last_success("main"));
    assert_eq!(
        short.picture("main"),
        good.picture("main"),
        "held with their last values"
    );
    let rereads = |scrape: &Scrape| {
        scrape.value(
            "vobiz_walk_rereads_total",
            &["account=\"main\"", "reason=\"count\""],
        )
    };
    assert_eq!(rereads(&short), Some(1.0));

    let later = exporter
        .until("max_age", |scrape| owed(scrape) == (Some(3.0), Some(0.0)))
        .await;
    assert_eq!(later.up("main"), Some(1.0));
    assert_eq!(
        rereads(&later),
        Some(1.0),
        "a debt once accepted is not read twice"
    );
    let expected: BTreeMap<_, _> = (list.clone().into_iter())
        .filter(|(id, _)| !hidden.contains(id))
        .collect();
    assert_eq!(later.endpoints("main"), expected);
    assert!(
        age(&good) >= 15.0,
        "held for max_age after they were last seen"
    );

    change(&|account| assert!(hidden.iter().all(|id| account.hide(id, false))));
    let back = exporter
        .until("all of them", |scrape| {
            owed(scrape) == (Some(0.0), Some(0.0))
        })
        .await;
    assert_eq!(back.endpoints("main"), list);

    change(&|account| assert!(account.hide(&hidden[0], true)));
    exporter
        .until("one is owed", |scrape| {
            owed(scrape) == (Some(1.0), Some(1.0))
        })
        .await;
    change(&|account| assert!(account.remove(&hidden[0]).is_some()));
    let gone = exporter
        .until("it is proven gone", |scrape| {
            owed(scrape) == (Some(0.0), Some(0.0))
        })
        .await;
    assert!(!gone.endpoints("main").contains_key(&hidden[0]));
    assert_eq!(gone.endpoints("main").len(), 44);
}

#[tokio::test]
async fn an_endpoint_keeps_the_time_of_its_loss_and_leaves_without_a_trace() {
    let vendor = vendor([("main", 45)]).await;
    let list = listed(&vendor, &auth_id("main"));
    let registered: Vec<_> = (list.iter())
        .filter(|(_, state)| **state == Some(true))
        .map(|(id, _)| id.clone())
        .collect();
    let [lost, deleted, recreated, rebound] = &registered[..4] else {
        panic!("four registered endpoints");
    };
    let exporter = Exporter::start(&household(&vendor, "", [("main", "")])).await;
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(good.count(LOST, &[]), 0, "nobody was lost before our eyes");

    vendor.edit(|world| {
        let account = world.account_mut(&auth_id("main")).unwrap();
        let application = account.applications[0].id.clone();
        let other = account.applications[1].id.clone();
        account.edit(lost, |endpoint| endpoint.registration = None);
        account.remove(deleted);
        account.replace(recreated, Endpoint::new("100000000000001").alias("anew"));
        account.edit(rebound, |endpoint| {
            let same = endpoint.application.as_deref() == Some(&application);
            endpoint.application = Some(if same { other } else { application });
            "renamed".clone_into(&mut endpoint.alias);
        });
    });
    let id = format!("endpoint_id=\"{lost}\"");
    let lost_at = |scrape: &Scrape| scrape.value(LOST, &[&id]);
    let after = exporter
        .until("the loss", |scrape| lost_at(scrape).is_some())
        .await;
    assert_eq!(after.value("vobiz_endpoint_registered", &[&id]), Some(0.0));
    assert_eq!(
        after.value(
            "vobiz_endpoint_registration_expiration_timestamp_seconds",
            &[&id]
        ),
        None
    );
    let since = lost_at(&after).unwrap();
    assert!(
        since > good.last_success("main").unwrap() && since < after.last_success("main").unwrap()
    );
    assert_eq!(after.endpoints("main"), listed(&vendor, &auth_id("main")));
    for gone in [deleted, recreated] {
        assert!(
            !after.text.contains(gone.as_str()),
            "a series of {gone} stays behind"
        );
    }
    assert!(after.endpoints("main").contains_key("100000000000001"));
    let of_rebound = format!("endpoint_id=\"{rebound}\"");
    let names: Vec<_> = (after.family("vobiz_endpoint_info"))
        .filter(|(labels, _)| labels.contains(&of_rebound))
        .map(|(labels, _)| label(labels, "alias"))
        .collect();
    assert_eq!(names, ["renamed"], "one info series, the new one");
    assert_eq!(
        after.count("vobiz_endpoint_application_info", &[&of_rebound]),
        1
    );
    let changes = |scrape: &Scrape, name: &str| -> BTreeMap<String, f64> {
        let counted = scrape.counted(name, "main", "change").into_iter();
        counted
            .map(|(change, number)| (change.to_owned(), number))
            .collect()
    };
    let told = |list: &[(&str, f64)]| -> BTreeMap<String, f64> {
        list.iter()
            .map(|(change, number)| ((*change).to_owned(), *number))
            .collect()
    };
    assert_eq!(
        changes(&after, "vobiz_registration_changes_total"),
        told(&[("lost", 1.0)])
    );
    assert_eq!(
        changes(&after, "vobiz_endpoint_changes_total"),
        told(&[("added", 1.0), ("application", 1.0), ("removed", 2.0)]),
    );

    // A failed walk and a good one: the time of the loss stays what it was.
    vendor.plan(Fault::status(500));
    let failed = exporter
        .until("a failed walk", |scrape| scrape.up("main") == Some(0.0))
        .await;
    assert_eq!(lost_at(&failed), Some(since));
    vendor.heal();
    let again = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert!(again.last_success("main") > after.last_success("main"));
    assert_eq!(lost_at(&again), Some(since));

    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        account.edit(lost, |endpoint| endpoint.set_registered(true, now));
    });
    let back = exporter
        .until("the return", |scrape| lost_at(scrape).is_none())
        .await;
    assert_eq!(back.value("vobiz_endpoint_registered", &[&id]), Some(1.0));
    assert_eq!(
        changes(&back, "vobiz_registration_changes_total"),
        told(&[("gained", 1.0), ("lost", 1.0)]),
    );
    let log = exporter.terminate().await.log;
    assert_eq!(
        log.matches("endpoint lost its registration").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("endpoint registered again").count(), 1, "{log}");
}

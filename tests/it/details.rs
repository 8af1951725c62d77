//! Details: with one request for each endpoint, the exporter retrieves data that the list lacks.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use vobiz_simulator::{AccountPlan, Effect, Fault, Operation, Options, Shape, Vendor, World};

use crate::harness::{
    Exporter, Finished, Scrape, accounts_config, auth_id, listed, once, plan, until_within,
};

const EXPIRY: &str = "vobiz_endpoint_registration_expiration_timestamp_seconds";
const RETRIEVED: &str = "vobiz_endpoint_detail_timestamp_seconds";

/// A vendor whose list rows show no `sip_expires`. Its first `registered` endpoints are registered.
async fn vendor(endpoints: usize, registered: usize) -> Vendor {
    let mut world = World::new(Timestamp::now(), 7);
    world.settle(silent(plan("main", endpoints)));
    let now = world.now();
    let account = world.account_mut(&auth_id("main")).unwrap();
    let mut number = 0;
    account.edit_all(|endpoint| {
        endpoint.set_registered(number < registered, now);
        number += 1;
    });
    let options = Options {
        log_capacity: 100_000,
        ..Options::default()
    };
    Vendor::start(world, options).await.unwrap()
}

fn silent(plan: AccountPlan) -> AccountPlan {
    plan.shape(Shape::Captured)
}

fn edit(vendor: &Vendor, id: &str, registered: bool) {
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        assert!(account.edit(id, |endpoint| endpoint.set_registered(registered, now)));
    });
}

fn id_at(vendor: &Vendor, position: usize) -> String {
    vendor.edit(|world| {
        let account = world.account(&auth_id("main")).unwrap();
        account.at(position).unwrap().id().to_owned()
    })
}

/// Fails if a period has more requests than `rate` allows. A busy machine can delay a request, so
/// the test adds one second to each period. The unit tests of the rate limiter are exact.
fn holds(times: &[Duration], rate: f64) {
    for (index, begin) in times.iter().enumerate() {
        for (count, end) in (1_u32..).zip(&times[index..]) {
            let length = end.saturating_sub(*begin).as_secs_f64() + 1.0;
            let most = rate * length + 1.0;
            assert!(f64::from(count) <= most, "{count} within {length} s");
        }
    }
}

/// The number of samples in a family.
fn series(scrape: &Scrape, name: &str) -> usize {
    scrape.count(name, &[])
}

#[tokio::test]
async fn a_list_without_expiries_gets_them_within_the_budget_and_new_registrations_at_once() {
    let vendor = vendor(2_000, 1_500).await;
    let settings = "poll: {interval: 10s, max_age: 60s, deadline: 8s}, \
                    api: {requests_per_second: 20}, details: {requests_per_minute: 600}";
    let begun = Instant::now();
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", settings)])).await;
    exporter
        .until("the first details", |scrape| series(scrape, EXPIRY) > 20)
        .await;

    let new_endpoint = id_at(&vendor, 1_900);
    edit(&vendor, &new_endpoint, true);
    let turned = Instant::now();
    let label = format!("endpoint_id=\"{new_endpoint}\"");
    let scrape = exporter
        .until("the new_endpoint's expiry", |scrape| {
            scrape.value(EXPIRY, &[&label]).is_some()
        })
        .await;
    assert!(turned.elapsed() < Duration::from_secs(20), "two intervals");
    let pending = scrape.value("vobiz_details_pending", &[]).unwrap();
    assert!(pending > 500.0, "hundreds wait: {pending}");

    let scrape = until_within(Duration::from_secs(240), "all expiries", || async {
        let scrape = exporter.scrape().await;
        (series(&scrape, EXPIRY) == 1_501).then_some(scrape)
    })
    .await;
    // 1,501 requests at 600 per minute take 150 s. The first walk, the last publication and the
    // pauses between scrapes of the test need some seconds more.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(165), "{took:?}");
    assert_eq!(series(&scrape, RETRIEVED), 1_501);
    let registered = scrape.value("vobiz_endpoints", &["registration=\"registered\""]);
    assert_eq!(registered, Some(1_501.0));

    let requests = vendor.requests();
    let all: Vec<_> = requests.iter().map(|one| one.since_start).collect();
    holds(&all, 20.0);
    let retrieved = requests
        .iter()
        .filter(|one| one.operation == Operation::RetrieveEndpoint);
    let retrieved: Vec<_> = retrieved.map(|one| one.since_start).collect();
    for (index, begin) in retrieved.iter().enumerate() {
        let end = *begin + Duration::from_secs(59);
        let within = retrieved[index..].iter().take_while(|at| **at < end);
        assert!(within.count() <= 600, "no minute has more");
    }
}

#[tokio::test]
async fn a_failed_retrieval_fails_neither_the_walk_nor_the_endpoint() {
    let faults = [
        ("gone", Fault::status(404)),
        ("broken", Fault::status(500)),
        ("garbage", Fault::body("<html>who is there?</html>")),
        ("refused", Fault::status(401)),
        ("hanging", Fault::new(Effect::Hang)),
    ];
    let mut world = World::new(Timestamp::now(), 7);
    for (name, _) in &faults {
        world.settle(silent(plan(name, 20)));
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let names = faults.each_ref().map(|(name, _)| *name);
    for (name, fault) in faults {
        let fault = fault.on(Operation::RetrieveEndpoint);
        vendor.plan(fault.for_account(auth_id(name)));
    }
    let accounts = names.map(|name| (name, ""));
    let exporter = Exporter::start(&accounts_config(&vendor, "", accounts)).await;
    let walked = |scrape: &Scrape| {
        names.iter().all(|name| {
            let account = format!("account=\"{name}\"");
            let walks = scrape.value("vobiz_walks_total", &[&account]);
            let asked = scrape.count("vobiz_api_requests_total", &[&account, "retrieve_endpoint"]);
            walks >= Some(3.0) && (asked > 0 || *name == "hanging")
        })
    };
    let scrape = exporter.until("three walks of each", walked).await;
    for name in names {
        let account = format!("account=\"{name}\"");
        assert_eq!(scrape.up(name), Some(1.0), "{name}");
        let failed = scrape.family("vobiz_walk_failures_total");
        let failed = failed.filter(|(labels, _)| labels.contains(&account));
        assert!(failed.map(|(_, value)| value).sum::<f64>() == 0.0, "{name}");
        assert_eq!(scrape.endpoints(name), listed(&vendor, &auth_id(name)));
        assert_eq!(scrape.count(EXPIRY, &[&account]), 0);
    }
}

#[tokio::test]
async fn a_detail_budget_that_is_too_small_is_logged_once() {
    let vendor = vendor(20, 20).await;
    let settings = "details: {requests_per_minute: 60, max_age: 10s}";
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", settings)])).await;
    exporter
        .until("three walks", |scrape| {
            scrape.value("vobiz_walks_total", &[]) >= Some(3.0)
        })
        .await;
    let Finished { log, .. } = exporter.terminate().await;
    let warnings = log.matches("20 endpoints want details, but the requests beside walks");
    assert_eq!(warnings.count(), 1, "{log}");
}

#[tokio::test]
async fn a_single_run_retrieves_nothing() {
    let vendor = vendor(45, 45).await;
    let scrape = once(&accounts_config(&vendor, "", [("main", "")])).await;
    assert_eq!(series(&scrape, "vobiz_endpoint_registered"), 45);
    assert_eq!(vendor.counts().retrieve_endpoint, 0);
    assert_eq!(series(&scrape, "vobiz_details_pending"), 0, "nothing is");
}

//! Many probes at once.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use vobiz_simulator::{Effect, Fault, Operation, TEST_ACCOUNT};

use super::{exporter_of, failed, phone, probe, registered, vendor_of};
use crate::harness::{Exporter, Scrape, configuration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_probes_of_one_phone_are_one_request() {
    let (vendor, exporter) = exporter_of(20).await;
    let id = phone(&vendor, true);
    let slow = Fault::new(Effect::Delay(Duration::from_secs(5))).on(Operation::RetrieveEndpoint);
    vendor.plan(slow);
    let probes = (0..200).map(|_| probe(&exporter, "main", &id, "30"));
    let answers = join_all(probes).await;
    assert!(answers.iter().all(|scrape| registered(scrape) == Some(1.0)));
    assert_eq!(vendor.counts().retrieve_endpoint, 1);
    // Probes share only a request that is in flight.
    vendor.heal();
    probe(&exporter, "main", &id, "30").await;
    assert_eq!(vendor.counts().retrieve_endpoint, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_above_their_share_are_throttled_and_walks_go_on() {
    let vendor = vendor_of(20).await;
    let slow = configuration(
        &vendor,
        "probe: {enabled: true, requests_per_second: 2, timeout_offset: 2s}",
    )
    .replace("requests_per_second: 0", "requests_per_second: 4");
    let exporter = Exporter::start(&slow).await;
    exporter
        .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let walks = |scrape: &Scrape| scrape.only("vobiz_walks_total", "main").unwrap();
    let before = walks(&exporter.scrape().await);
    let begun = Instant::now();
    let mut throttled = 0;
    let mut rounds = 0;
    // The test sends more probes than the rate limit of probes allows, until two walks have ended.
    while walks(&exporter.scrape().await) < before + 2.0 {
        let ids: Vec<_> = (0..50).map(|number| format!("9{rounds}{number}")).collect();
        let asked = Instant::now();
        let probes = ids.iter().map(|id| probe(&exporter, "main", id, "3"));
        let answers = join_all(probes).await;
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?}");
        let count = |reason| {
            let of = answers
                .iter()
                .filter(|scrape| failed(scrape) == Some(reason));
            of.count()
        };
        let (asked, refused) = (count("not_found"), count("throttled"));
        // A request that starts shortly before the deadline of its probe can end too late.
        let late = count("timeout");
        assert!(asked > 0 && late <= 1, "{asked} {refused} {late}");
        assert_eq!(asked + refused + late, answers.len());
        throttled += refused;
        rounds += 1;
        assert!(rounds < 20, "no walk goes on");
    }
    assert!(throttled > 30, "{throttled}");
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.up("main"), Some(1.0));
    let seconds = begun.elapsed().as_secs_f64();
    let requests = vendor.counts();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let (probes, all) = (requests.retrieve_endpoint as f64, requests.requests as f64);
    assert!(
        probes <= 2.0 * seconds + 1.0,
        "{probes} probes in {seconds} s"
    );
    assert!(all <= 4.0 * vendor_seconds(&vendor) + 1.0, "{all} requests");
}

/// The seconds between the first request and the last request to the vendor.
fn vendor_seconds(vendor: &vobiz_simulator::Vendor) -> f64 {
    let records = vendor.requests();
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    last.since_start.as_secs_f64() - first.since_start.as_secs_f64()
}

#[tokio::test]
async fn two_accounts_of_one_auth_id_have_one_share() {
    let vendor = vendor_of(20).await;
    let id = phone(&vendor, true);
    let (base_url, auth_id, token) = (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    let text = format!(
        "probe: {{enabled: true, requests_per_second: 1}}\n\
         poll: {{interval: 60s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
         accounts:\n\
         - {{name: one, auth_id: {auth_id}, auth_token: {token}}}\n\
         - {{name: other, auth_id: {auth_id}, auth_token: {token}, metrics: {{username: false}}}}\n"
    );
    let exporter = Exporter::start(&text).await;
    let begun = Instant::now();
    let (one, other) = tokio::join!(
        probe(&exporter, "one", &id, "10"),
        probe(&exporter, "other", &id, "10")
    );
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (registered(&one), registered(&other)),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(vendor.counts().retrieve_endpoint, 2);
    assert!(one.text.contains("username=\"") && !other.text.contains("username=\""));
}

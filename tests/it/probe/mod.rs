//! `/probe` retrieves one endpoint during the scrape.

mod crowd;
mod faults;
mod parameters;
mod prometheus;
mod responses;

use vobiz_simulator::{Options, TEST_ACCOUNT, Vendor, World};

use vobiz_exporter::telemetry::labels::PROBE_FAILURE_REASONS;

use crate::harness::{Answer, Exporter, Scrape, ask, configuration};

/// Enables probes at their highest rate.
const ON: &str = "probe: {enabled: true, requests_per_second: 100}";

/// A vendor with one account of this many endpoints, without simulated events.
async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

/// A vendor, and an exporter that can probe the endpoints of this vendor.
async fn exporter_of(endpoints: usize) -> (Vendor, Exporter) {
    let vendor = vendor_of(endpoints).await;
    let exporter = Exporter::start(&configuration(&vendor, ON)).await;
    (vendor, exporter)
}

/// The id of a registered or unregistered endpoint of the test account.
fn phone(vendor: &Vendor, registered: bool) -> String {
    vendor.edit(|world| {
        let account = world.account(TEST_ACCOUNT.auth_id).unwrap();
        let mut endpoints = account.endpoints();
        let found = endpoints.find(|one| one.registered() == registered);
        found.expect("there is one").id().to_owned()
    })
}

fn path(account: &str, id: &str) -> String {
    format!("/probe?account={account}&endpoint_id={id}")
}

/// The samples of a probe with this time-out in seconds.
async fn probe(exporter: &Exporter, account: &str, id: &str, seconds: &str) -> Scrape {
    let headers = [("X-Prometheus-Scrape-Timeout-Seconds", seconds)];
    let answer = ask(exporter.address(), "GET", &path(account, id), &headers).await;
    read(&answer)
}

fn read(answer: &Answer) -> Scrape {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let scrape = Scrape::read(&answer.text());
    let reasons: Vec<_> = scrape.family("vobiz_probe_failure").collect();
    assert_eq!(
        reasons.len(),
        PROBE_FAILURE_REASONS.len(),
        "{}",
        scrape.text
    );
    assert!(scrape.value("probe_duration_seconds", &[]).is_some());
    let failed = failed(&scrape).is_some();
    let success = scrape.value("probe_success", &[]);
    assert_eq!(
        success,
        Some(if failed { 0.0 } else { 1.0 }),
        "{}",
        scrape.text
    );
    let infos = scrape.count("vobiz_probe_endpoint_info", &[]);
    assert_eq!(infos, usize::from(!failed), "{}", scrape.text);
    scrape
}

/// The reason of a failed probe.
fn failed(scrape: &Scrape) -> Option<&'static str> {
    let is_it = |reason: &&&str| {
        let label = format!("reason=\"{reason}\"");
        scrape.value("vobiz_probe_failure", &[&label]) == Some(1.0)
    };
    let mut reasons = PROBE_FAILURE_REASONS.iter().filter(is_it);
    let reason = reasons.next().copied();
    assert_eq!(reasons.next(), None, "{}", scrape.text);
    reason
}

fn registered(scrape: &Scrape) -> Option<f64> {
    scrape.value("vobiz_probe_endpoint_registered", &[])
}

fn code(scrape: &Scrape) -> Option<f64> {
    scrape.value("vobiz_probe_http_status_code", &[])
}

//! A real Prometheus scrapes the exporter, and the tests query Prometheus.

use std::fmt::Write;

use vobiz_simulator::{AccountPlan, Options, START, TEST_ACCOUNT, Vendor, World};

use crate::harness::{Exporter, Generation, Prometheus, RecordingProxy, configuration};

#[tokio::test]
async fn prometheus_sees_the_fleet_and_everything_that_happens_to_it() {
    for generation in Generation::ALL {
        the_fleet_is_seen_by(generation).await;
    }
}

async fn the_fleet_is_seen_by(generation: Generation) {
    let vendor = Vendor::start(World::still(45, 7), Options::default())
        .await
        .unwrap();
    let exporter = Exporter::start(&configuration(&vendor, "")).await;
    let prometheus = Prometheus::scraping(generation, exporter.address()).await;
    prometheus
        .until_is("count(vobiz_endpoint_registered)", 45.0)
        .await;
    prometheus.until_is("sum(vobiz_endpoints)", 45.0).await;

    let before = prometheus.query("vector(time())").await[0].value;
    let (lost, deleted) = vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
        let mut registered = account.endpoints().filter(|one| one.registered());
        let mut id = || registered.next().unwrap().id().to_owned();
        let (lost, deleted) = (id(), id());
        drop(registered);
        account.edit(&lost, |one| one.set_registered(false, now));
        account.remove(&deleted);
        (lost, deleted)
    });
    let of = |family: &str, id: &str| format!("{family}{{endpoint_id=\"{id}\"}}");

    prometheus
        .until_is(&of("vobiz_endpoint_registered", &lost), 0.0)
        .await;
    let since = of("vobiz_endpoint_registration_lost_timestamp_seconds", &lost);
    let [since] = &prometheus.until(&since, |found| found.len() == 1).await[..] else {
        unreachable!("there is one");
    };
    let now = prometheus.query("vector(time())").await[0].value;
    // The value is the start of the walk that found the loss. This walk can start before the loss.
    assert!((before - 1.0..now).contains(&since.value), "{since:?}");
    assert_eq!(since.labels["account"], "main");
    prometheus
        .until_is(
            "increase(vobiz_registration_changes_total{change=\"lost\"}[1m]) > bool 0",
            1.0,
        )
        .await;

    // Without a staleness marker, an instant query would return the series for five more minutes.
    // The test waits one minute at most, so an empty result proves that there is a marker.
    for family in ["vobiz_endpoint_info", "vobiz_endpoint_registered"] {
        prometheus
            .until(&of(family, &deleted), <[_]>::is_empty)
            .await;
    }
    prometheus
        .until_is("count(vobiz_endpoint_registered)", 44.0)
        .await;

    vendor.stop().await;
    prometheus.until_is("vobiz_up", 0.0).await;
    prometheus
        .until_is("count(up == 1 and on () vobiz_up == 0)", 1.0)
        .await;
    prometheus
        .until_is(
            "sum(vobiz_walk_failures_total{reason=\"network\"}) > bool 0",
            1.0,
        )
        .await;
    prometheus
        .until_is("count(vobiz_endpoint_registered)", 44.0)
        .await;
}

/// The queries in the first PromQL block of the README. Empty lines separate the queries.
fn first_queries() -> Vec<String> {
    let text = std::fs::read_to_string("README.md").unwrap();
    let (_, rest) = text.split_once("```promql\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block.trim().split("\n\n").map(str::to_owned).collect()
}

/// `watch: ignore` is for endpoints that the API never shows as registered: spare phones and WebRTC
/// clients.
#[tokio::test]
async fn the_queries_of_the_readme_show_hours_and_leave_out_ignored_endpoints() {
    let queries = first_queries();
    let [lost, share] = &queries[..] else {
        panic!("{queries:?}")
    };
    let vendor = Vendor::start(World::still(12, 7), Options::default())
        .await
        .unwrap();
    let ids = vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
        let ids: Vec<_> = account.endpoints().map(|one| one.id().to_owned()).collect();
        for (number, id) in ids.iter().enumerate() {
            account.edit(id, |one| {
                one.set_registered(number >= 4, now);
                one.username = if number == 3 { "web_3" } else { "desk" }.to_owned();
                one.alias = if number < 3 { "Spare" } else { "Desk" }.to_owned();
            });
        }
        ids
    });
    let text = configuration(&vendor, "").replace(
        "auth_token: test-token-not-a-secret",
        "auth_token: test-token-not-a-secret, groups: [\
         {name: spare, match: {alias: 'Spare.*'}, watch: ignore}, \
         {name: webrtc, match: {username: 'web_.*'}, watch: ignore}]",
    );
    let exporter = Exporter::start(&text).await;
    let prometheus = Prometheus::scraping(Generation::Two, exporter.address()).await;
    prometheus.until_is(share, 1.0).await;
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
        account.edit(&ids[4], |one| one.set_registered(false, now));
    });
    prometheus.until_is(share, 7.0 / 8.0).await;
    let lost = prometheus.query(lost).await;
    let [lost] = &lost[..] else {
        panic!("{lost:?}")
    };
    assert!((0.0..1.0).contains(&lost.value), "{lost:?}");
    assert!(lost.labels["alias"].is_string(), "{lost:?}");
}

#[tokio::test]
async fn prometheus_negotiates_openmetrics_and_gzip_and_reads_the_metadata() {
    for generation in Generation::ALL {
        openmetrics_is_negotiated_by(generation).await;
    }
}

async fn openmetrics_is_negotiated_by(generation: Generation) {
    let vendor = Vendor::start(World::still(10, 7), Options::default())
        .await
        .unwrap();
    let exporter = Exporter::start(&configuration(&vendor, "")).await;
    let proxy = RecordingProxy::to(exporter.address()).await;
    let prometheus = Prometheus::scraping(generation, proxy.address()).await;
    prometheus.until_is("up", 1.0).await;
    prometheus
        .until_is(
            "vobiz_exporter_http_requests_total{handler=\"metrics\",code=\"200\"} > bool 0",
            1.0,
        )
        .await;

    let recorded = proxy.recorded();
    for line in [
        "accept-encoding: gzip",
        "content-encoding: gzip",
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
    ] {
        assert!(recorded.contains(line), "{line} in {recorded}");
    }
    assert!(!recorded.contains("content-type: text/plain"), "{recorded}");

    // Only OpenMetrics metadata has units. In this metadata, counter names have no suffix `_total`.
    for (family, kind, unit) in [
        ("vobiz_walks", "counter", ""),
        ("vobiz_api_request_duration_seconds", "histogram", "seconds"),
        ("vobiz_endpoint_registered", "gauge", ""),
    ] {
        let metadata = prometheus.api(&format!("metadata?metric={family}")).await;
        let [known] = &metadata[family].as_array().unwrap()[..] else {
            panic!("{family}: {metadata}");
        };
        assert_eq!(
            (&known["type"], &known["unit"]),
            (&kind.into(), &unit.into())
        );
        assert!(known["help"].as_str().unwrap().ends_with('.'), "{known}");
    }
    assert_eq!(prometheus.query("vobiz_walks_total >= 1").await.len(), 1);
    let buckets = "count(vobiz_api_request_duration_seconds_bucket{le=\"1.0\"})";
    prometheus
        .until(buckets, |samples| samples.len() == 1)
        .await;

    let targets = prometheus.api("targets").await;
    let target = &targets["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["lastError"]),
        (&"up".into(), &"".into())
    );
}

#[tokio::test]
async fn prometheus_scrapes_three_hundred_accounts_at_once() {
    const ACCOUNTS: u32 = 300;
    const EACH: u32 = 8;
    let mut world = World::new(START, 7);
    let mut accounts = String::new();
    for number in 0..ACCOUNTS {
        let auth_id = format!("MA_MANY{number:04}");
        world.settle(AccountPlan::new(&auth_id, format!("token-{number}"), EACH as usize).still());
        writeln!(
            accounts,
            "  - {{name: customer-{number}, auth_id: {auth_id}, auth_token: token-{number}}}"
        )
        .unwrap();
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let base_url = vendor.base_url();
    let exporter = Exporter::start(&format!(
        "api: {{base_url: \"{base_url}\", requests_per_second: 0}}\naccounts:\n{accounts}"
    ))
    .await;
    let prometheus = Prometheus::scraping(Generation::Two, exporter.address()).await;

    let (accounts, endpoints) = (f64::from(ACCOUNTS), f64::from(ACCOUNTS * EACH));
    prometheus.until_is("count(vobiz_up == 1)", accounts).await;
    prometheus
        .until_is("count(vobiz_endpoint_registered)", endpoints)
        .await;
    prometheus.until_is("sum(vobiz_endpoints)", endpoints).await;
    prometheus
        .until_is(
            "count(count by (account, endpoint_id) (vobiz_endpoint_info))",
            endpoints,
        )
        .await;
    // Prometheus stores every sample of a scrape and drops none.
    prometheus
        .until_is(
            "scrape_samples_scraped == bool scrape_samples_post_metric_relabeling",
            1.0,
        )
        .await;
    prometheus.until_is("up", 1.0).await;
}

//! Measures what the rules cost a real Prometheus.

use std::{env, fs, io::Write, path::Path, time::Duration};

use vobiz_simulator::{Endpoint, Options, START, Vendor, World};

use super::shipped::{RULES, path};
use crate::harness::{Exporter, Generation, Prometheus, accounts_config, auth_id};

const ENDPOINTS: usize = 10_000;
const MISSED: usize = 1_000;

/// Prints each minute the duration of an evaluation, and the processor time of Prometheus. If `RULES_FILE` names other rules, a
/// second Prometheus evaluates them at the same time. In the first minutes, ranges are still short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and takes 15 minutes: see docs/alerting.md"]
async fn the_rules_for_10_000_endpoints_of_which_1_000_are_missed() {
    let vendor = vendor().await;
    let group = "groups: [{name: all, match: {alias: '.*'}, watch: page}]";
    let configuration = accounts_config(&vendor, "", [("main", group)]);
    let configuration =
        configuration.replace("interval: 5s, max_age: 15s, deadline: 5s", "interval: 60s");
    let exporter = Exporter::start(&configuration).await;
    let mut measured = vec![("shipped", prometheus(&path(RULES), &exporter).await)];
    if let Some(other) = env::var_os("RULES_FILE") {
        measured.push(("other", prometheus(Path::new(&other), &exporter).await));
    }
    let mut out = std::io::stdout();
    let mut used: Vec<_> = measured
        .iter()
        .map(|(_, one)| one.processor_time())
        .collect();
    for minute in 1..=15 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        for ((rules, prometheus), used) in measured.iter().zip(&mut used) {
            let before = std::mem::replace(used, prometheus.processor_time());
            let cpu = used.saturating_sub(before).as_secs_f64();
            let groups = prometheus.api("rules").await;
            let groups = groups["groups"].as_array().unwrap().iter();
            let time: f64 = groups
                .map(|group| group["evaluationTime"].as_f64().unwrap())
                .sum();
            writeln!(
                out,
                "minute {minute}, {rules}: all groups {time:.3} s, processor {cpu:.2} s"
            )
            .unwrap();
        }
    }
    let missed = "count(vobiz_endpoint_missed_timestamp_seconds)";
    measured[0].1.until_is(missed, 1000.0).await;
}

/// A Prometheus that scrapes the exporter and evaluates these rules, both as often as shipped.
async fn prometheus(rules: &Path, exporter: &Exporter) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(rules, folder.path().join("rules.yml")).unwrap();
    let settings = format!(
        "global: {{scrape_interval: 30s, evaluation_interval: 1m}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: vobiz-exporter, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address()
    );
    Prometheus::of(Generation::Two, folder, &settings).await
}

async fn vendor() -> Vendor {
    let mut world = World::new(START, 7);
    let far = START + Duration::from_secs(1_000_000);
    let mut account = vobiz_simulator::Account::new(auth_id("main"), "token-of-main");
    for number in 0..ENDPOINTS {
        let endpoint = Endpoint::new(number.to_string()).alias(format!("Phone {number}"));
        account.push(if number < MISSED {
            endpoint
        } else {
            endpoint.registered_until(far)
        });
    }
    world.add(account);
    let options = Options {
        date: false,
        ..Options::default()
    };
    Vendor::start(world, options).await.unwrap()
}

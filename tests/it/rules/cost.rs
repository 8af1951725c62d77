//! Measures what the rules cost a real Prometheus.

use std::{env, fs, io::Write, time::Duration};

use vobiz_simulator::{Endpoint, Options, START, Vendor, World};

use super::shipped::{RULES, path};
use crate::harness::{Exporter, Generation, Prometheus, accounts_config, auth_id};

const ENDPOINTS: usize = 10_000;
const MISSED: usize = 1_000;

/// Prints the duration of an evaluation, and the processor time of Prometheus per minute. `RULES_FILE` names other rules.
/// Evaluations of the first minutes are not counted, because ranges are still short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and takes 16 minutes: see docs/alerting.md"]
async fn the_rules_for_10_000_endpoints_of_which_1_000_are_missed() {
    let vendor = vendor().await;
    let account = [(
        "main",
        "groups: [{name: all, match: {alias: '.*'}, watch: page}]",
    )];
    let configuration = accounts_config(&vendor, "", account)
        .replace("interval: 5s, max_age: 15s, deadline: 5s", "interval: 60s");
    let exporter = Exporter::start(&configuration).await;
    let folder = tempfile::tempdir().unwrap();
    let rules = env::var_os("RULES_FILE").map_or_else(|| path(RULES), Into::into);
    fs::copy(rules, folder.path().join("rules.yml")).unwrap();
    let settings = format!(
        "global: {{scrape_interval: 30s, evaluation_interval: 1m}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: vobiz-exporter, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address()
    );
    let prometheus = Prometheus::of(Generation::Two, folder, &settings).await;
    let mut out = std::io::stdout();
    for minute in 1..=15 {
        let before = prometheus.processor_time();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let cpu = prometheus.processor_time().checked_sub(before).unwrap();
        let groups = prometheus.api("rules").await;
        let groups = groups["groups"].as_array().unwrap().iter();
        let time: f64 = groups
            .map(|group| group["evaluationTime"].as_f64().unwrap())
            .sum();
        writeln!(
            out,
            "minute {minute}: all groups {time:.3} s, processor {:.2} s",
            cpu.as_secs_f64()
        )
        .unwrap();
    }
    let missed = prometheus
        .query("count(vobiz_endpoint_missed_timestamp_seconds)")
        .await;
    assert_eq!(missed[0].value.to_bits(), 1000f64.to_bits());
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

//! The attacks: small ones for every change, and full ones for the figures of `docs/security.md`.

use std::{path::Path, time::Duration};

use super::{
    judge::{Limits, run},
    sockets::{Size, attacks},
    stage::Stage,
};

/// Maximum resident memory in KiB: the limit in `docs/deployment.md`.
const MEMORY: u64 = 128 * 1024;

#[tokio::test]
async fn scrapes_and_health_checks_succeed_during_each_attack() {
    let endpoints = 1_000;
    let stage = Stage::start(endpoints).await;
    let attacks = attacks(Size::Small);
    let run = run(&stage, endpoints, attacks, Duration::from_secs(2)).await;
    // Other tests use the machine at the same time, so the times are only compared with those of the quiet phases.
    let limits = Limits {
        p99: Duration::MAX,
        median_ratio: 30.0,
        memory: MEMORY,
    };
    let faults = run.faults(&limits);
    assert!(faults.is_empty(), "{faults:#?}\n{}", run.table(&limits));
}

#[tokio::test]
#[ignore = "takes minutes, and needs an idle machine and a release build: run `make attack`"]
async fn ten_thousand_endpoints_are_served_during_each_full_attack() {
    let endpoints = 10_000;
    let stage = Stage::start(endpoints).await;
    let attacks = attacks(Size::Full);
    let run = run(&stage, endpoints, attacks, Duration::from_secs(10)).await;
    let limits = Limits {
        p99: Duration::from_millis(50),
        median_ratio: f64::INFINITY,
        memory: MEMORY,
    };
    let table = run.table(&limits);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/attacks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("report.md"), &table).unwrap();
    println!("{table}");
    let faults = run.faults(&limits);
    assert!(faults.is_empty(), "{faults:#?}");
}

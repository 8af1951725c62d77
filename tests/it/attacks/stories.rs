//! The attacks: small ones for every change, and full ones for the figures of `docs/security.md`.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{
    access::{Access, Credentials},
    attack::Attack,
    encrypted,
    judge::{Limits, run},
    sockets::{self, Size},
    stage::Stage,
};

/// Maximum resident memory in KiB: the limit in `docs/deployment.md`.
const MEMORY: u64 = 128 * 1024;

/// Only one story attacks at a time, because attacks disturb each other's measurements.
static TURN: Mutex<()> = Mutex::const_new(());

/// Runs small attacks. The machine may be slow or busy, so the times are only compared with those of the quiet phases.
/// Returns the exporter of the attacks.
async fn small(access: Access, attacks: Vec<Attack>) -> Stage {
    let _turn = TURN.lock().await;
    let endpoints = 1_000;
    let stage = Stage::start(endpoints, access).await;
    let run = run(&stage, endpoints, attacks, Duration::from_secs(3)).await;
    let limits = Limits {
        p99: Duration::MAX,
        median_ratio: 30.0,
        memory: MEMORY,
    };
    let faults = run.faults(&limits);
    assert!(faults.is_empty(), "{faults:#?}\n{}", run.table(&limits));
    stage
}

#[tokio::test]
async fn scrapes_and_health_checks_succeed_during_each_attack() {
    let stage = small(Access::Plain, sockets::attacks(Size::Small)).await;
    for outcome in ["evicted", "bad_request"] {
        stage.has_ended(outcome).await;
    }
}

#[tokio::test]
async fn scrapes_over_tls_with_a_password_succeed_during_each_attack() {
    let credentials = Arc::new(Credentials::generate(true));
    let stage = small(Access::Encrypted(credentials), encrypted::attacks()).await;
    for outcome in ["evicted", "bad_request", "tls_failed"] {
        stage.has_ended(outcome).await;
    }
}

#[tokio::test]
#[ignore = "takes minutes, and needs an idle machine and a release build: run `make attack`"]
async fn ten_thousand_endpoints_are_served_during_each_full_attack() {
    let endpoints = 10_000;
    let limits = Limits {
        p99: Duration::from_millis(50),
        median_ratio: f64::INFINITY,
        memory: MEMORY,
    };
    let credentials = Arc::new(Credentials::generate(false));
    let (mut report, mut faults) = (String::new(), Vec::new());
    for (title, access, attacks) in [
        ("Plain HTTP", Access::Plain, sockets::attacks(Size::Full)),
        (
            "TLS with a password",
            Access::Encrypted(credentials),
            encrypted::attacks(),
        ),
    ] {
        let stage = Stage::start(endpoints, access).await;
        let run = run(&stage, endpoints, attacks, Duration::from_secs(10)).await;
        writeln!(report, "### {title}\n\n{}", run.table(&limits)).unwrap();
        faults.extend(run.faults(&limits));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/attacks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("report.md"), &report).unwrap();
    println!("{report}");
    assert!(faults.is_empty(), "{faults:#?}");
}

//! The time and the memory of a report about many endpoints with many events.

use std::{fmt::Write as _, io::Write as _, path::Path, process::Command};

use rusqlite::{Connection, params};
use tokio::time::Instant;
use vobiz_exporter::{clock::Clock, state::Store, telemetry::Instruments};

const ENDPOINTS: i64 = 100_000;
const EVENTS: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * 1000;

/// Runs a command and prints the largest memory of its process in KiB.
const MEASURE: &str = "import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";

/// Writes an account whose endpoints have changed ten times each within 30 days until `now`.
fn fill(directory: &Path, now: i64) {
    let mut connection = Connection::open(directory.join("state.db")).unwrap();
    let change = connection.transaction().unwrap();
    let account = "INSERT INTO account (name, last_success, walk_started, walk_millis, refusals)
        VALUES ('main', ?1, ?1, 0, 0)";
    change.execute(account, [now]).unwrap();
    let start = now - 30 * DAY;
    // The event of the start that made the database is as old as the others.
    change.execute("UPDATE event SET at = ?", [start]).unwrap();
    let mut event = change
        .prepare("INSERT INTO event (at, account, endpoint_id, kind) VALUES (?, 'main', ?, ?)")
        .unwrap();
    event
        .execute(params![start, None::<String>, "seeing"])
        .unwrap();
    for one in 0..EVENTS {
        let at = start + one * (30 * DAY / EVENTS) + 1;
        let kind = if (one / ENDPOINTS) % 2 == 0 {
            "lost"
        } else {
            "back"
        };
        event
            .execute(params![at, id(one % ENDPOINTS), kind])
            .unwrap();
    }
    drop(event);
    let mut endpoint = change
        .prepare(
            "INSERT INTO endpoint VALUES
                ('main', ?1, 'user' || ?1, 'site-' || ?2 || ' phone', '', NULL, NULL, 1, 1, ?3, NULL, ?3, NULL, NULL)",
        )
        .unwrap();
    for one in 0..ENDPOINTS {
        endpoint
            .execute(params![id(one), one % 100, start])
            .unwrap();
    }
    drop(endpoint);
    change.commit().unwrap();
}

fn id(number: i64) -> String {
    (100_000_000_000_000 + number).to_string()
}

/// A configuration with a hundred groups with times of duty.
fn configuration() -> String {
    let mut text = "accounts:\n  - {name: main, auth_id: a, auth_token: t, groups: [".to_owned();
    for site in 0..100 {
        let _ = write!(
            text,
            "{{name: s{site}, match: {{alias: 'site-{site} .*'}}, duty: [{{weekdays: ['monday:friday'], times: \
             [{{start_time: '08:00', end_time: '18:00'}}], location: Europe/Berlin}}]}}, "
        );
    }
    text + "]}\n"
}

#[tokio::test]
#[ignore = "it needs an optimized build: make reports"]
async fn a_hundred_thousand_endpoints_with_a_million_events() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let (clock, instruments) = (Clock::system(), Instruments::new());
    let retention = std::time::Duration::from_secs(90 * 24 * 3600);
    let opened = Store::open(directory.clone(), retention, Vec::new(), clock, instruments);
    opened.await.unwrap().0.stop().await;
    fill(&directory, clock.now().0);
    let file = folder.path().join("exporter.yaml");
    std::fs::write(&file, configuration()).unwrap();
    for format in ["table", "csv", "html"] {
        let started = Instant::now();
        let measured = Command::new("python3")
            .args([
                "-c",
                MEASURE,
                env!("CARGO_BIN_EXE_vobiz-exporter"),
                "report",
            ])
            .arg(format!("--format={format}"))
            .args(["--since=30d", "--config.file"])
            .arg(&file)
            .arg("--state.directory")
            .arg(&directory)
            .output()
            .unwrap();
        let took = started.elapsed();
        assert!(measured.status.success(), "{measured:?}");
        let memory = String::from_utf8(measured.stdout).unwrap();
        let memory: u64 = memory.trim().parse().unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{format}: {took:.1?}, {} MiB", memory / 1024).unwrap();
    }
}

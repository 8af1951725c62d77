//! The time and the memory of the interface with 100,000 endpoints. `make pages` runs this test with an optimized build.

use std::{fs, time::Duration};

use tokio::time::Instant;

use crate::{
    harness::{Exporter, Scrape, get},
    pages::place::Place,
};

const ENDPOINTS: usize = 100_000;
/// The number of requests for each path.
const REQUESTS: usize = 300;
const LONGEST: Duration = Duration::from_millis(50);
/// The number of times that the whole list is read as CSV.
const LISTS: usize = 10;
/// The most memory that the lists may add to the peak, in KiB.
const MOST_GROWTH: u64 = 10 * 1024;

/// The peak of the resident memory in KiB since the last call of [`forget_peak`].
fn peak(exporter: &Exporter) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

fn forget_peak(exporter: &Exporter) {
    fs::write(format!("/proc/{}/clear_refs", exporter.pid()), "5").unwrap();
}

/// Waits until so many more walks of the account `main` have been published.
async fn walks(exporter: &Exporter, number: usize) {
    let published = |scrape: &Scrape| {
        let value = scrape.value(
            "vobiz_walk_last_success_timestamp_seconds",
            &["account=\"main\""],
        );
        value.expect("a walk has succeeded").to_bits()
    };
    let mut last = published(&exporter.scrape().await);
    for _ in 0..number {
        let is_new = |scrape: &Scrape| published(scrape) != last;
        let next = exporter.until("a walk", is_new).await;
        last = published(&next);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs an optimized build: make pages"]
async fn a_hundred_thousand_endpoints_are_read_quickly_and_streamed_without_memory() {
    let place = Place::start(ENDPOINTS).await;
    let exporter = &place.exporter;
    let address = exporter.address();
    let paths = [
        "accounts".to_owned(),
        "groups".to_owned(),
        "endpoints".to_owned(),
        "endpoints?limit=1000".to_owned(),
        "endpoints?limit=1000&cursor=main%095".to_owned(),
        "endpoints?q=agent&registration=unregistered&limit=1000".to_owned(),
        "endpoints?q=no+endpoint+has+this".to_owned(),
        "endpoints?missed=true".to_owned(),
        format!("endpoints/main/{}", place.longest.1),
        "outages".to_owned(),
        "events?limit=1000".to_owned(),
        format!("events?account=main&endpoint_id={}", place.longest.1),
        "walks?limit=1000".to_owned(),
        "openapi.json".to_owned(),
    ];
    let mut slow = Vec::new();
    for path in &paths {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let answer = get(address, &format!("/api/v1/{path}")).await;
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{path}");
            bytes = answer.body.len();
        }
        times.sort();
        let (median, p99) = (times[REQUESTS / 2], times[REQUESTS * 99 / 100]);
        println!("{path}: {bytes} bytes, median {median:.1?}, p99 {p99:.1?}");
        if p99 >= LONGEST {
            slow.push(path);
        }
    }
    walks(exporter, 2).await;
    forget_peak(exporter);
    walks(exporter, 4).await;
    let quiet = peak(exporter);
    forget_peak(exporter);
    let begun = Instant::now();
    for _ in 0..LISTS {
        let answer = get(address, "/api/v1/endpoints?format=csv").await;
        let lines = answer.text().lines().count();
        // The header, the hostile endpoint, and those of the other accounts.
        assert!(lines > ENDPOINTS, "{lines} lines");
    }
    let took = begun.elapsed() / u32::try_from(LISTS).unwrap();
    walks(exporter, 2).await;
    let growth = peak(exporter).saturating_sub(quiet);
    println!("CSV of all endpoints: {took:.1?} each, peak {quiet} KiB before, growth {growth} KiB");
    assert!(slow.is_empty(), "{slow:?}");
    assert!(growth < MOST_GROWTH, "{growth} KiB");
}

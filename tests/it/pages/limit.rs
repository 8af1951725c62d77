//! The size and the time of the pages with 100,000 endpoints. `make pages` runs this test with an optimized build.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    harness::{Exporter, get},
    pages::place::Place,
};

const ENDPOINTS: usize = 100_000;
/// The number of requests for each page.
const REQUESTS: usize = 300;
const MOST_BYTES: usize = 100_000;
const LONGEST: Duration = Duration::from_millis(50);
/// The most memory that views may add, in KiB.
const MOST_GROWTH: u64 = 10 * 1024;

/// The resident memory of the exporter in KiB.
fn memory(exporter: &Exporter) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs an optimized build: make pages"]
async fn each_page_of_a_hundred_thousand_endpoints_is_small_and_quick() {
    let place = Place::start(ENDPOINTS).await;
    let address = place.exporter.address();
    let endpoint = format!("/endpoints/main/{}", place.longest.1);
    let paths = [
        "/",
        "/endpoints",
        "/endpoints?q=agent&sort=registration",
        "/endpoints?q=no+endpoint+has+this",
        "/endpoints?sort=expiry&from=50000",
        "/endpoints?sort=group&order=desc&from=99950",
        "/endpoints?missed=yes",
        &endpoint,
        "/outages",
        "/reports?since=7d",
        "/walks?account=main",
    ];
    for path in paths {
        get(address, path).await;
    }
    let before = memory(&place.exporter);
    let mut slow = Vec::new();
    for path in paths {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let answer = get(address, path).await;
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{path}");
            bytes = answer.text().len();
        }
        times.sort();
        let (median, p99) = (times[REQUESTS / 2], times[REQUESTS * 99 / 100]);
        println!("{path}: {bytes} bytes, median {median:.1?}, p99 {p99:.1?}");
        if bytes >= MOST_BYTES || p99 >= LONGEST {
            slow.push(path);
        }
    }
    let growth = memory(&place.exporter).saturating_sub(before);
    println!("memory before {before} KiB, growth {growth} KiB");
    assert!(slow.is_empty(), "{slow:?}");
    assert!(growth < MOST_GROWTH, "{growth} KiB");
}

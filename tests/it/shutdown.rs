//! How the process ends: on request, in good order, and soon.

use std::time::Duration;

use tokio::time::Instant;
use vobiz_exporter::sim::{Effect, Fault, Options, Vendor, World};

use crate::stand::{Process, Program, SlowReader, configuration, get, is_closed, until};

/// An orderly end takes no longer.
const SOON: Duration = Duration::from_secs(10);

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

/// An exporter and its address. `more` are further lines of its configuration.
async fn exporter(vendor: &Vendor, more: &str) -> (Process, String) {
    let arguments = ["--web.listen-address=127.0.0.1:0"];
    let process = Program::configured(&configuration(vendor, more), &arguments).start();
    let address = process.listens(1).await.remove(0);
    (process, address)
}

/// An exporter that shows more than the sockets between it and a slow reader hold.
async fn large_exporter() -> (Vendor, Process, String) {
    let vendor = vendor_of(3_000).await;
    let groups = "metrics: {groups: [timestamps, permissions, contact]}";
    let (process, address) = exporter(&vendor, groups).await;
    process.says("walk published").await;
    until("the large picture", || async {
        let answer = get(&address, "/metrics").await;
        (answer.body.len() > 5_000_000).then_some(())
    })
    .await;
    (vendor, process, address)
}

#[tokio::test]
async fn a_signal_ends_it_in_good_order_while_a_walk_hangs() {
    for signal in ["TERM", "INT"] {
        let vendor = vendor_of(45).await;
        vendor.plan(Fault::new(Effect::Hang));
        let (process, address) = exporter(&vendor, "").await;
        vendor.until(|counts| counts.in_flight > 0).await;
        assert_eq!(get(&address, "/metrics").await.status, 200);

        let asked = Instant::now();
        process.signal(signal).await;
        let ended = process.ended().await;
        assert!(asked.elapsed() < SOON, "{ended:?}");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.err.contains(&format!("signal=SIG{signal}")),
            "{ended:?}"
        );
        assert!(
            ended.err.trim_end().ends_with("\"left in good order\""),
            "{ended:?}"
        );
        assert_eq!(ended.out, "");
        assert!(is_closed(&address).await);
    }
}

#[tokio::test]
async fn a_scrape_under_way_is_answered_whole_and_no_new_one_is_taken() {
    let (_vendor, process, address) = large_exporter().await;
    let reader = SlowReader::ask(&address, "/metrics").await;
    process.signal("TERM").await;
    until("the port is closed", || async {
        is_closed(&address).await.then_some(())
    })
    .await;

    let answer = reader.finish().await;
    assert_eq!(answer.status, 200);
    let promised = answer.header("content-length").unwrap();
    assert_eq!(answer.body.len().to_string(), promised);
    assert!(answer.text().contains("vobiz_up{account=\"main\"} 1\n"));
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_second_signal_leaves_at_once_with_the_code_of_a_killed_process() {
    let (_vendor, process, address) = large_exporter().await;
    let _reader = SlowReader::ask(&address, "/metrics").await;
    process.signal("TERM").await;
    process.says("a second signal leaves at once").await;
    let asked = Instant::now();
    process.signal("INT").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{ended:?}");
    assert!(!ended.err.contains("in good order"), "{ended:?}");
}

#[tokio::test]
async fn a_hang_up_never_ends_it_and_is_answered_in_the_log() {
    let vendor = vendor_of(45).await;
    let (process, address) = exporter(&vendor, "").await;
    for times in 1..=2 {
        process.signal("HUP").await;
        until("the answer", || async {
            let log = process.err();
            let lines = log.lines().filter(|line| line.contains("signal=SIGHUP"));
            let answers = lines.filter(|line| line.contains("a restart is needed"));
            (answers.count() == times).then_some(())
        })
        .await;
        let page = get(&address, "/metrics").await.text();
        let loaded = "vobiz_exporter_config_last_reload_successful 1\n";
        assert!(page.contains(loaded), "{page}");
    }
    process.signal("TERM").await;
    assert_eq!(process.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_single_run_that_is_interrupted_says_so_and_writes_nothing() {
    let vendor = vendor_of(45).await;
    vendor.plan(Fault::new(Effect::Hang));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vobiz.prom");
    let process = Program::configured(
        &configuration(&vendor, ""),
        &["--once", "--once.output", file.to_str().unwrap()],
    )
    .start();
    vendor.until(|counts| counts.in_flight > 0).await;
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("interrupted"), "{ended:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

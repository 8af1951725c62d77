//! Shutdown on signals.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::Instant,
};
use vobiz_simulator::{Effect, Fault, Options, Vendor, World};

use crate::{
    attacks::{Access, Credentials, Stage},
    harness::{
        self, Process, Program, Scrape, SlowReader, accounts_config, auth_id, configuration, get,
        is_closed, until,
    },
};

/// The maximum duration of a shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

/// Starts an exporter and returns its address. `more` is additional configuration.
async fn exporter(vendor: &Vendor, more: &str) -> (Process, String) {
    let arguments = ["--web.listen-address=127.0.0.1:0"];
    let process = Program::configured(&configuration(vendor, more), &arguments).start();
    let address = process.listens(1).await.remove(0);
    (process, address)
}

/// Starts an exporter whose response is larger than the socket buffers.
async fn large_exporter() -> (Vendor, Process, String) {
    let vendor = vendor_of(3_000).await;
    let groups = "metrics: {groups: [timestamps, permissions, contact]}";
    let (process, address) = exporter(&vendor, groups).await;
    process.says("walk published").await;
    until("the large snapshot", || async {
        let answer = get(&address, "/metrics").await;
        (answer.body.len() > 5_000_000).then_some(())
    })
    .await;
    (vendor, process, address)
}

#[tokio::test]
async fn a_signal_shuts_down_while_a_walk_hangs() {
    for signal in ["TERM", "INT"] {
        let vendor = vendor_of(45).await;
        vendor.plan(Fault::new(Effect::Hang));
        let (process, address) = exporter(&vendor, "").await;
        vendor.until(|counts| counts.in_flight > 0).await;
        assert_eq!(get(&address, "/metrics").await.status, 200);

        let asked = Instant::now();
        process.signal(signal).await;
        let ended = process.ended().await;
        assert!(asked.elapsed() < SHUTDOWN_LIMIT, "{ended:?}");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.err.contains(&format!("signal=SIG{signal}")),
            "{ended:?}"
        );
        assert!(
            ended.err.trim_end().ends_with("\"shutdown complete\""),
            "{ended:?}"
        );
        assert_eq!(ended.out, "");
        assert!(is_closed(&address).await);
    }
}

#[tokio::test]
async fn a_scrape_in_progress_is_completed_and_no_new_one_is_accepted() {
    let (_vendor, process, address) = large_exporter().await;
    let reader = SlowReader::ask(&address, "/metrics").await;
    process.signal("TERM").await;
    until("the port is closed", || async {
        is_closed(&address).await.then_some(())
    })
    .await;

    let answer = reader.finish().await;
    assert_eq!(answer.status, 200);
    let announced = answer.header("content-length").unwrap();
    assert_eq!(answer.body.len().to_string(), announced);
    assert!(answer.text().contains("vobiz_up{account=\"main\"} 1\n"));
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Clients over TLS that have received all but the last `left` bytes of a response, with each `left` of a range. TLS and
/// the kernel keep the last bytes after the exporter has handed over the whole response.
#[tokio::test]
async fn responses_over_tls_are_completed_also_after_their_last_piece() {
    /// The receive buffer of a client, in bytes. With a small one, the unread bytes stay in the exporter.
    const RECEIVE_BUFFER: u32 = 4096;
    let credentials = Arc::new(Credentials::generate(true));
    let stage = Stage::start(1_000, Access::Encrypted(credentials)).await;
    stage.text_bytes(1_000).await;
    let reading = (1..=40_usize).map(async |part| {
        let left = part * 8 * 1024;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let stream = socket.connect(stage.address()).await.unwrap();
        let mut stream = stage.access().secure(stream).await.unwrap();
        let request = stage.access().request("/metrics", "Connection: close\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut received = vec![0; 4096];
        stream.read_exact(&mut received).await.unwrap();
        let whole = whole_length(&received);
        received.resize(whole - left, 0);
        stream.read_exact(&mut received[4096..]).await.unwrap();
        (stream, left)
    });
    let clients = join_all(reading).await;
    stage.terminate().await;
    let address = stage.address().to_string();
    until("the port is closed", || async {
        is_closed(&address).await.then_some(())
    })
    .await;
    for (mut stream, left) in clients {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), left);
    }
}

/// The length of a response in bytes, from its first bytes.
fn whole_length(begun: &[u8]) -> usize {
    let text = String::from_utf8_lossy(begun);
    let (head, _) = text.split_once("\r\n\r\n").expect("the whole head");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    head.len()
        + 4
        + length
            .expect("a length")
            .parse::<usize>()
            .expect("a number")
}

#[tokio::test]
async fn a_second_signal_exits_at_once_with_the_code_of_a_killed_process() {
    let (_vendor, process, address) = large_exporter().await;
    let _reader = SlowReader::ask(&address, "/metrics").await;
    process.signal("TERM").await;
    process.says("a second signal exits immediately").await;
    let asked = Instant::now();
    process.signal("INT").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{ended:?}");
    assert!(!ended.err.contains("shutdown complete"), "{ended:?}");
}

#[tokio::test]
async fn sighup_reloads_and_does_not_end_the_process() {
    let vendor = vendor_of(45).await;
    let (process, address) = exporter(&vendor, "").await;
    for times in 1..=2 {
        process.signal("HUP").await;
        until("the log line", || async {
            let log = process.err();
            let lines = log.lines();
            let reloads = lines.filter(|line| line.contains("configuration reloaded"));
            (reloads.count() == times).then_some(())
        })
        .await;
        assert_eq!(get(&address, "/metrics").await.status, 200);
    }
    process.signal("TERM").await;
    assert_eq!(process.ended().await.code, Some(0));
}

#[tokio::test]
async fn an_interrupted_single_run_reports_it_and_keeps_the_old_file() {
    let vendor = vendor_of(45).await;
    vendor.plan(Fault::new(Effect::Hang));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vobiz.prom");
    std::fs::write(&file, "old\n").unwrap();
    let process = Program::configured(
        &configuration(&vendor, ""),
        &["--once", "--once.output", file.to_str().unwrap()],
    )
    .start();
    vendor.until(|counts| counts.in_flight > 0).await;
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let message = "interrupted: 1 of 1 accounts were not walked to the end; ";
    assert!(ended.err.contains(message), "{ended:?}");
    assert!(
        ended.err.contains("vobiz.prom was not written"),
        "{ended:?}"
    );
    assert!(!ended.err.contains("answers under way"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old\n");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn an_interrupted_single_run_prints_the_finished_accounts() {
    let vendor = harness::vendor([("quick", 45), ("stuck", 45)]).await;
    vendor.plan(Fault::new(Effect::Hang).for_account(auth_id("stuck")));
    let text = accounts_config(&vendor, "", [("quick", ""), ("stuck", "")]);
    let process = Program::configured(&text, &["--once"]).start();
    process.says("walk published").await;
    vendor.until(|counts| counts.in_flight > 0).await;
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let message = "interrupted: 1 of 2 accounts were not walked to the end\n";
    assert!(ended.err.ends_with(message), "{ended:?}");
    let scrape = Scrape::read(&ended.out);
    assert_eq!((scrape.up("quick"), scrape.up("stuck")), (Some(1.0), None));
    assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);
}

#[tokio::test]
async fn sighup_does_not_end_a_live_check_and_sigterm_does() {
    let vendor = vendor_of(45).await;
    vendor.plan(Fault::new(Effect::Hang));
    let text = configuration(&vendor, "");
    let process = Program::configured(&text, &["--config.check.live"]).start();
    vendor.until(|counts| counts.in_flight > 0).await;
    process.signal("HUP").await;
    process.says("signal=SIGHUP").await;
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.ends_with("interrupted\n"), "{ended:?}");
    assert!(
        ended.out.starts_with("configuration is valid: "),
        "{ended:?}"
    );
}

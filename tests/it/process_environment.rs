//! Resource limits and environment variables of the host.

use std::time::Duration;

use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use vobiz_simulator::{Fault, Options, Vendor, World};

use crate::harness::{Program, RecordingProxy, configuration, get, is_closed, until};

#[tokio::test]
async fn exhausted_file_descriptors_stop_neither_the_server_nor_health_checks() {
    let vendor = Vendor::start(World::still(45, 7), Options::default())
        .await
        .unwrap();
    let listen = "--web.listen-address=127.0.0.1:0";
    let exporter = Program::configured(&configuration(&vendor, ""), &[listen])
        .after("ulimit -n 64")
        .start();
    let address = exporter.listens(1).await.remove(0);

    let mut idle = Vec::new();
    for _ in 0..150 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    assert_eq!(get(&address, "/healthz").await.status, 200);
    // There are too few file descriptors, so the exporter closes the oldest idle connections.
    let end = timeout(Duration::from_secs(20), idle[0].read(&mut [0])).await;
    assert_eq!(end.expect("it is closed").unwrap(), 0);
    assert_eq!(get(&address, "/metrics").await.status, 200);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let vendor = Vendor::start(World::still(45, 7), Options::default())
        .await
        .unwrap();
    // Without a log, the test cannot read the port. So it chooses a port on an unused address.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.1.{high}.{low}:10059");
    let listen = format!("--web.listen-address={address}");
    let arguments = [listen.as_str(), "--log.level=trace"];
    let exporter = Program::configured(&configuration(&vendor, ""), &arguments)
        .after("exec 2>/dev/full")
        .start();
    until("it listens", || async {
        (!is_closed(&address).await).then_some(())
    })
    .await;
    let walked = async |up| {
        let line = format!("\nvobiz_up{{account=\"main\"}} {up}\n");
        until("walks go on", || async {
            let text = get(&address, "/metrics").await.text();
            text.contains(&line).then_some(())
        })
        .await;
    };
    walked(1).await;
    // A failed walk makes the exporter write a warning to the log.
    let fault = vendor.plan(Fault::status(500));
    walked(0).await;
    vendor.cancel(fault);
    walked(1).await;
    exporter.signal("TERM").await;
    let ended = exporter.ended().await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
}

#[tokio::test]
async fn without_a_configured_proxy_the_environment_variables_apply() {
    let vendor = Vendor::start(World::still(1, 7), Options::default())
        .await
        .unwrap();
    // The exporter uses no proxy for loopback addresses. `0.0.0.0` is local, but no loopback address.
    let far = configuration(&vendor, "")
        .replace(vendor.base_url().as_str(), "https://0.0.0.0:1/api/v1")
        .replace(
            "requests_per_second: 0",
            "requests_per_second: 0, retries: 0",
        );
    for (no_proxy, is_asked) in [("vendor.invalid", true), ("0.0.0.0", false)] {
        let proxy = RecordingProxy::to(&vendor.address().to_string()).await;
        let ended = Program::configured(&far, &["--once"])
            .set("HTTPS_PROXY", format!("http://{}", proxy.address()))
            .set("NO_PROXY", no_proxy)
            .run()
            .await;
        assert_eq!(ended.code, Some(1), "there is no vendor: {}", ended.err);
        let recorded = proxy.recorded();
        assert_eq!(
            recorded.contains("connect 0.0.0.0:1 http/1.1"),
            is_asked,
            "{recorded}"
        );
        assert!(!recorded.contains("x-auth-token"), "{recorded}");
    }
}

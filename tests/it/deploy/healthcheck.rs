//! `--healthcheck` reports health as an exit code. It also works in a container without a shell.

use tokio::net::TcpListener;
use vobiz_simulator::{Options, Vendor, World};

use crate::harness::{Ended, Program, RecordingProxy, configuration};

async fn healthcheck(address: &str) -> Ended {
    let listen = format!("--web.listen-address={address}");
    Program::new(&["--healthcheck", &listen]).run().await
}

#[tokio::test]
async fn an_exporter_is_healthy_by_every_form_of_its_address_whatever_the_vendor_does() {
    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    let text = configuration(&vendor, "");
    vendor.stop().await;
    let exporter = Program::configured(&text, &["--web.listen-address=:0"]).start();
    let port = exporter.listens(1).await.remove(0);
    let port = port.rsplit_once(':').unwrap().1.to_owned();
    for host in ["", "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]"] {
        let ended = healthcheck(&format!("{host}:{port}")).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(0), "healthy\n"),
            "{host}: {ended:?}"
        );
        assert_eq!(ended.err, "");
    }
    exporter.signal("TERM").await;
    assert_eq!(exporter.ended().await.code, Some(0));
    let ended = healthcheck(&format!(":{port}")).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(
        ended.err.starts_with(&format!("not healthy at :{port}: ")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_server_with_another_response_or_none_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ended = healthcheck(&silent.local_addr().unwrap().to_string()).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no response within 2 s"), "{ended:?}");

    // The vendor has no health path and responds with an error.
    let vendor = Vendor::start(World::still(1, 7), Options::default())
        .await
        .unwrap();
    let proxy = RecordingProxy::to(&vendor.address().to_string()).await;
    let ended = healthcheck(proxy.address()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("status 4"), "{ended:?}");
    assert!(
        proxy.recorded().contains("get /-/healthy http/1.0"),
        "{}",
        proxy.recorded()
    );
}

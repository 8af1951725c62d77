use std::time::Duration;

use tokio::{net::TcpStream, time::Instant};

use super::{
    client::soon,
    harness::{Harness, LARGE},
};
use crate::http::Settings;

#[tokio::test]
async fn shutdown_finishes_a_response_in_progress() {
    let server = Harness::start(Settings::default()).await;
    server.data.put_large();
    let mut scraper = server.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.response_head().await;

    let address = server.address;
    server.shutdown.cancel();
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert_eq!(scraper.bytes(LARGE).await.len(), LARGE);
    assert_eq!(scraper.ended().await, b"");
    server.closed().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_shutdown() {
    let server = Harness::start(Settings {
        drain_timeout: Duration::from_secs(3600),
        ..Settings::default()
    })
    .await;
    let mut idle = server.client().await;
    idle.get("/healthz").await;
    let mut half = server.client().await;
    half.send("GET /metrics HTTP/1.1\r\nHo").await;
    let mut silent = server.client().await;
    // A response to a later connection shows that the server has accepted the earlier connections.
    server.client().await.get("/healthz").await;

    server.shutdown.cancel();
    server.closed().await;
    for client in [&mut idle, &mut half, &mut silent] {
        assert_eq!(client.ended().await, b"");
    }
}

#[tokio::test]
async fn a_response_is_cut_off_after_the_drain_time() {
    let drain_timeout = Duration::from_millis(200);
    let server = Harness::start(Settings {
        drain_timeout,
        ..Settings::default()
    })
    .await;
    server.data.put_large();
    let mut scraper = server.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.response_head().await;

    let start = Instant::now();
    server.shutdown.cancel();
    server.closed().await;
    assert!(start.elapsed() >= drain_timeout);
    assert!(scraper.ended().await.len() < LARGE);
}

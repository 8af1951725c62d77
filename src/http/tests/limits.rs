use std::time::Duration;

use super::{
    client::soon,
    harness::{Harness, LARGE},
};
use crate::http::Settings;

const SHORT: Duration = Duration::from_millis(200);

/// Settings that allow one scrape at a time.
fn one_scrape() -> Settings {
    Settings {
        max_requests: 1,
        ..Settings::default()
    }
}

#[tokio::test]
async fn an_incomplete_head_ends_its_connection() {
    let server = Harness::start(Settings {
        head_timeout: SHORT,
        ..one_scrape()
    })
    .await;
    let mut silent = server.client().await;
    let mut slow = server.client().await;
    slow.send("GET /metrics HTTP/1.1\r\nHost: exp").await;
    let mut idle = server.client().await;
    idle.get("/healthz").await;

    assert_eq!(silent.ended().await, b"");
    assert_eq!(slow.ended().await, b"");
    // The client `idle` is between two requests, so the head timeout does not end its connection.
    assert_eq!(idle.get("/healthz").await.status, 200);
    idle.send("GET /heal").await;
    assert_eq!(idle.ended().await, b"");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let server = Harness::start(Settings::default()).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    let many = "X: y\r\n".repeat(101);
    for headers in [long, many] {
        let mut client = server.client().await;
        client.request("GET", "/healthz", &headers).await;
        assert_eq!(client.response().await.status, 431);
        client.ended().await;
    }
    let mut client = server.client().await;
    let fair = format!("X-Fair: {}\r\n", "x".repeat(10_000));
    client.request("GET", "/healthz", &fair).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn invalid_http_is_refused() {
    let server = Harness::start(Settings::default()).await;
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let mut client = server.client().await;
        client.send(noise).await;
        let response = client.ended().await;
        let response = String::from_utf8_lossy(&response);
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 400"),
            "{response}"
        );
    }
    assert_eq!(server.client().await.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_stalled_client_is_cut_off() {
    let server = Harness::start(Settings {
        stall_timeout: SHORT,
        ..one_scrape()
    })
    .await;
    server.data.put_large();
    let mut stalled = server.client().await;
    stalled.request("GET", "/metrics", "").await;
    stalled.response_head().await;
    soon(server.ended("stalled", 1.0)).await;
    assert!(stalled.ended().await.len() < LARGE, "it was cut");
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_other_from_scraping() {
    let server = Harness::start(one_scrape()).await;
    server.data.put_large();
    let mut stalled = server.client().await;
    stalled.request("GET", "/metrics", "").await;
    stalled.response_head().await;

    let mut next = server.client().await;
    assert_eq!(next.head("/metrics", "").await.status, 200);
    assert_eq!(stalled.bytes(LARGE).await.len(), LARGE);
}

#[tokio::test]
async fn the_least_active_connection_makes_way_for_a_new_scrape() {
    let server = Harness::start(Settings {
        max_connections: 3,
        ..Settings::default()
    })
    .await;
    let mut first = server.client().await;
    assert_eq!(first.get("/healthz").await.status, 200);
    let mut scraper = server.client().await;
    assert_eq!(scraper.get("/metrics").await.status, 200);
    let mut second = server.client().await;
    assert_eq!(second.get("/healthz").await.status, 200);

    let mut others = Vec::new();
    for ends in [&mut first, &mut second] {
        let mut new = server.client().await;
        assert_eq!(new.get("/metrics").await.status, 200);
        assert_eq!(ends.ended().await, b"");
        others.push(new);
    }
    assert_eq!(scraper.get("/metrics").await.status, 200);
    soon(server.ended("evicted", 2.0)).await;
}

#[tokio::test]
async fn silent_connections_above_the_limit_close_only_each_other() {
    let server = Harness::start(Settings {
        max_connections: 2,
        max_health_connections: 4,
        ..Settings::default()
    })
    .await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    for scraper in [&mut first, &mut second] {
        assert_eq!(scraper.get("/metrics").await.status, 200);
    }
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(server.client().await);
        let mut kubelet = server.client().await;
        assert_eq!(kubelet.get("/healthz").await.status, 200);
    }
    for scraper in [&mut first, &mut second] {
        assert_eq!(scraper.get("/metrics").await.status, 200);
    }
}

#[tokio::test]
async fn health_checks_are_answered_while_no_client_reads_its_metrics() {
    let server = Harness::start(Settings {
        max_connections: 2,
        ..Settings::default()
    })
    .await;
    server.data.put_large();
    let mut scrapers = Vec::new();
    for _ in 0..2 {
        let mut scraper = server.client().await;
        scraper.request("GET", "/metrics", "").await;
        scraper.response_head().await;
        scrapers.push(scraper);
    }
    for _ in 0..10 {
        assert_eq!(server.client().await.get("/healthz").await.status, 200);
    }
    for scraper in &mut scrapers {
        assert_eq!(scraper.bytes(LARGE).await.len(), LARGE);
    }
}

#[test]
fn scrapes_and_probes_leave_connections_for_other_requests_by_default() {
    let settings = Settings::default();
    assert!(settings.max_requests > 0, "0 means no limit");
    assert!(settings.max_requests + settings.max_probes < settings.max_connections);
}

#[tokio::test]
async fn the_end_of_each_connection_is_counted_with_its_reason() {
    let server = Harness::start(Settings {
        head_timeout: SHORT,
        idle_timeout: SHORT,
        ..Settings::default()
    })
    .await;
    let mut noise = server.client().await;
    noise.send("NOT HTTP\r\n\r\n").await;
    noise.ended().await;
    let mut silent = server.client().await;
    silent.ended().await;
    let mut idle = server.client().await;
    idle.get("/healthz").await;
    idle.ended().await;
    drop(server.client().await);
    for outcome in ["bad_request", "request_timeout", "idle_timeout", "closed"] {
        soon(server.ended(outcome, 1.0)).await;
    }
}

use std::{collections::VecDeque, time::Duration};

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
async fn a_stalled_client_is_cut_off_and_its_permit_is_free_again() {
    let server = Harness::start(Settings {
        stall_timeout: SHORT,
        ..one_scrape()
    })
    .await;
    server.data.put_large();
    let mut stalled = server.client().await;
    stalled.request("GET", "/metrics", "").await;
    stalled.response_head().await;

    let mut next = server.client().await;
    assert_eq!(next.head("/metrics", "").await.status, 503);
    soon(async {
        while next.head("/metrics", "").await.status == 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(stalled.ended().await.len() < LARGE, "it was cut");
}

#[tokio::test]
async fn a_permit_is_held_until_the_socket_has_taken_the_last_byte() {
    let server = Harness::start(one_scrape()).await;
    // hyper takes the whole body at once, but the socket buffers cannot hold it.
    server.data.put_large();
    let mut slow = server.client().await;
    slow.request("GET", "/metrics", "").await;
    slow.response_head().await;
    let mut next = server.client().await;
    for _ in 0..20 {
        assert_eq!(next.head("/metrics", "").await.status, 503);
    }
    assert_eq!(slow.bytes(LARGE).await.len(), LARGE);
    soon(async { while next.head("/metrics", "").await.status == 503 {} }).await;
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_permit() {
    let server = Harness::start(one_scrape()).await;
    server.data.put_large();
    let mut gone = server.client().await;
    gone.request("GET", "/metrics", "").await;
    gone.response_head().await;
    let mut next = server.client().await;
    assert_eq!(next.head("/metrics", "").await.status, 503);
    drop(gone);
    soon(async { while next.head("/metrics", "").await.status == 503 {} }).await;
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones() {
    let most = 100;
    let server = Harness::start(Settings {
        max_connections: most,
        ..one_scrape()
    })
    .await;
    let mut idle = VecDeque::new();
    for number in 0..1000 {
        let mut client = server.client().await;
        if number % 2 == 0 {
            client.get("/healthz").await;
        }
        idle.push_back(client);
        if idle.len() > most {
            // The server closes the oldest idle connection.
            assert_eq!(idle.pop_front().unwrap().ended().await, b"");
        }
    }
    assert_eq!(server.client().await.get("/healthz").await.status, 200);
    assert_eq!(server.client().await.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_connection_with_a_response_in_progress_is_never_evicted() {
    let server = Harness::start(Settings {
        max_connections: 2,
        ..one_scrape()
    })
    .await;
    server.data.put_large();
    let mut scraper = server.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.response_head().await;
    for _ in 0..10 {
        assert_eq!(server.client().await.get("/healthz").await.status, 200);
    }
    assert_eq!(scraper.bytes(LARGE).await.len(), LARGE);
}

#[test]
fn scrapes_and_probes_leave_connections_for_health_checks_by_default() {
    let settings = Settings::default();
    assert!(settings.max_requests > 0, "0 means no limit");
    assert!(settings.max_requests + settings.max_probes < settings.max_connections);
}

#[tokio::test]
async fn a_new_connection_waits_while_every_connection_has_a_response_in_progress() {
    let server = Harness::start(Settings {
        max_connections: 2,
        ..Settings::default()
    })
    .await;
    server.data.put_large();
    let (mut first, mut second) = (server.client().await, server.client().await);
    for client in [&mut first, &mut second] {
        client.request("GET", "/metrics", "").await;
        client.response_head().await;
    }
    let mut waiting = server.client().await;
    waiting.request("GET", "/healthz", "").await;
    let early = tokio::time::timeout(SHORT, waiting.response()).await;
    assert!(early.is_err());

    assert_eq!(first.bytes(LARGE).await.len(), LARGE);
    assert_eq!(second.bytes(LARGE).await.len(), LARGE);
    assert_eq!(
        waiting.response().await.status,
        200,
        "one of them is idle and is evicted"
    );
}

use std::sync::mpsc;

use bytes::Bytes;
use tokio::task::yield_now;

use super::{client::soon, harness::Harness};
use crate::{
    exposition::{Encoding, Format},
    http::Settings,
};

/// Twenty different chunks of about 700 KB in total, as large as an exposition with many endpoints.
fn many_chunks() -> Vec<Bytes> {
    (0..20_u8)
        .map(|chunk| (0..35_000_u32).map(|at| chunk ^ (at % 251) as u8).collect())
        .collect()
}

#[tokio::test]
async fn a_scrape_gets_the_negotiated_format_and_encoding() {
    let server = Harness::start(Settings::default()).await;
    let chunks = many_chunks();
    let all = chunks.concat();
    server.data.put(chunks);
    let mut client = server.client().await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2\r\n\
        Accept-Encoding: gzip\r\n";
    client.request("GET", "/metrics", accept).await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
    assert!(response.body == all, "every byte arrives in order");

    let response = client.get("/metrics").await;
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(
        *server.data.requests.lock().unwrap(),
        [
            (Format::OpenMetrics, Encoding::Gzip),
            (Format::Text, Encoding::Identity)
        ]
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Harness::start(Settings::default()).await;
    let chunks = many_chunks();
    let all = chunks.concat();
    server.data.put(chunks);
    let mut client = server.client().await;
    for path in ["/metrics", "/healthz", "/metrics", "/nowhere"] {
        client.request("GET", path, "").await;
    }
    assert!(client.response().await.body == all);
    assert_eq!(client.response().await.text(), "healthy\n");
    assert!(client.response().await.body == all);
    assert_eq!(client.response().await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_above_the_limit_are_refused_and_health_checks_are_not() {
    let settings = Settings {
        max_requests: 1,
        ..Settings::default()
    };
    let server = Harness::start(settings).await;
    let (release, waits) = mpsc::channel();
    *server.data.body_waits.lock().unwrap() = Some(waits);
    let mut first = server.client().await;
    first.request("GET", "/metrics", "").await;
    soon(async {
        while server.data.requests.lock().unwrap().is_empty() {
            yield_now().await;
        }
    })
    .await;

    let mut second = server.client().await;
    let response = second.get("/metrics").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("connection"), Some("close"));
    assert!(response.text().contains("too many scrapes"));
    let mut third = server.client().await;
    assert_eq!(third.get("/-/healthy").await.status, 200);
    assert_eq!(third.get("/").await.status, 200);
    assert!((server.counted("metrics", "503") - 1.0).abs() < 0.1);
    soon(server.ended("refused", 1.0)).await;

    drop(release);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(third.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn zero_means_no_limit() {
    let settings = Settings {
        max_requests: 0,
        ..Settings::default()
    };
    let server = Harness::start(settings).await;
    server.data.put_large();
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = server.client().await;
        client.request("GET", "/metrics", "").await;
        assert_eq!(client.response_head().await.status, 200);
        clients.push(client);
    }
}

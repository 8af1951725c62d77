use bytes::Bytes;

use super::house::House;
use crate::{
    exposition::{Encoding, Format},
    http::Settings,
};

/// Twenty pieces, each different, about 700 KB: what a large fleet is packed to.
fn large_fleet() -> Vec<Bytes> {
    (0..20_u8)
        .map(|piece| (0..35_000_u32).map(|at| piece ^ (at % 251) as u8).collect())
        .collect()
}

#[tokio::test]
async fn prometheus_gets_the_prepared_bytes_in_the_form_that_it_prefers() {
    let house = House::open(Settings::default()).await;
    let pieces = large_fleet();
    let all = pieces.concat();
    house.shelf.put(pieces);
    let mut client = house.client().await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2\r\n\
        Accept-Encoding: gzip\r\n";
    client.request("GET", "/metrics", accept).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
    assert!(answer.body == all, "every byte arrives in its place");

    let answer = client.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(
        *house.shelf.asked.lock().unwrap(),
        [
            (Format::OpenMetrics, Encoding::Gzip),
            (Format::Text, Encoding::Identity)
        ]
    );
}

#[tokio::test]
async fn requests_that_are_sent_together_are_answered_in_order() {
    let house = House::open(Settings::default()).await;
    let pieces = large_fleet();
    let all = pieces.concat();
    house.shelf.put(pieces);
    let mut client = house.client().await;
    for path in ["/metrics", "/healthz", "/metrics", "/nowhere"] {
        client.request("GET", path, "").await;
    }
    assert!(client.answer().await.body == all);
    assert_eq!(client.answer().await.text(), "healthy\n");
    assert!(client.answer().await.body == all);
    assert_eq!(client.answer().await.status, 404);
}

#[tokio::test]
async fn scrapes_above_the_limit_are_told_so_and_probes_never_are() {
    let settings = Settings {
        max_requests: 2,
        ..Settings::default()
    };
    let house = House::open(settings).await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let gate = house.shelf.shut_gate();
    let (mut first, mut second) = (house.client().await, house.client().await);
    for client in [&mut first, &mut second] {
        client.request("GET", "/metrics", "").await;
        client.answer_head().await;
    }

    let mut third = house.client().await;
    let answer = third.get("/metrics").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.text().contains("too many scrapes"));
    assert_eq!(third.get("/-/healthy").await.status, 200);
    assert_eq!(third.get("/").await.status, 200);
    assert!((house.counted("metrics", "503") - 1.0).abs() < 0.1);

    gate.cancel();
    assert_eq!(first.bytes(9).await, b"somebytes");
    assert_eq!(second.bytes(9).await, b"somebytes");
    assert_eq!(third.get("/metrics").await.body, b"somebytes");
}

#[tokio::test]
async fn a_limit_of_zero_is_no_limit() {
    let settings = Settings {
        max_requests: 0,
        ..Settings::default()
    };
    let house = House::open(settings).await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let gate = house.shelf.shut_gate();
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = house.client().await;
        client.request("GET", "/metrics", "").await;
        assert_eq!(client.answer_head().await.status, 200);
        clients.push(client);
    }
    gate.cancel();
    for client in &mut clients {
        assert_eq!(client.bytes(9).await, b"somebytes");
    }
}

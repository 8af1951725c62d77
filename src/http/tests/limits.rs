use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{client::soon, house::House};
use crate::http::{Limits, Settings};

const SHORT: Duration = Duration::from_millis(200);

/// More than the sockets of both sides hold.
const LARGE: usize = 64 * 1024 * 1024;

fn limited(limits: Limits) -> Settings {
    Settings {
        max_requests: 1,
        limits,
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let house = House::open(limited(Limits {
        head_time: SHORT,
        ..Limits::default()
    }))
    .await;
    let mut silent = house.client().await;
    let mut slow = house.client().await;
    slow.send("GET /metrics HTTP/1.1\r\nHost: exp").await;
    let mut resting = house.client().await;
    resting.get("/healthz").await;

    assert_eq!(silent.ended().await, b"");
    assert_eq!(slow.ended().await, b"");
    // It has waited at least as long as they have, but between two requests.
    assert_eq!(resting.get("/healthz").await.status, 200);
    resting.send("GET /heal").await;
    assert_eq!(resting.ended().await, b"");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let house = House::open(Settings::default()).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    let many = "X: y\r\n".repeat(101);
    for headers in [long, many] {
        let mut client = house.client().await;
        client.request("GET", "/healthz", &headers).await;
        assert_eq!(client.answer().await.status, 431);
        client.ended().await;
    }
    let mut client = house.client().await;
    let fair = format!("X-Fair: {}\r\n", "x".repeat(10_000));
    client.request("GET", "/healthz", &fair).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let house = House::open(Settings::default()).await;
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let mut client = house.client().await;
        client.send(noise).await;
        let said = client.ended().await;
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{said}"
        );
    }
    assert_eq!(house.client().await.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_its_place_is_free_again() {
    let house = House::open(limited(Limits {
        stall_time: SHORT,
        ..Limits::default()
    }))
    .await;
    house.shelf.put([Bytes::from(vec![b'x'; LARGE])]);
    let mut stalled = house.client().await;
    stalled.request("GET", "/metrics", "").await;
    stalled.answer_head().await;

    let mut next = house.client().await;
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
async fn a_place_is_taken_until_the_last_byte_is_even_if_all_is_handed_over() {
    let house = House::open(limited(Limits::default())).await;
    // hyper reads this body to its end at once; only the socket is behind.
    house.shelf.put([Bytes::from(vec![b'x'; LARGE])]);
    let mut slow = house.client().await;
    slow.request("GET", "/metrics", "").await;
    slow.answer_head().await;
    let mut next = house.client().await;
    for _ in 0..20 {
        assert_eq!(next.head("/metrics", "").await.status, 503);
    }
    assert_eq!(slow.bytes(LARGE).await.len(), LARGE);
    soon(async { while next.head("/metrics", "").await.status == 503 {} }).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_frees_its_place() {
    let house = House::open(limited(Limits::default())).await;
    house.shelf.put([Bytes::from(vec![b'x'; LARGE])]);
    let mut gone = house.client().await;
    gone.request("GET", "/metrics", "").await;
    gone.answer_head().await;
    let mut next = house.client().await;
    assert_eq!(next.head("/metrics", "").await.status, 503);
    drop(gone);
    soon(async { while next.head("/metrics", "").await.status == 503 {} }).await;
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_a_probe_out() {
    let most = 100;
    let house = House::open(limited(Limits {
        connections: most,
        ..Limits::default()
    }))
    .await;
    let mut idle = VecDeque::new();
    for number in 0..1000 {
        let mut client = house.client().await;
        if number % 2 == 0 {
            client.get("/healthz").await;
        }
        idle.push_back(client);
        if idle.len() > most {
            // The oldest one had to make room.
            assert_eq!(idle.pop_front().unwrap().ended().await, b"");
        }
    }
    assert_eq!(house.client().await.get("/healthz").await.status, 200);
    assert_eq!(house.client().await.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn whoever_is_being_answered_never_has_to_make_room() {
    let house = House::open(limited(Limits {
        connections: 2,
        ..Limits::default()
    }))
    .await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let gate = house.shelf.shut_gate();
    let mut scraper = house.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.answer_head().await;
    for _ in 0..10 {
        assert_eq!(house.client().await.get("/healthz").await.status, 200);
    }
    gate.cancel();
    assert_eq!(scraper.bytes(9).await, b"somebytes");
}

#[tokio::test]
async fn when_everyone_is_being_answered_the_next_one_waits_for_its_turn() {
    let house = House::open(Settings {
        limits: Limits {
            connections: 2,
            ..Limits::default()
        },
        ..Settings::default()
    })
    .await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let gate = house.shelf.shut_gate();
    let (mut first, mut second) = (house.client().await, house.client().await);
    for client in [&mut first, &mut second] {
        client.request("GET", "/metrics", "").await;
        client.answer_head().await;
    }
    let mut waiting = house.client().await;
    waiting.request("GET", "/healthz", "").await;
    let early = tokio::time::timeout(SHORT, waiting.answer()).await;
    assert!(early.is_err());

    gate.cancel();
    assert_eq!(first.bytes(9).await, b"somebytes");
    assert_eq!(second.bytes(9).await, b"somebytes");
    assert_eq!(waiting.answer().await.status, 200, "they rest, so one goes");
}

use std::time::Duration;

use tokio::{net::TcpStream, time::Instant};

use super::{client::soon, house::House};
use crate::http::{Limits, Settings};

#[tokio::test]
async fn an_answer_under_way_is_finished_and_then_the_door_is_closed() {
    let house = House::open(Settings::default()).await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let gate = house.shelf.shut_gate();
    let mut scraper = house.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.answer_head().await;

    let address = house.address;
    house.shutdown.cancel();
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    gate.cancel();
    assert_eq!(scraper.bytes(9).await, b"somebytes");
    assert_eq!(scraper.ended().await, b"");
    house.closed().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn nobody_who_rests_delays_the_end() {
    let house = House::open(Settings {
        limits: Limits {
            drain_time: Duration::from_secs(3600),
            ..Limits::default()
        },
        ..Settings::default()
    })
    .await;
    let mut resting = house.client().await;
    resting.get("/healthz").await;
    let mut half = house.client().await;
    half.send("GET /metrics HTTP/1.1\r\nHo").await;
    let mut silent = house.client().await;
    // Its answer shows that the others have been accepted before.
    house.client().await.get("/healthz").await;

    house.shutdown.cancel();
    house.closed().await;
    for client in [&mut resting, &mut half, &mut silent] {
        assert_eq!(client.ended().await, b"");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_cut() {
    let drain_time = Duration::from_millis(200);
    let house = House::open(Settings {
        limits: Limits {
            drain_time,
            ..Limits::default()
        },
        ..Settings::default()
    })
    .await;
    house.shelf.put(["some", "bytes"].map(Into::into));
    let _gate = house.shelf.shut_gate();
    let mut scraper = house.client().await;
    scraper.request("GET", "/metrics", "").await;
    scraper.answer_head().await;

    let start = Instant::now();
    house.shutdown.cancel();
    house.closed().await;
    assert!(start.elapsed() >= drain_time);
    assert_eq!(scraper.ended().await, b"some");
}

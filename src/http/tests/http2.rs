//! Connections with HTTP/2, over a pipe in place of TLS.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h2::client::{Connection, SendRequest, handshake};
use hyper::{Request, StatusCode, header::HOST, http::request};
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, advance},
};

use super::harness::{FakeData, NoProbes};
use crate::http::{InMemoryServer, Settings};

/// A client, and the end of its connection.
async fn connect() -> (SendRequest<Bytes>, Connection<DuplexStream>, JoinHandle<()>) {
    let data = Arc::new(FakeData::default());
    let server = InMemoryServer::new(Settings::default(), None, data, Arc::new(NoProbes));
    let (client, stream) = duplex(16 * 1024);
    let serving = tokio::spawn(async move { server.serve(stream, true).await });
    let (requests, connection) = handshake(client).await.unwrap();
    (requests, connection, serving)
}

fn health() -> request::Builder {
    Request::get("https://exporter/-/healthy")
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_ends_its_connection() {
    let (requests, connection, serving) = connect().await;
    let connection = tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let valid = health().body(()).unwrap();
    let (response, _) = requests.send_request(valid, true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);

    let start = Instant::now();
    let mut requests = requests.ready().await.unwrap();
    let two_hosts = health().header(HOST, "a").header(HOST, "b");
    let (response, _) = requests
        .send_request(two_hosts.body(()).unwrap(), true)
        .unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::BAD_REQUEST);
    serving.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO, "not an idle timeout");
    let _ = connection.await;
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_a_connection_without_requests() {
    let (_requests, mut connection, serving) = connect().await;
    let mut pings = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    let start = Instant::now();
    let pinging = async {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            advance(Duration::from_secs(20)).await;
        }
    };
    pinging.await;
    serving.await.unwrap();
    let _ = connection.await;
    assert_eq!(start.elapsed().as_secs(), 360);
}

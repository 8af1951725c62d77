//! Which connection makes way for another one, over hours that a test clock skips.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{DuplexStream, duplex},
    time::advance,
};

use super::{
    client::Client,
    harness::{FakeData, NoProbes},
};
use crate::http::{InMemoryServer, Settings};

/// The length of the metrics in bytes. It is much larger than the start page and a pipe.
const METRICS: usize = 200_000;

/// The number of connections that are served everything.
const PLACES: usize = 4;

/// A server with four places.
struct Server(Arc<InMemoryServer>);

impl Server {
    fn start() -> Self {
        let data = Arc::new(FakeData::default());
        data.put([Bytes::from(vec![b'x'; METRICS])]);
        let settings = Settings {
            max_connections: PLACES,
            ..Settings::default()
        };
        let server = InMemoryServer::new(settings, None, data, Arc::new(NoProbes));
        Self(Arc::new(server))
    }

    /// A new connection, whose pipe holds 16 KiB in each direction.
    fn client(&self) -> Client<DuplexStream> {
        self.client_with_pipe(16 * 1024)
    }

    fn client_with_pipe(&self, bytes: usize) -> Client<DuplexStream> {
        let (client, stream) = duplex(bytes);
        let server = Arc::clone(&self.0);
        tokio::spawn(async move { server.serve(stream, false).await });
        Client::over(client)
    }

    /// New connections that each load the start page, and are no longer new at the end.
    async fn visitors(&self, number: usize) -> Vec<Client<DuplexStream>> {
        let mut visitors: Vec<_> = (0..number).map(|_| self.client()).collect();
        for _ in 0..12 {
            visit(&mut visitors).await;
            advance(Duration::from_millis(90)).await;
        }
        visitors
    }
}

/// Loads the start page with each client.
async fn visit(visitors: &mut [Client<DuplexStream>]) {
    for visitor in visitors {
        assert_eq!(visitor.get("/").await.status, 200);
    }
}

async fn scrape(client: &mut Client<DuplexStream>) {
    assert_eq!(client.get("/metrics").await.body.len(), METRICS);
}

#[tokio::test(start_paused = true)]
async fn a_scraper_keeps_its_connection_for_two_intervals() {
    let server = Server::start();
    let mut prometheus = server.client();
    scrape(&mut prometheus).await;
    advance(Duration::from_secs(60)).await;
    scrape(&mut prometheus).await;
    advance(Duration::from_secs(58)).await;
    // Each visitor has moved more bytes within the last ten seconds.
    let mut visitors = server.visitors(PLACES - 1).await;
    let mut next = server.client();
    assert_eq!(next.get("/").await.status, 200);
    assert_eq!(visitors[0].ended().await, b"");
    scrape(&mut prometheus).await;

    // The last interval was about 59 seconds.
    advance(Duration::from_secs(119)).await;
    visit(&mut visitors[1..]).await;
    assert_eq!(next.get("/").await.status, 200);
    assert_eq!(server.client().get("/").await.status, 200);
    assert_eq!(prometheus.ended().await, b"");
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_always_active_do_not_end_a_new_scrape() {
    let server = Server::start();
    let _visitors = server.visitors(PLACES).await;
    let mut prometheus = server.client_with_pipe(64);
    prometheus.request("GET", "/metrics", "").await;
    prometheus.response_head().await;
    let mut others = Vec::new();
    for _ in 1..PLACES {
        advance(Duration::from_millis(90)).await;
        let mut other = server.client();
        assert_eq!(other.get("/").await.status, 200);
        others.push(other);
    }
    assert_eq!(prometheus.bytes(METRICS).await.len(), METRICS);
}

#[tokio::test(start_paused = true)]
async fn many_clients_that_scrape_do_not_end_a_new_scrape() {
    let server = Server::start();
    let mut scrapers: Vec<_> = (0..PLACES).map(|_| server.client()).collect();
    for _ in 0..3 {
        for scraper in &mut scrapers {
            scrape(scraper).await;
        }
        advance(Duration::from_secs(5)).await;
    }
    let mut prometheus = server.client();
    prometheus.request("GET", "/metrics", "").await;
    prometheus.response_head().await;
    let mut next = server.client();
    scrape(&mut next).await;
    assert_eq!(prometheus.bytes(METRICS).await.len(), METRICS);
}

#[tokio::test(start_paused = true)]
async fn heads_of_metrics_make_no_scraper() {
    let server = Server::start();
    let mut forger = server.client();
    for _ in 0..3 {
        assert_eq!(forger.head("/metrics", "").await.status, 200);
        advance(Duration::from_secs(5)).await;
    }
    let _visitors = server.visitors(PLACES - 1).await;
    assert_eq!(server.client().get("/").await.status, 200);
    assert_eq!(forger.ended().await, b"");
}

#[tokio::test(start_paused = true)]
async fn clients_with_answers_do_not_end_a_connection_that_has_just_opened() {
    let server = Server::start();
    let mut answered: Vec<_> = (1..PLACES).map(|_| server.client()).collect();
    for client in &mut answered {
        assert_eq!(client.get("/-/healthy").await.status, 200);
    }
    let mut opened = server.client();
    tokio::task::yield_now().await;
    scrape(&mut server.client()).await;
    assert_eq!(opened.get("/-/healthy").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_makes_way_before_those_with_answers() {
    let server = Server::start();
    let mut silent = server.client();
    tokio::task::yield_now().await;
    advance(Duration::from_millis(100)).await;
    let mut answered: Vec<_> = (1..PLACES).map(|_| server.client()).collect();
    for client in &mut answered {
        assert_eq!(client.get("/-/healthy").await.status, 200);
    }
    scrape(&mut server.client()).await;
    assert_eq!(silent.ended().await, b"");
    for client in &mut answered {
        assert_eq!(client.get("/-/healthy").await.status, 200);
    }
}

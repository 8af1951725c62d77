use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{client::Client, house::Shelf};
use crate::{
    http::{Address, BindError, Bound, Settings},
    shutdown::CancellationToken,
    telemetry::Instruments,
};

fn host(name: &str, port: u16) -> Address {
    Address::Host(name.to_owned(), port)
}

async fn bind(addresses: &[Address]) -> Result<Bound, BindError> {
    Bound::bind(addresses, Settings::default()).await
}

/// Serves until the test ends, and gives the addresses.
async fn serve(addresses: &[Address]) -> Vec<SocketAddr> {
    let bound = bind(addresses).await.unwrap();
    let local = bound.local_addrs().to_vec();
    tokio::spawn(bound.serve(
        Arc::<Shelf>::default(),
        Instruments::new(),
        CancellationToken::new(),
    ));
    local
}

async fn is_healthy(address: SocketAddr) -> bool {
    Client::connect(address).await.get("/healthz").await.status == 200
}

#[tokio::test]
async fn a_port_alone_is_reached_over_both_families() {
    let local = serve(&[Address::AnyOf(0)]).await;
    assert_eq!(local.len(), 1);
    let port = local[0].port();
    assert!(is_healthy((Ipv4Addr::LOCALHOST, port).into()).await);
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        assert!(is_healthy((Ipv6Addr::LOCALHOST, port).into()).await);
    } else {
        assert!(local[0].is_ipv4(), "a host without IPv6 listens on IPv4");
    }
}

#[tokio::test]
async fn every_address_is_known_at_once_and_answered() {
    let local = serve(&[
        host("127.0.0.1", 0),
        host("127.0.0.2", 0),
        Address::AnyOf(0),
    ])
    .await;
    assert_eq!(local.len(), 3);
    assert_eq!(local[0].ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(local[1].ip(), Ipv4Addr::new(127, 0, 0, 2));
    for address in &local[..2] {
        assert!(is_healthy(*address).await, "{address}");
    }
    assert!(is_healthy((Ipv4Addr::LOCALHOST, local[2].port()).into()).await);
}

#[tokio::test]
async fn a_name_is_resolved_when_it_is_bound() {
    let local = serve(&[host("localhost", 0)]).await;
    for address in local {
        assert!(address.ip().is_loopback());
        assert!(is_healthy(address).await, "{address}");
    }
}

#[tokio::test]
async fn a_client_may_connect_before_the_door_opens_and_is_answered_then() {
    let bound = bind(&[host("127.0.0.1", 0)]).await.unwrap();
    let mut early = Client::connect(bound.local_addrs()[0]).await;
    early.request("GET", "/healthz", "").await;
    tokio::spawn(bound.serve(
        Arc::<Shelf>::default(),
        Instruments::new(),
        CancellationToken::new(),
    ));
    assert_eq!(early.answer().await.status, 200);
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named_with_the_reason() {
    let first = bind(&[host("127.0.0.1", 0)]).await.unwrap();
    let taken = first.local_addrs()[0].port();
    let error = bind(&[host("127.0.0.1", 0), host("127.0.0.1", taken)]).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        format!("cannot listen on 127.0.0.1:{taken}: Address already in use (os error 98)")
    );

    let error = bind(&[host("no..name", 1)]).await.unwrap_err().to_string();
    let start = "cannot listen on no..name:1: the host name does not resolve: ";
    assert!(error.starts_with(start), "{error}");

    let error = bind(&[]).await.unwrap_err();
    assert_eq!(error.to_string(), "no address to listen on");
}

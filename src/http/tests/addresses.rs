use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{client::Client, harness::FakeData};
use crate::{
    http::{Bound, Settings, listen::open_all},
    shutdown::CancellationToken,
    telemetry::Instruments,
};

async fn bind(addresses: &[&str]) -> io::Result<Bound> {
    let addresses = addresses.iter().map(|text| text.parse());
    let addresses = addresses.collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(io::Error::other)?;
    Bound::bind(&addresses, Settings::default()).await
}

/// Serves on these addresses until the end of the test. Returns the bound addresses.
async fn serve(addresses: &[&str]) -> Vec<SocketAddr> {
    let bound = bind(addresses).await.unwrap();
    let local = bound.local_addrs().to_vec();
    tokio::spawn(bound.serve(
        Arc::new(FakeData::default()),
        Instruments::new(),
        CancellationToken::new(),
    ));
    local
}

async fn is_healthy(address: SocketAddr) -> bool {
    Client::connect(address).await.get("/healthz").await.status == 200
}

#[tokio::test]
async fn a_port_alone_listens_on_ipv4_and_ipv6() {
    let local = serve(&[":0"]).await;
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
async fn every_address_is_served() {
    let local = serve(&["127.0.0.1:0", "127.0.0.2:0", ":0"]).await;
    assert_eq!(local.len(), 3);
    assert_eq!(local[0].ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(local[1].ip(), Ipv4Addr::new(127, 0, 0, 2));
    for address in &local[..2] {
        assert!(is_healthy(*address).await, "{address}");
    }
    assert!(is_healthy((Ipv4Addr::LOCALHOST, local[2].port()).into()).await);
}

#[tokio::test]
async fn a_name_is_resolved() {
    let local = serve(&["localhost:0"]).await;
    for address in local {
        assert!(address.ip().is_loopback());
        assert!(is_healthy(address).await, "{address}");
    }
}

#[tokio::test]
async fn a_request_before_serve_is_answered_after_it() {
    let bound = bind(&["127.0.0.1:0"]).await.unwrap();
    let mut early = Client::connect(bound.local_addrs()[0]).await;
    early.request("GET", "/healthz", "").await;
    tokio::spawn(bound.serve(
        Arc::new(FakeData::default()),
        Instruments::new(),
        CancellationToken::new(),
    ));
    assert_eq!(early.response().await.status, 200);
}

#[tokio::test]
async fn an_error_has_the_address_and_the_reason() {
    let first = bind(&["127.0.0.1:0"]).await.unwrap();
    let taken = first.local_addrs()[0].port();
    let error = bind(&["127.0.0.1:0", &format!("127.0.0.1:{taken}")]).await;
    assert_eq!(
        error.err().unwrap().to_string(),
        format!("cannot listen on 127.0.0.1:{taken}: Address already in use (os error 98)")
    );

    let error = bind(&["no..name:1"]).await.err().unwrap().to_string();
    let start = "cannot listen on no..name:1: the host name does not resolve: ";
    assert!(error.starts_with(start), "{error}");

    let error = bind(&[]).await.err().unwrap();
    assert_eq!(error.to_string(), "no address to listen on");
}

#[tokio::test]
async fn an_address_that_this_host_lacks_is_skipped_if_another_one_works() {
    // 192.0.2.0/24 is reserved for documentation, so no host has the address `foreign`.
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));

    let listeners = open_all(vec![foreign, local, local]).unwrap();
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);

    let error = open_all(vec![foreign]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
}

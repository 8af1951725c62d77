//! Tests of the running server: time, log, connections, compression, TLS and shutdown.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{Setup, client, list_path, receive};
use crate::{Latency, Operation, Options, Pace, START, TEST_ACCOUNT, Vendor, World};

#[tokio::test]
async fn requests_are_logged_without_their_secrets() {
    let setup = Setup::of(World::still(3, 1)).await;
    let request = setup
        .request(&list_path("limit=2&offset=1"), TEST_ACCOUNT)
        .header("User-Agent", "setup/1")
        .header("Accept", "application/json");
    receive(request).await.unwrap();
    setup.get("/Account/MA_TEST0001/Endpoint/1/").await;
    let log = setup.vendor.requests();
    assert_eq!(log[0].operation, Operation::ListEndpoints);
    assert_eq!(log[0].path, "/api/v1/Account/MA_TEST0001/Endpoint/");
    assert_eq!(log[0].query, "limit=2&offset=1");
    assert_eq!(log[0].user_agent.as_deref(), Some("setup/1"));
    assert_eq!(log[0].accept.as_deref(), Some("application/json"));
    assert_eq!((log[0].status, log[0].time), (Some(200), START));
    assert!(log[0].presented.accepted && !log[0].authorization);
    assert_eq!(
        (log[1].status, log[1].operation),
        (Some(404), Operation::RetrieveEndpoint)
    );
    assert_eq!(
        log[1].connection, log[0].connection,
        "the connection is used again"
    );
    assert!(!format!("{log:?}").contains(TEST_ACCOUNT.token));
    let counts = setup.vendor.counts();
    assert_eq!(
        (
            counts.list_endpoints,
            counts.retrieve_endpoint,
            counts.successes
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn the_log_forgets_the_oldest() {
    let options = Options {
        log_capacity: 2,
        ..Options::default()
    };
    let setup = Setup::with(World::still(1, 1), options).await;
    for _ in 0..5 {
        setup.list("").await;
    }
    let log = setup.vendor.requests();
    assert_eq!(
        log.iter().map(|record| record.number).collect::<Vec<_>>(),
        [4, 5]
    );
    assert!(log.iter().all(|record| record.status == Some(200)));
    assert_eq!(setup.vendor.counts().requests, 5);
}

#[tokio::test]
async fn without_keep_alive_each_request_needs_a_connection() {
    let options = Options {
        keep_alive: false,
        ..Options::default()
    };
    let setup = Setup::with(World::still(1, 1), options).await;
    for _ in 0..3 {
        setup.list("").await;
    }
    assert_eq!(setup.vendor.counts().connections, 3);
}

#[tokio::test]
async fn a_client_that_takes_gzip_gets_gzip_unless_it_is_off() {
    let setup = Setup::of(World::still(20, 1)).await;
    let ask = || {
        setup
            .request(&list_path(""), TEST_ACCOUNT)
            .header("Accept-Encoding", "gzip")
    };
    let mut seen = receive(ask()).await.unwrap();
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&seen.body[..])
        .read_to_end(&mut inflated)
        .unwrap();
    seen.body = inflated;
    assert_eq!(seen.rows().len(), 20);
    assert_eq!(setup.list("").await.header("content-encoding"), None);
    setup.vendor.set(|options| options.gzip = false);
    assert_eq!(
        receive(ask()).await.unwrap().header("content-encoding"),
        None
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_is_kept_for_eight_requests_at_a_time() {
    let latency = Latency::Fixed(Duration::from_millis(20));
    let setup = Arc::new(
        Setup::with(
            World::still(1, 1),
            Options {
                latency,
                ..Options::default()
            },
        )
        .await,
    );
    let begun = Instant::now();
    let walkers: Vec<_> = (0..8)
        .map(|_| {
            let setup = Arc::clone(&setup);
            tokio::spawn(async move {
                for _ in 0..10 {
                    setup.list("").await;
                }
            })
        })
        .collect();
    for walker in walkers {
        walker.await.unwrap();
    }
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_millis(190), "{elapsed:?}");
    assert_eq!(setup.vendor.counts().peak_in_flight, 8);
}

#[tokio::test]
async fn a_range_of_latency_stays_within_it() {
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(10));
    let options = Options {
        latency: Latency::Between(least, most),
        ..Options::default()
    };
    let setup = Setup::with(World::still(1, 1), options).await;
    for _ in 0..5 {
        let begun = Instant::now();
        setup.list("").await;
        assert!(begun.elapsed() >= Duration::from_millis(4));
    }
}

#[tokio::test]
async fn time_stops_or_runs_as_configured() {
    let setup = Setup::of(World::demo(10, 1)).await;
    assert_eq!(setup.vendor.edit(|world| world.now()), START);
    setup
        .vendor
        .edit(|world| world.advance_by(Duration::from_secs(60)));
    assert_eq!(
        setup.vendor.edit(|world| world.now()).as_second(),
        START.as_second() + 60
    );

    let options = Options {
        pace: Pace::Running(3600.0),
        ..Options::default()
    };
    let setup = Setup::with(World::demo(10, 1), options).await;
    let one = setup.vendor.edit(|world| world.now());
    let begun = Instant::now();
    while setup.vendor.edit(|world| world.now()).as_second() < one.as_second() + 60 {
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(15));
}

#[tokio::test]
async fn a_stopped_vendor_frees_its_port_and_its_world_can_be_served_again() {
    let setup = Setup::of(World::still(5, 1)).await;
    let before = setup.list("").await.ids();
    let address = setup.vendor.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    let Setup { vendor, client } = setup;
    let world = vendor.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    let end = tokio::io::AsyncReadExt::read(&mut open, &mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "open connections are ended");
    let options = Options {
        listen: address,
        ..Options::default()
    };
    let vendor = Vendor::start(world, options).await.unwrap();
    let setup = Setup { vendor, client };
    assert_eq!(setup.list("").await.ids(), before);
}

#[tokio::test]
async fn a_dropped_vendor_frees_its_port() {
    let vendor = Vendor::start(World::still(1, 1), Options::default())
        .await
        .unwrap();
    let address = vendor.address();
    drop(vendor);
    let freed = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_serves_tls_with_a_private_authority() {
    client();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let options = Options {
        tls: Some(Arc::new(config)),
        ..Options::default()
    };
    let vendor = Vendor::start(World::still(3, 1), options).await.unwrap();
    assert!(vendor.base_url().as_str().starts_with("https://localhost:"));
    let root = reqwest::Certificate::from_der(key.cert.der()).unwrap();
    let trusting = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let setup = Setup {
        vendor,
        client: trusting,
    };
    assert_eq!(setup.list("").await.ids().len(), 3);
    let stranger = Setup {
        vendor: setup.vendor,
        client: client(),
    };
    assert!(stranger.try_list("").await.is_err());
}

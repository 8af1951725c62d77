//! The addresses and paths at which the exporter answers.

use tokio::net::TcpListener;
use vobiz_simulator::{Options, Vendor, World};

use crate::harness::{Process, Program, Scrape, ask, configuration, get, is_closed, until};

async fn vendor() -> Vendor {
    let world = World::still(5, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

fn start(vendor: &Vendor, arguments: &[&str]) -> Process {
    Program::configured(&configuration(vendor, ""), arguments).start()
}

async fn until_ready(address: &str, path: &str) {
    until("it is ready", || async {
        (get(address, path).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kubelet_checks_health_and_readiness_at_an_address_that_shows_nothing_else() {
    let vendor = vendor().await;
    let arguments = [
        "--web.listen-address=127.0.0.1:0",
        "--web.probe-listen-address=127.0.0.1:0",
        "--web.probe-listen-address=[::1]:0",
        "--web.telemetry-path=/vobiz",
    ];
    let process = start(&vendor, &arguments);
    let addresses = process.listens(3).await;
    for address in &addresses[1..] {
        until_ready(address, "/-/ready").await;
        for path in ["/-/healthy", "/healthz", "/-/ready", "/readyz"] {
            let answer = get(address, path).await;
            assert_eq!(answer.status, 200, "{address}{path}");
            let posted = ask(address, "POST", path, &[]).await;
            assert_eq!(posted.status, 405, "{address}{path}");
        }
        for path in ["/", "/metrics", "/vobiz", "/probe", "/-/reload"] {
            assert_eq!(get(address, path).await.status, 404, "{address}{path}");
        }
    }
    for path in ["/", "/vobiz", "/-/healthy", "/-/ready"] {
        assert_eq!(get(&addresses[0], path).await.status, 200, "{path}");
    }
    until("the ten requests of other paths are counted", || async {
        let scrape = Scrape::read(&get(&addresses[0], "/vobiz").await.text());
        let other = [r#"handler="other""#, r#"code="404""#];
        let counted = scrape.value("vobiz_exporter_http_requests_total", &other);
        (counted == Some(10.0)).then_some(())
    })
    .await;

    process.signal("TERM").await;
    assert_eq!(process.ended().await.code, Some(0));
    for address in &addresses {
        assert!(is_closed(address).await, "{address}");
    }
}

#[tokio::test]
async fn the_health_check_prefers_the_address_for_health_checks() {
    let vendor = vendor().await;
    let (listen, health) = (
        "--web.listen-address=127.0.0.1:0",
        "--web.probe-listen-address=[::1]:0",
    );
    let process = start(&vendor, &[listen, health]);
    let health = process.listens(2).await.remove(1);
    let health = format!("--web.probe-listen-address={health}");
    // No exporter listens at port 1.
    let arguments = ["--healthcheck", "--web.listen-address=127.0.0.1:1", &health];
    let healthy = Program::new(&arguments).run().await;
    let printed = (healthy.code, healthy.out.as_str(), healthy.err.as_str());
    assert_eq!(printed, (Some(0), "healthy\n", ""));

    process.signal("TERM").await;
    assert_eq!(process.ended().await.code, Some(0));
    let unhealthy = Program::new(&arguments).run().await;
    assert_eq!(unhealthy.code, Some(1));
    let begins = "not healthy at [::1]:";
    assert!(unhealthy.err.starts_with(begins), "{unhealthy:?}");
}

#[tokio::test]
async fn an_address_for_health_checks_that_is_in_use_stops_the_start() {
    let vendor = vendor().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let health = format!("--web.probe-listen-address={taken}");
    let process = start(&vendor, &["--web.listen-address=127.0.0.1:0", &health]);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for words in [&*taken, "in use", "--web.probe-listen-address"] {
        assert!(ended.err.contains(words), "{words} in {ended:?}");
    }
    assert_eq!(vendor.counts().requests, 0);
}

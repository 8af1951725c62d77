//! The addresses and paths at which the exporter answers.

use std::collections::BTreeSet;

use tokio::net::TcpListener;
use url::Url;
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

/// The targets of all links of the start page, which a browser shows at `url`.
fn links(page: &str, url: &Url) -> Vec<Url> {
    let links = page.split("href=\"").skip(1);
    let links = links.map(|rest| {
        rest.split('"')
            .next()
            .unwrap()
            .replace("&amp;", "&")
            .replace("&#38;", "&")
    });
    links.map(|link| url.join(&link).unwrap()).collect()
}

/// Follows the links of all pages, beginning at the start page, which a browser shows at `url`. A reverse proxy sends
/// requests below the path `outside` to the path `inside` of the exporter.
async fn follow_links(address: &str, url: &str, [outside, inside]: [&str; 2]) {
    let ask = async |url: &Url| {
        let below = url.path().strip_prefix(outside);
        let path = format!("{inside}{}", below.expect("the proxy knows the path"));
        let query = url.query().map_or(String::new(), |text| format!("?{text}"));
        let path = if path.is_empty() { "/" } else { &path };
        get(address, &format!("{path}{query}")).await
    };
    let through_proxy = async |url: &Url| {
        let answer = ask(url).await;
        assert_eq!(answer.status, 200, "{url}");
        answer.text()
    };
    let url = Url::parse(url).unwrap();
    let start = links(&through_proxy(&url).await, &url);
    let list = start
        .iter()
        .find(|link| link.path().ends_with("/endpoints"));
    let list = list.expect("the start page links to the list").clone();
    until("the first walk", || async {
        let page = through_proxy(&list).await;
        page.contains("endpoints/main/").then_some(())
    })
    .await;
    // The rendering follows the walk.
    let ready = start.iter().find(|link| link.path().ends_with("/-/ready"));
    let ready = ready.expect("the start page links to the readiness");
    until("readiness", || async {
        (ask(ready).await.status == 200).then_some(())
    })
    .await;
    let (mut followed, mut waiting) = (BTreeSet::new(), vec![url.clone()]);
    while let Some(link) = waiting.pop() {
        // Each order of the list has links to the others.
        let is_order = link.query().is_some_and(|query| query.contains("sort="));
        if !is_order && followed.insert(link.clone()) {
            assert_eq!(link.origin(), url.origin());
            let is_text = link.path().contains("/-/") || link.path().ends_with("/metrics");
            let body = through_proxy(&link).await;
            waiting.extend(links(&body, &link).into_iter().filter(|_| !is_text));
        }
    }
    for end in [
        "/metrics",
        "/-/ready",
        "/outages",
        "/walks",
        "/static/pages.css",
    ] {
        let has_end = followed.iter().any(|link| link.path().ends_with(end));
        assert!(has_end, "{end}: {followed:?}");
    }
}

#[tokio::test]
async fn the_links_of_the_start_page_work_behind_a_reverse_proxy_and_without_one() {
    let vendor = vendor().await;
    let external = "--web.external-url=https://example.com/monitoring/vobiz";
    let root = "--web.route-prefix=/";
    for (flags, urls, paths) in [
        // No proxy, at every kind of address.
        (
            &[][..],
            &[
                "http://127.0.0.1:10059/",
                "http://[::1]:10059/",
                "http://exporter/",
            ][..],
            ["", ""],
        ),
        // The proxy keeps the path, and the exporter has the prefix. The page also works without the proxy.
        (
            &[external],
            &[
                "https://example.com/monitoring/vobiz/",
                "http://[::1]:10059/monitoring/vobiz/",
            ],
            ["", ""],
        ),
        // The proxy removes the prefix. A browser shows the page with and without a slash at the end.
        (
            &[external, root],
            &[
                "https://example.com/monitoring/vobiz/",
                "https://example.com/monitoring/vobiz",
            ],
            ["/monitoring/vobiz", ""],
        ),
        // The exporter knows nothing about the proxy.
        (
            &[],
            &["https://example.com/monitoring/"],
            ["/monitoring/", "/"],
        ),
        // The proxy replaces the path.
        (
            &[external, "--web.route-prefix=/inside"],
            &["https://example.com/monitoring/vobiz/"],
            ["/monitoring/vobiz", "/inside"],
        ),
        (
            &["--web.route-prefix=/inside"],
            &["http://[::1]:10059/inside/"],
            ["", ""],
        ),
    ] {
        let listen = ["--web.listen-address=[::1]:0"];
        let arguments = [&listen[..], flags].concat();
        let text = configuration(&vendor, "probe: {enabled: true}");
        let process = Program::configured(&text, &arguments).start();
        let address = process.listens(1).await.remove(0);
        for url in urls {
            follow_links(&address, url, paths).await;
        }
        process.signal("TERM").await;
        assert_eq!(process.ended().await.code, Some(0));
    }
}

#[tokio::test]
async fn the_health_check_uses_the_prefix() {
    let vendor = vendor().await;
    let external = "--web.external-url=https://example.com/vobiz/";
    let health = "--web.probe-listen-address=127.0.0.1:0";
    let process = start(&vendor, &["--web.listen-address=[::1]:0", external, health]);
    let [address, health] = &process.listens(2).await[..] else {
        panic!("two addresses")
    };
    let log = process.err();
    assert!(log.contains("path=/vobiz/metrics"), "{log}");
    assert_eq!(get(address, "/vobiz/-/healthy").await.status, 200);
    assert_eq!(get(address, "/-/healthy").await.status, 404);

    let listen = format!("--web.listen-address={address}");
    let health = format!("--web.probe-listen-address={health}");
    for (arguments, code) in [
        (&["--healthcheck", &listen, external][..], 0),
        (&["--healthcheck", &listen, "--web.route-prefix=vobiz"], 0),
        (&["--healthcheck", &listen], 1),
        // The address for health checks has no prefix, so a reverse proxy does not change the checks.
        (&["--healthcheck", &health, external], 0),
        (&["--healthcheck", &health], 0),
    ] {
        let ended = Program::new(arguments).run().await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    }
}

//! The commands `demo` and `simulate`.

use tokio::net::TcpListener;

use crate::harness::{Program, Scrape, get, until};

#[tokio::test]
async fn the_demo_serves_the_printed_links_and_ends_on_ctrl_c() {
    let arguments = [
        "demo",
        "--endpoints=30",
        "--seed=7",
        "--web.listen-address=127.0.0.1:0",
        "--web.route-prefix=/demo",
    ];
    let demo = Program::new(&arguments).start();
    let links = until("the printed links", || async {
        let out = demo.out();
        let output = out.contains("Ctrl-C").then(|| out.split_whitespace());
        let links = output?.filter(|word| word.starts_with("http://localhost:"));
        Some(links.map(str::to_owned).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(links.len(), 3, "{links:?}");
    assert!(links[0].ends_with("/demo/"), "{links:?}");
    let opened = async |link: &str| {
        let (address, path) = link
            .strip_prefix("http://localhost")
            .unwrap()
            .split_once('/')
            .unwrap();
        get(&format!("127.0.0.1{address}"), &format!("/{path}")).await
    };
    let page = opened(&links[0]).await.text();
    assert!(
        page.contains(">main</a>") && page.contains(">branch</a>"),
        "{page}"
    );
    until("both accounts", || async {
        let scrape = Scrape::read(&opened(&links[1]).await.text());
        (scrape.count("vobiz_endpoint_info", &[]) == 30).then_some(())
    })
    .await;
    let scrape = Scrape::read(&opened(&links[1]).await.text());
    assert_eq!(
        (scrape.up("main"), scrape.up("branch")),
        (Some(1.0), Some(1.0))
    );
    // The list of the second account has no expiry, so the exporter retrieves details.
    until("a detail", || async {
        let scrape = Scrape::read(&opened(&links[1]).await.text());
        let details = "vobiz_endpoint_detail_timestamp_seconds";
        (scrape.count(details, &["account=\"branch\""]) > 0).then_some(())
    })
    .await;
    let probe = opened(&links[2]).await.text();
    assert!(probe.contains("probe_success 1"), "{probe}");

    demo.signal("INT").await;
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("seed 7"), "{ended:?}");
}

#[tokio::test]
async fn the_printed_configuration_works_with_the_simulated_api() {
    let arguments = [
        "simulate",
        "--listen-address=127.0.0.1:0",
        "--endpoints=250",
        "--accounts=2",
        "--seed=7",
        "--row-shape=captured",
    ];
    let vendor = Program::new(&arguments).start();
    let printed = until("two accounts", || async {
        let out = vendor.out();
        (out.matches("auth_id: ").count() == 2 && out.ends_with('\n')).then_some(out)
    })
    .await;
    assert!(
        printed.contains("2 accounts of 250 endpoints (seed 7)"),
        "{printed}"
    );
    // The whole output is a valid configuration file.
    let once = Program::configured(&printed, &["--once"])
        .set("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "0");
    let ended = once.run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        Scrape::read(&ended.out).count("vobiz_endpoint_info", &[]),
        2 * 250
    );
    vendor.signal("TERM").await;
    assert_eq!(vendor.ended().await.code, Some(0));
}

#[tokio::test]
async fn simulate_reports_an_address_that_it_cannot_bind() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let retained = holder.local_addr().unwrap().to_string();
    for (address, reason) in [
        (retained.as_str(), "in use"),
        ("nosuch.invalid:1", "does not resolve"),
    ] {
        // The simulator must check the address before it creates the endpoints. The creation of so
        // many endpoints would exceed the time limit of the test.
        let listen = format!("--listen-address={address}");
        let many = [
            "simulate",
            &listen,
            "--endpoints=1000000",
            "--accounts=10000",
        ];
        let ended = Program::new(&many).run().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        let message = format!("cannot listen on {address}: ");
        assert!(ended.err.contains(&message), "{ended:?}");
        assert!(ended.err.contains(reason), "{ended:?}");
    }
}

#[tokio::test]
async fn simulate_without_a_host_listens_on_ipv4_and_ipv6() {
    let arguments = ["simulate", "--listen-address=:0", "--endpoints=1"];
    let vendor = Program::new(&arguments).start();
    let port = until("its port", || async {
        let out = vendor.out();
        let (_, after) = out.split_once("http://127.0.0.1:")?;
        Some(after.split_once('/')?.0.to_owned())
    })
    .await;
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/").await.status, 401);
    // On a host without IPv6, the simulator listens only on IPv4.
    if TcpListener::bind("[::1]:0").await.is_ok() {
        assert_eq!(get(&format!("[::1]:{port}"), "/").await.status, 401);
    }
    vendor.signal("TERM").await;
    assert_eq!(vendor.ended().await.code, Some(0));
}

#[tokio::test]
async fn simulate_serves_tls_with_a_certificate_file() {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    std::fs::write(&certificate, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let simulate = |certificate: &str, key: &str| {
        Program::new(&[
            "simulate",
            "--listen-address=127.0.0.1:0",
            "--endpoints=45",
            &format!("--tls.cert-file={certificate}"),
            &format!("--tls.key-file={key}"),
        ])
    };
    let vendor = simulate(&certificate, &key).start();
    let printed = until("its account", || async {
        let out = vendor.out();
        (out.contains("auth_id: ") && out.ends_with('\n')).then_some(out)
    })
    .await;
    assert!(printed.contains("\"https://localhost:"), "{printed}");
    let ended = Program::configured(&printed, &["--once"]).run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let scrape = Scrape::read(&ended.out);
    assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);

    let wrong = simulate(&key, &key).run().await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("certificate"), "{wrong:?}");
    let absent = simulate(&file("absent.pem"), &key).run().await;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(
        absent.err.contains("absent.pem: No such file"),
        "{absent:?}"
    );
}

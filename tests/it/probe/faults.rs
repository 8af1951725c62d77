//! For each API fault, a probe shows one failure reason before its deadline, and no secret.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, time::Instant};
use vobiz_simulator::{Effect, ErrorBody, Fault, Operation, RetryAfter};

use super::{code, failed, path, probe, registered};
use crate::harness::{Exporter, accounts_config, auth_id, get, listed, until, vendor};

/// Many responses of the API contain this text, but no sample may contain it.
const MARK: &str = "XYZZY";

/// The name of the account, the fault, the expected reason and the expected HTTP status.
type Case = (&'static str, Fault, &'static str, Option<f64>);

fn cases(other_host: &str) -> Vec<Case> {
    let status = |status| Fault::error(status, ErrorBody::Raw(format!("{{\"error\":\"{MARK}\"}}")));
    let redirect = Fault::new(Effect::Redirect {
        status: 302,
        location: format!("http://{other_host}/{MARK}"),
    });
    let found = Some(200.0);
    vec![
        ("auth", status(401), "auth", Some(401.0)),
        (
            "echoing",
            Fault::error(
                401,
                ErrorBody::Raw(format!(
                    "{{\"error\":\"no token-of-echoing of {}\"}}",
                    auth_id("echoing")
                )),
            ),
            "auth",
            Some(401.0),
        ),
        ("unpaid", status(402), "payment_required", Some(402.0)),
        ("forbidden", status(403), "forbidden", Some(403.0)),
        ("gone", status(404), "not_found", Some(404.0)),
        ("late", status(408), "timeout", Some(408.0)),
        ("teapot", status(418), "client_error", Some(418.0)),
        ("often", status(429), "rate_limited", Some(429.0)),
        (
            "too-often",
            Fault::throttled(RetryAfter::Seconds(3_600)),
            "rate_limited",
            Some(429.0),
        ),
        ("broken", status(500), "server_error", Some(500.0)),
        (
            "gateway",
            Fault::error(502, ErrorBody::Html),
            "server_error",
            Some(502.0),
        ),
        ("hang", Fault::new(Effect::Hang), "timeout", None),
        ("stall", Fault::new(Effect::StallAfter(20)), "timeout", None),
        ("reset", Fault::new(Effect::Reset), "network", None),
        ("cut", Fault::new(Effect::Truncate(20)), "network", found),
        (
            "garbage",
            Fault::body(format!("{MARK} {{[")),
            "malformed",
            found,
        ),
        (
            "html",
            Fault::body(format!("<p>{MARK}</p>")),
            "malformed",
            found,
        ),
        ("empty", Fault::body(""), "malformed", found),
        ("nothing", Fault::body("{}"), "malformed", found),
        (
            "a-list",
            Fault::body("{\"objects\":[]}"),
            "malformed",
            found,
        ),
        (
            "error-as-success",
            Fault::body(format!("{{\"error\":\"{MARK}\",\"endpoint_id\":\"1\"}}")),
            "malformed",
            found,
        ),
        (
            "another",
            Fault::body(format!(
                "{{\"endpoint_id\":\"1\",\"alias\":\"{MARK}\",\"sip_registered\":\"true\"}}"
            )),
            "malformed",
            found,
        ),
        ("redirect", redirect, "redirect", Some(302.0)),
        (
            "oversized",
            Fault::new(Effect::Oversized(1 << 20)),
            "too_large",
            found,
        ),
        (
            "bomb",
            Fault::new(Effect::GzipBomb(8 << 20)),
            "too_large",
            found,
        ),
    ]
}

/// Starts a server that counts its connections. The exporter must never connect to this server.
async fn listen_as_other_host() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, connections)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_one_reason_before_the_deadline_until_the_fault_ends() {
    let (other_host, connections) = listen_as_other_host().await;
    let cases = cases(&other_host);
    let vendor = vendor(cases.iter().map(|case| (case.0, 3))).await;
    let accounts = cases.iter().map(|case| (case.0, ""));
    let on = "probe: {enabled: true, requests_per_second: 100, timeout_offset: 2s}\n";
    let text = accounts_config(&vendor, "max_page_bytes: 64KiB", accounts);
    let exporter = Exporter::start_with(&format!("{on}{text}"), &["--log.level=trace"]).await;
    exporter
        .until("the first walks", |scrape| {
            scrape
                .family("vobiz_up")
                .filter(|(_, up)| *up > 0.0)
                .count()
                == cases.len()
        })
        .await;

    for (name, fault, reason, status) in cases {
        let ids = listed(&vendor, &auth_id(name));
        let id = ids.keys().next().unwrap();
        let fault = fault
            .for_account(auth_id(name))
            .on(Operation::RetrieveEndpoint);
        let planned = vendor.plan(fault);
        let asked = Instant::now();
        let scrape = probe(&exporter, name, id, "3").await;
        assert!(asked.elapsed() < Duration::from_secs(3), "{name}");
        assert_eq!(
            (failed(&scrape), code(&scrape)),
            (Some(reason), status),
            "{name}"
        );
        assert_eq!(registered(&scrape), None, "{name}");
        assert!(!scrape.text.contains(MARK), "{name}: {}", scrape.text);
        // A probe with `debug=true` sends a new request, which can hang if `status` is `None`.
        let text_of_debug = if status.is_some() {
            let words = format!("{}&debug=true", path(name, id));
            get(exporter.address(), &words).await.text()
        } else {
            String::new()
        };
        for secret in [auth_id(name), format!("token-of-{name}")] {
            assert!(
                !scrape.text.contains(&secret) && !text_of_debug.contains(&secret),
                "{name}: {text_of_debug}"
            );
        }
        vendor.cancel(planned);
        if name == "too-often" {
            let scrape = exporter
                .until("a walk that keeps the pause", |scrape| {
                    scrape.up(name) == Some(0.0)
                })
                .await;
            let reasons = scrape.counted("vobiz_walk_failures_total", name, "reason");
            assert!(reasons.contains_key("rate_limited"), "{reasons:?}");
            continue;
        }
        let scrape = until("recovery", || async {
            Some(probe(&exporter, name, id, "5").await).filter(|scrape| failed(scrape).is_none())
        })
        .await;
        assert_eq!(
            registered(&scrape),
            Some(f64::from(u8::from(ids[id] == Some(true)))),
            "{name}"
        );
    }
    assert_eq!(
        connections.load(Ordering::Relaxed),
        0,
        "another host was asked"
    );
    let ended = exporter.terminate().await;
    assert_eq!(ended.code, Some(0));
    assert!(
        !ended.log.contains("token-of-") && !ended.log.contains("panic"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn an_idle_connection_closed_by_a_load_balancer_fails_no_probe() {
    let vendor = vendor([("main", 3)]).await;
    let on = "probe: {enabled: true, requests_per_second: 100}\n";
    let text = accounts_config(&vendor, "retries: 0", [("main", "")]);
    let exporter = Exporter::start(&format!("{on}{text}")).await;
    exporter
        .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let ids = listed(&vendor, &auth_id("main"));
    let id = ids.keys().next().unwrap();
    let closed = Fault::new(Effect::Reset).on(Operation::RetrieveEndpoint);
    vendor.plan(closed.once());
    let scrape = probe(&exporter, "main", id, "5").await;
    assert_eq!((failed(&scrape), code(&scrape)), (None, Some(200.0)));
    assert_eq!(exporter.terminate().await.code, Some(0));
}

//! Successful probes: their samples and debug text.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use vobiz_simulator::{Effect, Fault, Operation, TEST_ACCOUNT};

use vobiz_exporter::telemetry::catalogue::{Metric, Part};

use super::{ON, code, exporter_of, failed, path, phone, probe, read, registered, vendor_of};
use crate::harness::{
    Exporter, Family, Program, ask, configuration, get, judge, promtool_accepts, python, until,
};

const STRICT_PARSER: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
print(sum(len(family.samples) for family in text_string_to_metric_families(text)))";

#[tokio::test]
async fn a_probe_returns_the_present_state_and_not_that_of_the_last_walk() {
    let (vendor, exporter) = exporter_of(20).await;
    let id = phone(&vendor, true);
    let scrape = probe(&exporter, "main", &id, "10").await;
    assert_eq!(
        (registered(&scrape), code(&scrape)),
        (Some(1.0), Some(200.0))
    );
    let expires = scrape.value("vobiz_probe_registration_expiration_timestamp_seconds", &[]);
    assert!(expires > Some(1.7e9), "{}", scrape.text);
    let labels = [
        format!("endpoint_id=\"{id}\""),
        "account=\"main\"".to_owned(),
    ];
    let labels = labels.each_ref().map(String::as_str);
    assert_eq!(
        scrape.value("vobiz_probe_endpoint_info", &labels),
        Some(1.0)
    );

    let set = |registered| {
        vendor.edit(|world| {
            let now = world.now();
            let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
            account.edit(&id, |one| one.set_registered(registered, now));
        });
    };
    set(false);
    let scrape = probe(&exporter, "main", &id, "10").await;
    assert_eq!((failed(&scrape), registered(&scrape)), (None, Some(0.0)));
    let expires = "vobiz_probe_registration_expiration_timestamp_seconds";
    assert_eq!(scrape.value(expires, &[]), None);
    set(true);
    assert_eq!(
        registered(&probe(&exporter, "main", &id, "10").await),
        Some(1.0)
    );

    vendor.edit(|world| world.first_mut().remove(&id));
    let scrape = probe(&exporter, "main", &id, "10").await;
    assert_eq!(
        (failed(&scrape), code(&scrape)),
        (Some("not_found"), Some(404.0))
    );
    assert_eq!(registered(&scrape), None);

    // The exporter encodes its own counters only once a second.
    let operation = "operation=\"retrieve_endpoint\"";
    let handled = ["handler=\"probe\"", "code=\"200\""];
    let scrape = exporter
        .until("all requests", |scrape| {
            let counted = |code| scrape.value("vobiz_api_requests_total", &[operation, code]);
            counted("code=\"200\"") == Some(3.0)
                && counted("code=\"404\"") == Some(1.0)
                && scrape.value("vobiz_exporter_http_requests_total", &handled) == Some(4.0)
        })
        .await;
    let probed = Metric::ALL.iter().map(|metric| metric.family());
    for family in probed.filter(|family| family.part == Part::Probe) {
        assert!(
            !scrape.text.contains(family.name),
            "{} is counted twice",
            family.name
        );
    }
}

#[tokio::test]
async fn prometheus_parsers_accept_the_exposition_of_a_probe() {
    let (vendor, exporter) = exporter_of(20).await;
    let address = exporter.address();
    for id in [
        phone(&vendor, true),
        phone(&vendor, false),
        "999".to_owned(),
    ] {
        let path = path("main", &id);
        let text = get(address, &path).await.text();
        promtool_accepts(&path, &text).await;
        let open_metrics = ("accept", "application/openmetrics-text;version=1.0.0");
        let page = ask(address, "GET", &path, &[open_metrics]).await;
        let said = page.header("content-type").unwrap();
        assert!(
            said.starts_with("application/openmetrics-text; version=1.0.0"),
            "{said}"
        );
        let verdict = judge(&python(), &["-c", STRICT_PARSER], &page.text()).await;
        assert_eq!(verdict.code, Some(0), "{}", verdict.err);
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(verdict.out.trim(), samples.to_string());

        let known: BTreeSet<_> = Metric::ALL.iter().map(|one| one.family().name).collect();
        let families = Family::read(&text);
        assert!(
            families
                .iter()
                .all(|family| known.contains(family.name.as_str()))
        );
        let packed = ask(address, "GET", &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.header("vary"), Some("Accept, Accept-Encoding"));
        assert_eq!(packed.header("cache-control"), Some("no-store"));
        read(&packed);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_other_methods_are_refused() {
    let (vendor, exporter) = exporter_of(20).await;
    let path = path("main", &phone(&vendor, true));
    let head = ask(exporter.address(), "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 1_000, "{}", head.head);
    let before = vendor.counts().retrieve_endpoint;
    let refused = ask(exporter.address(), "POST", &path, &[]).await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!((before, vendor.counts().retrieve_endpoint), (1, 1));
}

#[tokio::test]
async fn probing_is_off_by_default() {
    let vendor = vendor_of(20).await;
    let path = path("main", &phone(&vendor, true));
    let off = Exporter::start(&configuration(&vendor, "")).await;
    let answer = get(off.address(), &path).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.text(),
        "probing is off (see probe.enabled in the configuration)\n"
    );
    assert_eq!(vendor.counts().retrieve_endpoint, 0);

    let on = Exporter::start(&configuration(&vendor, ON)).await;
    let answer = get(on.address(), &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("\nprobe_success 1\n"), "{answer:?}");
}

#[tokio::test]
async fn the_debug_text_has_the_samples_and_no_secrets() {
    let (vendor, exporter) = exporter_of(20).await;
    let id = phone(&vendor, true);
    for id in [id.as_str(), "999"] {
        let debug = get(
            exporter.address(),
            &format!("{}&debug=true", path("main", id)),
        )
        .await;
        assert_eq!(debug.status, 200);
        assert_eq!(
            debug.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let text = debug.text();
        let request = format!("/api/v1/Account/***/Endpoint/{id}/\n");
        assert!(text.contains(&request), "{text}");
        for secret in [
            TEST_ACCOUNT.token,
            TEST_ACCOUNT.auth_id,
            "192.168.",
            "203.0.113.",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        // The exposition is the last part of the debug text.
        let (_, exposition) = text.split_once("\nexposition\n").unwrap();
        promtool_accepts("the exposition of a debug text", exposition).await;
    }
}

#[tokio::test]
async fn hidden_usernames_are_in_no_probe() {
    let vendor = vendor_of(20).await;
    let hidden = format!("{ON}\nmetrics: {{username: false, groups: [contact]}}");
    let exporter =
        Exporter::start_with(&configuration(&vendor, &hidden), &["--log.level=trace"]).await;
    let id = phone(&vendor, true);
    let username = vendor.edit(|world| world.first().endpoint(&id).unwrap().username.clone());
    let path = path("main", &id);
    let samples = get(exporter.address(), &path).await.text();
    assert!(samples.contains("vobiz_probe_endpoint_info{"), "{samples}");
    assert!(!samples.contains("user_agent="), "{samples}");
    let words = get(exporter.address(), &format!("{path}&debug=true"))
        .await
        .text();
    assert!(words.contains("192.168."), "{words}");
    let log = exporter.terminate().await.log;
    for text in [samples, words, log] {
        assert!(
            !text.contains(&username) && !text.contains("username=\""),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_probe_that_hangs_does_not_delay_the_shutdown() {
    let vendor = vendor_of(20).await;
    let text = configuration(&vendor, ON);
    vendor.plan(Fault::new(Effect::Hang).on(Operation::RetrieveEndpoint));
    let process = Program::configured(&text, &["--web.listen-address=127.0.0.1:0"]).start();
    let address = process.listens(1).await.remove(0);
    let path = path("main", "1");
    let long_timeout = [("X-Prometheus-Scrape-Timeout-Seconds", "100")];
    let hanging = tokio::spawn(async move { read_all(&address, &path, &long_timeout).await });
    vendor.until(|counts| counts.retrieve_endpoint > 0).await;
    until("the first walk", || async {
        process.err().contains("walk published").then_some(())
    })
    .await;
    let asked = Instant::now();
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{ended:?}");
    assert!(hanging.await.unwrap().is_empty());
}

/// Sends a request and returns all bytes until the connection ends.
async fn read_all(address: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (name, value) = headers[0];
    let request = format!("GET {path} HTTP/1.1\r\nHost: exporter\r\n{name}: {value}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    // A connection that is closed early may end with a reset.
    let _ = stream.read_to_end(&mut came).await;
    came
}

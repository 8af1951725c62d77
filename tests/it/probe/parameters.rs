//! Hostile and wrong parameters of probes.

use vobiz_simulator::TEST_ACCOUNT;

use super::{exporter_of, path, phone};
use crate::harness::{ask, get};

/// Many hostile parameters contain this text, but no response may contain it.
const MARK: &str = "XYZZY";

#[tokio::test]
async fn no_id_reaches_another_path_or_is_repeated() {
    let (vendor, exporter) = exporter_of(20).await;
    let long = "9".repeat(10_000);
    let other = format!("../../MA_{MARK}/Endpoint/1");
    let mut refused = 0;
    for id in [
        &*other,
        "..%2F..%2FXYZZY",
        "%2e%2e%2fXYZZY",
        "%252e%252e%252fXYZZY",
        "..",
        ".",
        "%2E%2E",
        "a/b",
        "a%5Cb",
        "1%0d%0aX-Evil:%20XYZZY",
        "1%0aXYZZY",
        "1%00",
        "1%20XYZZY",
        "1%3Flimit=XYZZY",
        "1%23XYZZY",
        "%E0%A4%A8XYZZY",
        "नमस्ते",
        "%ff%fe",
        "<script>XYZZY</script>",
        "\"XYZZY\"",
        "1;XYZZY",
        &long,
    ] {
        for debug in ["", "&debug=true"] {
            let answer = get(exporter.address(), &format!("{}{debug}", path("main", id))).await;
            let text = answer.text();
            assert_eq!(answer.status, 400, "{id}: {text}");
            if text.is_empty() {
                // The server refuses an invalid URI before it reads the parameters.
                assert!(id.contains(['<', '"']) || !id.is_ascii(), "{id}");
                continue;
            }
            refused += 1;
            assert!(
                text.starts_with("the parameter endpoint_id must be 1 to 128 of"),
                "{text}"
            );
            assert!(
                !answer.head.contains(MARK) && !text.contains(MARK),
                "{text}"
            );
            assert_eq!(
                answer.header("content-type"),
                Some("text/plain; charset=utf-8")
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    assert!(refused > 36, "{refused}");
    assert_eq!(vendor.counts().retrieve_endpoint, 0);
    assert_eq!(vendor.counts().other, 0);
    // The server refuses a request head above the size limit.
    let endless = get(exporter.address(), &path("main", &"9".repeat(100_000))).await;
    assert_eq!(endless.status, 431);
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_the_right_form() {
    let (vendor, exporter) = exporter_of(20).await;
    let id = phone(&vendor, true);
    let (auth_id, token) = (TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    for (query, said) in [
        (String::new(), "account is missing"),
        ("?".to_owned(), "account is missing"),
        (format!("?endpoint_id={id}"), "account is missing"),
        ("?account=main".to_owned(), "endpoint_id is missing"),
        (format!("?account=&endpoint_id={id}"), "account is missing"),
        (
            format!("?account={MARK}&endpoint_id={id}"),
            "a configured account",
        ),
        (
            format!("?account={auth_id}&endpoint_id={id}"),
            "a configured account",
        ),
        (
            format!("?account=main%0a&endpoint_id={id}"),
            "a configured account",
        ),
        (
            format!("?account=main&account=main&endpoint_id={id}"),
            "account is given twice",
        ),
        (
            format!("?account=main&endpoint_id={id}&debug={MARK}"),
            "true or false",
        ),
    ] {
        let answer = get(exporter.address(), &format!("/probe{query}")).await;
        let text = answer.text();
        assert_eq!(answer.status, 400, "{query}: {text}");
        assert!(text.contains(said), "{query}: {text}");
        for secret in [MARK, auth_id, token] {
            assert!(!text.contains(secret), "{query}: {text}");
        }
    }
    for timeout in ["0", "-1", "soon", "", "1,1", "NaN", "inf", "1e999", "10s"] {
        let headers = [("X-Prometheus-Scrape-Timeout-Seconds", timeout)];
        let answer = ask(exporter.address(), "GET", &path("main", &id), &headers).await;
        assert_eq!(answer.status, 400, "{timeout}");
        assert!(answer.text().contains("number of seconds above zero"));
    }
    let name = "X-Prometheus-Scrape-Timeout-Seconds";
    let twice = [(name, "10"), (name, "10")];
    assert_eq!(
        ask(exporter.address(), "GET", &path("main", &id), &twice)
            .await
            .status,
        400
    );
    assert_eq!(vendor.counts().retrieve_endpoint, 0);
    let more = format!("{}&module=x&&=", path("main", &id));
    assert_eq!(get(exporter.address(), &more).await.status, 200);
    let refused = ["handler=\"probe\"", "code=\"400\""];
    exporter
        .until("all refusals", |scrape| {
            scrape.value("vobiz_exporter_http_requests_total", &refused) == Some(20.0)
        })
        .await;
}

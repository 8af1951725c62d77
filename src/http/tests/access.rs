use super::harness::Harness;
use crate::http::Settings;

/// The status of the response to a request with these header lines.
async fn status(server: &Harness, head: &str) -> u16 {
    let mut client = server.client().await;
    client.send(format!("{head}\r\n\r\n")).await;
    client.response_head().await.status
}

#[tokio::test]
async fn a_request_needs_exactly_one_valid_host() {
    let server = Harness::start(Settings::default()).await;
    for (head, expected) in [
        ("GET /metrics HTTP/1.1\r\nHost: exporter:10059", 200),
        ("GET /metrics HTTP/1.1\r\nHost: [::1]:10059", 200),
        ("GET /metrics HTTP/1.1\r\nHost: ", 200),
        (
            "GET http://exporter/metrics HTTP/1.1\r\nHost: exporter",
            200,
        ),
        ("GET /metrics HTTP/1.1", 400),
        ("GET /-/healthy HTTP/1.1", 400),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: a", 400),
        ("GET /metrics HTTP/1.1\r\nHost: a b", 400),
        ("GET /metrics HTTP/1.1\r\nHost: name@exporter", 400),
    ] {
        assert_eq!(status(&server, head).await, expected, "{head}");
    }
}

#[tokio::test]
async fn only_allowed_hosts_are_answered_except_for_health_checks() {
    let server = Harness::start(Settings {
        allowed_hosts: vec!["exporter.example".to_owned(), "[::1]".to_owned()],
        ..Settings::default()
    })
    .await;
    for (head, expected) in [
        ("GET /metrics HTTP/1.1\r\nHost: exporter.example:10059", 200),
        ("GET /metrics HTTP/1.1\r\nHost: Exporter.Example", 200),
        ("GET / HTTP/1.1\r\nHost: [::1]:10059", 200),
        ("GET / HTTP/1.1\r\nHost: other.example", 421),
        ("GET /metrics HTTP/1.1\r\nHost: ", 421),
        (
            "GET http://other.example/metrics HTTP/1.1\r\nHost: exporter.example",
            421,
        ),
        ("GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:10059", 200),
    ] {
        assert_eq!(status(&server, head).await, expected, "{head}");
    }
}

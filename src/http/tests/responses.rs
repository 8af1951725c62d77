use std::sync::Arc;

use super::{
    client::Response,
    harness::{Harness, LARGE, with_endpoint},
};
use crate::{exposition::AccountSummary, http::Settings, snapshot::AccountState};

#[tokio::test]
async fn health_is_always_200_and_readiness_follows_the_first_walks() {
    let server = Harness::start(Settings::default()).await;
    let mut client = server.client().await;
    for path in ["/-/healthy", "/healthz"] {
        let response = client.get(path).await;
        assert_eq!(
            (response.status, response.text()),
            (200, "healthy\n"),
            "{path}"
        );
    }
    let walking = AccountSummary {
        is_awaited: true,
        ..AccountSummary::default()
    };
    // A first walk that waits for confirmation has finished, although the account has no counts.
    let walked = AccountSummary {
        has_walked: true,
        is_awaited: false,
        ..walking.clone()
    };
    let failed = AccountSummary {
        failure: Some("auth"),
        ..walked.clone()
    };
    *server.data.accounts.lock().unwrap() = vec![walked.clone(), walking];
    for path in ["/-/ready", "/readyz"] {
        let response = client.get(path).await;
        assert_eq!(response.status, 503, "{path}");
        assert!(response.text().starts_with("not ready"), "{path}");
    }
    *server.data.accounts.lock().unwrap() = vec![walked, failed];
    for path in ["/-/ready", "/readyz"] {
        let response = client.get(path).await;
        assert_eq!(
            (response.status, response.text()),
            (200, "ready\n"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_have_a_strict_policy_and_their_style_and_script_come_from_the_server() {
    let server = Harness::start(Settings::default()).await;
    let state = AccountState {
        account: "<script>alert('x')</script>".into(),
        ..AccountState::default()
    };
    *server.data.states.lock().unwrap() = vec![Arc::new(state)];
    let mut client = server.client().await;
    let page = client.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let text = page.text();
    assert!(text.contains(concat!("Version ", env!("CARGO_PKG_VERSION"))));
    assert!(text.contains("first walk under way"));
    assert!(!text.contains("<script>"));
    assert!(text.contains("href=\"./metrics\""));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"));
    assert!(!policy.contains("unsafe"));
    for (name, content_type) in [("pages.css", "text/css"), ("pages.js", "text/javascript")] {
        assert!(text.contains(&format!("./static/{name}?v=")));
        let asset = client.get(&format!("/static/{name}?v=1")).await;
        assert_eq!(asset.status, 200);
        assert!(
            asset
                .header("content-type")
                .unwrap()
                .starts_with(content_type)
        );
    }
    assert_eq!(client.get("/static/other.js").await.status, 404);
}

#[tokio::test]
async fn pages_link_to_the_start_page_from_every_depth() {
    let server = Harness::start(Settings::default()).await;
    let state = with_endpoint("main/1", "a b");
    *server.data.states.lock().unwrap() = vec![state];
    let mut client = server.client().await;
    for (path, link) in [
        ("/endpoints", "href=\"./endpoints/main%2F1/a%20b\""),
        ("/endpoints/main%2F1/a%20b", "href=\"../../walks\""),
        ("/outages", "href=\"./walks\""),
        ("/walks", "href=\"./outages\""),
    ] {
        let page = client.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains(link), "{path}: {}", page.text());
    }
    for path in [
        "/endpoints/main%2F1/b",
        "/endpoints/x/a%20b",
        "/walks?account=x",
        "/outages?opened=1",
    ] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_telemetry_path_is_configurable() {
    let at = |path: &str| Settings {
        telemetry_path: path.to_owned(),
        ..Settings::default()
    };
    let server = Harness::start(at("/a\"b")).await;
    let mut client = server.client().await;
    assert_eq!(client.get("/a\"b").await.status, 200);
    assert_eq!(client.get("/metrics").await.status, 404);
    let page = client.get("/").await;
    assert!(page.text().contains("href=\"./a&#34;b\""));

    let server = Harness::start(at("/")).await;
    let response = server.client().await.get("/").await;
    let content_type = response.header("content-type").unwrap();
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = Harness::start(Settings::default()).await;
    server.data.put(["some", "bytes"].map(Into::into));
    let mut client = server.client().await;
    let gzip = "Accept-Encoding: gzip\r\n";
    for (path, headers) in [
        ("/metrics", ""),
        ("/metrics", gzip),
        ("/", ""),
        ("/-/healthy", ""),
        ("/-/ready", ""),
        ("/nowhere", ""),
    ] {
        client.request("GET", path, headers).await;
        let get = client.response().await;
        let head = client.head(path, headers).await;
        let without_date = |response: &Response| {
            let mut headers = response.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers.sort();
            headers
        };
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(without_date(&head), without_date(&get), "{path}");
        assert_eq!(
            head.header("content-length"),
            Some(&*get.body.len().to_string())
        );
    }
    // The response to HEAD has no body, so the next bytes are the next response.
    assert_eq!(client.get("/healthz").await.text(), "healthy\n");
}

#[tokio::test]
async fn only_known_paths_and_get_and_head_are_served() {
    let server = Harness::start(Settings::default()).await;
    let mut client = server.client().await;
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            client.request(method, path, "").await;
            let response = client.response().await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET, HEAD"));
        }
    }
    for path in ["/nowhere", "/metrics/", "/METRICS", "/-/", "//", "*"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    for target in ["/-/healthy?verbose", "/metrics?", "http://exporter/?a=/b"] {
        assert_eq!(client.get(target).await.status, 200, "{target}");
    }
    assert!((server.counted("index", "405") - 6.0).abs() < 0.1);
    assert!((server.counted("other", "404") - 6.0).abs() < 0.1);
    assert!((server.counted("metrics", "200") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn every_response_has_a_content_type() {
    let server = Harness::start(Settings::default()).await;
    let mut client = server.client().await;
    for path in ["/metrics", "/", "/healthz", "/readyz", "/nowhere"] {
        for method in ["GET", "POST"] {
            client.request(method, path, "").await;
            let response = client.response().await;
            let content_type = response.header("content-type").unwrap();
            assert!(content_type.starts_with("text/"), "{method} {path}");
            assert!(content_type.ends_with("charset=utf-8"), "{method} {path}");
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

#[tokio::test]
async fn a_request_body_is_never_read_as_a_request() {
    let server = Harness::start(Settings::default()).await;
    let inner = "GET /inner HTTP/1.1\r\nHost: exporter\r\n\r\n";
    let sized = format!("Content-Length: {}\r\n", inner.len());
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for (headers, body) in [
        (sized.as_str(), inner),
        ("Transfer-Encoding: chunked\r\n", chunked.as_str()),
        ("Content-Length: 1000000\r\n", inner),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
    ] {
        let mut client = server.client().await;
        client.request("GET", "/healthz", headers).await;
        client.send(body).await;
        assert_eq!(client.response().await.text(), "healthy\n", "{headers}");
        client.half_close().await;
        assert_eq!(client.ended().await, b"", "{headers}");
    }
    assert!((server.counted("other", "404")).abs() < 0.1);
}

#[tokio::test]
async fn a_half_closed_client_gets_its_response() {
    let server = Harness::start(Settings::default()).await;
    server.data.put_large();
    let mut client = server.client().await;
    client.request("GET", "/metrics", "").await;
    client.half_close().await;
    client.response_head().await;
    assert_eq!(client.ended().await.len(), LARGE);
}

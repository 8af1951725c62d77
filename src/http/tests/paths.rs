use super::harness::Harness;
use crate::http::{ExternalUrl, RoutePrefix, Settings};

fn below(prefix: &str) -> Settings {
    Settings {
        route_prefix: prefix.parse().unwrap(),
        ..Settings::default()
    }
}

#[tokio::test]
async fn every_path_is_below_the_prefix() {
    let server = Harness::start(below("/vobiz/west")).await;
    let mut client = server.client().await;
    for path in [
        "/metrics",
        "/",
        "/-/healthy",
        "/healthz",
        "/-/ready",
        "/readyz",
    ] {
        let response = client.get(&format!("/vobiz/west{path}")).await;
        assert_eq!(response.status, 200, "{path}");
    }
    for path in [
        "/metrics",
        "/-/healthy",
        "/healthz",
        "/-/ready",
        "/probe",
        "/vobiz",
        "/vobiz/",
        "/vobiz/metrics",
        "/vobiz/westmetrics",
        "/vobiz/west/vobiz/west/",
        "//",
        "/Vobiz/west/",
        "/vobiz/west//",
        "*",
    ] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    // A probe is a known path, although probes are off.
    let probe = client.get("/vobiz/west/probe?account=a").await;
    assert!(probe.text().contains("probe.enabled"), "{}", probe.text());
    assert!((server.counted("probe", "404") - 1.0).abs() < 0.1);
    assert!((server.counted("other", "404") - 14.0).abs() < 0.1);
    assert!((server.counted("healthy", "200") - 2.0).abs() < 0.1);
}

#[tokio::test]
async fn the_root_and_the_prefix_without_a_slash_redirect_to_the_start_page() {
    let server = Harness::start(below("/vobiz")).await;
    let mut client = server.client().await;
    for path in ["/", "/vobiz", "/?a=b", "/vobiz?a=b"] {
        let response = client.get(path).await;
        assert_eq!(response.status, 302, "{path}");
        assert_eq!(response.header("location"), Some("/vobiz/"), "{path}");
        let response = client.head(path, "").await;
        assert_eq!(response.header("location"), Some("/vobiz/"), "{path}");
        client.request("POST", path, "").await;
        assert_eq!(client.response().await.status, 405, "{path}");
    }
    assert_eq!(client.get("/vobiz/").await.status, 200);

    // A reverse proxy replaces the path of the external URL by the prefix.
    let server = Harness::start(Settings {
        external_url: Some("https://example.com/monitoring".parse().unwrap()),
        ..below("/vobiz")
    })
    .await;
    let response = server.client().await.get("/vobiz").await;
    assert_eq!(response.header("location"), Some("/monitoring/"));

    // Without a prefix, no path redirects.
    let server = Harness::start(below("/")).await;
    let response = server.client().await.get("/").await;
    assert_eq!((response.status, response.header("location")), (200, None));
}

#[tokio::test]
async fn health_checks_at_their_own_address_ignore_paths_of_other_pages() {
    let server = Harness::start(Settings {
        telemetry_path: "/m".to_owned(),
        ..Settings::for_health_checks()
    })
    .await;
    let mut client = server.client().await;
    for path in ["/", "/m", "/metrics", "/probe", "/-/", "/healthz/"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    assert_eq!(client.get("/healthz").await.text(), "healthy\n");
    assert_eq!(client.get("/readyz").await.text(), "ready\n");
}

#[test]
fn slashes_around_a_prefix_are_optional() {
    for (text, prefix) in [
        ("/", "/"),
        ("//", "/"),
        ("/vobiz", "/vobiz"),
        ("vobiz", "/vobiz"),
        ("/vobiz/", "/vobiz"),
        ("//vobiz/west//", "/vobiz/west"),
        ("/-/healthy", "/-/healthy"),
    ] {
        let parsed: RoutePrefix = text.parse().unwrap();
        assert_eq!(parsed.to_string(), prefix, "{text}");
    }
    let root: RoutePrefix = "/".parse().unwrap();
    assert_eq!(root, RoutePrefix::default());
}

#[test]
fn an_invalid_prefix_is_refused_and_the_error_shows_a_valid_one() {
    for text in [
        "", " ", "/a b", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/a%20b", "\"/a\"", "/ä", "/a\n",
    ] {
        let problem = text.parse::<RoutePrefix>().expect_err(text);
        assert!(
            problem.contains("path such as /vobiz"),
            "{text:?}: {problem}"
        );
    }
}

#[test]
fn the_path_of_an_external_url_is_read() {
    for (text, path) in [
        ("http://localhost", "/"),
        ("https://example.com/", "/"),
        ("https://example.com/vobiz", "/vobiz"),
        ("https://example.com:8443/vobiz/west/", "/vobiz/west"),
        ("http://[2001:db8::1]:10059/vobiz", "/vobiz"),
        ("https://example.com/a/../b", "/b"),
    ] {
        let url: ExternalUrl = text.parse().unwrap();
        assert_eq!(url.path().to_string(), path, "{text}");
    }
}

#[test]
fn an_invalid_external_url_is_refused_and_the_error_shows_the_problem() {
    for (text, problem) in [
        ("", "does not begin with http:// or https://"),
        (
            "example.com/vobiz",
            "does not begin with http:// or https://",
        ),
        ("/vobiz", "does not begin with http:// or https://"),
        (
            "ftp://example.com/",
            "does not begin with http:// or https://",
        ),
        (
            "\"https://example.com/\"",
            "does not begin with http:// or https://",
        ),
        ("https://example.com/a b", "has spaces"),
        ("https://example.com/a\nb", "has spaces"),
        ("https://", "is no URL (empty host)"),
        (
            "https://example.com:99999/",
            "is no URL (invalid port number)",
        ),
        ("http://[::1/vobiz", "is no URL (invalid IPv6 address)"),
        (
            "https://user:secret@example.com/",
            "has a user, a query or a fragment",
        ),
        (
            "https://example.com/?a",
            "has a user, a query or a fragment",
        ),
        (
            "https://example.com/#a",
            "has a user, a query or a fragment",
        ),
        ("https://example.com/a%20b", "its path needs a plain path"),
        ("https://example.com/a//b", "its path needs a plain path"),
    ] {
        let error = text.parse::<ExternalUrl>().expect_err(text);
        assert!(error.starts_with(problem), "{text:?}: {error}");
    }
}

use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::task::yield_now;

use super::{
    client::{Client, soon},
    harness::{Harness, with_endpoint},
};
use crate::{
    exposition::{Encoding, Format},
    http::{ProbeHandler, Settings},
    probe::{ProbeRequest, ProbeResponse},
    shutdown::CancellationToken,
};

/// A probe handler that records its requests. It waits until the test releases it, then returns a
/// fixed reply.
#[derive(Debug)]
struct FakeHandler {
    requests: Mutex<Vec<ProbeRequest>>,
    reply: Result<ProbeResponse, &'static str>,
    release: CancellationToken,
}

impl FakeHandler {
    fn new(reply: Result<ProbeResponse, &'static str>) -> Arc<Self> {
        Arc::new(Self {
            requests: Mutex::default(),
            reply,
            release: CancellationToken::new(),
        })
    }

    /// Waits until the handler has received `count` requests.
    async fn received(&self, count: usize) {
        soon(async {
            while self.requests.lock().unwrap().len() < count {
                yield_now().await;
            }
        })
        .await;
    }
}

impl ProbeHandler for FakeHandler {
    fn probe(
        self: Arc<Self>,
        asked: ProbeRequest,
    ) -> BoxFuture<'static, Result<ProbeResponse, &'static str>> {
        self.requests.lock().unwrap().push(asked);
        async move {
            self.release.cancelled().await;
            self.reply.clone()
        }
        .boxed()
    }
}

async fn start(handler: &Arc<FakeHandler>, max_probes: usize) -> Harness {
    let settings = Settings {
        max_probes,
        ..Settings::default()
    };
    Harness::with_probe_handler(settings, Some(Arc::clone(handler) as _)).await
}

async fn probe(server: &Harness, headers: &str) -> Client {
    let mut client = server.client().await;
    client.request("GET", "/probe?a=b&c=%64", headers).await;
    client
}

#[tokio::test]
async fn a_waiting_probe_delays_no_other_request_and_probes_above_the_limit_are_refused() {
    let handler = FakeHandler::new(Ok(ProbeResponse::DebugText("well\n".to_owned())));
    let server = start(&handler, 2).await;
    let mut waiting = [probe(&server, "").await, probe(&server, "").await];
    handler.received(2).await;
    let mut third = probe(&server, "").await;
    let refused = third.response().await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(refused.text(), "too many probes at the same time\n");
    assert_eq!(third.ended().await, b"");
    // Other paths do not count as probes.
    let mut fourth = server.client().await;
    assert_eq!(fourth.get("/metrics").await.status, 200);
    assert_eq!(fourth.get("/healthz").await.status, 200);
    handler.release.cancel();
    for client in &mut waiting {
        assert_eq!(client.response().await.text(), "well\n");
    }
    // Finished probes do not count towards the limit on probes.
    assert_eq!(probe(&server, "").await.response().await.status, 200);
    assert!((server.counted("probe", "200") - 3.0).abs() < 0.1);
    assert!((server.counted("probe", "503") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn the_handler_receives_the_request_unchanged() {
    let handler = FakeHandler::new(Ok(ProbeResponse::Samples("probe_success 1\n".into())));
    handler.release.cancel();
    let server = start(&handler, 2).await;
    let open_metrics = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let headers = format!(
        "{open_metrics}Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 7.5\r\n"
    );
    let response = probe(&server, &headers).await.response().await;
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let twice = "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n".repeat(2);
    probe(&server, &twice).await.response().await;
    probe(&server, "").await.response().await;
    let requests = handler.requests.lock().unwrap();
    assert_eq!(requests[0].query, "a=b&c=%64");
    assert_eq!(
        (requests[0].format, requests[0].encoding),
        (Format::OpenMetrics, Encoding::Gzip)
    );
    assert_eq!(
        (requests[2].format, requests[2].encoding),
        (Format::Text, Encoding::Identity)
    );
    let timeouts: Vec<_> = requests.iter().map(|one| one.timeout.as_deref()).collect();
    assert_eq!(timeouts, [Some("7.5"), Some("1,1"), None]);
}

#[tokio::test]
async fn shutdown_waits_for_a_probe_no_longer_than_for_other_responses() {
    let handler = FakeHandler::new(Err("never\n"));
    let settings = Settings {
        drain_timeout: std::time::Duration::from_millis(200),
        ..Settings::default()
    };
    let server = Harness::with_probe_handler(settings, Some(handler.clone() as _)).await;
    let mut hanging = probe(&server, "").await;
    handler.received(1).await;
    server.shutdown.cancel();
    server.closed().await;
    assert_eq!(hanging.ended().await, b"");
}

#[tokio::test]
async fn without_probes_the_path_and_the_button_are_off() {
    let without = Harness::start(Settings::default()).await;
    let mut client = without.client().await;
    let response = client.get("/probe?account=main").await;
    assert_eq!(response.status, 404);
    assert!(
        response.text().contains("probe.enabled"),
        "{}",
        response.text()
    );
    client.request("POST", "/probe", "").await;
    assert_eq!(client.response().await.status, 405);
    let same = "Sec-Fetch-Site: same-origin\r\n";
    client.request("POST", "/endpoints/main/1", same).await;
    assert_eq!(client.response().await.status, 404);
}

#[tokio::test]
async fn only_the_page_of_an_endpoint_can_ask_the_api_with_its_button() {
    let answer = ProbeResponse::DebugText("the <answer>".to_owned());
    let handler = FakeHandler::new(Ok(answer));
    handler.release.cancel();
    let server = start(&handler, 1).await;
    *server.data.states.lock().unwrap() = vec![with_endpoint("main", "1")];
    let mut client = server.client().await;
    for (headers, status) in [
        ("", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Origin: http://other\r\n", 403),
        ("Sec-Fetch-Site: same-origin\r\n", 200),
    ] {
        client.request("POST", "/endpoints/main/1", headers).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{headers}");
        let is_answered = response.text().contains("the &#60;answer&#62;");
        assert_eq!(is_answered, status == 200, "{headers}");
    }
    client
        .request("POST", "/endpoints", "Sec-Fetch-Site: same-origin\r\n")
        .await;
    assert_eq!(client.response().await.status, 405);
}

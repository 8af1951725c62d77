use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::task::yield_now;

use super::{
    client::{Client, soon},
    house::House,
};
use crate::{
    exposition::{AccountSummary, Encoding, Format},
    http::{Bell, Limits, Settings},
    probe::{ProbeRequest, ProbeResponse},
    shutdown::CancellationToken,
};

/// Answers with these words when it is told to, and remembers what was asked.
#[derive(Debug)]
struct Slow {
    asked: Mutex<Vec<ProbeRequest>>,
    reply: ProbeResponse,
    gate: CancellationToken,
}

impl Slow {
    fn saying(reply: ProbeResponse) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            reply,
            gate: CancellationToken::new(),
        })
    }

    /// Waits until so many have asked.
    async fn heard(&self, count: usize) {
        soon(async {
            while self.asked.lock().unwrap().len() < count {
                yield_now().await;
            }
        })
        .await;
    }
}

impl Bell for Slow {
    fn ring(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResponse> {
        self.asked.lock().unwrap().push(asked);
        async move {
            self.gate.cancelled().await;
            self.reply.clone()
        }
        .boxed()
    }
}

async fn house(bell: &Arc<Slow>, probes: usize) -> House {
    let limits = Limits {
        probes,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    House::with_bell(settings, Some(Arc::clone(bell) as _)).await
}

async fn ring(house: &House, headers: &str) -> Client {
    let mut client = house.client().await;
    client.request("GET", "/probe?a=b&c=%64", headers).await;
    client
}

#[tokio::test]
async fn a_probe_waits_while_everybody_else_is_answered_and_too_many_do_not_wait() {
    let bell = Slow::saying(ProbeResponse::DebugText("well\n".to_owned()));
    let house = house(&bell, 2).await;
    let mut waiting = [ring(&house, "").await, ring(&house, "").await];
    bell.heard(2).await;
    let mut third = ring(&house, "").await;
    let refused = third.answer().await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(refused.text(), "too many probes at the same time\n");
    // The same connection goes on, and neither scrapes nor health wait for a probe.
    assert_eq!(third.get("/metrics").await.status, 200);
    assert_eq!(third.get("/healthz").await.status, 200);
    bell.gate.cancel();
    for client in &mut waiting {
        assert_eq!(client.answer().await.text(), "well\n");
    }
    // Their places are free again.
    assert_eq!(ring(&house, "").await.answer().await.status, 200);
    assert!((house.counted("probe", "200") - 3.0).abs() < 0.1);
    assert!((house.counted("probe", "503") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn what_a_probe_is_asked_reaches_it_as_it_came() {
    let bell = Slow::saying(ProbeResponse::Samples("probe_success 1\n".into()));
    bell.gate.cancel();
    let house = house(&bell, 2).await;
    let open_metrics = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let headers = format!(
        "{open_metrics}Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 7.5\r\n"
    );
    let answer = ring(&house, &headers).await.answer().await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let twice = "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n".repeat(2);
    ring(&house, &twice).await.answer().await;
    ring(&house, "").await.answer().await;
    let asked = bell.asked.lock().unwrap();
    assert_eq!(asked[0].query, "a=b&c=%64");
    assert_eq!(
        (asked[0].format, asked[0].encoding),
        (Format::OpenMetrics, Encoding::Gzip)
    );
    assert_eq!(
        (asked[2].format, asked[2].encoding),
        (Format::Text, Encoding::Identity)
    );
    let timeouts: Vec<_> = asked.iter().map(|one| one.timeout.as_deref()).collect();
    assert_eq!(timeouts, [Some("7.5"), Some("1,1"), None]);
}

#[tokio::test]
async fn the_end_waits_for_a_probe_no_longer_than_for_other_answers() {
    let bell = Slow::saying(ProbeResponse::BadRequest("never\n"));
    let limits = Limits {
        drain_time: std::time::Duration::from_millis(200),
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let house = House::with_bell(settings, Some(Arc::clone(&bell) as _)).await;
    let mut hanging = ring(&house, "").await;
    bell.heard(1).await;
    house.shutdown.cancel();
    house.closed().await;
    assert_eq!(hanging.ended().await, b"");
}

#[tokio::test]
async fn a_person_finds_an_example_of_a_probe_only_where_there_are_probes() {
    let bell = Slow::saying(ProbeResponse::BadRequest("account is missing\n"));
    bell.gate.cancel();
    let with = house(&bell, 1).await;
    let account = |endpoint_id: Option<&str>| AccountSummary {
        name: "a \"b\" & Söhne".to_owned(),
        state: "up".to_owned(),
        endpoint_id: endpoint_id.map(Into::into),
    };
    // Nothing to ask for before the first walk.
    *with.shelf.accounts.lock().unwrap() = vec![account(None)];
    let page = with.client().await.get("/").await;
    assert!(page.text().contains("<li>Probe: "), "{}", page.text());
    *with.shelf.accounts.lock().unwrap() = vec![account(None), account(Some("4\"2"))];
    let page = with.client().await.get("/").await;
    let link = "href=\"/probe?account=a%20%22b%22%20%26%20S%C3%B6hne&amp;endpoint_id=4%222&amp;debug=true\"";
    assert!(page.text().contains(link), "{}", page.text());
    let refused = with.client().await.get("/probe").await;
    assert_eq!(
        (refused.status, refused.text()),
        (400, "account is missing\n")
    );

    let without = House::open(Settings::default()).await;
    let mut client = without.client().await;
    assert!(!client.get("/").await.text().contains("/probe"));
    let answer = client.get("/probe?account=main").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("probe.enabled"), "{}", answer.text());
    client.request("POST", "/probe", "").await;
    assert_eq!(client.answer().await.status, 405);
}

//! Tests of probes with a fake API in memory and a paused clock.

mod debug_text;
mod params;
mod requests;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::{ProbeRequest, ProbeResponse, Prober, Retrieve};
use crate::{
    api::{Endpoint, Error, ErrorKind, Field, RateLimiter},
    clock::UnixMillis,
    config::{self, Config},
    exposition::{Encoding, Format},
    telemetry::Instruments,
};

/// A fake API whose responses a test chooses.
#[derive(Default)]
struct FakeApi {
    requests: AtomicUsize,
    takes: Mutex<Duration>,
    error: Mutex<Option<Error>>,
    /// How many of the next requests fail with a network error.
    failing: AtomicUsize,
    panics: AtomicBool,
}

impl Retrieve for FakeApi {
    async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let takes = *self.takes.lock().unwrap();
        sleep(takes).await;
        assert!(!self.panics.load(Ordering::Relaxed), "a panic, on purpose");
        let failing = self.failing.load(Ordering::Relaxed);
        if failing > 0 {
            self.failing.store(failing - 1, Ordering::Relaxed);
            return Err(error(ErrorKind::Network, 0, None));
        }
        match self.error.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok((endpoint(id), 200)),
        }
    }

    fn describe(&self, id: &str) -> String {
        format!("GET https://vendor.test/Account/***/Endpoint/{id}/")
    }
}

fn endpoint(id: &str) -> Endpoint {
    let text = |text: &str| Some(text.to_owned());
    let mut endpoint = Endpoint {
        id: id.to_owned(),
        username: text("desk01"),
        alias: text("Front \"desk\"\n2"),
        registered: Some(true),
        expires_at: Some(UnixMillis(1_772_429_400_000)),
        user_agent: text("Phone/1"),
        contact: text("sip:desk01@192.0.2.7:5060"),
        received: text("198.51.100.9:41230"),
        ..Endpoint::default()
    };
    endpoint.rejected.insert(Field::Alias);
    endpoint.assumed.insert(Field::SipExpires);
    endpoint
}

fn error(kind: ErrorKind, status: u16, retry_after: Option<u64>) -> Error {
    Error {
        kind,
        status: Some(status),
        message: "no".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// A prober with one or two accounts of the same auth id.
struct Fixture {
    prober: Arc<Prober<FakeApi>>,
    fake: Arc<FakeApi>,
    limiter: Arc<RateLimiter>,
}

fn settings(more: &[(&str, &str)]) -> Config {
    let mut environment = vec![
        ("VOBIZ_AUTH_ID", "MA_1"),
        ("VOBIZ_AUTH_TOKEN", "SECRET"),
        ("VOBIZ_EXPORTER__PROBE__ENABLED", "true"),
    ];
    environment.extend(more);
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let environment: Vec<_> = environment.into_iter().map(owned).collect();
    config::load(None, &environment).unwrap().config
}

fn fixture(names: &[&str], rate: Option<f64>, more: &[(&str, &str)]) -> Fixture {
    let mut config = settings(more);
    let mut prober = Prober::new(&config);
    let (fake, instruments) = (Arc::<FakeApi>::default(), Instruments::new());
    let limiter = Arc::new(RateLimiter::new(rate, 32));
    for name in names {
        config.accounts[0].name = (*name).to_owned();
        let own = instruments.account(name);
        prober.add(
            &config.accounts[0],
            Arc::clone(&fake),
            Arc::clone(&limiter),
            own,
        );
    }
    Fixture {
        prober: Arc::new(prober),
        fake,
        limiter,
    }
}

impl Fixture {
    async fn respond(&self, query: &str) -> ProbeResponse {
        let request = ProbeRequest {
            query: query.to_owned(),
            timeout: None,
            format: Format::Text,
            encoding: Encoding::Identity,
        };
        self.prober.probe(&request).await.unwrap()
    }

    async fn samples(&self, id: &str) -> String {
        self.samples_of("default", id).await
    }

    async fn samples_of(&self, account: &str, id: &str) -> String {
        match self
            .respond(&format!("account={account}&endpoint_id={id}"))
            .await
        {
            ProbeResponse::Samples(samples) => String::from_utf8(samples.to_vec()).unwrap(),
            other @ ProbeResponse::DebugText(_) => panic!("{other:?}"),
        }
    }

    async fn debug_text(&self, id: &str) -> String {
        match self
            .respond(&format!("account=default&endpoint_id={id}&debug=true"))
            .await
        {
            ProbeResponse::DebugText(text) => text,
            other @ ProbeResponse::Samples(_) => panic!("{other:?}"),
        }
    }

    fn requests(&self) -> usize {
        self.fake.requests.load(Ordering::Relaxed)
    }

    /// The number of requests that are in flight or wait to be sent.
    fn in_flight(&self) -> usize {
        let requests = self.prober.in_flight.lock().unwrap();
        let alive = requests.values().filter(|one| one.strong_count() > 0);
        alive.count()
    }

    fn fails(&self, error: Error) {
        *self.fake.error.lock().unwrap() = Some(error);
    }

    fn takes(&self, seconds: u64) {
        *self.fake.takes.lock().unwrap() = Duration::from_secs(seconds);
    }
}

fn failed(samples: &str) -> Option<&str> {
    let mut reasons = samples.lines().filter_map(|line| {
        let rest = line.strip_prefix("vobiz_probe_failure{reason=\"")?;
        rest.strip_suffix("\"} 1")
    });
    let reason = reasons.next();
    assert_eq!(reasons.next(), None, "{samples}");
    assert_eq!(
        reason.is_none(),
        samples.contains("\nprobe_success 1\n"),
        "{samples}"
    );
    reason
}

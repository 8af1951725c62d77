//! The exporter with a paused clock.

use std::{
    future::Future,
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::advance,
};
use vobiz_exporter::{
    api::{Client, Endpoint, Error, Page, RateLimiters, Transports},
    clock::Clock,
    config,
    exposition::{Encoding, Exposition, Format},
    fleet::Threads,
    pages::{Page as WebPage, PageRequest, PageResponse, Pages},
    shutdown::CancellationToken,
    telemetry::Instruments,
    walk::{Poller, PollerDeps, Source},
};

/// The tasks of the exporter. They end when this struct is dropped.
pub struct Exporter {
    exposition: Arc<Exposition>,
    pages: Pages,
    _tasks: JoinSet<()>,
}

impl Exporter {
    /// Starts the pollers of all accounts in a configuration.
    pub fn start(configuration: &str, clock: Clock) -> Self {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), configuration).unwrap();
        let config = config::load(Some(file.path()), &[]).unwrap().config;
        let instruments = Instruments::new();
        instruments.config_loaded(clock.now());
        let mut limiters = RateLimiters::new(config.max_concurrent_requests);
        let mut transports = Transports::default();
        let mut readers = Vec::new();
        let mut tasks = JoinSet::new();
        for account in config.accounts {
            let own = instruments.account(&account.name);
            let client = transports.client(&account, own.clone(), clock).unwrap();
            let deps = PollerDeps {
                clock,
                instruments: own,
                limiter: limiters.limiter(&account),
            };
            let source = Arc::new(PausedClient(client));
            let (poller, reader) = Poller::new(account, source, deps, Duration::ZERO);
            readers.push(reader);
            tasks.spawn(poller.run(CancellationToken::new()));
        }
        let exposition = Exposition::new(readers, instruments, clock);
        tasks.spawn(exposition.clone().run());
        let data = Arc::new(OnceLock::from(Arc::clone(&exposition)));
        let settings = watch::Sender::default().subscribe();
        Self {
            exposition,
            pages: Pages::new(data, settings, None, clock, Threads::start()),
            _tasks: tasks,
        }
    }

    /// The text that a scrape would return now.
    pub fn text(&self) -> String {
        let body = (self.exposition).body(Format::OpenMetrics, Encoding::Identity);
        let text: Vec<_> = body.pieces.flatten().collect();
        String::from_utf8(text).unwrap()
    }
}

impl Exporter {
    /// The page that a browser would show now.
    pub async fn page(&self, page: WebPage, query: &str) -> String {
        let request = PageRequest {
            page,
            query: query.to_owned(),
            root: ".".to_owned(),
            metrics_path: "/metrics".to_owned(),
            answer: None,
        };
        match self.pages.respond(request).await {
            PageResponse::Html(html) => html,
            other => panic!("{query}: {other:?}"),
        }
    }
}

/// Wraps the client of the exporter. While a response is in flight, Tokio would advance the paused
/// clock to the time-out. This client prevents that, and advances the clock by a simulated latency.
#[derive(Debug)]
pub struct PausedClient(pub Client);

async fn without_time<T>(answer: impl Future<Output = T>) -> T {
    let (answered, wait) = mpsc::channel::<()>();
    // While a blocking task runs, Tokio does not advance a paused clock by itself.
    let thread = spawn_blocking(move || wait.recv().is_err());
    let latency = Duration::from_millis(fastrand::u64(30..120) * fastrand::u64(1..5));
    let (answer, ()) = tokio::join!(answer, advance(latency));
    drop(answered);
    assert!(thread.await.unwrap());
    answer
}

impl Source for PausedClient {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        without_time(self.0.list_page(offset, limit)).await
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        without_time(self.0.endpoint(id)).await
    }

    fn set_token(&self, token: SecretString) {
        self.0.set_token(&token);
    }
}

//! A running server with fake data.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::{
    sync::watch,
    task::{JoinHandle, block_in_place, yield_now},
};

use super::client::{Client, LONG, soon};
use crate::{
    clock::UnixMillis,
    exposition::{AccountSummary, DataSource, EncodedBody, Encoding, Format},
    http::{Bound, Lifecycle, ProbeHandler, Settings},
    probe::{ProbeRequest, ProbeResponse},
    shutdown::CancellationToken,
    snapshot::{AccountState, Endpoint, Retention, Row, RowKey, SnapshotBuilder, WalkFacts},
    telemetry::Instruments,
};

/// More bytes than the socket buffers of client and server can hold.
pub(super) const LARGE: usize = 64 * 1024 * 1024;

/// A running server on a free port of the loopback address.
pub(super) struct Harness {
    pub(super) address: SocketAddr,
    pub(super) data: Arc<FakeData>,
    pub(super) instruments: Instruments,
    pub(super) shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Harness {
    pub(super) async fn start(settings: Settings) -> Self {
        Self::with_probe_handler(settings, None).await
    }

    /// Starts a server, which also serves `/probe` if `handler` is given.
    pub(super) async fn with_probe_handler(
        settings: Settings,
        handler: Option<Arc<dyn ProbeHandler>>,
    ) -> Self {
        let mut bound = Self::bind(settings).await;
        if let Some(handler) = handler {
            let handlers = watch::Sender::new(Some(handler)).subscribe();
            bound = bound.with_probe_handlers(handlers);
        }
        Self::serve(bound)
    }

    /// Starts a server, which also serves `/-/reload` and `/-/config`.
    pub(super) async fn with_lifecycle(settings: Settings, lifecycle: Arc<dyn Lifecycle>) -> Self {
        Self::serve(Self::bind(settings).await.with_lifecycle(lifecycle))
    }

    async fn bind(settings: Settings) -> Bound {
        let loopback = "127.0.0.1:0".parse().unwrap();
        Bound::bind(&[loopback], settings).await.unwrap()
    }

    fn serve(bound: Bound) -> Self {
        let address = bound.local_addrs()[0];
        let data = Arc::new(FakeData::default());
        let (instruments, shutdown) = (Instruments::new(), CancellationToken::new());
        let source = Arc::clone(&data);
        let serving = tokio::spawn(bound.serve(source, instruments.clone(), shutdown.clone()));
        Self {
            address,
            data,
            instruments,
            shutdown,
            serving,
        }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Waits until the server has stopped.
    pub(super) async fn closed(self) {
        soon(self.serving).await.unwrap();
    }

    /// Waits until `number` connections have ended with this outcome.
    pub(super) async fn ended(&self, outcome: &str, number: f64) {
        let labels = [("outcome", outcome)];
        while self.value("vobiz_exporter_http_connections_total", &labels) < number {
            yield_now().await;
        }
    }

    /// The value of the response counter with the labels `handler` and `code`; 0 if the series is absent.
    pub(super) fn counted(&self, handler: &str, code: &str) -> f64 {
        let labels = [("handler", handler), ("code", code)];
        self.value("vobiz_exporter_http_requests_total", &labels)
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.instruments.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        let found = metrics.iter().find(|metric| {
            labels.iter().all(|(name, value)| {
                let mut found = metric.get_label().iter();
                found.any(|label| label.name() == *name && label.value() == *value)
            })
        });
        found.map_or(0.0, |metric| metric.get_counter().get_value())
    }
}

/// A handler that refuses each probe.
pub(super) struct NoProbes;

impl ProbeHandler for NoProbes {
    fn probe(
        self: Arc<Self>,
        _: ProbeRequest,
    ) -> BoxFuture<'static, Result<ProbeResponse, &'static str>> {
        async { Err("no probes") }.boxed()
    }
}

/// Fake data for the server. A test sets the data.
#[derive(Debug, Default)]
pub(super) struct FakeData {
    pub(super) accounts: Mutex<Vec<AccountSummary>>,
    pub(super) states: Mutex<Vec<Arc<AccountState>>>,
    pub(super) chunks: Mutex<Vec<Bytes>>,
    pub(super) requests: Mutex<Vec<(Format, Encoding)>>,
    /// If set, the next body is given only after the end of this channel.
    pub(super) body_waits: Mutex<Option<mpsc::Receiver<()>>>,
}

/// The state of an account with one endpoint.
pub(super) fn with_endpoint(account: &str, id: &str) -> Arc<AccountState> {
    let mut builder = SnapshotBuilder::new(false);
    let endpoint = Endpoint {
        id: id.to_owned(),
        ..Endpoint::default()
    };
    let row = Row {
        key: RowKey(1),
        content: Ok(endpoint),
    };
    builder.take(&row, 0);
    let facts = WalkFacts::new(UnixMillis(0), UnixMillis(0), Duration::ZERO);
    let (snapshot, _) = builder
        .finish()
        .build(None, facts, Retention::default(), &|_| None);
    Arc::new(AccountState {
        account: account.into(),
        snapshot: Some(Arc::new(snapshot)),
        ..AccountState::default()
    })
}

impl FakeData {
    pub(super) fn put(&self, chunks: impl IntoIterator<Item = Bytes>) {
        *self.chunks.lock().unwrap() = chunks.into_iter().collect();
    }

    /// Replaces the data with one chunk that is larger than the socket buffers. A response with this chunk
    /// stays in progress until the client reads it.
    pub(super) fn put_large(&self) {
        self.put([Bytes::from(vec![b'x'; LARGE])]);
    }
}

impl DataSource for FakeData {
    fn body(&self, format: Format, encoding: Encoding) -> Option<EncodedBody> {
        self.requests.lock().unwrap().push((format, encoding));
        let waits = self.body_waits.lock().unwrap().take();
        if let Some(waits) = waits {
            let _ = block_in_place(|| waits.recv_timeout(LONG));
        }
        let chunks = self.chunks.lock().unwrap().clone();
        Some(EncodedBody {
            length: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            pieces: Box::new(chunks.into_iter()),
        })
    }

    fn states(&self) -> Option<Vec<Arc<AccountState>>> {
        Some(self.states.lock().unwrap().clone())
    }

    fn accounts(&self) -> Option<Vec<AccountSummary>> {
        Some(self.accounts.lock().unwrap().clone())
    }
}

//! A front door with something behind it that a story decides.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::task::JoinHandle;

use super::client::{Client, soon};
use crate::{
    exposition::{AccountSummary, Encoding, Format},
    http::{Address, Bell, Bound, Pages, Settings},
    shutdown::CancellationToken,
    telemetry::Instruments,
};

/// A running server on a free port of the loopback address.
pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) shelf: Arc<Shelf>,
    pub(super) instruments: Instruments,
    pub(super) shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl House {
    pub(super) async fn open(settings: Settings) -> Self {
        Self::with_bell(settings, None).await
    }

    /// The same with somebody who answers probes.
    pub(super) async fn with_bell(settings: Settings, bell: Option<Arc<dyn Bell>>) -> Self {
        let loopback = Address::Host("127.0.0.1".to_owned(), 0);
        let mut bound = Bound::bind(&[loopback], settings).await.unwrap();
        if let Some(bell) = bell {
            bound = bound.with_bell(bell);
        }
        let address = bound.local_addrs()[0];
        let (shelf, instruments, shutdown) =
            (Arc::default(), Instruments::new(), CancellationToken::new());
        let serving =
            tokio::spawn(bound.serve(Arc::clone(&shelf), instruments.clone(), shutdown.clone()));
        Self {
            address,
            shelf,
            instruments,
            shutdown,
            serving,
        }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Waits until the server has returned by itself.
    pub(super) async fn closed(self) {
        soon(self.serving).await.unwrap();
    }

    /// How many answers have been counted for this handler and code.
    pub(super) fn counted(&self, handler: &str, code: &str) -> f64 {
        let families = self.instruments.gather();
        let name = "vobiz_exporter_http_requests_total";
        let Some(family) = families.iter().find(|family| family.name() == name) else {
            return 0.0;
        };
        let found = family.get_metric().iter().find(|metric| {
            let is = |name: &str, value: &str| {
                let mut labels = metric.get_label().iter();
                labels.any(|label| label.name() == name && label.value() == value)
            };
            is("handler", handler) && is("code", code)
        });
        found.map_or(0.0, |metric| metric.get_counter().get_value())
    }
}

/// What stands behind the door.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) is_ready: AtomicBool,
    pub(super) accounts: Mutex<Vec<AccountSummary>>,
    pub(super) pieces: Mutex<Vec<Bytes>>,
    /// When set, every piece of a body but the first waits until it is cancelled.
    pub(super) gate: Mutex<Option<CancellationToken>>,
    pub(super) asked: Mutex<Vec<(Format, Encoding)>>,
}

impl Shelf {
    pub(super) fn put(&self, pieces: impl IntoIterator<Item = Bytes>) {
        *self.pieces.lock().unwrap() = pieces.into_iter().collect();
    }

    /// From now on, bodies stop after their first piece until the gate is cancelled.
    pub(super) fn shut_gate(&self) -> CancellationToken {
        let gate = CancellationToken::new();
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }
}

impl Pages for Shelf {
    type Body = Pieces;

    fn metrics(&self, format: Format, encoding: Encoding) -> (u64, Pieces) {
        self.asked.lock().unwrap().push((format, encoding));
        let pieces = VecDeque::from(self.pieces.lock().unwrap().clone());
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let gate = self.gate.lock().unwrap().clone();
        let body = Pieces {
            first: true,
            waiting: pieces,
            gate: gate.map(|gate| Box::pin(gate.cancelled_owned()) as _),
        };
        (length, body)
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    fn accounts(&self) -> Vec<AccountSummary> {
        self.accounts.lock().unwrap().clone()
    }
}

pub(super) struct Pieces {
    first: bool,
    waiting: VecDeque<Bytes>,
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::take(&mut self.first)
            && let Some(gate) = &mut self.gate
        {
            ready!(gate.as_mut().poll(cx));
            self.gate = None;
        }
        let piece = self.waiting.pop_front();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}

//! Requests in flight: equal probes share one request, which ends with the last probe that waits for it.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

use crate::api::{Endpoint, Error, ErrorKind};

/// The endpoint's record and the status of the response, or why there is none.
pub(super) type Outcome = Result<(Endpoint, u16), ProbeError>;

/// Why a probe has no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeError {
    /// The `reason` label of `vobiz_probe_failure`: one of
    /// [`PROBE_FAILURE_REASONS`](crate::telemetry::labels::PROBE_FAILURE_REASONS).
    pub(super) reason: &'static str,
    /// HTTP status, where a response came.
    pub(super) status: Option<u16>,
    /// What happened, for a person, without text of the API.
    pub(super) message: String,
}

impl ProbeError {
    /// An error without a response of the API.
    pub(super) fn without_response(reason: &'static str, message: &str) -> Self {
        Self {
            reason,
            status: None,
            message: message.to_owned(),
        }
    }
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self {
            reason: error.kind.label(),
            status: error.status,
            message: error.to_string(),
        }
    }
}

/// The account, by its number, and the endpoint's id.
type Key = (usize, String);

/// A request that one or more equal probes wait for. When the last of them drops it, the request is
/// cancelled.
pub(super) struct InFlight {
    /// The end of the request; each probe waits for a clone.
    pub(super) outcome: Shared<BoxFuture<'static, Arc<Outcome>>>,
    pub(super) progress: Arc<Progress>,
    key: Key,
    all: Arc<InFlightMap>,
}

/// The requests in flight, by their key. The map must not keep a request alive.
#[derive(Default)]
pub(super) struct InFlightMap(Mutex<HashMap<Key, Weak<InFlight>>>);

impl InFlightMap {
    /// The request in flight with this key (then `true`), or a new one from `begin`. A new request makes no
    /// progress until a probe waits for it.
    pub(super) fn join(
        self: &Arc<Self>,
        key: Key,
        begin: impl FnOnce(Arc<Progress>) -> BoxFuture<'static, Outcome>,
    ) -> (Arc<InFlight>, bool) {
        let mut requests = self.lock();
        let known = requests.get(&key).and_then(Weak::upgrade);
        // A request that has ended is not shared: its result is in the past.
        if let Some(request) = &known
            && request.outcome.peek().is_none()
        {
            return (Arc::clone(request), true);
        }
        let progress = Arc::new(Progress::new());
        let work = AssertUnwindSafe(begin(Arc::clone(&progress))).catch_unwind();
        let watched = Arc::clone(&progress);
        let outcome = async move {
            let outcome = work.await.unwrap_or_else(|_| {
                // As with a walk, `malformed` is the closest reason.
                let message = "a panic in this program ended the probe; the log has its place";
                let reason = ErrorKind::Malformed.label();
                Err(ProbeError::without_response(reason, message))
            });
            watched.enter(Stage::Done);
            Arc::new(outcome)
        };
        let request = Arc::new(InFlight {
            outcome: outcome.boxed().shared(),
            progress,
            key: key.clone(),
            all: Arc::clone(self),
        });
        requests.insert(key, Arc::downgrade(&request));
        // The drop of an ended request locks the map.
        drop(requests);
        drop(known);
        (request, false)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<InFlight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut requests = self.all.lock();
        // A newer request with the same key stays.
        if (requests.get(&self.key)).is_some_and(|request| request.strong_count() == 0) {
            requests.remove(&self.key);
        }
    }
}

/// The stages of a request, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for the account's share of requests.
    Share,
    /// It waits for the account's rate limiter, or for the end of a pause that the API asked for.
    Limiter,
    /// It is sent.
    Sent,
    /// It has ended.
    Done,
}

/// The progress of a request, for the debug text and for the reason of a probe whose deadline passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) stage: Stage,
    begun: Instant,
    sent: Option<Instant>,
    ended: Option<Instant>,
}

impl Times {
    /// Time before the request was sent, so far.
    pub(super) fn waited(&self) -> Duration {
        self.sent.unwrap_or_else(Instant::now) - self.begun
    }

    /// Time since the request was sent, up to its end.
    pub(super) fn request(&self) -> Duration {
        let ended = self.ended.unwrap_or_else(Instant::now);
        self.sent.map_or(Duration::ZERO, |sent| ended - sent)
    }
}

/// Written by the request, read by every probe that waits for it.
pub(super) struct Progress(Mutex<Times>);

impl Progress {
    fn new() -> Self {
        Self(Mutex::new(Times {
            stage: Stage::Share,
            begun: Instant::now(),
            sent: None,
            ended: None,
        }))
    }

    /// The next stage begins.
    pub(super) fn enter(&self, stage: Stage) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.stage = stage;
        match stage {
            Stage::Share | Stage::Limiter => {}
            Stage::Sent => times.sent = Some(Instant::now()),
            Stage::Done => times.ended = Some(Instant::now()),
        }
    }

    pub(super) fn now(&self) -> Times {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

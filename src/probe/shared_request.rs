//! Requests in flight: equal probes share one request, which ends with the last probe that waits for it.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
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

/// The stages of a request, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// It waits for the account's share of requests.
    Share,
    /// It waits for the account's rate limiter, or for the end of a pause that the API asked for.
    Limiter,
    /// It was sent at this moment.
    Sent(Instant),
}

/// A request that one or more equal probes wait for. When the last of them drops it, the request is
/// cancelled.
pub(super) struct InFlight {
    /// The end of the request; each probe waits for a clone.
    pub(super) outcome: Shared<BoxFuture<'static, Arc<Outcome>>>,
    /// Written by the request, read by every probe that waits for it.
    pub(super) stage: Arc<Mutex<Stage>>,
}

/// The requests in flight, by the account's number and the endpoint's id. The map must not keep a
/// request alive.
#[derive(Default)]
pub(super) struct InFlightMap(pub(super) Mutex<HashMap<(usize, String), Weak<InFlight>>>);

impl InFlightMap {
    /// The request in flight with this key, or a new one from `begin`. A new request makes no progress
    /// until a probe waits for it.
    pub(super) fn join(
        &self,
        key: (usize, String),
        begin: impl FnOnce(Arc<Mutex<Stage>>) -> BoxFuture<'static, Outcome>,
    ) -> Arc<InFlight> {
        let mut requests = lock(&self.0);
        // Requests without a probe are cancelled, and the result of one that has ended is in the past.
        let is_in_flight = |request: Arc<InFlight>| request.outcome.peek().is_none();
        requests.retain(|_, request| request.upgrade().is_some_and(is_in_flight));
        if let Some(request) = requests.get(&key).and_then(Weak::upgrade) {
            return request;
        }
        let stage = Arc::new(Mutex::new(Stage::Share));
        let work = AssertUnwindSafe(begin(Arc::clone(&stage))).catch_unwind();
        let outcome = work.map(|outcome| {
            Arc::new(outcome.unwrap_or_else(|_| {
                // As with a walk, `malformed` is the closest reason.
                let message = "a panic in this program ended the probe; the log has its place";
                let reason = ErrorKind::Malformed.label();
                Err(ProbeError::without_response(reason, message))
            }))
        });
        let outcome = outcome.boxed().shared();
        let request = Arc::new(InFlight { outcome, stage });
        requests.insert(key, Arc::downgrade(&request));
        request
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

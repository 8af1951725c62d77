//! Counters and histograms about ourselves, kept by the `prometheus` crate's registry.
//!
//! Gauges that describe a walk or a picture are not here: they are rendered with the picture.

use std::{sync::Arc, time::Duration};

use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, proto::MetricFamily,
};

/// Which of the vendor's operations a request is; the `operation` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET .../Endpoint/`.
    ListEndpoints,
    /// `GET .../Endpoint/{endpoint_id}/`.
    RetrieveEndpoint,
}

impl Operation {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::ListEndpoints => "list_endpoints",
            Self::RetrieveEndpoint => "retrieve_endpoint",
        }
    }
}

/// Why a request waited; the `cause` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleCause {
    /// Our own rate limiter.
    Limiter,
    /// The vendor's `Retry-After`.
    Vendor,
}

impl ThrottleCause {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Limiter => "limiter",
            Self::Vendor => "vendor",
        }
    }
}

/// The value of `code` for an attempt that no status came back from.
const NO_STATUS: &str = "error";

/// Bounds of the request latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// Every instrument of the process; cheap to clone, all clones count into the same registry.
#[derive(Debug, Clone)]
pub struct Instruments {
    registry: Registry,
    http_requests: IntCounterVec,
    walks: IntCounterVec,
    walks_skipped: IntCounterVec,
    walk_failures: IntCounterVec,
    walk_rereads: IntCounterVec,
    registration_changes: IntCounterVec,
    endpoint_changes: IntCounterVec,
    token_read_failures: IntCounterVec,
    api_requests: IntCounterVec,
    api_request_duration: HistogramVec,
    api_retries: IntCounterVec,
    api_throttle: CounterVec,
}

/// The instruments of one account; every known label value is there at 0 from the start.
#[derive(Debug, Clone)]
pub struct AccountInstruments {
    account: Arc<str>,
    all: Instruments,
}

impl Default for Instruments {
    fn default() -> Self {
        Self::new()
    }
}

impl Instruments {
    /// A fresh registry with every family registered.
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels).expect("names are valid");
            registry
                .register(Box::new(vec.clone()))
                .expect("names are distinct");
            vec
        };
        let account = ["account"];
        Self {
            http_requests: counter(
                "vobiz_exporter_http_requests_total",
                "x",
                &["handler", "code"],
            ),
            walks: counter("vobiz_walks_total", "x", &account),
            walks_skipped: counter("vobiz_walks_skipped_total", "x", &account),
            walk_failures: counter("vobiz_walk_failures_total", "x", &["account", "reason"]),
            walk_rereads: counter("vobiz_walk_rereads_total", "x", &["account", "reason"]),
            registration_changes: counter(
                "vobiz_registration_changes_total",
                "x",
                &["account", "change"],
            ),
            endpoint_changes: counter("vobiz_endpoint_changes_total", "x", &["account", "change"]),
            token_read_failures: counter("vobiz_token_read_failures_total", "x", &account),
            api_requests: counter(
                "vobiz_api_requests_total",
                "x",
                &["account", "operation", "code"],
            ),
            api_retries: counter("vobiz_api_retries_total", "x", &["account", "operation"]),
            api_request_duration: {
                let options = HistogramOpts::new("vobiz_api_request_duration_seconds", "x")
                    .buckets(LATENCY_BOUNDS.to_vec());
                let vec =
                    HistogramVec::new(options, &["account", "operation"]).expect("names are valid");
                registry
                    .register(Box::new(vec.clone()))
                    .expect("names are distinct");
                vec
            },
            api_throttle: {
                let options = Opts::new("vobiz_api_throttle_seconds_total", "x");
                let vec = CounterVec::new(options, &["account", "cause"]).expect("names are valid");
                registry
                    .register(Box::new(vec.clone()))
                    .expect("names are distinct");
                vec
            },
            registry,
        }
    }

    /// The instruments of one account, every closed label value pre-created at 0.
    pub fn account(&self, name: &str) -> AccountInstruments {
        AccountInstruments {
            account: name.into(),
            all: self.clone(),
        }
    }

    /// Counts one answer of our own HTTP server; `handler` is one of a closed set.
    pub fn http_request(&self, handler: &'static str, code: u16) {
        self.http_requests
            .with_label_values(&[handler, &code.to_string()])
            .inc();
    }

    /// Every family with its samples now.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

impl AccountInstruments {
    /// A walk has started.
    pub fn walk_started(&self) {
        self.all.walks.with_label_values(&[&*self.account]).inc();
    }

    /// Ticks were skipped because a walk was still running.
    pub fn walks_skipped(&self, ticks: u64) {
        self.all
            .walks_skipped
            .with_label_values(&[&*self.account])
            .inc_by(ticks);
    }

    /// A walk has failed; `reason` is of the closed set.
    pub fn walk_failed(&self, reason: &'static str) {
        self.all
            .walk_failures
            .with_label_values(&[&*self.account, reason])
            .inc();
    }

    /// A reading, or a part of one, is done again; `reason` is of the closed set.
    pub fn reread(&self, reason: &'static str) {
        self.all
            .walk_rereads
            .with_label_values(&[&*self.account, reason])
            .inc();
    }

    /// Endpoints lost and gained their registration between two pictures.
    pub fn registration_changes(&self, lost: u64, gained: u64) {
        let vec = &self.all.registration_changes;
        vec.with_label_values(&[&*self.account, "lost"])
            .inc_by(lost);
        vec.with_label_values(&[&*self.account, "gained"])
            .inc_by(gained);
    }

    /// Endpoints came, went, or changed application between two pictures.
    pub fn endpoint_changes(&self, added: u64, removed: u64, application: u64) {
        let vec = &self.all.endpoint_changes;
        vec.with_label_values(&[&*self.account, "added"])
            .inc_by(added);
        vec.with_label_values(&[&*self.account, "removed"])
            .inc_by(removed);
        vec.with_label_values(&[&*self.account, "application"])
            .inc_by(application);
    }

    /// The token's file could not be read; the old token stays.
    pub fn token_read_failed(&self) {
        self.all
            .token_read_failures
            .with_label_values(&[&*self.account])
            .inc();
    }

    /// One attempt ended with this status (`None`: no answer) after `took`.
    pub fn request(&self, operation: Operation, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| NO_STATUS.to_owned(), |status| status.to_string());
        let labels = [&*self.account, operation.label(), &code];
        self.all.api_requests.with_label_values(&labels).inc();
        self.all
            .api_request_duration
            .with_label_values(&labels[..2])
            .observe(took.as_secs_f64());
    }

    /// One attempt is made again.
    pub fn retry(&self, operation: Operation) {
        self.all
            .api_retries
            .with_label_values(&[&*self.account, operation.label()])
            .inc();
    }

    /// A request waited.
    pub fn throttled(&self, cause: ThrottleCause, waited: Duration) {
        let vec = &self.all.api_throttle;
        vec.with_label_values(&[&*self.account, cause.label()])
            .inc_by(waited.as_secs_f64());
    }
}

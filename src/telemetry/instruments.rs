//! Counters and histograms about ourselves, kept by the `prometheus` crate's registry. Names, help
//! and labels come from the [catalogue](super::catalogue).
//!
//! Gauges that describe a walk or a snapshot are not here: they are rendered with the snapshot.

use std::{sync::Arc, time::Duration};

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    core::Collector, proto::MetricFamily,
};

use super::{
    catalogue::{
        ENDPOINT_CHANGES, Metric, REGISTRATION_CHANGES, REREAD_REASONS, WALK_FAILURE_REASONS,
    },
    process::ProcessCollector,
};
use crate::clock::UnixMillis;

/// Which of the vendor's operations a request is; the `operation` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET .../Endpoint/`.
    ListEndpoints,
    /// `GET .../Endpoint/{endpoint_id}/`.
    RetrieveEndpoint,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ListEndpoints, Self::RetrieveEndpoint];

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
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Limiter, Self::Vendor];

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

/// The commit, where the build was told.
const REVISION: &str = match option_env!("VOBIZ_EXPORTER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The compiler's version, which the build script finds out.
const RUST_VERSION: &str = env!("VOBIZ_EXPORTER_RUSTVERSION");

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
    detail_disagreements: IntCounterVec,
    token_read_failures: IntCounterVec,
    api_requests: IntCounterVec,
    api_request_duration: HistogramVec,
    api_retries: IntCounterVec,
    api_throttle: CounterVec,
    reload_success: GaugeVec,
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
    /// A fresh registry with every family registered, `process_*` included.
    pub fn new() -> Self {
        let registry = Registry::new();
        keep(&registry, ProcessCollector::new());
        let counter = |metric: Metric| {
            let vec = IntCounterVec::new(options(metric), metric.family().labels);
            keep(&registry, vec.expect("names are valid"))
        };
        let gauge = |metric: Metric| {
            let vec = GaugeVec::new(options(metric), metric.family().labels);
            keep(&registry, vec.expect("names are valid"))
        };
        gauge(Metric::ExporterBuildInfo)
            .with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION, RUST_VERSION])
            .set(1.0);
        Self {
            http_requests: counter(Metric::ExporterHttpRequests),
            walks: counter(Metric::Walks),
            walks_skipped: counter(Metric::WalksSkipped),
            walk_failures: counter(Metric::WalkFailures),
            walk_rereads: counter(Metric::WalkRereads),
            registration_changes: counter(Metric::RegistrationChanges),
            endpoint_changes: counter(Metric::EndpointChanges),
            detail_disagreements: counter(Metric::DetailDisagreements),
            token_read_failures: counter(Metric::TokenReadFailures),
            api_requests: counter(Metric::ApiRequests),
            api_retries: counter(Metric::ApiRetries),
            api_request_duration: {
                let metric = Metric::ApiRequestDuration;
                let options = HistogramOpts::from(options(metric)).buckets(LATENCY_BOUNDS.to_vec());
                let vec = HistogramVec::new(options, metric.family().labels);
                keep(&registry, vec.expect("names are valid"))
            },
            api_throttle: {
                let metric = Metric::ApiThrottle;
                let vec = CounterVec::new(options(metric), metric.family().labels);
                keep(&registry, vec.expect("names are valid"))
            },
            reload_success: gauge(Metric::ExporterReloadSuccess),
            registry,
        }
    }

    /// The instruments of one account, every closed label value pre-created at 0.
    pub fn account(&self, name: &str) -> AccountInstruments {
        for vec in [
            &self.walks,
            &self.walks_skipped,
            &self.detail_disagreements,
            &self.token_read_failures,
        ] {
            vec.with_label_values(&[name]);
        }
        let closed: [(&IntCounterVec, &[&str]); 4] = [
            (&self.walk_failures, &WALK_FAILURE_REASONS),
            (&self.walk_rereads, &REREAD_REASONS),
            (&self.registration_changes, &REGISTRATION_CHANGES),
            (&self.endpoint_changes, &ENDPOINT_CHANGES),
        ];
        for (vec, values) in closed {
            for value in values {
                vec.with_label_values(&[name, *value]);
            }
        }
        for operation in Operation::ALL {
            let labels = [name, operation.label()];
            self.api_retries.with_label_values(&labels);
            self.api_request_duration.with_label_values(&labels);
        }
        for cause in ThrottleCause::ALL {
            self.api_throttle.with_label_values(&[name, cause.label()]);
        }
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

    /// The configuration was loaded at this moment.
    pub fn config_loaded(&self, at: UnixMillis) {
        let none: &[&str] = &[];
        self.reload_success
            .with_label_values(none)
            .set(at.as_seconds());
    }

    /// Every family that has samples now, in the order of names, samples in the order of labels.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn options(metric: Metric) -> Opts {
    let family = metric.family();
    Opts::new(family.name, family.help)
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry
        .register(Box::new(collector.clone()))
        .expect("the catalogue has every name once");
    collector
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

    /// Endpoints lost and gained their registration between two snapshots.
    pub fn registration_changes(&self, lost: u64, gained: u64) {
        let vec = &self.all.registration_changes;
        vec.with_label_values(&[&*self.account, "lost"])
            .inc_by(lost);
        vec.with_label_values(&[&*self.account, "gained"])
            .inc_by(gained);
    }

    /// Endpoints came, went, or changed application between two snapshots.
    pub fn endpoint_changes(&self, added: u64, removed: u64, application: u64) {
        let vec = &self.all.endpoint_changes;
        vec.with_label_values(&[&*self.account, "added"])
            .inc_by(added);
        vec.with_label_values(&[&*self.account, "removed"])
            .inc_by(removed);
        vec.with_label_values(&[&*self.account, "application"])
            .inc_by(application);
    }

    /// A retrieved record contradicts the list and was dropped.
    pub fn detail_disagreed(&self) {
        self.all
            .detail_disagreements
            .with_label_values(&[&*self.account])
            .inc();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(instruments: &Instruments, metric: Metric) -> usize {
        let name = metric.family().name;
        instruments
            .gather()
            .iter()
            .find(|family| family.name() == name)
            .map_or(0, |family| family.get_metric().len())
    }

    #[test]
    fn a_new_account_has_every_closed_value_at_zero() {
        let instruments = Instruments::new();
        instruments.account("main");
        assert_eq!(samples(&instruments, Metric::Walks), 1);
        assert_eq!(samples(&instruments, Metric::WalkFailures), 14);
        assert_eq!(samples(&instruments, Metric::WalkRereads), 2);
        assert_eq!(samples(&instruments, Metric::RegistrationChanges), 2);
        assert_eq!(samples(&instruments, Metric::EndpointChanges), 3);
        assert_eq!(samples(&instruments, Metric::ApiRetries), 2);
        assert_eq!(samples(&instruments, Metric::ApiRequestDuration), 2);
        assert_eq!(samples(&instruments, Metric::ApiThrottle), 2);
        assert_eq!(samples(&instruments, Metric::DetailDisagreements), 1);
        assert_eq!(samples(&instruments, Metric::TokenReadFailures), 1);
    }

    #[test]
    fn the_time_of_the_configuration_is_known_once_it_was_loaded() {
        let instruments = Instruments::new();
        assert_eq!(samples(&instruments, Metric::ExporterReloadSuccess), 0);
        instruments.config_loaded(UnixMillis(1_700_000_000_500));
        let gathered = instruments.gather();
        let name = Metric::ExporterReloadSuccess.family().name;
        let family = gathered.iter().find(|family| family.name() == name);
        let loaded = family.unwrap().get_metric()[0].get_gauge().get_value();
        assert!((loaded - 1_700_000_000.5).abs() < f64::EPSILON);
    }
}

//! Counters and histograms, and gauges about the exporter itself, in a registry of the `prometheus` crate.
//! Names, help texts and labels come from the [catalogue](super::catalogue).
//!
//! Gauges about a walk or a snapshot are not here: `exposition` renders them from the account's state.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Counter, CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, core::Collector,
    proto::MetricFamily, register_counter_vec_with_registry as register_counter,
    register_gauge_vec_with_registry as register_gauge,
    register_histogram_vec_with_registry as register_histogram,
};

use super::{
    catalogue::{Kind, Metric, Part, closed_values},
    labels::{
        ConnectionOutcome, ENDPOINT_CHANGES, NO_STATUS, Operation, REGISTRATION_CHANGES, Route,
        ThrottleCause,
    },
};
use crate::clock::UnixMillis;

/// The label values of `vobiz_exporter_build_info`. The build script sets the last two values.
const BUILD: [&str; 3] = [
    env!("CARGO_PKG_VERSION"),
    env!("VOBIZ_EXPORTER_REVISION"),
    env!("VOBIZ_EXPORTER_RUSTVERSION"),
];

const VALID: &str = "names in the catalogue are valid and unique";

/// Bucket bounds of the request duration histogram, in seconds.
const DURATION_BOUNDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// All metrics with the source [`Part::Instruments`]. Clones are cheap and share one registry.
#[derive(Debug, Clone)]
pub struct Instruments {
    registry: Registry,
    /// Every counter of the catalogue except `process_*` counters.
    counters: Arc<BTreeMap<Metric, CounterVec>>,
    api_request_duration: HistogramVec,
    reload_successful: GaugeVec,
    reload_success: GaugeVec,
    web_reload_successful: GaugeVec,
    web_reload_success: GaugeVec,
    state_last_write: GaugeVec,
    state_bytes: GaugeVec,
}

/// The counters and histograms of one account.
#[derive(Debug, Clone)]
pub struct AccountInstruments {
    account: Arc<str>,
    all: Instruments,
    /// Whether the account is removed. A request in flight, such as a probe, may count after the removal, and must not
    /// create a series again. So each count holds the lock.
    is_removed: Arc<RwLock<bool>>,
}

impl Default for Instruments {
    fn default() -> Self {
        Self::new()
    }
}

impl Instruments {
    /// A new registry with every family of [`Part::Instruments`].
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |metric: Metric| {
            let (options, labels) = description(metric);
            let counter = register_counter!(options, labels, registry).expect(VALID);
            (metric, counter)
        };
        let gauge = |metric| {
            let (options, labels) = description(metric);
            register_gauge!(options, labels, registry).expect(VALID)
        };
        let build_info = gauge(Metric::ExporterBuildInfo);
        build_info.with_label_values(&BUILD).set(1.0);
        let (options, labels) = description(Metric::ApiRequestDuration);
        let options = HistogramOpts::from(options).buckets(DURATION_BOUNDS.to_vec());
        let durations = register_histogram!(options, labels, registry).expect(VALID);
        let is_counter = |metric: &Metric| {
            let family = metric.family();
            family.part == Part::Instruments && family.kind == Kind::Counter
        };
        let counters = Metric::ALL.iter().copied().filter(is_counter);
        let counters: BTreeMap<_, _> = counters.map(counter).collect();
        for outcome in ConnectionOutcome::LABELS {
            counters[&Metric::ExporterHttpConnections].with_label_values(&[outcome]);
        }
        Self {
            counters: Arc::new(counters),
            api_request_duration: durations,
            reload_successful: gauge(Metric::ExporterReloadSuccessful),
            reload_success: gauge(Metric::ExporterReloadSuccess),
            web_reload_successful: gauge(Metric::WebConfigReloadSuccessful),
            web_reload_success: gauge(Metric::WebConfigReloadSuccess),
            state_last_write: gauge(Metric::StateLastWrite),
            state_bytes: gauge(Metric::StateBytes),
            registry,
        }
    }

    /// The instruments of one account. Each value of a closed label has a series from the start, at 0, unless
    /// the metric has the label `code`. If a series first appeared at 1, `rate()` would miss this increment.
    pub fn account(&self, name: &str) -> AccountInstruments {
        for (metric, counter) in &*self.counters {
            match metric.family().labels {
                ["account"] => _ = counter.with_label_values(&[name]),
                ["account", label] => {
                    for value in closed_values(*metric, label).into_iter().flatten() {
                        counter.with_label_values(&[name, value]);
                    }
                }
                // A series with the label `code` appears with the first request that has this code.
                _ => {}
            }
        }
        for operation in Operation::LABELS {
            let labels = [name, operation];
            self.api_request_duration.with_label_values(&labels);
        }
        AccountInstruments {
            account: name.into(),
            all: self.clone(),
            is_removed: Arc::default(),
        }
    }

    /// Removes every series of a removed account. Later counts of the account have no effect.
    pub fn remove(&self, account: &AccountInstruments) {
        let is_removed = account.is_removed.write();
        *is_removed.unwrap_or_else(PoisonError::into_inner) = true;
        for (metric, counter) in &*self.counters {
            for values in account.series(*metric, counter) {
                let _ = counter.remove_label_values(&as_str(&values));
            }
        }
        let durations = &self.api_request_duration;
        for values in account.series(Metric::ApiRequestDuration, durations) {
            let _ = durations.remove_label_values(&as_str(&values));
        }
    }

    /// Counts one response of the exporter's HTTP server.
    pub fn http_request(&self, handler: Route, code: u16) {
        self.counters[&Metric::ExporterHttpRequests]
            .with_label_values(&[Route::LABELS[handler as usize], &code.to_string()])
            .inc();
    }

    /// Counts the end of a connection to the exporter's HTTP server.
    pub fn http_connection(&self, outcome: ConnectionOutcome) {
        self.counters[&Metric::ExporterHttpConnections]
            .with_label_values(&[outcome.label()])
            .inc();
    }

    /// Records the time at which the configuration was loaded.
    pub fn config_loaded(&self, at: UnixMillis) {
        let none: &[&str] = &[];
        self.reload_successful.with_label_values(none).set(1.0);
        self.reload_success
            .with_label_values(none)
            .set(at.as_seconds());
    }

    /// Records that a new configuration was refused, so that the earlier one stays in force.
    pub fn config_failed(&self) {
        let none: &[&str] = &[];
        self.reload_successful.with_label_values(none).set(0.0);
    }

    /// Records the time at which the web configuration was loaded.
    pub fn web_config_loaded(&self, at: UnixMillis) {
        let none: &[&str] = &[];
        self.web_reload_successful.with_label_values(none).set(1.0);
        self.web_reload_success
            .with_label_values(none)
            .set(at.as_seconds());
    }

    /// Records that the web configuration is invalid, so that earlier settings stay in force.
    pub fn web_config_failed(&self) {
        let none: &[&str] = &[];
        self.web_reload_successful.with_label_values(none).set(0.0);
    }

    /// Adds failed writes and failed loads of the state database. The first call creates both series.
    pub fn count_state_failures(&self, writes: u32, loads: u32) {
        let failures = [
            (Metric::StateWriteFailures, writes),
            (Metric::StateLoadFailures, loads),
        ];
        for (metric, number) in failures {
            let none: &[&str] = &[];
            self.counters[&metric]
                .with_label_values(none)
                .inc_by(number.into());
        }
    }

    /// Records a successful write to the state database, which now has this size.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats for Prometheus, too"
    )]
    pub fn state_written(&self, at: UnixMillis, bytes: u64) {
        let none: &[&str] = &[];
        self.state_last_write
            .with_label_values(none)
            .set(at.as_seconds());
        self.state_bytes.with_label_values(none).set(bytes as f64);
    }

    /// Every family that has samples, sorted by name. The samples of a family are sorted by labels.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn description(metric: Metric) -> (Opts, &'static [&'static str]) {
    let family = metric.family();
    (Opts::new(family.name, family.help), family.labels)
}

fn as_str(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

impl AccountInstruments {
    /// Runs `record` with the counter `metric` of this account, unless the account is removed. `labels` are the values
    /// of the labels after `account`.
    fn with_counter(&self, metric: Metric, labels: &[&str], record: impl FnOnce(Counter)) {
        self.unless_removed(|| {
            let values = [&[&*self.account], labels].concat();
            record(self.all.counters[&metric].with_label_values(&values));
        });
    }

    fn unless_removed(&self, record: impl FnOnce()) {
        let is_removed = self.is_removed.read();
        if !*is_removed.unwrap_or_else(PoisonError::into_inner) {
            record();
        }
    }

    /// The label values of every series of this account, in the order of the catalogue.
    fn series(&self, metric: Metric, vector: &impl Collector) -> Vec<Vec<String>> {
        let labels = metric.family().labels;
        let mut series = Vec::new();
        for family in vector.collect() {
            for sample in family.get_metric() {
                let value = |label: &&str| {
                    let mut pairs = sample.get_label().iter();
                    let pair = pairs.find(|pair| pair.name() == *label)?;
                    Some(pair.value().to_owned())
                };
                let values: Vec<_> = labels.iter().filter_map(value).collect();
                if labels.first() == Some(&"account")
                    && values.first().is_some_and(|one| **one == *self.account)
                {
                    series.push(values);
                }
            }
        }
        series
    }

    /// Adds `number` to the counter `metric`. `labels` are the values of the labels after `account`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counters are floats for Prometheus, too"
    )]
    pub fn count(&self, metric: Metric, labels: &[&'static str], number: u64) {
        self.with_counter(metric, labels, |counter| counter.inc_by(number as f64));
    }

    /// Adds the numbers of endpoints that lost and gained their registration between two snapshots.
    pub fn registration_changes(&self, lost: u64, gained: u64) {
        for (change, number) in REGISTRATION_CHANGES.iter().zip([lost, gained]) {
            self.count(Metric::RegistrationChanges, &[change], number);
        }
    }

    /// Adds the numbers of endpoints that were added, were removed, changed their application, or lost it.
    pub fn endpoint_changes(&self, numbers: [u64; 4]) {
        for (change, number) in ENDPOINT_CHANGES.iter().zip(numbers) {
            self.count(Metric::EndpointChanges, &[change], number);
        }
    }

    /// Records the duration and the status of a request attempt. Without a status, `code` is `NO_STATUS`.
    pub fn request(&self, operation: Operation, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| NO_STATUS.to_owned(), |status| status.to_string());
        let labels = [operation.label(), &code];
        self.with_counter(Metric::ApiRequests, &labels, |counter| counter.inc());
        self.unless_removed(|| {
            self.all
                .api_request_duration
                .with_label_values(&[&*self.account, operation.label()])
                .observe(took.as_secs_f64());
        });
    }

    /// Adds the time that a request waited because of `cause`.
    pub fn throttled(&self, cause: ThrottleCause, waited: Duration) {
        let waited = waited.as_secs_f64();
        self.with_counter(Metric::ApiThrottle, &[cause.label()], |counter| {
            counter.inc_by(waited);
        });
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
    fn a_new_account_has_every_closed_label_value() {
        let instruments = Instruments::new();
        instruments.account("main");
        assert_eq!(samples(&instruments, Metric::Walks), 1);
        assert_eq!(samples(&instruments, Metric::WalkFailures), 14);
        assert_eq!(samples(&instruments, Metric::WalkRereads), 2);
        assert_eq!(samples(&instruments, Metric::RegistrationChanges), 2);
        assert_eq!(samples(&instruments, Metric::EndpointChanges), 4);
        assert_eq!(samples(&instruments, Metric::ApiRetries), 2);
        assert_eq!(samples(&instruments, Metric::ApiRequestDuration), 2);
        assert_eq!(samples(&instruments, Metric::ApiThrottle), 2);
        assert_eq!(samples(&instruments, Metric::DetailDisagreements), 1);
        assert_eq!(samples(&instruments, Metric::TokenReadFailures), 1);
    }

    #[test]
    fn the_load_time_is_exported_after_the_load() {
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

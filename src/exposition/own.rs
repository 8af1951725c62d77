//! What the registry holds about ourselves, as fragments.

use prometheus::proto::{Histogram, LabelPair, MetricFamily};

use super::{
    lines::Value,
    press::{Fragment, Press},
};
use crate::telemetry::{
    Instruments,
    catalogue::{Kind, Metric},
};

/// Every family of the registry that has samples now, in the order of the catalogue.
pub(super) fn gather(instruments: &Instruments, press: &mut Press) -> Vec<(Metric, Fragment)> {
    let gathered = instruments.gather();
    let mut found: Vec<_> = gathered
        .iter()
        .filter_map(|family| Some((Metric::named(family.name())?, family)))
        .collect();
    found.sort_unstable_by_key(|(metric, _)| *metric);
    found
        .into_iter()
        .map(|(metric, family)| (metric, write(metric, family, press)))
        .filter(|(_, fragment)| !fragment.is_empty())
        .collect()
}

fn write(metric: Metric, family: &MetricFamily, press: &mut Press) -> Fragment {
    let name = metric.family().name;
    for sample in family.get_metric() {
        let labels = sample.get_label();
        match metric.family().kind {
            Kind::Gauge => one(press, name, labels, sample.get_gauge().get_value()),
            Kind::Counter => one(press, name, labels, sample.get_counter().get_value()),
            Kind::Histogram => histogram(press, name, labels, sample.get_histogram()),
        }
    }
    press.fragment()
}

fn pairs(labels: &[LabelPair]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|pair| (pair.name(), pair.value()))
}

fn one(press: &mut Press, name: &str, labels: &[LabelPair], value: f64) {
    press.named_sample(name, pairs(labels), Value::Float(value));
}

fn histogram(press: &mut Press, name: &str, labels: &[LabelPair], histogram: &Histogram) {
    let bucket_name = format!("{name}_bucket");
    let mut bucket = |bound: &str, count| {
        let labels = pairs(labels).chain([("le", bound)]);
        press.named_sample(&bucket_name, labels, Value::Integer(count));
    };
    for one in histogram.get_bucket() {
        // A whole number keeps its decimal: to Prometheus the bounds "1" and "1.0" are two series.
        bucket(&format!("{:?}", one.upper_bound()), one.cumulative_count());
    }
    bucket("+Inf", histogram.get_sample_count());
    let sum = Value::Float(histogram.get_sample_sum());
    press.named_sample(&format!("{name}_sum"), pairs(labels), sum);
    let count = Value::Integer(histogram.get_sample_count());
    press.named_sample(&format!("{name}_count"), pairs(labels), count);
}

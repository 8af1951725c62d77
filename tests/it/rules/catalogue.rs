//! The rules use only metrics and labels of the exporter, of Prometheus and of the rules.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use vobiz_exporter::telemetry::catalogue::{Metric, closed_values};

use super::shipped::{alerts, groups};

/// Labels that come from Prometheus, histograms or the rules.
const ADDED: [&str; 10] = [
    "alertname",
    "severity",
    "job",
    "instance",
    "application",
    "scope",
    "within",
    "blindness",
    "look",
    "le",
];

/// The metrics of the exporter and `up`, each with its labels.
pub fn families() -> BTreeMap<String, Vec<&'static str>> {
    let known = Metric::ALL.iter().map(|metric| {
        let family = metric.family();
        (family.name.to_owned(), family.labels.to_vec())
    });
    known.chain([("up".to_owned(), Vec::new())]).collect()
}

/// Fails if `query` has a metric, recorded series, label or label value that cannot exist.
pub fn check(place: &str, query: &str) {
    let families = families();
    let recorded: BTreeSet<_> = groups()
        .into_iter()
        .flat_map(|group| group.records)
        .map(|record| record.name)
        .collect();
    let selector = Regex::new(r"\b([a-z_]+(?::[a-z0-9_]+)*)(?:\{([^}]*)\})?").unwrap();
    for found in selector.captures_iter(query) {
        let name = &found[1];
        let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
        if name.contains(':') {
            assert!(recorded.contains(name), "{place}: nothing records {name}");
        } else if name.starts_with("vobiz_") || name.starts_with("process_") || name == "up" {
            let family = name.trim_end_matches("_bucket").trim_end_matches("_count");
            let labels = families.get(family);
            let labels = labels.unwrap_or_else(|| panic!("{place}: there is no {name}"));
            matchers_exist(place, family, labels, matchers);
        }
    }
    let lists = Regex::new(r"\b(?:by|on|without|group_left) \(([^)]*)\)").unwrap();
    let labels: BTreeSet<_> = families.values().flatten().copied().chain(ADDED).collect();
    for found in lists.captures_iter(query) {
        for label in found[1].split(", ").filter(|label| !label.is_empty()) {
            assert!(labels.contains(label), "{place}: there is no label {label}");
        }
    }
}

fn matchers_exist(place: &str, family: &str, labels: &[&str], matchers: &str) {
    let matcher = Regex::new(r#"([a-z_]+)(?:=~|!~|!=|=)(?:"([^"]*)"|%q)"#).unwrap();
    for found in matcher.captures_iter(matchers) {
        let label = &found[1];
        let known = labels.contains(&label) || ["job", "instance"].contains(&label);
        assert!(known, "{place}: {family} has no label {label}");
        let closed = Metric::named(family).and_then(|metric| closed_values(metric, label));
        let value = found.get(2).map_or("", |value| value.as_str());
        if let Some(closed) = closed {
            for value in value.split('|') {
                assert!(closed.contains(&value), "{place}: {label} is never {value}");
            }
        }
    }
}

#[test]
fn rules_query_only_exported_metrics() {
    for group in groups() {
        for record in group.records {
            check(&record.name, &record.expression);
        }
        for alert in group.alerts {
            check(&alert.name, &alert.expression);
            for (name, text) in &alert.annotations {
                check(&format!("{}, {name}", alert.name), text);
            }
        }
    }
}

#[test]
fn recorded_series_are_named_by_level_metric_and_operation_and_each_is_used() {
    let name = Regex::new("^[a-z_]+:[a-z_]+:[a-z0-9_]+$").unwrap();
    let groups = groups();
    let mut seen = BTreeSet::new();
    for group in &groups {
        for record in &group.records {
            assert!(name.is_match(&record.name), "{}", record.name);
            assert!(seen.insert(&record.name), "{} stands twice", record.name);
            let level = record.name.split(':').next().unwrap();
            assert!(
                level.split('_').next() == Some("job"),
                "{level} lacks the job"
            );
            let users = groups
                .iter()
                .flat_map(|group| {
                    let records = group
                        .records
                        .iter()
                        .filter(|other| other.name != record.name);
                    let records = records.map(|other| other.expression.as_str());
                    records.chain(group.alerts.iter().map(|alert| alert.expression.as_str()))
                })
                .filter(|expression| expression.contains(&record.name))
                .count();
            assert!(users > 0, "nobody uses {}", record.name);
        }
    }
}

#[test]
fn long_ranges_use_recorded_series_only() {
    let range = Regex::new(r"([a-z_:0-9]+)(?:\{[^}]*\})?\[([0-9a-z]+)\]").unwrap();
    let mut ranges = 0;
    for group in groups() {
        let records = group.records.iter().map(|record| &record.expression);
        let alerts = group.alerts.iter().map(|alert| &alert.expression);
        for expression in records.chain(alerts) {
            for found in range.captures_iter(expression) {
                let long = super::text::milliseconds(&found[2]) > 3_600_000;
                assert!(!long || found[1].contains(':'), "{}", &found[0]);
                ranges += 1;
            }
        }
        assert!(group.interval >= 60);
    }
    assert!(ranges > 30, "{ranges}");
}

#[test]
fn the_job_is_named_in_one_place_and_durations_stand_in_expressions() {
    let named: usize = groups()
        .iter()
        .flat_map(|group| {
            let records = group.records.iter().map(|record| &record.expression);
            records.chain(group.alerts.iter().map(|alert| &alert.expression))
        })
        .map(|expression| expression.matches("vobiz-exporter").count())
        .sum();
    assert_eq!(named, 1);
    for alert in alerts() {
        assert!(!alert.waits, "{} waits in `for`", alert.name);
    }
}

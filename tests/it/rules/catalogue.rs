//! The rules use only metrics and labels of the exporter, of Prometheus and of the rules.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use vobiz_exporter::telemetry::catalogue::{Metric, closed_values};

use super::shipped::{RULES, groups, read};

/// Labels that come from Prometheus, from histograms or from the rules.
const ADDED: [&str; 5] = ["alertname", "severity", "job", "instance", "le"];

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
fn each_recorded_series_is_named_by_level_metric_and_operation_and_is_used() {
    let name = Regex::new("^[a-z]+:[a-z_]+:[a-z0-9]+$").unwrap();
    let groups = groups();
    for record in groups.iter().flat_map(|group| &group.records) {
        assert!(name.is_match(&record.name), "{}", record.name);
        let alerts = groups.iter().flat_map(|group| &group.alerts);
        let mut users = alerts.filter(|alert| alert.expression.contains(&record.name));
        assert!(users.next().is_some(), "no alert uses {}", record.name);
    }
}

#[test]
fn the_rules_are_short_enough_to_be_read_aloud() {
    let groups = groups();
    let records: Vec<_> = groups.iter().flat_map(|group| &group.records).collect();
    let alerts: Vec<_> = groups.iter().flat_map(|group| &group.alerts).collect();
    let lines = read(RULES).lines().count();
    assert!(
        records.len() <= 6 && alerts.len() <= 21 && lines <= 350,
        "{lines}"
    );
    let expressions = records.iter().map(|record| &record.expression);
    for expression in expressions.chain(alerts.iter().map(|alert| &alert.expression)) {
        assert!(expression.trim().lines().count() <= 8, "{expression}");
    }
}

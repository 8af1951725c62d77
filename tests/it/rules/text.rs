//! Changes the durations and the labels in the texts of rules and promtool cases.
//!
//! The shipped files write a duration in one of three forms: a range (`[10m]`, `[1h:1m]`), a setting
//! (`for: 5m`), and a product of seconds (`5 * 60`). Every product with 60 is a duration.

use regex::{Captures, Regex};

const SPAN: &str = r"(?:[0-9]+(?:ms|[smhdw]))+";

/// Divides every duration in rules, or in settings of Prometheus or Alertmanager, by `by`. Other
/// numbers, such as counts and shares, stay the same.
pub fn scaled(rules: &str, by: u64) -> String {
    let written = format!(r"(\[|:|interval: |group_wait: |for: )({SPAN})\b");
    let text = Regex::new(&written)
        .unwrap()
        .replace_all(rules, |found: &Captures<'_>| {
            format!("{}{}ms", &found[1], milliseconds(&found[2]) / by)
        });
    let products = Regex::new(r"\b([0-9]+ \* 60)\b").unwrap();
    let text = products.replace_all(&text, |found: &Captures<'_>| {
        format!("({} / {by})", &found[1])
    });
    text.into_owned()
}

/// Adds the labels that the Prometheus operator gives to scraped series. Each instance becomes a
/// separate pod. Recorded series get no additional labels.
pub fn in_a_cluster(cases: &str) -> String {
    let series = Regex::new(r#"(series: '[a-z_]+\{)([^}]*instance="([^"]*)")"#).unwrap();
    let text = series.replace_all(cases, |found: &Captures<'_>| {
        let [_, begun, labels, instance] = [0, 1, 2, 3].map(|group| &found[group]);
        format!(
            "{begun}namespace=\"monitoring\", service=\"vobiz-exporter\", container=\"exporter\", \
             endpoint=\"metrics\", pod=\"vobiz-exporter-{instance}\", {labels}"
        )
    });
    text.into_owned()
}

/// The milliseconds of a duration in Prometheus's notation.
pub fn milliseconds(span: &str) -> u64 {
    let parts = Regex::new(r"([0-9]+)(ms|[smhdw])").unwrap();
    let part = |found: Captures<'_>| {
        let unit = match &found[2] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 604_800_000,
        };
        found[1].parse::<u64>().unwrap() * unit
    };
    parts.captures_iter(span).map(part).sum()
}

#[test]
fn durations_are_scaled_in_every_form_and_other_numbers_are_not() {
    let rules =
        "interval: 1m\nexpr: x[10m] < time() - 5 * 60 and y[1h:1m] >= 10 and 0.75 * z\nfor: 10m";
    assert_eq!(
        scaled(rules, 60),
        "interval: 1000ms\nexpr: x[10000ms] < time() - (5 * 60 / 60) and y[60000ms:1000ms] >= 10 and 0.75 * z\n\
         for: 10000ms"
    );
}

#[test]
fn a_cluster_adds_its_labels_to_scraped_samples_only() {
    let cases = "series: 'up{job=\"j\", instance=\"a\"}'\nseries: 'job:up:max{job=\"j\", instance=\"a\"}'\n\
                 exp_labels: {instance: a}";
    assert_eq!(
        in_a_cluster(cases),
        "series: 'up{namespace=\"monitoring\", service=\"vobiz-exporter\", container=\"exporter\", \
         endpoint=\"metrics\", pod=\"vobiz-exporter-a\", job=\"j\", instance=\"a\"}'\n\
         series: 'job:up:max{job=\"j\", instance=\"a\"}'\nexp_labels: {instance: a}"
    );
}

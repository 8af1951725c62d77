//! Evaluates the shipped alert rules over the samples of a week.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
};

use jiff::Timestamp;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use super::fleet::{END, MINUTE, START};
use crate::{
    harness::{Prometheus, tool},
    rules::{RULES, milliseconds, path, read},
};

/// A time in which an alert fires for the same labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firing {
    pub time: (i64, i64),
    /// The name of the alert without `Vobiz`.
    pub alert: String,
    /// The group, and the alias of the endpoint.
    pub group: String,
    pub alias: String,
    /// The other labels of the expression.
    pub labels: Vec<String>,
    pub is_critical: bool,
}

impl Firing {
    /// An expected firing.
    pub fn of(alert: &str, group: &str, alias: &str, time: Range<i64>) -> Self {
        Self {
            time: (time.start, time.end),
            alert: alert.to_owned(),
            group: group.to_owned(),
            alias: alias.to_owned(),
            labels: Vec::new(),
            is_critical: false,
        }
    }
}

impl Firing {
    /// Whether both are of the same alert about the same endpoint or group.
    pub fn is_about(&self, other: &Self) -> bool {
        let key = |one: &Self| [&one.alert, &one.group, &one.alias].map(Clone::clone);
        key(self) == key(other)
    }

    /// Whether both fire at the same times for the same group, so that one message reports them.
    pub fn is_in_one_message(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.time, one.alert.clone(), one.group.clone());
        key(self) == key(other)
    }

    /// Whether both fire at some time, give or take three minutes.
    pub fn overlaps(&self, other: &Self) -> bool {
        let margin = 3 * MINUTE;
        self.time.0 <= other.time.1 + margin && other.time.0 <= self.time.1 + margin
    }
}

impl fmt::Display for Firing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = |at: i64| {
            let time = Timestamp::from_second(at)
                .unwrap()
                .in_tz("Asia/Kolkata")
                .unwrap();
            time.strftime("%a %H:%M").to_string()
        };
        let (from, to) = self.time;
        let grade = if self.is_critical { "critical" } else { "" };
        write!(
            out,
            "{} to {}  {grade:8}  {:20}",
            local(from),
            local(to),
            self.alert
        )?;
        write!(
            out,
            " {:14}  {}",
            if self.alias.is_empty() {
                &self.group
            } else {
                &self.alias
            },
            self.labels.join(" ")
        )
    }
}

/// An alerting rule.
struct Rule {
    name: String,
    expression: String,
    labels: BTreeMap<String, String>,
    waits: i64,
    keeps_firing: i64,
}

fn rules() -> Vec<Rule> {
    let document = YamlLoader::load_from_str(&read(RULES)).unwrap().remove(0);
    let groups = document["groups"].as_vec().unwrap();
    let all = groups
        .iter()
        .flat_map(|group| group["rules"].as_vec().unwrap());
    let seconds = |yaml: &Yaml| {
        let text = yaml.as_str().unwrap_or("0s");
        i64::try_from(milliseconds(text) / 1000).unwrap()
    };
    let rule = |yaml: &Yaml| {
        let labels = yaml["labels"].as_hash().into_iter().flatten();
        let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
        Some(Rule {
            name: yaml["alert"]
                .as_str()?
                .trim_start_matches("Vobiz")
                .to_owned(),
            expression: text(&yaml["expr"]),
            labels: labels
                .map(|(key, value)| (text(key), text(value)))
                .collect(),
            waits: seconds(&yaml["for"]),
            keeps_firing: seconds(&yaml["keep_firing_for"]),
        })
    };
    all.filter_map(rule).collect()
}

/// Whether a rule uses a metric with this name.
pub fn uses() -> impl Fn(&str) -> bool {
    let text = read(RULES);
    let is_part = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == ':';
    let words = text.split(move |one| !is_part(one)).map(str::to_owned);
    let words: BTreeSet<String> = words.collect();
    move |name| words.contains(name)
}

/// A Prometheus with the blocks of `data`, and no scrapes.
async fn prometheus(data: &Path) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(data, folder.path().join("data")).unwrap();
    let arguments = [
        // The blocks have no staleness markers, so a sample is used until the next scrape only.
        "--query.lookback-delta=59s",
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
    ];
    Prometheus::configured(folder, "global: {}\n", &arguments).await
}

/// Writes the recorded series of the rules into `data`.
async fn record(data: &Path) {
    let prometheus = prometheus(data).await;
    let output = tokio::process::Command::new(tool("PROMTOOL", "promtool"))
        .args(["tsdb", "create-blocks-from", "rules", "--quiet"])
        .arg(format!("--url=http://{}", prometheus.address()))
        .args([format!("--start={START}"), format!("--end={END}")])
        .arg(format!("--output-dir={}", data.display()))
        .arg(path(RULES))
        .output();
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// All firings of all alerts in the week, sorted by time. `alias` returns the alias of an endpoint id.
pub async fn firings(data: &Path, alias: impl Fn(&str) -> String) -> Vec<Firing> {
    record(data).await;
    let prometheus = prometheus(data).await;
    let mut firings = Vec::new();
    for rule in rules() {
        let range = (START + MINUTE, END, MINUTE);
        // A label that the rule sets is not a part of the identity of the series.
        let mut times: BTreeMap<Vec<(String, String)>, BTreeSet<i64>> = BTreeMap::new();
        for (labels, samples) in prometheus.range(&rule.expression, range).await {
            let Value::Object(labels) = labels else {
                panic!("labels are an object")
            };
            let labels = labels
                .into_iter()
                .filter(|(name, _)| !rule.labels.contains_key(name));
            let text = |value: Value| value.as_str().unwrap().to_owned();
            let labels = labels.map(|(name, value)| (name, text(value))).collect();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a step is at a whole second"
            )]
            let samples = samples.into_iter().map(|(at, _)| at as i64);
            times.entry(labels).or_default().extend(samples);
        }
        for (labels, times) in times {
            let of_rule = runs(&rule, &times).into_iter();
            firings.extend(of_rule.map(|time| firing(&rule, &labels, time, &alias)));
        }
    }
    firings.sort();
    firings
}

/// The times in which the alert fires. `times` are the evaluations with a result.
fn runs(rule: &Rule, times: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for &at in times {
        match runs.last_mut() {
            // One evaluation without a result is a matter of the resolution.
            Some((_, to)) if at <= *to + MINUTE + rule.keeps_firing => *to = at + MINUTE,
            _ => runs.push((at, at + MINUTE)),
        }
    }
    let fires = |(from, to): (i64, i64)| {
        let from = from + rule.waits;
        (from < to).then_some((from, to + rule.keeps_firing))
    };
    runs.into_iter().filter_map(fires).collect()
}

fn firing(
    rule: &Rule,
    labels: &[(String, String)],
    time: (i64, i64),
    alias: impl Fn(&str) -> String,
) -> Firing {
    let value = |name: &str| {
        let found = labels.iter().find(|label| label.0 == name);
        found.map_or("", |label| &*label.1)
    };
    let severity = &*rule.labels["severity"];
    let is_worst = value("grade") == "major" || value("watch") == "page";
    let shown = ["scope", "slot", "grade", "usual", "watch"].into_iter();
    let shown = shown.filter(|name| !value(name).is_empty());
    Firing {
        time,
        alert: rule.name.clone(),
        group: value("group").to_owned(),
        alias: match value("endpoint_id") {
            "" => String::new(),
            id => alias(id),
        },
        labels: shown
            .map(|name| format!("{name}={}", value(name)))
            .collect(),
        is_critical: severity == "critical" || severity.contains("{{") && is_worst,
    }
}

//! A small parser of the Prometheus text format and of `OpenMetrics`, based on their specifications.

use std::collections::{BTreeMap, BTreeSet};

use crate::telemetry::catalogue::{Kind, Metric};

/// One sample: name, labels, and the value as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: String,
}

impl Sample {
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All samples of an exposition.
pub(super) fn samples(text: &str) -> Vec<Sample> {
    // Only a line feed ends a line; a label value can contain other control characters.
    let lines = text.split('\n').filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(sample)
        .collect()
}

fn sample(line: &str) -> Sample {
    let end_of_name = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end_of_name);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = quoted(after);
            let twice = labels.insert(label.to_owned(), value);
            assert_eq!(twice, None, "a label twice in {line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap().to_owned();
    value.replace("+Inf", "inf").parse::<f64>().unwrap();
    Sample {
        name: name.to_owned(),
        labels,
        value,
    }
}

/// The unescaped text before the closing quote, and the unread text after the quote.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().unwrap().1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("unknown escape {other}"),
            },
            other => value.push(other),
        }
    }
    panic!("no closing quote in {text}");
}

/// Checks the form of an exposition and returns its samples. All samples of a family must follow its metadata.
/// The families must be in the order of the catalogue of metrics. Each sample must have the labels of the
/// catalogue. Only `username` may be absent; only a bucket may have further labels. No series may occur twice.
pub(super) fn checked(text: &str) -> Vec<Sample> {
    let mut last = None;
    let mut described = BTreeSet::new();
    let mut current: Option<Metric> = None;
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, kind) = comment.split_once(' ').unwrap();
            let metric = Metric::named(name)
                .or_else(|| Metric::named(&format!("{name}_total")))
                .unwrap();
            assert_eq!(metric.family().kind.word(), kind);
            assert!(last < Some(metric), "{name} is out of order");
            assert!(described.insert(name.to_owned()));
            last = Some(metric);
            current = Some(metric);
        } else if !line.starts_with('#') {
            let sample = sample(line);
            belongs(&sample, current.expect("metadata comes first"));
        }
    }
    let samples = samples(text);
    let series: BTreeSet<_> = samples
        .iter()
        .map(|sample| (&sample.name, &sample.labels))
        .collect();
    assert_eq!(series.len(), samples.len(), "a series stands twice");
    samples
}

fn belongs(sample: &Sample, metric: Metric) {
    let family = metric.family();
    let suffixes: &[&str] = match family.kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::Gauge | Kind::Counter => &[""],
    };
    let suffix = sample.name.strip_prefix(family.name);
    assert!(
        suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
        "{} stands below {}",
        sample.name,
        family.name
    );
    for label in sample.labels.keys() {
        let known = family.labels.contains(&label.as_str()) || suffix == Some("_bucket");
        assert!(known, "{label} of {}", sample.name);
    }
    for label in family.labels {
        let there = sample.labels.contains_key(*label) || *label == "username";
        assert!(there, "{} lacks {label}", sample.name);
    }
}

/// The value of the only series with this name and these labels. The series may have further
/// labels.
pub(super) fn value<'a>(
    samples: &'a [Sample],
    name: &str,
    labels: &[(&str, &str)],
) -> Option<&'a str> {
    let mut found = samples.iter().filter(|sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(label, value)| sample.label(label) == *value)
    });
    let first = found.next()?;
    assert_eq!(found.next(), None, "more than one {name}{labels:?}");
    Some(&first.value)
}

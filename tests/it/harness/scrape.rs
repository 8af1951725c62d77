//! The samples of an exposition.

use std::collections::BTreeMap;

use vobiz_exporter::telemetry::catalogue::{Metric, Part};

/// All samples of an exposition: the value of each series.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
    /// The text of the exposition.
    pub text: String,
}

impl Scrape {
    /// Parses the Prometheus text format. Panics if a line is invalid or a series occurs twice.
    pub fn read(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let value = value
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}"));
            let before = samples.insert(series.to_owned(), value);
            assert!(before.is_none(), "the series stands twice: {series}");
        }
        Self {
            samples,
            text: text.to_owned(),
        }
    }

    /// The samples of a family, each with its labels as text.
    pub fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.samples.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, *value))
        })
    }

    /// The value of the sample with all `labels`, each as `name="value"`. Panics if several match.
    pub fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut found = self
            .family(name)
            .filter(|(has, _)| labels.iter().all(|label| has.contains(label)))
            .map(|(_, value)| value);
        let value = found.next()?;
        assert!(
            found.next().is_none(),
            "{name} with {labels:?} is not one series"
        );
        Some(value)
    }

    /// The number of the family's samples that have all `labels`, each as `name="value"`.
    pub fn count(&self, name: &str, labels: &[&str]) -> usize {
        self.family(name)
            .filter(|(has, _)| labels.iter().all(|label| has.contains(label)))
            .count()
    }

    /// The value of `vobiz_up` for an account.
    pub fn up(&self, account: &str) -> Option<f64> {
        self.value("vobiz_up", &[&format!("account=\"{account}\"")])
    }
}

impl Scrape {
    /// The present condition of an account. Panics unless the account has exactly one.
    pub fn condition(&self, account: &str) -> String {
        let all = self.of_account("vobiz_account_condition", account);
        let present: Vec<_> = all.filter(|(_, value)| *value > 0.0).collect();
        let [(labels, _)] = present[..] else {
            panic!("the account has one condition: {present:?}");
        };
        label(labels, "condition").to_owned()
    }

    /// The endpoints of an account: the id, and the value of `vobiz_endpoint_registered` if this
    /// sample exists.
    pub fn endpoints(&self, account: &str) -> BTreeMap<String, Option<bool>> {
        let mut states: BTreeMap<_, _> = self
            .of_account("vobiz_endpoint_registered", account)
            .map(|(labels, value)| (label(labels, "endpoint_id"), value != 0.0))
            .collect();
        let shown = self
            .of_account("vobiz_endpoint_info", account)
            .map(|(labels, _)| label(labels, "endpoint_id"))
            .map(|id| (id.to_owned(), states.remove(id)))
            .collect();
        assert!(states.is_empty(), "states without an endpoint: {states:?}");
        shown
    }

    /// All samples from an account's snapshot. A failed walk does not change them, and a withdrawal
    /// removes them.
    pub fn snapshot(&self, account: &str) -> BTreeMap<&str, f64> {
        let is_of_snapshot = |name| {
            let metric = Metric::named(name);
            metric.is_some_and(|metric| metric.family().part == Part::Snapshot)
        };
        let account = format!("account=\"{account}\"");
        self.samples
            .iter()
            .filter(|(series, _)| {
                let name = series.split('{').next().unwrap_or_default();
                is_of_snapshot(name) && series.contains(&account)
            })
            .map(|(series, value)| (series.as_str(), *value))
            .collect()
    }

    /// Splits the samples with the label `account` into one `Scrape` per account, without `text`.
    pub fn by_account(self) -> BTreeMap<String, Self> {
        let mut accounts: BTreeMap<String, Self> = BTreeMap::new();
        for (series, value) in self.samples {
            if series.contains("account=\"") {
                let account = label(&series, "account").to_owned();
                let of_account = accounts.entry(account).or_default();
                of_account.samples.insert(series, value);
            }
        }
        accounts
    }

    /// An account's samples of a family, each with its labels as text.
    pub fn of_account<'a>(
        &'a self,
        name: &'a str,
        account: &str,
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let account = format!("account=\"{account}\"");
        self.family(name)
            .filter(move |(labels, _)| labels.contains(&account))
    }

    /// The value of an account's sample in a family. Panics if the account has several samples.
    pub fn only(&self, name: &str, account: &str) -> Option<f64> {
        self.value(name, &[&format!("account=\"{account}\"")])
    }

    /// Maps each value of the label `by` to the value of an account's counter. Omits zeros.
    pub fn counted(&self, name: &str, account: &str, by: &str) -> BTreeMap<&str, f64> {
        let name = format!("{name}{{");
        let account = format!("account=\"{account}\"");
        self.samples
            .iter()
            .filter(|(series, value)| {
                series.starts_with(&name) && series.contains(&account) && **value > 0.0
            })
            .map(|(series, value)| (label(series, by), *value))
            .collect()
    }

    /// The end of the last published walk, in Unix seconds.
    pub fn last_success(&self, account: &str) -> Option<f64> {
        self.only("vobiz_walk_last_success_timestamp_seconds", account)
    }
}

/// The escaped value of a label.
pub fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let begin = format!("{name}=\"");
    let value = labels.match_indices(&begin).find_map(|(at, _)| {
        let starts = matches!(labels.as_bytes().get(at.checked_sub(1)?), Some(b'{' | b','));
        starts.then(|| &labels[at + begin.len()..])
    });
    let value = value.unwrap_or_else(|| panic!("no {name} in {labels}"));
    let mut escaped = false;
    let end = value.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    });
    &value[..end.expect("a value ends with a quote")]
}

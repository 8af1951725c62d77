//! An exposition as Prometheus reads it.

use std::collections::BTreeMap;

/// Samples by name and labels.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
    /// The text it was read from.
    pub text: String,
}

impl Scrape {
    /// Reads text format 0.0.4; panics on a line that is none, and on a series that stands twice.
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

    /// The samples of a family, each with its labels as written.
    pub fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.samples.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, *value))
        })
    }

    /// The only sample of a family whose labels hold all of `labels` (each as `name="value"`).
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

    /// How many samples of a family have all of `labels`.
    pub fn count(&self, name: &str, labels: &[&str]) -> usize {
        self.family(name)
            .filter(|(has, _)| labels.iter().all(|label| has.contains(label)))
            .count()
    }

    /// `vobiz_up` of an account.
    pub fn up(&self, account: &str) -> Option<f64> {
        self.value("vobiz_up", &[&format!("account=\"{account}\"")])
    }
}

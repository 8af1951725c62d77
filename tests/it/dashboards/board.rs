//! The dashboards as parsed JSON, and the queries that Grafana sends for them.

use std::time::Duration;

use serde_json::Value;

use crate::{
    harness::Prometheus,
    rules::{milliseconds, path, read},
};

/// The folder of the dashboards, relative to the root of the repository.
pub const FOLDER: &str = "grafana/dashboards";
/// The names of all dashboard files.
pub const FILES: [&str; 3] = [
    "vobiz-endpoint.json",
    "vobiz-exporter.json",
    "vobiz-fleet.json",
];

/// One dashboard.
pub struct Board {
    pub json: Value,
}

/// A query of a panel, an annotation or a variable.
pub struct Query {
    /// The dashboard, the title of the panel, and the letter of the query.
    pub place: String,
    pub expression: String,
    pub instant: bool,
    /// The minimum step of the query, or zero if the panel sets no minimum.
    least: Duration,
}

/// The time range of an open dashboard, the scrape interval of its data source, and the chosen endpoint.
pub struct View<'a> {
    pub range: Duration,
    pub scrape: Duration,
    pub endpoint: &'a str,
}

/// Reads all dashboards.
pub fn boards() -> Vec<Board> {
    let board = |file| Board {
        json: serde_json::from_str(&read(&format!("{FOLDER}/{file}"))).unwrap(),
    };
    assert_eq!(path(FOLDER).read_dir().unwrap().count(), FILES.len());
    FILES.into_iter().map(board).collect()
}

/// The text of a JSON string, or the empty string for any other value.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The entries of a JSON array, or an empty slice for any other value.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Board {
    /// The fixed id of the dashboard in URLs.
    pub fn uid(&self) -> &str {
        text(&self.json["uid"])
    }

    /// The default time range of the dashboard.
    pub fn range(&self) -> Duration {
        let from = text(&self.json["time"]["from"]).strip_prefix("now-");
        Duration::from_millis(milliseconds(from.unwrap()))
    }

    /// The panels that show data, in the order of the dashboard.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        let panels = list(&self.json["panels"]).iter();
        panels.filter(|panel| panel["type"] != "row")
    }

    /// The names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let variables = list(&self.json["templating"]["list"]).iter();
        variables.map(|variable| text(&variable["name"]))
    }

    /// The queries of a panel.
    pub fn queries_of(&self, panel: &Value) -> Vec<Query> {
        let query = |target: &Value| Query {
            place: format!(
                "{}, {} {}",
                self.uid(),
                text(&panel["title"]),
                text(&target["refId"])
            ),
            expression: text(&target["expr"]).to_owned(),
            instant: target["instant"] == true,
            least: Duration::from_millis(milliseconds(text(&panel["interval"]))),
        };
        list(&panel["targets"]).iter().map(query).collect()
    }

    /// The queries of all panels, annotations and variables.
    pub fn queries(&self) -> Vec<Query> {
        let panels = self.panels().flat_map(|panel| self.queries_of(panel));
        let annotations = list(&self.json["annotations"]["list"]).iter();
        let annotations = annotations.map(|one| (&one["name"], text(&one["expr"]).to_owned()));
        let variables = list(&self.json["templating"]["list"]).iter();
        let variables = variables.filter(|one| one["type"] == "query");
        let variables = variables.map(|one| (&one["name"], values(text(&one["query"]["query"]))));
        let others = annotations
            .chain(variables)
            .map(|(name, expression)| Query {
                place: format!("{}, {}", self.uid(), text(name)),
                expression,
                instant: true,
                least: Duration::ZERO,
            });
        panels.chain(others).collect()
    }

    /// The query at this place: the title of a panel, and the letter of the query.
    pub fn query(&self, place: &str) -> Query {
        let place = format!("{}, {place}", self.uid());
        let mut queries = self.queries().into_iter();
        let found = queries.find(|query| query.place == place);
        found.unwrap_or_else(|| panic!("there is no {place}"))
    }
}

/// The PromQL of a variable's query: `x` for `query_result(x)`, and a count for `label_values`.
fn values(query: &str) -> String {
    let (function, arguments) = query.strip_suffix(')').unwrap().split_once('(').unwrap();
    if function == "query_result" {
        return arguments.to_owned();
    }
    let (series, label) = arguments.rsplit_once(", ").unwrap();
    format!("count by ({label}) ({series})")
}

impl View<'_> {
    /// The value of `$__interval`, which is also the step of a range query: a panel has at most a thousand points.
    pub fn step(&self, query: &Query) -> Duration {
        (self.range / 1000).max(self.scrape).max(query.least)
    }

    /// The series of a query: labels, and pairs of Unix time and value. A range query covers the visible time.
    pub async fn ask(
        &self,
        prometheus: &Prometheus,
        query: &Query,
        now: i64,
    ) -> Vec<(Value, Vec<(f64, f64)>)> {
        let expression = self.fill(query);
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
        if !query.instant {
            let steps = (now - seconds(self.range), now, seconds(self.step(query)));
            return prometheus.range(&expression, steps).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let time = now as f64;
        let samples = prometheus.query_at(&expression, time).await.into_iter();
        samples
            .map(|one| (one.labels, vec![(time, one.value)]))
            .collect()
    }

    /// The expression in which each variable has a value. Fails if a variable remains.
    pub fn fill(&self, query: &Query) -> String {
        let step = self.step(query);
        let rate = (step + self.scrape).max(4 * self.scrape);
        let mut text = query.expression.clone();
        for (variable, value) in [
            ("$__rate_interval", format!("{}s", rate.as_secs())),
            ("$__range_s", self.range.as_secs().to_string()),
            ("$__range", format!("{}s", self.range.as_secs())),
            ("$job", ".+".to_owned()),
            ("$account", ".*".to_owned()),
            ("$group", ".*".to_owned()),
            ("$search", String::new()),
            ("$endpoint", self.endpoint.to_owned()),
        ] {
            text = text.replace(variable, &value);
        }
        // Only `$1` may remain, which is an argument of `label_replace` and no variable of Grafana.
        assert!(!text.replace("\"$1\"", "").contains('$'), "{text}");
        text
    }
}

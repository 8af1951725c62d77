//! The dashboards as parsed JSON.

use std::time::Duration;

use serde_json::Value;

use crate::rules::{milliseconds, path, read};

/// The folder of the dashboards, relative to the root of the repository.
pub const FOLDER: &str = "grafana/dashboards";
/// The names of all dashboard files.
pub const FILES: [&str; 3] = [
    "vobiz-endpoint.json",
    "vobiz-exporter.json",
    "vobiz-fleet.json",
];

/// One dashboard.
#[derive(Debug, Clone)]
pub struct Board {
    pub json: Value,
}

/// A panel that shows data. A row only groups panels and is no `Panel`.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The dashboard and the title of the panel.
    pub place: String,
    pub title: String,
    pub json: Value,
}

/// A query of a panel.
#[derive(Debug, Clone)]
pub struct Query {
    pub letter: String,
    pub expression: String,
    pub instant: bool,
    /// The minimum step of the query, or zero if the panel sets no minimum.
    pub least: Duration,
}

impl Query {
    /// Creates an instant query.
    pub fn now(expression: String) -> Self {
        Self {
            letter: String::new(),
            expression,
            instant: true,
            least: Duration::ZERO,
        }
    }
}

/// Reads all dashboards. Fails if the files in the folder differ from `FILES`.
pub fn boards() -> Vec<Board> {
    let mut files: Vec<_> = std::fs::read_dir(path(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, FILES);
    let board = |file: &String| Board {
        json: serde_json::from_str(&read(&format!("{FOLDER}/{file}"))).unwrap(),
    };
    files.iter().map(board).collect()
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

    /// All panels in the order of the dashboard.
    pub fn panels(&self) -> Vec<Panel> {
        let panels = list(&self.json["panels"]).iter();
        let panels = panels.filter(|panel| panel["type"] != "row");
        panels
            .map(|json| Panel {
                place: format!("{}, {}", self.uid(), text(&json["title"])),
                title: text(&json["title"]).to_owned(),
                json: json.clone(),
            })
            .collect()
    }

    /// The panel with this title.
    pub fn panel(&self, title: &str) -> Panel {
        let mut panels = self.panels().into_iter();
        let panel = panels.find(|panel| panel.title == title);
        panel.unwrap_or_else(|| panic!("{} has no panel {title}", self.uid()))
    }

    /// The variables of the dashboard.
    pub fn variables(&self) -> &[Value] {
        list(&self.json["templating"]["list"])
    }

    /// The queries of annotations and variables, each with the name of its annotation or variable.
    pub fn others(&self) -> Vec<(String, Query)> {
        let annotations = list(&self.json["annotations"]["list"]).iter();
        let annotations = annotations.map(|one| {
            let place = format!("{}, annotation {}", self.uid(), text(&one["name"]));
            (place, text(&one["expr"]).to_owned())
        });
        let variables = self.variables().iter();
        let variables = variables.filter(|one| one["type"] == "query").map(|one| {
            let place = format!("{}, variable {}", self.uid(), text(&one["name"]));
            (place, read_from(text(&one["query"]["query"])))
        });
        let others = annotations.chain(variables);
        others
            .map(|(place, expression)| (place, Query::now(expression)))
            .collect()
    }
}

/// The PromQL of a variable's query: `x` for `query_result(x)`, and a count for `label_values`.
fn read_from(query: &str) -> String {
    let inner = query
        .strip_prefix("query_result(")
        .and_then(|rest| rest.strip_suffix(')'))
        .map(str::to_owned);
    let values = || {
        let rest = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (series, label) = rest.rsplit_once(", ")?;
        Some(format!("count by ({label}) ({series})"))
    };
    inner
        .or_else(values)
        .unwrap_or_else(|| panic!("{query} is read from nothing"))
}

impl Panel {
    /// The description of the panel.
    pub fn description(&self) -> &str {
        text(&self.json["description"])
    }

    /// All queries of the panel.
    pub fn queries(&self) -> Vec<Query> {
        let targets = list(&self.json["targets"]).iter();
        targets
            .map(|target| Query {
                letter: text(&target["refId"]).to_owned(),
                expression: text(&target["expr"]).to_owned(),
                instant: target["instant"] == true,
                least: Duration::from_millis(milliseconds(text(&self.json["interval"]))),
            })
            .collect()
    }

    /// The query with this letter as its `refId`.
    pub fn query(&self, letter: &str) -> Query {
        let mut queries = self.queries().into_iter();
        queries.find(|query| query.letter == letter).unwrap()
    }
}

//! The paths of the shipped files, and the parsed rules.

use std::{fs, path::PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

/// The rules, relative to the root of the repository.
pub const RULES: &str = "deploy/prometheus/rules/vobiz-exporter.yml";
/// The folder of the promtool cases.
pub const CASES: &str = "deploy/prometheus/tests";
/// The example configuration of Prometheus.
pub const PROMETHEUS: &str = "deploy/prometheus/prometheus.yml";
/// The example configuration of Alertmanager.
pub const ALERTMANAGER: &str = "deploy/alertmanager/alertmanager.yml";

/// An alerting rule.
#[derive(Debug, Clone)]
pub struct Alert {
    pub name: String,
    pub expression: String,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
}

/// A recording rule.
#[derive(Debug, Clone)]
pub struct Record {
    pub name: String,
    pub expression: String,
}

/// The rules of a rule group, in the order of the file.
#[derive(Debug, Clone)]
pub struct Group {
    pub records: Vec<Record>,
    pub alerts: Vec<Alert>,
}

/// The path of a file in the repository.
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text of a file in the repository.
pub fn read(file: &str) -> String {
    let path = path(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files with this ending in a folder of the repository, in sorted order.
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

/// All rule groups.
pub fn groups() -> Vec<Group> {
    let document = YamlLoader::load_from_str(&read(RULES)).unwrap().remove(0);
    let groups = document["groups"].as_vec().unwrap();
    groups.iter().map(group).collect()
}

/// All alerting rules.
pub fn alerts() -> Vec<Alert> {
    groups()
        .into_iter()
        .flat_map(|group| group.alerts)
        .collect()
}

impl Alert {
    /// The value of a label or an annotation.
    pub fn tells(&self, name: &str) -> &str {
        let values = self.labels.iter().chain(&self.annotations);
        let mut values = values.filter_map(|(key, value)| (key == name).then_some(value));
        values
            .next()
            .unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }
}

fn group(yaml: &Yaml) -> Group {
    let (mut records, mut alerts) = (Vec::new(), Vec::new());
    for rule in yaml["rules"].as_vec().unwrap() {
        let expression = rule["expr"].as_str().unwrap().to_owned();
        if let Some(name) = rule["record"].as_str() {
            let name = name.to_owned();
            records.push(Record { name, expression });
            continue;
        }
        alerts.push(Alert {
            name: rule["alert"].as_str().unwrap().to_owned(),
            expression,
            labels: pairs(&rule["labels"]),
            annotations: pairs(&rule["annotations"]),
        });
    }
    Group { records, alerts }
}

fn pairs(yaml: &Yaml) -> Vec<(String, String)> {
    let entries = yaml.as_hash().unwrap().iter();
    let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
    entries
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

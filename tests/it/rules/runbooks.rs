//! Every alert has labels, texts, a runbook and a line in the documentation.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    catalogue::check,
    shipped::{Alert, alerts, files, read},
};
use crate::harness::{judge, tool};

const FOLDER: &str = "docs/runbooks";
const SECTIONS: [&str; 4] = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];
/// Files in the folder that are no runbook of an alert.
const OTHERS: [&str; 2] = ["README.md", "maintenance.md"];

/// The URL of an alert's runbook in the repository that `Cargo.toml` names. If `Cargo.toml` names
/// no repository, the URL is a relative path.
fn address(alert: &Alert) -> String {
    let page = format!("{FOLDER}/{}.md", alert.name);
    match env!("CARGO_PKG_REPOSITORY") {
        "" => page,
        repository => format!("{repository}/blob/main/{page}"),
    }
}

#[test]
fn every_alert_has_its_labels_and_texts() {
    let dashboards = ["/d/vobiz-fleet", "/d/vobiz-endpoint", "/d/vobiz-exporter"];
    let mut names = BTreeSet::new();
    for alert in alerts() {
        assert!(alert.name.starts_with("Vobiz"), "{}", alert.name);
        assert!(
            names.insert(alert.name.clone()),
            "{} stands twice",
            alert.name
        );
        let labels: Vec<_> = alert.labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(labels, ["severity", "scope"], "{}", alert.name);
        assert!(["critical", "warning", "info"].contains(&alert.tells("severity")));
        assert_eq!(alert.tells("runbook_url"), address(&alert));
        let (dashboard, about) = alert
            .tells("dashboard_url")
            .split_once('?')
            .unwrap_or_default();
        let dashboard = dashboard.split("{{").next().unwrap();
        assert!(
            dashboards.contains(&dashboard),
            "{}: {dashboard}",
            alert.name
        );
        let expected = match alert.tells("scope") {
            "target" => "var-job={{ $labels.job",
            "endpoint" => "&var-endpoint={{ $labels.endpoint_id | urlquery }}&var-search=",
            "group" => "&var-group={{ $labels.group",
            _ => "var-account={{",
        };
        assert!(about.contains(expected), "{}: {about}", alert.name);
        assert!(!alert.tells("summary").ends_with('.'), "{}", alert.name);
        assert!(alert.tells("description").contains('.'), "{}", alert.name);
    }
    assert!(names.len() > 25);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut pages: BTreeSet<_> = files(FOLDER, ".md").into_iter().collect();
    for other in OTHERS {
        assert!(pages.remove(other), "{other} is missing");
    }
    let named: BTreeSet<_> = alerts()
        .iter()
        .map(|alert| format!("{}.md", alert.name))
        .collect();
    assert_eq!(pages, named);
    for page in &pages {
        let text = read(&format!("{FOLDER}/{page}"));
        let name = page.trim_end_matches(".md");
        assert!(text.starts_with(&format!("# {name}\n")), "{page}");
        let mut rest = text.as_str();
        for section in SECTIONS {
            let (_, after) = rest
                .split_once(&format!("\n{section}\n"))
                .unwrap_or_else(|| panic!("{page} lacks, here or at all: {section}"));
            assert!(after.trim_start().len() > 40, "{page}: {section} is empty");
            rest = after;
        }
        let diagnosis = text.split("## Diagnosis").nth(1).unwrap();
        let diagnosis = diagnosis.split("## Mitigation").next().unwrap();
        assert!(
            diagnosis.contains("```"),
            "{page} diagnoses without a query"
        );
    }
}

#[tokio::test]
async fn the_queries_of_the_runbooks_are_valid() {
    let mut rules = String::from("groups:\n  - name: runbooks\n    rules:\n");
    let mut queries = 0;
    for page in files(FOLDER, ".md") {
        let text = read(&format!("{FOLDER}/{page}"));
        for block in text.split("```promql\n").skip(1) {
            for query in block.split("```").next().unwrap().split("\n\n") {
                check(&page, query);
                queries += 1;
                rules.push_str("      - record: runbook:query:number");
                rules.push_str(&queries.to_string());
                rules.push_str("\n        expr: |\n");
                for line in query.trim().lines() {
                    rules.extend(["          ", line, "\n"]);
                }
            }
        }
    }
    assert!(queries > 30, "{queries}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runbooks.yml");
    std::fs::write(&file, &rules).unwrap();
    let file = file.display().to_string();
    let verdict = judge(
        &tool("PROMTOOL", "promtool"),
        &["check", "rules", &file],
        "",
    )
    .await;
    assert_eq!(verdict.code, Some(0), "{verdict:?}\n{rules}");
}

#[test]
fn the_documentation_lists_every_alert_with_its_severity() {
    let text = read("docs/alerting.md");
    let mut listed = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| [Vobiz")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (name, link) = cells[0].trim_start_matches('[').split_once("](").unwrap();
        assert_eq!(link, format!("runbooks/{name}.md)"));
        listed.insert(name.to_owned(), cells[1].to_owned());
    }
    let alerts = alerts();
    let shipped: BTreeMap<_, _> = alerts
        .iter()
        .map(|alert| (alert.name.clone(), alert.tells("severity").to_owned()))
        .collect();
    assert_eq!(listed, shipped);
}

//! Every alert has labels, texts, a runbook and a line in the documentation.

use std::collections::BTreeSet;

use super::{
    catalogue::check,
    shipped::{alerts, files, read},
};
use crate::harness::{judge, tool};

const FOLDER: &str = "docs/runbooks";
const SECTIONS: [&str; 4] = ["## Do first", "## Meaning", "## Queries", "## Causes"];
/// Files in the folder that are no runbook of an alert.
const OTHERS: [&str; 2] = ["README.md", "maintenance.md"];

#[test]
fn every_alert_has_its_labels_texts_and_links() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = &alert.name;
        assert!(names.insert(name.clone()), "{name} stands twice");
        // A label with an empty value is for the texts only.
        let labels = alert.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<_> = labels.map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["severity"], "{name}");
        let runbook = format!("{{{{ $externalLabels.runbooks_url }}}}/{name}.md");
        assert_eq!(alert.tells("runbook_url"), runbook);
        let dashboard = alert.tells("dashboard_url");
        let dashboards = ["exporter", "fleet", "endpoint"]
            .map(|board| format!("{{{{ $externalLabels.grafana_url }}}}/d/vobiz-{board}"));
        assert!(
            dashboards.iter().any(|one| dashboard.starts_with(one)),
            "{name}"
        );
        assert!(alert.tells("description").contains("Do first: "), "{name}");
    }
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
        let sections: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(sections, SECTIONS, "{page}");
        assert!(text.contains("```promql"), "{page} has no query");
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
fn the_documentation_lists_every_alert() {
    let text = read("docs/alerting.md");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| [Vobiz"));
    let listed: BTreeSet<_> = rows
        .map(|row| {
            let (name, rest) = row.split_once("](").unwrap();
            assert!(
                rest.starts_with(&format!("runbooks/Vobiz{name}.md)")),
                "{row}"
            );
            format!("Vobiz{name}")
        })
        .collect();
    let shipped: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(listed, shipped);
}

//! The queries of the dashboards are valid and use only names that exist.

use std::{fmt::Write as _, time::Duration};

use regex::Regex;

use super::{
    board::{Board, Query, boards},
    grafana::View,
};
use crate::{
    harness::{judge, tool},
    rules::{check, groups},
};

/// Every query of a dashboard, each with the name of its panel, annotation or variable.
fn queries(board: &Board) -> Vec<(String, Query)> {
    let panels = board.panels().into_iter().flat_map(|panel| {
        let place = panel.place.clone();
        let queries = panel.queries().into_iter();
        queries.map(move |query| (format!("{place} {}", query.letter), query))
    });
    panels.chain(board.others()).collect()
}

#[test]
fn every_series_label_and_closed_value_in_a_dashboard_exists() {
    let series = Regex::new(r"\b([a-zA-Z_:]+)\{").unwrap();
    let others = [
        "ALERTS",
        "scrape_samples_scraped",
        "scrape_duration_seconds",
    ];
    let mut seen = 0;
    for board in boards() {
        for (place, query) in queries(&board) {
            check(&place, &query.expression);
            for found in series.captures_iter(&query.expression) {
                let name = &found[1];
                let ours = ["vobiz_", "process_"]
                    .iter()
                    .any(|one| name.starts_with(one));
                let known = ours || name == "up" || name.contains(':') || others.contains(&name);
                assert!(known, "{place}: who shows {name}?");
                seen += 1;
            }
        }
    }
    assert!(seen > 250, "{seen}");
}

/// Queries select alerts by the labels `severity` and `scope`. A rule must set each selected value.
#[test]
fn every_severity_and_scope_in_a_query_is_set_by_a_rule() {
    let asked = Regex::new(r#"\b(severity|scope)(?:=~|=|!=)"([^"]*)""#).unwrap();
    let given: Vec<_> = groups()
        .into_iter()
        .flat_map(|group| group.alerts)
        .flat_map(|alert| alert.labels)
        .collect();
    let mut seen = 0;
    for board in boards() {
        for (place, query) in queries(&board) {
            for found in asked.captures_iter(&query.expression) {
                for value in found[2].split('|') {
                    let known = (found[1].to_owned(), value.to_owned());
                    assert!(given.contains(&known), "{place}: {known:?}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 6, "{seen}");
}

#[tokio::test]
async fn prometheus_parses_every_expression_with_its_variables_replaced() {
    let mut rules = "groups:\n  - name: all\n    rules:\n".to_owned();
    let mut count = 0;
    for board in boards() {
        let view = View::opened(&board, Duration::from_secs(30), "123");
        for (_, query) in queries(&board) {
            let expression = serde_json::to_string(&view.fill(&query)).unwrap();
            writeln!(
                rules,
                "      - {{record: one:of:them{count}, expr: {expression}}}"
            )
            .unwrap();
            count += 1;
        }
    }
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), rules).unwrap();
    let promtool = tool("PROMTOOL", "promtool");
    let path = file.path().to_str().unwrap();
    let verdict = judge(&promtool, &["check", "rules", path], "").await;
    assert_eq!(verdict.code, Some(0), "{verdict:?}");
    let found = format!("{count} rules found");
    assert!(verdict.out.contains(&found) && count > 90, "{verdict:?}");
}

//! promtool accepts the rules, and the promtool cases succeed with Prometheus 2 and 3.

use std::{fs, path::Path};

use super::{
    shipped::{CASES, PROMETHEUS, RULES, alerts, files, path, read},
    text::in_a_cluster,
};
use crate::harness::{Ended, Generation, judge};

/// Runs promtool. If promtool fails, the test fails and shows the output.
async fn promtool(generation: Generation, arguments: &[&str]) -> Ended {
    let ended = judge(&generation.promtool(), arguments, "").await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended
}

#[tokio::test]
async fn promtool_accepts_the_shipped_files() {
    let lint = ["--lint=all", "--lint-fatal"];
    let file = |file: &str| path(file).display().to_string();
    let (rules, prometheus) = (file(RULES), file(PROMETHEUS));
    for generation in Generation::ALL {
        promtool(generation, &["check", "rules", lint[0], lint[1], &rules]).await;
        let checked = ["check", "config", lint[0], lint[1], &prometheus];
        let checked = promtool(generation, &checked).await;
        assert!(checked.out.contains("rules found"), "{checked:?}");
    }
}

#[tokio::test]
async fn every_case_holds_on_prometheus_2() {
    let folder = path(CASES);
    hold(Generation::Two, &folder, &files(CASES, ".yml")).await;
}

/// Prometheus 3 differs from 2: a range excludes a sample that is exactly as old as the range. This
/// test also adds the labels of the Prometheus operator, because a separate run would take long.
#[tokio::test]
async fn every_case_holds_on_prometheus_3_with_the_labels_of_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let (rules, cases) = (folder.path().join("rules"), folder.path().join("tests"));
    fs::create_dir(&rules).unwrap();
    fs::create_dir(&cases).unwrap();
    fs::write(rules.join("vobiz-exporter.yml"), read(RULES)).unwrap();
    let names = files(CASES, ".yml");
    for name in &names {
        let text = in_a_cluster(&read(&format!("{CASES}/{name}")));
        assert!(text.contains(" pod="), "{name}");
        fs::write(cases.join(name), text).unwrap();
    }
    hold(Generation::Three, &cases, &names).await;
}

async fn hold(generation: Generation, folder: &Path, names: &[String]) {
    assert!(names.len() >= 3, "{names:?}");
    // The files run one after another, because other tests already use all processors.
    for name in names {
        let file = folder.join(name).display().to_string();
        let ended = promtool(generation, &["test", "rules", &file]).await;
        assert!(ended.out.contains("SUCCESS"), "{ended:?}");
    }
}

#[test]
fn every_alert_has_cases_in_which_it_fires_with_its_texts_and_is_silent() {
    let cases: Vec<_> = files(CASES, ".yml")
        .iter()
        .map(|name| read(&format!("{CASES}/{name}")))
        .collect();
    for alert in alerts() {
        let name = &alert.name;
        let checks = cases.iter().flat_map(|text| text.split("\n      - "));
        let fires = format!("alertname: {name}\n");
        let fires = |check: &&str| check.starts_with(&fires) && check.contains("summary:");
        assert!(
            checks.clone().any(|check| fires(&check)),
            "{name} never fires"
        );
        let silent = format!("{{alertname: {name}, ");
        let silent = |check: &str| check.starts_with(&silent) && check.contains("exp_alerts: []");
        assert!(checks.clone().any(silent), "{name} is never silent");
    }
}

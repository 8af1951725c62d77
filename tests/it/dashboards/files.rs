//! The files of the dashboards: what the generator writes, what Grafana reads, and the limits of their size.

use std::{fmt::Write as _, time::Duration};

use regex::Regex;
use yaml_rust2::{Yaml, YamlLoader};

use super::board::{Board, FILES, FOLDER, View, boards, text};
use crate::{
    deploy::program,
    harness::{Generation, judge},
    rules::{RULES, check, path, read},
};

#[tokio::test]
async fn the_generator_writes_the_committed_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    let (generator, into) = (path("grafana/generate"), folder.path().to_str().unwrap());
    // `-B` prevents Python from writing cache files into the repository.
    let arguments = ["-B", generator.to_str().unwrap(), into];
    let made = judge(&program("python"), &arguments, "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    for file in FILES {
        let now = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let committed = read(&format!("{FOLDER}/{file}"));
        assert!(now == committed, "{file}: run `make dashboards`");
    }
}

#[test]
fn dashboards_are_small_and_each_panel_is_explained() {
    let boards = boards();
    let document = read("docs/dashboards.md");
    let mut lengths = Vec::new();
    let mut panels = 0;
    for board in &boards {
        for panel in board.panels() {
            let title = text(&panel["title"]);
            let documented = document.contains(&format!("**{title}**"));
            assert!(documented, "docs/dashboards.md lacks {title}");
            assert!(text(&panel["description"]).ends_with('.'), "{title}");
            assert!(
                panel["fieldConfig"]["defaults"]["noValue"].is_string(),
                "{title}"
            );
            let queries = board.queries_of(panel).into_iter();
            lengths.extend(queries.map(|query| query.expression.len()));
            panels += 1;
        }
    }
    assert_eq!(document.matches("**").count(), 2 * panels);
    assert!(panels <= 45, "{panels} panels");
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    let longest = lengths[lengths.len() - 1];
    println!(
        "{panels} panels, {} queries, median {median}, longest {longest}",
        lengths.len()
    );
    assert!(median <= 200 && longest <= 400, "{median}, {longest}");
}

#[tokio::test]
async fn queries_are_valid_and_use_only_metrics_of_the_exporter_and_of_prometheus() {
    let series = Regex::new(r"\b([a-zA-Z_:]+)\{").unwrap();
    let known = Regex::new("^(vobiz_[a-z_]+|process_[a-z_]+|scrape_[a-z_]+|up|ALERTS)$").unwrap();
    let mut rules = "groups:\n  - name: all\n    rules:\n".to_owned();
    for board in boards() {
        let view = View {
            range: board.range(),
            scrape: Duration::from_secs(30),
            endpoint: "123",
        };
        for query in board.queries() {
            check(&query.place, &query.expression);
            for found in series.captures_iter(&query.expression) {
                assert!(known.is_match(&found[1]), "{}: {}", query.place, &found[1]);
            }
            let expression = serde_json::to_string(&view.fill(&query)).unwrap();
            writeln!(rules, "      - {{record: one, expr: {expression}}}").unwrap();
        }
    }
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), rules).unwrap();
    for generation in Generation::ALL {
        let arguments = [
            "check",
            "rules",
            "--lint=none",
            file.path().to_str().unwrap(),
        ];
        let verdict = judge(&generation.promtool(), &arguments, "").await;
        assert_eq!(verdict.code, Some(0), "{verdict:?}");
    }
}

#[test]
fn links_of_alerts_and_of_endpoints_lead_to_dashboards_with_these_variables() {
    let boards = boards();
    let link = Regex::new(r"/d/([a-z-]+)\?([^\s\x22]+)").unwrap();
    let variable = Regex::new(r"var-([a-z]+)=").unwrap();
    let rules = read(RULES);
    let fleet = boards[2].json.to_string();
    let mut seen = 0;
    for found in link.captures_iter(&rules).chain(link.captures_iter(&fleet)) {
        let board = boards.iter().find(|board| board.uid() == &found[1]);
        let board: &Board = board.unwrap_or_else(|| panic!("{}", &found[0]));
        for name in variable.captures_iter(&found[2]) {
            assert!(
                board.variables().any(|one| one == &name[1]),
                "{}",
                &found[0]
            );
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

fn yaml(file: &str) -> Yaml {
    YamlLoader::load_from_str(&read(file)).unwrap().remove(0)
}

#[test]
fn grafana_looks_for_dashboards_where_compose_puts_them() {
    let provider = &yaml("grafana/provisioning/dashboards/vobiz.yaml")["providers"][0];
    let place = provider["options"]["path"].as_str().unwrap();
    let compose = yaml("deploy/compose/compose.yaml");
    let mounts = compose["services"]["grafana"]["volumes"].as_vec().unwrap();
    let mut mounts = mounts.iter().filter_map(Yaml::as_str);
    let mount = mounts.find(|mount| mount.contains(&format!(":{place}:")));
    let from = mount.unwrap().split(':').next().unwrap();
    let from = path("deploy/compose").join(from).canonicalize().unwrap();
    assert_eq!(from, path(FOLDER).canonicalize().unwrap());
}

/// Runs the commands of `grafana/README.md`, except for the command that needs a cluster.
#[tokio::test]
async fn a_config_map_for_the_sidecar_holds_all_dashboards() {
    let document = read("grafana/README.md");
    let (_, commands) = document.split_once("```sh\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let (local, apply) = commands.rsplit_once(" |\n").unwrap();
    assert!(apply.contains("kubectl apply --server-side"), "{apply}");
    let shell = format!("set -eo pipefail; cd \"{}\"\n{local}", path("").display());
    let made = judge(&program("bash"), &["-c", &shell], "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let map = YamlLoader::load_from_str(&made.out).unwrap().remove(0);
    let label = &map["metadata"]["labels"]["grafana_dashboard"];
    assert_eq!(label.as_str(), Some("1"));
    let length = |file: &str| map["data"][file].as_str().unwrap().len();
    let whole: usize = FILES.into_iter().map(length).sum();
    assert!(whole < 1024 * 1024 / 2, "{whole}");
}

//! Files that `scripts/derive.sh` derives from other files.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::process::Command;
use yaml_rust2::{Yaml, YamlLoader};

use super::{run, shipped, text};

/// Runs `scripts/derive.sh`, which writes into `folder`. The script reads `rules`, or the shipped
/// rules if `rules` is `None`.
pub(super) async fn derive(folder: &Path, rules: Option<&Path>) {
    let mut script = Command::new(shipped("scripts/derive.sh"));
    if let Some(rules) = rules {
        script.env("RULES", rules);
    }
    let output = script.arg(folder).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn yaml(text: &str) -> Yaml {
    YamlLoader::load_from_str(text).expect("YAML").remove(0)
}

/// The rule groups of all `.yml` files in a folder.
fn groups(folder: &Path) -> Vec<Yaml> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let files = files.map(|file| file.unwrap().path());
    let files: BTreeSet<_> = files
        .filter(|file| file.extension().unwrap_or_default() == "yml")
        .collect();
    let groups = |file| {
        yaml(&fs::read_to_string(file).unwrap())["groups"]
            .as_vec()
            .unwrap()
            .clone()
    };
    files.iter().flat_map(groups).collect()
}

#[tokio::test]
async fn derived_files_match_their_sources() {
    let folder = tempfile::tempdir().unwrap();
    derive(folder.path(), None).await;
    for file in [
        "compose/prometheus.yml",
        "compose/datasource.yaml",
        "kubernetes/prometheusrule.yaml",
    ] {
        let now = fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(
            now,
            text(&format!("deploy/{file}")),
            "{file}: run `make derive`"
        );
    }
    let rule = yaml(&text("deploy/kubernetes/prometheusrule.yaml"));
    let shipped = groups(&shipped("deploy/prometheus/rules"));
    assert_eq!(rule["spec"]["groups"].as_vec().unwrap(), &shipped);
}

#[tokio::test]
async fn rules_of_any_layout_become_one_unchanged_prometheus_rule() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let indented = "# Recorded.\ngroups:\n  # First.\n  - name: one\n    rules:\n      - record: a:b:sum\n        \
                    expr: |\n          sum by (a) (\n            b\n          )\n";
    let flush = "groups:\n- name: two\n  interval: 1m\n  rules:\n\n  # A name in braces stays one.\n  - alert: A\n    \
                 expr: a > 1\n    annotations:\n      summary: '{{ $labels.a }} is {{ $value }}'\n";
    let deep = "groups:\n      - name: three\n        rules:\n          - record: c:d:sum\n            expr: d\n";
    for (name, text) in [
        ("a.yml", indented),
        ("b.yml", flush),
        ("c.yml", deep),
        ("d.txt", "no rules"),
    ] {
        fs::write(rules.join(name), text).unwrap();
    }
    derive(folder.path(), Some(&rules)).await;
    let file = folder.path().join("kubernetes/prometheusrule.yaml");
    let written = fs::read_to_string(&file).unwrap();
    let rule = yaml(&written);
    let expected = groups(&rules);
    assert_eq!(expected.len(), 3);
    assert_eq!(
        rule["spec"]["groups"].as_vec().unwrap(),
        &expected,
        "{written}"
    );
    for comment in [
        "\n    # First.\n",
        "\n      # A name in braces stays one.\n",
    ] {
        assert!(written.contains(comment), "{written}");
    }

    // The content of `spec` must be a valid rule file for Prometheus.
    let spec = written.split_once("spec:\n").unwrap().1;
    let lines: Vec<_> = spec
        .lines()
        .map(|line| line.get(2..).unwrap_or(""))
        .collect();
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let verdict = run("promtool", &[&"check", &"rules", &file]).await;
    assert_eq!(verdict.code, Some(0), "{verdict:?}");
    assert!(verdict.out.contains("3 rules found"), "{verdict:?}");
}

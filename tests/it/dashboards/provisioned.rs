//! The files with which Grafana provisions the dashboards.

use yaml_rust2::{Yaml, YamlLoader};

use super::board::{FILES, FOLDER};
use crate::{
    deploy::program,
    harness::judge,
    rules::{path, read},
};

fn yaml(file: &str) -> Yaml {
    YamlLoader::load_from_str(&read(file)).unwrap().remove(0)
}

#[test]
fn grafana_looks_for_dashboards_where_compose_puts_them() {
    let provider = &yaml("grafana/provisioning/dashboards/vobiz.yaml")["providers"][0];
    assert_eq!(provider["type"].as_str(), Some("file"));
    let place = provider["options"]["path"].as_str().unwrap();
    let compose = yaml("deploy/compose/compose.yaml");
    let mounts = compose["services"]["grafana"]["volumes"].as_vec().unwrap();
    let mut mounts = mounts.iter().filter_map(Yaml::as_str);
    let mount = mounts.find(|mount| mount.contains(&format!(":{place}:")));
    let from = mount.unwrap().split(':').next().unwrap();
    let from = path("deploy/compose").join(from).canonicalize().unwrap();
    assert_eq!(from, path(FOLDER).canonicalize().unwrap());
    for file in FILES {
        assert!(from.join(file).is_file(), "{file}");
    }
}

/// Runs the commands of `grafana/README.md`, except for the command that needs a cluster.
#[tokio::test]
async fn a_config_map_for_the_sidecar_holds_all_dashboards_and_is_small_enough() {
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
    let data = map["data"].as_hash().unwrap();
    assert_eq!(data.len(), FILES.len());
    let whole: usize = FILES
        .iter()
        .map(|file| map["data"][*file].as_str().unwrap().len())
        .sum();
    assert!(whole < 1024 * 1024 / 2, "{whole}");
}

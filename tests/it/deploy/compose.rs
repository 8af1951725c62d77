//! The Compose file matches its schema, and its commands work outside of containers.

use std::fs;

use clap::Parser;
use tempfile::TempDir;
use vobiz_exporter::cli::{Cli, Command};
use yaml_rust2::{Yaml, YamlLoader};

use super::{run, shipped, text};
use crate::harness::{Program, Scrape, get, label, tool, until};

const FILE: &str = "deploy/compose/compose.yaml";

/// The services of the Compose file. Every `${NAME:-default}` is replaced by its default.
fn services() -> Yaml {
    let mut text = text(FILE);
    while let Some((before, rest)) = text.split_once("${") {
        let (variable, after) = rest.split_once('}').unwrap();
        let default = variable
            .split_once(":-")
            .expect("every variable has a default")
            .1;
        text = format!("{before}{default}{after}");
    }
    YamlLoader::load_from_str(&text).unwrap().remove(0)["services"].clone()
}

/// The value of a key in a service, or in the mapping that `<<` merges into the service.
fn of<'a>(service: &'a Yaml, key: &str) -> &'a Yaml {
    let own = &service[key];
    if own.is_badvalue() {
        &service["<<"][key]
    } else {
        own
    }
}

fn words(list: &Yaml) -> Vec<&str> {
    let list = list.as_vec().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

fn command<'a>(services: &'a Yaml, name: &str) -> Vec<&'a str> {
    words(&services[name]["command"])
}

#[tokio::test]
async fn the_compose_file_matches_the_schema() {
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    let verdict = run(
        "check-jsonschema",
        &[&schema[0], &schema[1], &shipped(FILE)],
    )
    .await;
    assert_eq!(verdict.code, Some(0), "{verdict:?}");

    let folder = tempfile::tempdir().unwrap();
    let spoiled = folder.path().join("compose.yaml");
    fs::write(&spoiled, text(FILE).replace("read_only:", "readonly:")).unwrap();
    let verdict = run("check-jsonschema", &[&schema[0], &schema[1], &spoiled]).await;
    assert_eq!(verdict.code, Some(1), "{verdict:?}");
}

#[test]
fn everything_is_mounted_from_the_project_and_opened_to_this_host_alone() {
    let services = services();
    let mut names = Vec::new();
    for (name, service) in services.as_hash().unwrap() {
        let name = name.as_str().unwrap();
        names.push(name);
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            if !source.starts_with('.') {
                continue;
            }
            assert!(volume.ends_with(":ro"), "{name}: {volume}");
            let path = shipped("deploy/compose").join(source);
            assert!(path.exists(), "{name}: {volume}");
        }
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        let profiles = words(&service["profiles"]);
        assert_eq!(
            profiles,
            if name == "vendor" {
                vec!["demo"]
            } else {
                vec![]
            },
            "{name}"
        );
    }
    assert_eq!(
        names,
        [
            "exporter",
            "vendor",
            "prometheus",
            "alertmanager",
            "grafana"
        ]
    );
    // A named volume keeps the state database when Compose replaces the container.
    let folder = text("Dockerfile");
    let (_, folder) = folder.split_once("\nENV STATE_DIRECTORY=").unwrap();
    let volume = format!("exporter:{}", folder.lines().next().unwrap());
    let volumes = words(&services["exporter"]["volumes"]);
    assert!(volumes.contains(&volume.as_str()), "{volumes:?}");
    assert!(text(FILE).contains("\nvolumes:\n  exporter:\n"));
    // Compose builds images in parallel, so only one service may build the shared image.
    let is_built = |name: &&&str| !of(&services[**name], "build").is_badvalue();
    let built: Vec<_> = names.iter().filter(is_built).collect();
    assert_eq!(built, [&"exporter"]);
    for name in ["exporter", "vendor"] {
        let service = &services[name];
        let image = concat!("vobiz-exporter:", env!("CARGO_PKG_VERSION"));
        assert_eq!(of(service, "image").as_str(), Some(image));
        assert_eq!(of(service, "pull_policy").as_str(), Some("never"));
        assert_eq!(of(service, "read_only").as_bool(), Some(true));
        assert_eq!(words(of(service, "cap_drop")), ["ALL"]);
        assert_eq!(
            words(of(service, "security_opt")),
            ["no-new-privileges:true"]
        );
    }
}

/// Runs the commands of the demo with the shipped flags and configuration, but on free ports.
#[tokio::test]
async fn the_demo_shows_two_simulated_accounts_with_every_group_in_use() {
    let services = services();
    let simulate = command(&services, "vendor");
    let parsed = Cli::try_parse_from([&["vobiz-exporter"], &simulate[..]].concat()).unwrap();
    assert!(matches!(parsed.command, Some(Command::Simulate { .. })));
    let here = simulate.iter().map(|word| {
        if word.starts_with("--listen") {
            "--listen-address=127.0.0.1:0"
        } else {
            word
        }
    });
    let vendor = Program::new(&here.collect::<Vec<_>>()).start();
    let place = until("the vendor answers", || async {
        let said = vendor.out();
        let (_, after) = said.split_once("answers at http://")?;
        Some(after.split('/').next()?.to_owned())
    })
    .await;

    let demo = text("deploy/compose/demo.yaml");
    assert!(demo.contains("http://vendor:10060/") && simulate.contains(&"--listen-address=:10060"));
    assert_eq!(
        command(&services, "exporter"),
        ["--config.file=/etc/vobiz-exporter/exporter.yaml"]
    );
    let environment = words(&services["exporter"]["environment"]);
    assert!(environment.contains(&"NO_PROXY=vendor,"), "{environment:?}");
    let demo = demo.replace("vendor:10060", &place);
    let exporter = Program::configured(&demo, &["--web.listen-address=127.0.0.1:0"]).start();
    let address = exporter.listens(1).await.remove(0);
    let scrape = until("both accounts", || async {
        let scrape = Scrape::read(&get(&address, "/metrics").await.text());
        let both = scrape.up("main") == Some(1.0) && scrape.up("branch") == Some(1.0);
        both.then_some(scrape)
    })
    .await;
    for group in ["reception", "webrtc", "spare", "bangalore", "delhi"] {
        let infos = scrape
            .text
            .lines()
            .filter(|line| line.starts_with("vobiz_endpoint_info{"));
        let members = infos.filter(|line| label(line, "group") == group).count();
        assert!(members > 0, "{group}");
    }
}

#[tokio::test]
async fn prometheus_accepts_the_configuration_that_is_mounted_into_it() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let configuration = text("deploy/compose/prometheus.yml");
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, &configuration).unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for rule in fs::read_dir(shipped("deploy/prometheus/rules"))
        .into_iter()
        .flatten()
    {
        let rule = rule.unwrap();
        fs::copy(rule.path(), rules.join(rule.file_name())).unwrap();
    }
    let promtool = tool("PROMTOOL", "promtool");
    let verdict = run(promtool.to_str().unwrap(), &[&"check", &"config", &file]).await;
    assert_eq!(verdict.code, Some(0), "{verdict:?}");
    assert!(configuration.contains("job_name: vobiz-exporter\n"));
    assert!(configuration.contains("exporter:10059"));
    assert!(text("deploy/compose/datasource.yaml").contains("url: http://prometheus:9090\n"));
    assert!(
        !configuration.contains("localhost"),
        "each service is a host of its own"
    );
}

/// Follows the instructions in `.env.example`.
#[tokio::test]
async fn an_own_account_needs_a_token_file_and_an_auth_id() {
    let example = text("deploy/compose/.env.example");
    let line = example
        .lines()
        .find_map(|line| line.strip_prefix("VOBIZ_EXPORTER_CONFIG="));
    let file = shipped("deploy/compose").join(line.unwrap());
    let configuration = fs::read_to_string(file).unwrap();
    assert!(configuration.contains("auth_token_file: /run/secrets/vobiz-token\n"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vobiz-token"), "abc").unwrap();
    let configuration = configuration.replace("/run/secrets", folder.path().to_str().unwrap());
    let checked = Program::configured(&configuration, &["--config.check"])
        .run()
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

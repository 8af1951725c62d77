//! The manifests: kubectl builds them, and the schemas of Kubernetes and of the Prometheus operator
//! validate them.

use std::{fs, process::Stdio};

use clap::Parser;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};
use vobiz_simulator::{Options, Vendor, World};

use vobiz_exporter::cli::{Cli, ListenAddress};

use super::{derived::derive, program, run, shipped, text};
use crate::harness::{Ended, Program, configuration, get, judge, until};

/// The oldest and the newest Kubernetes version with schemas in the validator.
pub const VERSIONS: [&str; 2] = ["1.25", "1.37"];

/// The YAML that `kubectl apply --kustomize` would send.
pub async fn built() -> String {
    let built = run("kubectl", &[&"kustomize", &shipped("deploy/kubernetes")]).await;
    assert_eq!((built.code, built.err.as_str()), (Some(0), ""), "{built:?}");
    built.out
}

/// Parses YAML documents as Kubernetes does, with 0440 as an octal number.
pub async fn objects(yaml: &str) -> Vec<Value> {
    let words = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let read = judge(&program("python"), &["-c", words], yaml).await;
    assert_eq!(read.code, Some(0), "{read:?}");
    serde_json::from_str(&read.out).unwrap()
}

pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
    assert!(found.next().is_none(), "there are two of the kind {kind}");
    object
}

/// Validates the objects of Kubernetes itself and ignores the objects of the Prometheus operator.
pub async fn verdict(version: &str, yaml: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    fs::write(&file, yaml).unwrap();
    run(
        "kubernetes-validate",
        &[&"--strict", &"-k", &version, &file],
    )
    .await
}

/// Validates the objects of the Prometheus operator with the models of its API.
async fn models(objects: &[Value]) -> Ended {
    let mut node = Command::new(program("node"))
        .args([
            "--input-type=module",
            "--eval",
            &text("tests/it/deploy/operator.mjs"),
        ])
        .current_dir(shipped("target/npm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let objects = serde_json::to_vec(objects).unwrap();
    let mut stdin = node.stdin.take().unwrap();
    stdin.write_all(&objects).await.unwrap();
    drop(stdin);
    node.wait_with_output().await.unwrap().into()
}

#[tokio::test]
async fn the_oldest_and_newest_kubernetes_know_every_key() {
    let yaml = built().await;
    for version in VERSIONS {
        let judged = verdict(version, &yaml).await;
        let words = format!("{}{}", judged.out, judged.err);
        assert_eq!(judged.code, Some(0), "{words}");
        for kind in [
            "configmap",
            "service",
            "deployment",
            "networkpolicy",
            "persistentvolumeclaim",
        ] {
            assert!(
                words.contains(&format!("passed for resource {kind}/")),
                "{words}"
            );
        }
        let unknown = words
            .lines()
            .filter(|line| !line.contains(" passed for resource "));
        let operators =
            |line: &&str| line.contains("PrometheusRule") || line.contains("ServiceMonitor");
        assert!(unknown.clone().all(|line| operators(&line)), "{words}");
        assert_eq!(unknown.count(), 2, "{words}");
        let spoiled = yaml.replace("enableServiceLinks", "enableServiceLink");
        assert_eq!(verdict(version, &spoiled).await.code, Some(1));
    }
}

#[tokio::test]
async fn the_operator_knows_every_key_of_its_objects_with_and_without_rules() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let rule = "groups:\n  - name: one\n    interval: 1m\n    rules:\n      - alert: A\n        expr: up == 0\n        \
                keep_firing_for: 5m\n        labels: {severity: warning}\n";
    fs::write(rules.join("one.yml"), rule).unwrap();
    derive(folder.path(), Some(&rules)).await;
    let derived = folder.path().join("kubernetes/prometheusrule.yaml");
    let derived = objects(&fs::read_to_string(derived).unwrap()).await;
    assert_eq!(derived[0]["spec"]["groups"][0]["rules"][0]["alert"], "A");
    assert_eq!(models(&derived).await.code, Some(0));

    let mut all = objects(&built().await).await;
    let judged = models(&all).await;
    assert_eq!(
        (judged.code, judged.err.as_str()),
        (Some(0), ""),
        "{judged:?}"
    );
    let said = "PrometheusRule vobiz-exporter: good\nServiceMonitor vobiz-exporter: good\n";
    assert_eq!(judged.out, said);
    let monitor = all
        .iter_mut()
        .find(|object| object["kind"] == "ServiceMonitor");
    monitor.unwrap()["spec"]["endpoints"][0]["interval"] = "half a minute".into();
    let judged = models(&all).await;
    assert_eq!(judged.code, Some(1), "{judged:?}");
}

#[tokio::test]
async fn the_base_is_plain_and_its_parts_find_one_another() {
    let [kustomization] = &objects(&text("deploy/kubernetes/kustomization.yaml")).await[..] else {
        panic!("one document")
    };
    // Every version of kustomize knows these keys, including the version in an old kubectl.
    for key in kustomization.as_object().unwrap().keys() {
        let plain = [
            "apiVersion",
            "kind",
            "resources",
            "namespace",
            "images",
            "configMapGenerator",
        ];
        assert!(plain.contains(&key.as_str()), "{key}");
    }
    let all = objects(&built().await).await;
    let (service, deployment) = (of_kind(&all, "Service"), of_kind(&all, "Deployment"));
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    for selector in [
        &service["spec"]["selector"],
        &deployment["spec"]["selector"]["matchLabels"],
        &of_kind(&all, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        // The ServiceMonitor selects the Service, which has the labels of the pods.
        &of_kind(&all, "ServiceMonitor")["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let configuration = of_kind(&all, "ConfigMap")["metadata"]["name"]
        .as_str()
        .unwrap();
    assert_eq!(
        configuration, "vobiz-exporter",
        "another content needs no new pod"
    );
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(volumes[0]["configMap"]["name"], configuration);
    assert_eq!(volumes[1]["secret"]["secretName"], "vobiz-exporter-token");
    assert_eq!(volumes[1]["secret"]["defaultMode"], 0o440);
    let claim = of_kind(&all, "PersistentVolumeClaim");
    assert_eq!(
        volumes[2]["persistentVolumeClaim"]["claimName"],
        claim["metadata"]["name"]
    );
    assert!(
        all.iter().all(|object| object["kind"] != "Secret"),
        "secrets are not shipped"
    );
    for object in &all {
        assert_eq!(object["metadata"]["namespace"], "monitoring", "{object}");
    }
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(
        image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
        "{image}"
    );
}

#[tokio::test]
async fn the_pod_has_only_the_privileges_that_it_needs() {
    let all = objects(&built().await).await;
    let pod = &of_kind(&all, "Deployment")["spec"]["template"]["spec"];
    let of_pod = &pod["securityContext"];
    assert_eq!(of_pod["runAsNonRoot"], true);
    // Kubernetes can check `runAsNonRoot` only for a numeric user, so the image uses a number, too.
    assert!(text("Dockerfile").contains("\nUSER 65532:65532\n"));
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(of_pod[key], 65_532, "{key}");
    }
    // Kubernetes would otherwise make the database readable for the group at every start.
    assert_eq!(of_pod["fsGroupChangePolicy"], "OnRootMismatch");
    assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["capabilities"]["drop"],
        serde_json::json!(["ALL"])
    );
}

/// Parses the manifests' flags, checks the configuration, and requests the container probes' paths.
#[tokio::test]
async fn the_program_takes_the_flags_and_answers_the_probes_of_the_manifests() {
    let all = objects(&built().await).await;
    let container = &of_kind(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|word| word.as_str().unwrap());
    let cli = Cli::try_parse_from(["vobiz-exporter"].into_iter().chain(arguments)).unwrap();
    assert_eq!(cli.command, None);
    let serve = cli.serve;
    assert!(!serve.once && !serve.healthcheck && !serve.is_check());
    assert!(serve.enable_auto_reload);
    assert_eq!(
        serve.config_file.unwrap().to_str(),
        Some("/etc/vobiz-exporter/exporter.yaml")
    );
    assert_eq!(
        serve.web.listen_addresses,
        [ListenAddress::Everywhere(10_059)]
    );
    assert_eq!(
        serve.web.probe_listen_addresses,
        [ListenAddress::Everywhere(10_061)]
    );
    let ports = [&container["ports"][0], &container["ports"][1]];
    for (port, name, number) in [(ports[0], "metrics", 10_059), (ports[1], "health", 10_061)] {
        assert_eq!(port["name"], name);
        assert_eq!(port["containerPort"], number);
    }

    let shipped = of_kind(&all, "ConfigMap")["data"]["exporter.yaml"]
        .as_str()
        .unwrap();
    assert!(shipped.contains("auth_token_file: /run/secrets/vobiz/token "));
    let mounts = &container["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"], "/etc/vobiz-exporter");
    // With a subPath, a running pod would not see a change.
    assert_eq!(mounts[0]["subPath"], Value::Null);
    assert_eq!(mounts[1]["mountPath"], "/run/secrets/vobiz");
    // The volume is mounted at the folder in which the image keeps the state database.
    let directory = mounts[2]["mountPath"].as_str().unwrap();
    assert!(text("Dockerfile").contains(&format!("\nENV STATE_DIRECTORY={directory}\n")));
    assert_eq!(mounts[2]["readOnly"], Value::Null);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "abc").unwrap();
    let shipped = shipped.replace("/run/secrets/vobiz", folder.path().to_str().unwrap());
    let checked = Program::configured(&shipped, &["--config.check"])
        .run()
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");

    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    let listen = [
        "--web.listen-address=127.0.0.1:0",
        "--web.probe-listen-address=127.0.0.1:0",
    ];
    let exporter = Program::configured(&configuration(&vendor, ""), &listen).start();
    let address = exporter.listens(2).await.remove(1);
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "health");
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        until(probe, || async {
            (get(&address, path).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn prometheus_and_the_operator_give_the_job_the_same_name() {
    let [file] = &objects(&text("deploy/prometheus/prometheus.yml")).await[..] else {
        panic!("one document")
    };
    let job = file["scrape_configs"][0]["job_name"].as_str().unwrap();
    assert_eq!(job, "vobiz-exporter");
    let all = objects(&built().await).await;
    let label = of_kind(&all, "ServiceMonitor")["spec"]["jobLabel"]
        .as_str()
        .unwrap();
    assert_eq!(of_kind(&all, "Service")["metadata"]["labels"][label], job);
}

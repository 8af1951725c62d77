//! Builds the kustomizations of `docs/deployment.md`, which extend the shipped base.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use super::{
    kubernetes::{VERSIONS, objects, of_kind, verdict},
    run, shipped, text,
};

const RULES: &str = "deploy/prometheus/rules/vobiz-exporter.yml";
const OPERATOR: &str = "monitoring.coreos.com/v1";

/// The YAML blocks of `docs/deployment.md` that begin with `# ` and the text `begin`.
fn blocks(begin: &str) -> Vec<String> {
    let document = text("docs/deployment.md");
    let fence = format!("```yaml\n# {begin}");
    let blocks = document.split(&fence).skip(1);
    let whole = |block: &str| format!("# {begin}{}", block.split("```").next().unwrap());
    blocks.map(whole).collect()
}

/// Builds a kustomization in a temporary folder with every file that the kustomization names.
async fn built(kustomization: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir_all(file("path/to")).unwrap();
    symlink(shipped(""), file("path/to/vobiz-exporter")).unwrap();
    fs::write(file("kustomization.yaml"), kustomization).unwrap();
    fs::write(file("exporter.yaml"), "accounts: []\n").unwrap();
    fs::copy(shipped(RULES), file("vobiz-exporter.yml")).unwrap();
    let built = run("kubectl", &[&"kustomize", &folder.path()]).await;
    assert_eq!((built.code, built.err.as_str()), (Some(0), ""), "{built:?}");
    built.out
}

/// The volume of a pod with this name.
fn volume<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let volumes = pod["volumes"].as_array().unwrap();
    let mut found = volumes.iter().filter(|one| one["name"] == name);
    let volume = found.next().unwrap();
    assert!(found.next().is_none(), "two volumes {name}");
    volume
}

fn are_mine(all: &[Value]) {
    let settings = all.iter().find(|one| {
        let name = one["metadata"]["name"].as_str().unwrap();
        one["kind"] == "ConfigMap" && !name.ends_with("-rules")
    });
    let settings = settings.unwrap();
    assert_eq!(settings["data"]["exporter.yaml"], "accounts: []\n");
    let pod = &of_kind(all, "Deployment")["spec"]["template"]["spec"];
    let mounted = &volume(pod, "configuration")["configMap"]["name"];
    assert_eq!(mounted, &settings["metadata"]["name"]);
    assert_eq!(
        pod["containers"][0]["image"],
        concat!("your.registry/vobiz-exporter:", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn with_the_operator_the_documents_kustomization_replaces_configuration_and_image() {
    let [with, _] = &blocks("kustomization.yaml")[..] else {
        panic!("two kustomizations")
    };
    let all = objects(&built(with).await).await;
    are_mine(&all);
    let operators = all.iter().filter(|one| one["apiVersion"] == OPERATOR);
    assert_eq!(operators.count(), 2);
}

#[tokio::test]
async fn without_the_operator_a_plain_cluster_knows_every_object_and_prometheus_gets_the_rules() {
    let [_, without] = &blocks("kustomization.yaml")[..] else {
        panic!("two kustomizations")
    };
    let yaml = built(without).await;
    let all = objects(&yaml).await;
    are_mine(&all);
    assert!(
        all.iter().all(|one| one["apiVersion"] != OPERATOR),
        "{yaml}"
    );
    for version in VERSIONS {
        let judged = verdict(version, &yaml).await;
        assert_eq!(judged.code, Some(0), "{judged:?}");
        let words = format!("{}{}", judged.out, judged.err);
        let passed = words.matches(" passed for resource ").count();
        assert_eq!(
            (passed, words.lines().count()),
            (all.len(), all.len()),
            "{words}"
        );
    }
    let rules = all
        .iter()
        .find(|one| one["metadata"]["name"] == "vobiz-exporter-rules");
    assert_eq!(rules.unwrap()["data"]["vobiz-exporter.yml"], text(RULES));

    let [job] = &blocks("prometheus.yml, the job")[..] else {
        panic!("one job")
    };
    let job = &objects(job).await[0]["scrape_configs"][0];
    let [shipped] = &objects(&text("deploy/prometheus/prometheus.yml")).await[..] else {
        panic!("one document")
    };
    assert_eq!(job["job_name"], shipped["scrape_configs"][0]["job_name"]);
    let service = of_kind(&all, "Service");
    assert_eq!(
        service["spec"]["clusterIP"], "None",
        "its name is the pods'"
    );
    let of = |key: &str| service["metadata"][key].as_str().unwrap();
    let asked = &job["dns_sd_configs"][0];
    assert_eq!(
        asked["names"][0],
        format!("{}.{}.svc", of("name"), of("namespace"))
    );
    assert_eq!(asked["port"], service["spec"]["ports"][0]["port"]);
}

#[tokio::test]
async fn the_documents_component_replaces_the_volume_claim_by_a_folder_of_the_pod() {
    let document = text("docs/deployment.md");
    let line = regex::Regex::new("`(components: [^`]+)`").unwrap();
    let line = &line
        .captures(&document)
        .expect("a line for kustomization.yaml")[1];
    for kustomization in blocks("kustomization.yaml") {
        let yaml = built(&format!("{kustomization}{line}\n")).await;
        let all = objects(&yaml).await;
        are_mine(&all);
        assert!(!yaml.contains("PersistentVolumeClaim"), "{yaml}");
        let pod = &of_kind(&all, "Deployment")["spec"]["template"]["spec"];
        let expected = serde_json::json!({"name": "state", "emptyDir": {"sizeLimit": "1Gi"}});
        assert_eq!(volume(pod, "state"), &expected);
        assert_eq!(volume(pod, "token")["secret"]["defaultMode"], 0o440);
        for version in VERSIONS {
            let judged = verdict(version, &yaml).await;
            assert_eq!(judged.code, Some(0), "{judged:?}");
        }
    }
}

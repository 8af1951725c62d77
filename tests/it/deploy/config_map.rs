//! The image uses a `ConfigMap` that changes while it runs. `make test-container` runs this test as root.

use std::{fs, os::unix::fs::symlink, path::Path};

use vobiz_simulator::{Options, Vendor, World};

use super::{
    container::{address, build, start},
    engine::Engine,
    kubernetes::{built, objects, of_kind},
};
use crate::harness::{Scrape, configuration, get, until};

/// Replaces the content of a mounted `ConfigMap`, as the kubelet does: the file is a link into `..data`, which is a link to
/// the folder of the present version.
fn put(root: &Path, version: &str, content: &str) {
    fs::create_dir(root.join(version)).unwrap();
    fs::write(root.join(version).join("exporter.yaml"), content).unwrap();
    symlink(version, root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    let _ = symlink("..data/exporter.yaml", root.join("exporter.yaml"));
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn a_running_pod_uses_a_changed_config_map() {
    let engine = Engine::new();
    build(&engine).await;
    let vendor = Vendor::start(World::still(5, 7), Options::default());
    let vendor = vendor.await.unwrap();
    let root = engine.folder().join("configuration");
    fs::create_dir(&root).unwrap();
    put(&root, "..1", &configuration(&vendor, ""));
    // The flags of the Deployment, except for the fixed port.
    let all = objects(&built().await).await;
    let container = &of_kind(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|word| word.as_str().unwrap());
    let arguments = arguments.filter(|word| !word.starts_with("--web.probe-listen-address"));
    let arguments: Vec<_> = arguments
        .chain(["--web.listen-address=127.0.0.1:0"])
        .collect();
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let volume = format!("{}:{mount}:ro", root.display());
    let options = ["--network", "host", "--volume", &volume];
    let exporter = start(&engine, "exporter", &options, &arguments);
    let address = until("the exporter listens", || async {
        address(&exporter.err.text())
    })
    .await;
    let scraped = async |what: &str, holds: &dyn Fn(&Scrape) -> bool| {
        until(what, || async {
            let answer = get(&address, "/metrics").await;
            let scrape = (answer.status == 200).then(|| Scrape::read(&answer.text()))?;
            holds(&scrape).then_some(())
        })
        .await;
    };
    let timestamps =
        |scrape: &Scrape| scrape.count("vobiz_endpoint_created_timestamp_seconds", &[]);
    scraped("a walk", &|scrape| {
        scrape.up("main") == Some(1.0) && timestamps(scrape) == 0
    })
    .await;
    put(
        &root,
        "..2",
        &configuration(&vendor, "metrics: {groups: [timestamps]}"),
    );
    scraped("the new series", &|scrape| timestamps(scrape) == 5).await;
    put(&root, "..3", &configuration(&vendor, "colour: blue"));
    let successful = "vobiz_exporter_config_last_reload_successful";
    scraped("a refusal", &|scrape| {
        scrape.value(successful, &[]) == Some(0.0)
    })
    .await;
    scraped("the series before", &|scrape| timestamps(scrape) == 5).await;
}

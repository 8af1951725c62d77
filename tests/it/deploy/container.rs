//! Builds and runs the image with buildah and podman. `make test-container` runs these tests as root.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio::net::UdpSocket;

use super::{
    engine::{Container, Engine, done},
    run, shipped,
};
use crate::harness::{Ended, Scrape, get, until};

/// The user id and the group id in the image.
pub(super) const NOBODY: u32 = 65_532;
/// The address of the test's name server. The server must use port 53, because `resolv.conf` contains
/// no ports.
const NAME_SERVER: &str = "127.0.0.77";
const VENDOR: &str = "vendor.test";
const IMAGE: &str = "localhost/vobiz-exporter:test";

/// Builds the image with the `Dockerfile` from the static binary.
pub(super) async fn build(engine: &Engine) {
    let context = engine.folder().join("context");
    let state = context.join("state/vobiz-exporter");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).unwrap();
    let binary = std::env::var_os("STATIC_BINARY").map(PathBuf::from);
    let binary = binary.expect("`make test-container` builds the binary and names it");
    let packed = run("strip", &[&"-o", &context.join("vobiz-exporter"), &binary]).await;
    assert_eq!(packed.code, Some(0), "{packed:?}");
    // In the `Dockerfile`, the stage `build` compiles the binary. This folder replaces the stage.
    let stage = format!("--build-context=build={}", context.display());
    let mut build = engine.buildah(&["bud", "--isolation", "chroot", "--format", "docker"]);
    build.args([&stage, "--build-arg", "RUNTIME_IMAGE=scratch"]);
    build
        .args(["--tag", IMAGE, "--file"])
        .arg(shipped("Dockerfile"));
    done(build.arg(context)).await;
}

/// Runs the image with the least privileges.
pub(super) fn start(
    engine: &Engine,
    name: &str,
    options: &[&str],
    arguments: &[&str],
) -> Container {
    let mut command = engine.container(name);
    command.args(["--read-only", "--cap-drop", "all"]);
    command.args(["--security-opt", "no-new-privileges"]);
    Container::start(command.args(options).arg(IMAGE).args(arguments))
}

/// The address in the last line `listening` of a log.
pub(super) fn address(log: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains("listening"))?;
    let (_, after) = line.split_once("address=")?;
    Some(after.split_whitespace().next()?.to_owned())
}

/// A name server that resolves every name to this host.
async fn name_server() {
    let address = (NAME_SERVER, 53);
    let socket = UdpSocket::bind(address).await;
    let socket = socket.expect("only root may be a name server; run this as root");
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            let question = &question[..length];
            // The question has the labels of the name, an empty label, and the record type. Type 1
            // is an IPv4 address.
            let end = question[12..].iter().position(|byte| *byte == 0).unwrap() + 13;
            let is_v4 = question[end + 1] == 1;
            let mut answer = [
                &question[..2],
                &[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0],
            ]
            .concat();
            answer.extend(&question[12..end + 4]);
            if is_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, client).await;
        }
    });
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn in_an_empty_image_without_root_it_resolves_names_and_speaks_tls() {
    let engine = Engine::new();
    build(&engine).await;
    let given = engine.folder().join("given");
    fs::create_dir(&given).unwrap();
    let put = |name: &str, text: &str| fs::write(given.join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = KeyPair::generate()
        .and_then(|key| CertifiedIssuer::self_signed(authority, key))
        .unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![VENDOR.to_owned()]).unwrap();
    put("ca.pem", &authority.pem());
    put("cert.pem", &leaf.signed_by(&key, &authority).unwrap().pem());
    put("key.pem", &key.serialize_pem());
    put("token", "sim-token-00001-not-a-secret\n");
    // Only the user id with which the exporter runs may read the token.
    chown(given.join("token"), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(given.join("token"), fs::Permissions::from_mode(0o400)).unwrap();
    name_server().await;

    let volume = format!("{}:/given:ro", given.display());
    let options = [
        "--network",
        "host",
        "--dns",
        NAME_SERVER,
        "--volume",
        &volume,
    ];
    let vendor = start(
        &engine,
        "vendor",
        &options,
        &[
            "simulate",
            "--listen-address=127.0.0.1:0",
            "--endpoints=45",
            "--speed=0",
            "--tls.cert-file=/given/cert.pem",
            "--tls.key-file=/given/key.pem",
        ],
    );
    let port = until("the vendor answers", || async {
        let said = vendor.out.text();
        let (_, after) = said.split_once("https://localhost:")?;
        Some(after.split('/').next()?.to_owned())
    })
    .await;
    put(
        "exporter.yaml",
        &format!(
            "api: {{base_url: \"https://{VENDOR}:{port}/api/v1\", ca_file: ca.pem}}\n\
             accounts: [{{name: main, auth_id: MA_SIM00001, auth_token_file: token}}]\n"
        ),
    );
    let exporter = start(
        &engine,
        "exporter",
        &options,
        &[
            "--config.file=/given/exporter.yaml",
            "--web.listen-address=127.0.0.1:0",
        ],
    );
    let address = until("the exporter listens", || async {
        address(&exporter.err.text())
    })
    .await;
    let scrape = until("the first walk", || async {
        let scrape = Scrape::read(&get(&address, "/metrics").await.text());
        scrape.up("main").is_some().then_some(scrape)
    })
    .await;
    assert_eq!(scrape.up("main"), Some(1.0), "{}", exporter.err.text());
    assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);

    let pid = engine.inspect("exporter", "{{.State.Pid}}").await;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in [
        "Uid:\t65532\t65532\t65532\t65532",
        "Gid:\t65532\t65532\t65532\t65532",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.lines().any(|has| has == line), "{line}: {status}");
    }
    done(&mut engine.podman(&["stop", "exporter"])).await;
    let code = engine.inspect("exporter", "{{.State.ExitCode}}").await;
    assert_eq!(code, "0", "{}", exporter.err.text());
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn the_image_holds_one_program_whose_health_check_needs_no_network() {
    let engine = Engine::new();
    build(&engine).await;
    let options = ["--network", "none", "--env", "VOBIZ_AUTH_ID=MA_1", "--env"];
    let exporter = start(
        &engine,
        "exporter",
        &[&options[..], &["VOBIZ_AUTH_TOKEN=x"]].concat(),
        &[],
    );
    until("it listens", || async {
        exporter.err.text().contains("listening").then_some(())
    })
    .await;

    let about = done(&mut engine.buildah(&["inspect", "--type", "image", IMAGE])).await;
    let about: Value = serde_json::from_str(&about.out).unwrap();
    let config = &about["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"10059/tcp": {}}));
    let health = config["Healthcheck"]["Test"].as_array().unwrap();
    let mut health = health.iter().map(|word| word.as_str().unwrap());
    assert_eq!(health.next(), Some("CMD"), "without a shell");
    let health: Vec<_> = ["exec", "exporter"].into_iter().chain(health).collect();
    assert_eq!(done(&mut engine.podman(&health)).await.out, "healthy\n");
    let other = [&health[..], &["--web.listen-address=:10058"]].concat();
    let unhealthy = Ended::from(engine.podman(&other).output().await.unwrap());
    assert_eq!(unhealthy.code, Some(1), "{unhealthy:?}");

    let files = engine.folder().join("files.tar");
    done(&mut engine.podman(&["export", "--output", files.to_str().unwrap(), "exporter"])).await;
    let owned = run("tar", &[&"-tvf", &files, &"--numeric-owner"]).await.out;
    let folder = owned
        .lines()
        .find(|line| line.ends_with(" var/lib/vobiz-exporter/"));
    let folder = folder.expect("a folder for the state database");
    assert!(folder.starts_with("drwx------ 65532/65532 "), "{folder}");
    let files = run("tar", &[&"-tf", &files]).await.out;
    // The container engine adds these folders; they are not part of the image.
    let given = ["dev/", "etc/", "proc/", "run/", "sys/", "tmp/", "var/"];
    let ours = files
        .lines()
        .filter(|file| !given.iter().any(|part| file.starts_with(part)));
    assert_eq!(
        ours.collect::<Vec<_>>(),
        ["usr/", "usr/bin/", "usr/bin/vobiz-exporter"]
    );
    let in_var: Vec<_> = files
        .lines()
        .filter(|file| file.starts_with("var/lib/"))
        .collect();
    assert_eq!(in_var, ["var/lib/", "var/lib/vobiz-exporter/"]);
}

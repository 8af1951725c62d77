//! A real Alertmanager with the shipped example of its configuration.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{
    harness::{Written, get, judge, tool, until},
    rules::{ALERTMANAGER, path, read, scaled},
};

/// A running Alertmanager. Dropping this struct kills the process.
pub struct Alertmanager {
    _process: Child,
    _folder: tempfile::TempDir,
    address: String,
}

impl Alertmanager {
    /// Starts Alertmanager with the configuration that the function `configuration` returns.
    pub async fn notifying(receiver: &str, speed: u64) -> Self {
        Self::start(&configuration(receiver, speed)).await
    }

    /// Starts Alertmanager on a free port with this configuration and the shipped template file.
    pub async fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, configuration).expect("it can be written");
        let template = path(ALERTMANAGER).with_file_name("vobiz.tmpl");
        std::fs::copy(template, folder.path().join("vobiz.tmpl")).expect("it can be copied");
        let mut process = Command::new(tool("ALERTMANAGER", "prometheus-alertmanager"))
            .arg("--config.file")
            .arg(&file)
            .arg("--storage.path")
            .arg(folder.path().join("data"))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Alertmanager can be started");
        let log = Written::by(process.stderr.take().expect("it is piped"));
        let address = until("Alertmanager is ready", || async {
            let log = log.text();
            let line = log.lines().find(|line| line.contains("\"Listening on\""))?;
            let address = line.split("address=").nth(1)?.trim();
            let ready = get(address, "/-/ready").await.status == 200;
            ready.then(|| address.to_owned())
        })
        .await;
        Self {
            _process: process,
            _folder: folder,
            address,
        }
    }

    /// The address of Alertmanager as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends firing alerts, as Prometheus does. Each element of `alerts` has the labels of one alert.
    pub async fn fire(&self, alerts: &[Value]) {
        let alerts: Vec<_> = alerts
            .iter()
            .map(|labels| json!({"labels": labels}))
            .collect();
        let address = format!("http://{}/api/v2/alerts", self.address);
        let arguments = ["-sS", "--fail", "--json", "@-", &address];
        let sent = judge(Path::new("curl"), &arguments, &json!(alerts).to_string()).await;
        assert_eq!(sent.code, Some(0), "{sent:?}");
    }

    /// The JSON that Alertmanager returns for `/api/v2/` followed by `path`.
    pub async fn api(&self, path: &str) -> Value {
        let answer = get(&self.address, &format!("/api/v2/{path}")).await;
        serde_json::from_slice(&answer.body).expect("JSON")
    }
}

/// The shipped configuration with changes: Alertmanager notifies `receiver`, durations are divided
/// by `speed`, and all hours of the week are working hours.
fn configuration(receiver: &str, speed: u64) -> String {
    let mut text = scaled(&read(ALERTMANAGER), speed);
    for (from, to) in [
        (
            "http://localhost:9099",
            format!("http://{receiver}").as_str(),
        ),
        ("\"monday:friday\"", "\"sunday:saturday\""),
        ("\"08:00\"", "\"00:00\""),
        ("\"19:00\"", "\"24:00\""),
    ] {
        assert!(text.contains(from), "the example lacks {from}");
        text = text.replace(from, to);
    }
    text
}

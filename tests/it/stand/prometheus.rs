//! A real Prometheus.

use std::{fmt::Write, process::Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::{Generation, Written, get, signal, until};

/// A Prometheus that scrapes one exporter each second. It ends with the story.
pub struct Prometheus {
    process: Child,
    folder: tempfile::TempDir,
    address: String,
}

/// One result of an instant query.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The labels, as an object.
    pub labels: Value,
    pub value: f64,
}

impl Prometheus {
    /// Starts on a free port and waits until it answers.
    pub async fn scraping(generation: Generation, target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let configuration = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: vobiz, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        Self::start(generation, folder, &configuration, &[]).await
    }

    /// A Prometheus 2 with another configuration and further arguments. Its files, such as rules, lie
    /// in `folder` already, and so may blocks of old data, in `data`.
    pub async fn configured(
        folder: tempfile::TempDir,
        configuration: &str,
        arguments: &[&str],
    ) -> Self {
        Self::start(Generation::Two, folder, configuration, arguments).await
    }

    async fn start(
        generation: Generation,
        folder: tempfile::TempDir,
        configuration: &str,
        arguments: &[&str],
    ) -> Self {
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration).expect("the file can be written");
        let mut process = Command::new(generation.server())
            .arg("--config.file")
            .arg(&file)
            .arg("--storage.tsdb.path")
            .arg(folder.path().join("data"))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Prometheus can be started");
        let log = Written::by(process.stderr.take().expect("it is piped"));
        let address = until("Prometheus is ready", || async {
            let log = log.text();
            let line = log.lines().find(|line| line.contains("\"Listening on\""))?;
            let address = line.split("address=").nth(1)?.trim();
            let ready = get(address, "/-/ready").await.status == 200;
            ready.then(|| address.to_owned())
        })
        .await;
        Self {
            process,
            folder,
            address,
        }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets it read its configuration and its rules again.
    pub async fn reload(&self) {
        signal(self.process.id().expect("it runs"), "HUP").await;
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The `data` of an answer of its API.
    pub async fn api(&self, path: &str) -> Value {
        let answer = get(&self.address, &format!("/api/v1/{path}")).await;
        let mut answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// What an expression is worth now.
    pub async fn query(&self, expression: &str) -> Vec<Sample> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02X}").expect("a string takes every write");
        }
        let data = self.api(&format!("query?query={encoded}")).await;
        let sample = |result: &Value| Sample {
            labels: result["metric"].clone(),
            value: result["value"][1].as_str().unwrap().parse().unwrap(),
        };
        let results = data["result"].as_array().expect("a vector");
        results.iter().map(sample).collect()
    }

    /// Asks until the result pleases.
    pub async fn until(
        &self,
        expression: &str,
        pleases: impl Fn(&[Sample]) -> bool,
    ) -> Vec<Sample> {
        let what = format!("Prometheus on {expression}");
        until(&what, || async {
            Some(self.query(expression).await).filter(|samples| pleases(samples))
        })
        .await
    }

    /// Asks until the result is one sample of this value.
    pub async fn until_is(&self, expression: &str, value: f64) {
        self.until(
            expression,
            |samples| matches!(samples, [sample] if (sample.value - value).abs() < 1e-9),
        )
        .await;
    }
}

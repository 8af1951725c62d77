//! Runs a real Prometheus.

use std::{fmt::Write, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::{Generation, Written, get, signal, until};

/// A running Prometheus. Dropping this struct kills the process.
pub struct Prometheus {
    process: Child,
    folder: tempfile::TempDir,
    address: String,
}

/// One result of an instant query.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The labels as a JSON object.
    pub labels: Value,
    pub value: f64,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `target`. Waits until Prometheus responds on a free port.
    pub async fn scraping(generation: Generation, target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let configuration = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: vobiz, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        Self::start(generation, folder, &configuration, &[]).await
    }

    /// Starts a Prometheus 2 with this configuration and further arguments. `folder` already has
    /// all files that the configuration names. Its subfolder `data` can have blocks of old data.
    pub async fn configured(
        folder: tempfile::TempDir,
        configuration: &str,
        arguments: &[&str],
    ) -> Self {
        Self::start(Generation::Two, folder, configuration, arguments).await
    }

    /// Starts a Prometheus of this generation with this configuration. `folder` already has all files that the
    /// configuration names.
    pub async fn of(
        generation: Generation,
        folder: tempfile::TempDir,
        configuration: &str,
    ) -> Self {
        Self::start(generation, folder, configuration, &[]).await
    }

    /// Starts a Prometheus of this generation with this configuration and further arguments.
    pub async fn start(
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

    /// The address as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes Prometheus reload its configuration and its rules.
    pub async fn reload(&self) {
        signal(self.process.id().expect("it runs"), "HUP").await;
    }

    /// The processor time that Prometheus has used since its start, in steps of 10 ms.
    pub fn processor_time(&self) -> Duration {
        let id = self.process.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
        // The process name may contain any character, so this code splits the text after the name.
        // `fields` begins with the third field of the file.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|one| one.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(10 * ticks)
    }

    /// The folder with the configuration and the data of this Prometheus.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The field `data` of a response of Prometheus's HTTP API.
    pub async fn api(&self, path: &str) -> Value {
        let answer = get(&self.address, &format!("/api/v1/{path}")).await;
        let mut answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// The result of an instant query now.
    pub async fn query(&self, expression: &str) -> Vec<Sample> {
        self.samples(&format!("query?query={}", encoded(expression)))
            .await
    }

    /// The result of an instant query at this time, in Unix seconds.
    pub async fn query_at(&self, expression: &str, time: f64) -> Vec<Sample> {
        self.samples(&format!("query?query={}&time={time}", encoded(expression)))
            .await
    }

    async fn samples(&self, path: &str) -> Vec<Sample> {
        let data = self.api(path).await;
        let sample = |result: &Value| Sample {
            labels: result["metric"].clone(),
            value: number(&result["value"]).1,
        };
        let results = data["result"].as_array().expect("a vector");
        results.iter().map(sample).collect()
    }

    /// The result of a range query: for each series, the labels, and pairs of Unix time and value.
    pub async fn range(
        &self,
        expression: &str,
        (start, end, step): (i64, i64, i64),
    ) -> Vec<(Value, Vec<(f64, f64)>)> {
        let expression = encoded(expression);
        let path = format!("query_range?query={expression}&start={start}&end={end}&step={step}");
        let data = self.api(&path).await;
        let series = |result: &Value| {
            let values = result["values"].as_array().expect("samples");
            (
                result["metric"].clone(),
                values.iter().map(number).collect(),
            )
        };
        let results = data["result"].as_array().expect("a matrix");
        results.iter().map(series).collect()
    }

    /// Repeats a query until `pleases` accepts its result.
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

    /// Repeats a query until its result is one sample with this value.
    pub async fn until_is(&self, expression: &str, value: f64) {
        self.until(
            expression,
            |samples| matches!(samples, [sample] if (sample.value - value).abs() < 1e-9),
        )
        .await;
    }
}

fn encoded(expression: &str) -> String {
    let mut encoded = String::new();
    for byte in expression.bytes() {
        write!(encoded, "%{byte:02X}").expect("a string takes every write");
    }
    encoded
}

/// The time and the value of a sample.
fn number(pair: &Value) -> (f64, f64) {
    let value = pair[1].as_str().unwrap().parse().unwrap();
    (pair[0].as_f64().unwrap(), value)
}

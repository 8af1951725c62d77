//! A real Prometheus.

use std::{fmt::Write, process::Stdio, time::Duration};

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

    /// The processor time that it has taken so far, to a hundredth of a second.
    pub fn processor_time(&self) -> Duration {
        let id = self.process.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
        // The name may hold anything; behind it, fields count from the third.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|one| one.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(10 * ticks)
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
        self.samples(&format!("query?query={}", encoded(expression)))
            .await
    }

    /// What an expression was worth at a time, in Unix seconds.
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

    /// What an expression was worth over a range of Unix seconds, by series: time and value.
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

fn encoded(expression: &str) -> String {
    let mut encoded = String::new();
    for byte in expression.bytes() {
        write!(encoded, "%{byte:02X}").expect("a string takes every write");
    }
    encoded
}

/// Time and value.
fn number(pair: &Value) -> (f64, f64) {
    let value = pair[1].as_str().unwrap().parse().unwrap();
    (pair[0].as_f64().unwrap(), value)
}

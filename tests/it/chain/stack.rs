//! Starts the programs of the chain and connects them.

use std::{fs, path::Path};

use super::{alertmanager::Alertmanager, receiver::Receiver};
use crate::{
    harness::{Exporter, Prometheus},
    rules::{PROMETHEUS, RULES, read, scaled},
};

/// Prometheus, Alertmanager, a receiver, and an exporter that a test can replace.
pub struct Stack {
    pub prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    pub receiver: Receiver,
    pub exporter: Exporter,
}

impl Stack {
    /// Starts a receiver, Alertmanager and Prometheus, and divides the shipped durations by
    /// `speed`. Prometheus uses `folder`, which may contain blocks of old data.
    pub async fn start(folder: tempfile::TempDir, exporter: Exporter, speed: u64) -> Self {
        let receiver = Receiver::start().await;
        let alertmanager = Alertmanager::notifying(receiver.address(), speed).await;
        aim(folder.path(), exporter.address());
        let prometheus = Prometheus::configured(
            folder,
            &configuration(alertmanager.address(), speed),
            // Alertmanager resolves an alert that Prometheus does not send again in time. So
            // Prometheus sends each firing alert again after one second.
            &["--rules.alert.resend-delay=1s"],
        )
        .await;
        // After its start, Prometheus needs five seconds to find its targets. The rules would
        // report missing targets in this time, so the test adds the rules later.
        prometheus.until_is("up", 1.0).await;
        let rules = prometheus.folder().join("rules");
        fs::create_dir(&rules).expect("it can be made");
        let text = scaled(&read(RULES), speed);
        fs::write(rules.join("vobiz-exporter.yml"), text).expect("it can be written");
        prometheus.reload().await;
        Self {
            prometheus,
            alertmanager,
            receiver,
            exporter,
        }
    }

    /// Makes Prometheus scrape this exporter instead of the earlier one, which has ended.
    pub async fn take_over(&mut self, exporter: Exporter) {
        aim(self.prometheus.folder(), exporter.address());
        let new = format!("up{{instance=\"{}\"}}", exporter.address());
        self.prometheus.until_is(&new, 1.0).await;
        self.exporter = exporter;
    }
}

/// Writes the exporter's address into a file and renames the file, as a discovery tool does.
fn aim(folder: &Path, address: &str) {
    let (file, new) = (folder.join("targets.json"), folder.join("targets.new"));
    fs::write(&new, format!("[{{\"targets\": [\"{address}\"]}}]")).expect("it can be written");
    fs::rename(new, file).expect("it can be put in place");
}

/// The shipped configuration of Prometheus with addresses of the test. Durations are divided by `speed`.
fn configuration(alertmanager: &str, speed: u64) -> String {
    let mut text = scaled(&read(PROMETHEUS), speed);
    for (from, to) in [
        ("localhost:9093", alertmanager),
        (
            "static_configs:\n      - targets: [\"localhost:10059\"]",
            "file_sd_configs:\n      - {files: [targets.json], refresh_interval: 1s}",
        ),
    ] {
        assert!(text.contains(from), "the example lacks {from}");
        text = text.replace(from, to);
    }
    text
}

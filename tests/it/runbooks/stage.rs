//! The programs and files that the commands of the runbooks need.

use std::{fs, os::unix::fs::symlink, path::Path};

use vobiz_simulator::{Endpoint, Options, START, Vendor, World};

use super::page::Command;
use crate::{
    harness::{
        Ended, Process, Program, Prometheus, Scrape, accounts_config, auth_id, get, judge, plan,
        tool, until,
    },
    rules::{PROMETHEUS, path},
};

/// The id of an endpoint of the account `main`.
pub const ENDPOINT: &str = "4242";

/// The environment in which an operator runs the commands.
pub struct Stage {
    folder: tempfile::TempDir,
    vendor: Vendor,
    exporter: Process,
    address: String,
    prometheus: Prometheus,
}

/// The prefix of the exporter's lines in the journal.
const JOURNAL: &str = "Jan 26 02:00:00 pbx vobiz-exporter[4711]: ";
/// The journal line that systemd writes when the process exits on its own.
const EXITED: &str = "Jan 26 02:00:00 pbx systemd[1]: vobiz-exporter.service: Main process exited, \
                      code=exited, status=2/INVALIDARGUMENT";

impl Stage {
    /// Starts the environment. The account `main` is up, but has an unreadable row and an alias
    /// that is too long. The vendor refuses the token of `branch`. Only one scrape target is up.
    pub async fn set() -> Self {
        let mut world = World::new(START, 7);
        world.settle(plan("main", 20));
        world.settle(plan("branch", 5));
        let main = world.account_mut(&auth_id("main")).unwrap();
        main.push(Endpoint::new(ENDPOINT).alias("Front desk"));
        main.push(Endpoint::new("4343").alias("x".repeat(5000)));
        main.insert(0, Endpoint::new("nobody").raw("{\"alias\": \"no id\"}"));
        "another-token".clone_into(&mut world.account_mut(&auth_id("branch")).unwrap().token);
        let vendor = Vendor::start(world, Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let accounts = [("main", ""), ("branch", "")];
        let token = folder.path().join("token");
        fs::write(&token, "token-of-main\n").unwrap();
        let token = format!("auth_token_file: '{}'", token.display());
        let configuration = accounts_config(&vendor, "", accounts);
        let configuration = configuration.replace("auth_token: 'token-of-main'", &token);
        fs::write(folder.path().join("exporter.yaml"), configuration).unwrap();
        let file = folder.path().join("exporter.yaml").display().to_string();
        let arguments = ["--config.file", &file, "--web.listen-address=127.0.0.1:0"];
        let exporter = Program::new(&arguments).start();
        let address = exporter.listens(1).await.remove(0);
        until("both accounts have been walked", || async {
            let scrape = Scrape::read(&get(&address, "/metrics").await.text());
            let walked = scrape.up("main") == Some(1.0) && scrape.up("branch") == Some(0.0);
            walked.then_some(())
        })
        .await;
        // No program listens on port 1, so the second target is down.
        let targets = format!("\"{address}\", \"127.0.0.1:1\"");
        let scraping = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  \
             - {{job_name: vobiz-exporter, static_configs: [{{targets: [{targets}]}}]}}\n"
        );
        let prometheus = Prometheus::configured(tempfile::tempdir().unwrap(), &scraping, &[]).await;
        prometheus.until_is("count(up == 0)", 1.0).await;
        let stage = Self {
            folder,
            vendor,
            exporter,
            address,
            prometheus,
        };
        stage.put_programs();
        stage
    }

    /// Puts the exporter, `amtool`, `promtool` and a `journalctl` script into a folder. The script
    /// uses the real `journalctl` to check the options, and prints the log of the exporter.
    fn put_programs(&self) {
        let bin = self.path("bin");
        fs::create_dir(&bin).unwrap();
        fs::create_dir(self.path("no-journal")).unwrap();
        symlink(
            env!("CARGO_BIN_EXE_vobiz-exporter"),
            bin.join("vobiz-exporter"),
        )
        .unwrap();
        symlink(tool("AMTOOL", "amtool"), bin.join("amtool")).unwrap();
        symlink(tool("PROMTOOL", "promtool"), bin.join("promtool")).unwrap();
        let journalctl = tool("JOURNALCTL", "journalctl");
        let script = format!(
            "#!/bin/sh\n{} -D '{}' \"$@\" >/dev/null || exit\nsed 's/^/{JOURNAL}/' '{}'\necho '{EXITED}'\n",
            journalctl.display(),
            self.path("no-journal").display(),
            self.path("log").display(),
        );
        let file = bin.join("journalctl");
        fs::write(&file, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(file, mode).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the placeholders of a command by real addresses, files, the account and the
    /// endpoint, and runs the command.
    pub async fn run(&self, command: &Command, account: &str) -> Ended {
        let file = |name: &str| self.path(name).display().to_string();
        let vendor = self.vendor.base_url().to_string();
        let mut text = command.text.clone();
        let (exporter, prometheus) = (self.address.as_str(), self.prometheus.address());
        for (from, to) in [
            ("EXPORTER:10059", exporter),
            ("localhost:10059", exporter),
            ("PROMETHEUS:9090", prometheus),
            ("https://api.vobiz.ai/api/v1", &vendor),
            ("/run/secrets/vobiz-token", &file("token")),
            ("/etc/vobiz-exporter/token", &file("token")),
            ("/etc/vobiz-exporter.yaml", &file("exporter.yaml")),
            // A command with this placeholder also gets `--config.check`, so that the exporter ends.
            (
                "--config.file=...",
                &format!("--config.file={} --config.check", file("exporter.yaml")),
            ),
            (
                "/etc/prometheus/prometheus.yml",
                &path(PROMETHEUS).display().to_string(),
            ),
            ("/ID/", &format!("/{ENDPOINT}/")),
        ] {
            text = text.replace(from, to);
        }
        // The pattern must not match `ACCOUNTS` in the name of a variable.
        let named = regex::Regex::new(r"\bACCOUNT\b").unwrap();
        let text = named.replace_all(&text, account);
        fs::write(self.path("log"), self.exporter.err()).unwrap();
        self.bash(&format!("export AUTH_ID={}; {text}", auth_id("main")))
            .await
    }

    /// Runs a text with bash.
    async fn bash(&self, text: &str) -> Ended {
        let bin = self.path("bin");
        let text = format!("set -o pipefail; PATH='{}':$PATH; {text}", bin.display());
        judge(Path::new("bash"), &["-c", &text], "").await
    }

    /// Removes the token file, waits for the warning of the exporter, and restores the file.
    pub async fn refuse_the_token_for_a_short_time(&self) {
        let (file, away) = (self.path("token"), self.path("away"));
        fs::rename(&file, &away).unwrap();
        self.exporter.says("keeping the token in use").await;
        fs::rename(away, file).unwrap();
    }
}

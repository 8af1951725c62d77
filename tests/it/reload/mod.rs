//! An exporter takes over a changed configuration while it runs.

mod campaign;
mod fixtures;
mod stories;

use std::path::{Path, PathBuf};

use crate::harness::{Process, Program, Scrape, ask, until};

/// A running exporter whose configuration file the tests replace.
struct Reloadable {
    process: Process,
    address: String,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Reloadable {
    /// Starts an exporter with this configuration and these arguments.
    async fn start(configuration: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("live.yaml");
        std::fs::write(&file, configuration).unwrap();
        Self::in_folder(folder, &file, arguments, &[]).await
    }

    /// Starts an exporter with the configuration `file` in `folder`.
    async fn in_folder(
        folder: tempfile::TempDir,
        file: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let config = format!("--config.file={}", file.display());
        let mut all = vec![config.as_str(), "--web.listen-address=127.0.0.1:0"];
        all.extend(arguments);
        let program = Program::new(&all);
        let set = |program: Program, (name, value): &(&str, &str)| program.set(name, value);
        let process = variables.iter().fold(program, set).start();
        let address = process.listens(1).await.remove(0);
        Self {
            process,
            address,
            file: file.to_owned(),
            _folder: folder,
        }
    }

    /// Replaces the configuration file, as an editor does.
    fn write(&self, configuration: impl AsRef<[u8]>) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, configuration).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// Asks for a reload. Returns the status and the text of the response.
    async fn reload(&self) -> (u16, String) {
        self.ask("POST", "/-/reload").await
    }

    /// Replaces the configuration file, and reloads it without an error. Returns the text of the response.
    async fn change(&self, configuration: &str) -> String {
        self.write(configuration);
        let (status, text) = self.reload().await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The status and the text of the response to a request of this host.
    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let answer = ask(&self.address, method, path, &[("Host", &self.address)]).await;
        (answer.status, answer.text())
    }

    async fn scrape(&self) -> Scrape {
        let (status, body) = self.ask("GET", "/metrics").await;
        assert_eq!(status, 200, "{body}");
        Scrape::read(&body)
    }

    async fn until(&self, what: &str, seen: impl Fn(&Scrape) -> bool) -> Scrape {
        until(what, || async {
            let (status, body) = self.ask("GET", "/metrics").await;
            (status == 200).then(|| Scrape::read(&body)).filter(&seen)
        })
        .await
    }
}

/// The value of `vobiz_exporter_config_last_reload_successful`.
fn is_successful(scrape: &Scrape) -> Option<f64> {
    scrape.value("vobiz_exporter_config_last_reload_successful", &[])
}

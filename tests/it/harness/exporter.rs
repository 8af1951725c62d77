//! Runs the exporter as a process.

use std::{
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
};

use super::{Scrape, Written, signal, until};

const BINARY: &str = env!("CARGO_BIN_EXE_vobiz-exporter");

/// A running exporter. Dropping this struct kills the process.
pub struct Exporter {
    child: Child,
    _folder: tempfile::TempDir,
    address: String,
    log: Written,
    /// Whether a scrape has succeeded.
    has_loaded: AtomicBool,
}

/// The exit code and the log of an exporter that was stopped.
pub struct Finished {
    pub code: Option<i32>,
    pub log: String,
}

/// Runs the program until it ends. If `configuration` is empty, there is no configuration file.
pub async fn run(configuration: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    command(&folder, configuration, arguments)
        .output()
        .await
        .expect("the binary runs")
}

pub(super) fn command(
    folder: &tempfile::TempDir,
    configuration: &str,
    arguments: &[&str],
) -> Command {
    let mut command = Command::new(BINARY);
    // Environment variables of this machine must not change the result of a test.
    command
        .env_clear()
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .args(arguments);
    if !configuration.is_empty() {
        let file = folder.path().join("exporter.yaml");
        std::fs::write(&file, configuration).expect("the file can be written");
        command.arg("--config.file").arg(file);
    }
    command
}

impl Exporter {
    /// Starts an exporter with this configuration file on a free port, and waits until it listens.
    pub async fn start(configuration: &str) -> Self {
        Self::start_with(configuration, &[]).await
    }

    /// Starts an exporter with this configuration file and further arguments.
    pub async fn start_with(configuration: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = command(&folder, configuration, arguments);
        command.arg("--web.listen-address=127.0.0.1:0");
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = Written::by(child.stderr.take().expect("it is piped"));
        let address = until("the exporter listens", || {
            let log = log.text();
            async move {
                let line = log.lines().find(|line| line.contains("listening"))?;
                let address = line.split("address=").nth(1)?;
                Some(address.split_whitespace().next()?.to_owned())
            }
        })
        .await;
        Self {
            child,
            _folder: folder,
            address,
            log,
            has_loaded: AtomicBool::new(false),
        }
    }

    /// The address as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the first log line that contains `words`. A scrape can show an event before the
    /// log line of this event arrives.
    pub async fn log_line(&self, words: &str) -> String {
        let line = || async {
            let log = self.log.text();
            let complete = log
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let mut found = complete.filter(|line| line.contains(words));
            found.next().map(str::to_owned)
        };
        until(words, line).await
    }

    /// The process id of the exporter.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Status, head and body of a response. The request accepts no compression.
    pub async fn get(&self, path: &str) -> (u16, String, String) {
        self.request("GET", path, "").await
    }

    /// Sends a request with any method. `head` has further header lines, each ended by `\r\n`.
    pub async fn request(&self, method: &str, path: &str, head: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n{head}\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|code| code.parse().ok());
        (
            status.expect("an answer has a status"),
            head.to_owned(),
            body.to_owned(),
        )
    }

    /// The samples that Prometheus would receive now.
    pub async fn scrape(&self) -> Scrape {
        // Until the exporter has loaded its state, it answers with status 503. Later, that is an error.
        let answered = || async {
            let (status, _, body) = self.get("/metrics").await;
            let is_loading = status == 503 && !self.has_loaded.load(Ordering::Relaxed);
            (!is_loading).then_some((status, body))
        };
        let (status, body) = until("a scrape after the start", answered).await;
        assert_eq!(status, 200);
        self.has_loaded.store(true, Ordering::Relaxed);
        Scrape::read(&body)
    }

    /// Scrapes repeatedly until `seen` accepts a scrape, and returns this scrape.
    pub async fn until(&self, what: &str, seen: impl Fn(&Scrape) -> bool) -> Scrape {
        until(what, || async { Some(self.scrape().await).filter(&seen) }).await
    }

    /// Sends a signal to the process.
    pub async fn signal(&self, name: &str) {
        signal(self.pid(), name).await;
    }

    /// Ends the exporter with SIGTERM and waits for its end.
    pub async fn terminate(self) -> Finished {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits for the end of the process.
    pub async fn ended(mut self) -> Finished {
        let status = tokio::time::timeout(std::time::Duration::from_secs(12), self.child.wait());
        let status = status
            .await
            .expect("it ends in time")
            .expect("it can be waited for");
        Finished {
            code: status.code(),
            log: self.log.whole().await,
        }
    }
}

//! Finds and runs external programs, such as Prometheus and promtool.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt, process::Command};

use super::Ended;

/// The path of the program `name`. The environment variable `variable` can give another name or a
/// path. The function searches the folders of `PATH` for a name. The test fails if the program is
/// missing, so that no validation is skipped.
pub fn tool(variable: &str, name: &str) -> PathBuf {
    let named = PathBuf::from(env::var_os(variable).unwrap_or_else(|| name.into()));
    if named.components().count() > 1 {
        return existing(named, &format!("{variable} names it"));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut paths = env::split_paths(&folders).map(|folder| folder.join(&named));
    let found = paths.find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "this story needs `{name}`: run `make setup` (Debian: prometheus, prometheus-alertmanager), or name \
             the program by the variable {variable}"
        )
    })
}

/// The supported major versions of Prometheus.
#[derive(Debug, Clone, Copy)]
pub enum Generation {
    Two,
    Three,
}

impl Generation {
    /// Both major versions.
    pub const ALL: [Self; 2] = [Self::Two, Self::Three];

    /// The path of the Prometheus server.
    pub fn server(self) -> PathBuf {
        match self {
            Self::Two => tool("PROMETHEUS", "prometheus"),
            Self::Three => unpacked("PROMETHEUS3", "prometheus"),
        }
    }

    /// The path of promtool.
    pub fn promtool(self) -> PathBuf {
        match self {
            Self::Two => tool("PROMTOOL", "promtool"),
            Self::Three => unpacked("PROMTOOL3", "promtool"),
        }
    }
}

/// The path of `blackbox_exporter`, an exporter that uses Prometheus' exporter-toolkit.
pub fn blackbox_exporter() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/blackbox/usr/bin");
    let named = env::var_os("BLACKBOX_EXPORTER").map(PathBuf::from);
    existing(
        named.unwrap_or_else(|| folder.join("prometheus-blackbox-exporter")),
        "run `make setup`, or name a blackbox_exporter by BLACKBOX_EXPORTER",
    )
}

/// The path of a program of Prometheus 3, which `make setup` unpacks. `variable` can give another path.
fn unpacked(variable: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus3/usr/bin");
    let named = env::var_os(variable).map_or_else(|| folder.join(name), PathBuf::from);
    existing(
        named,
        &format!("run `make setup`, or name one of Prometheus 3 by {variable}"),
    )
}

/// The path of a Python with the package `prometheus-client`, which parses `OpenMetrics` strictly.
pub fn python() -> PathBuf {
    match env::var_os("OPENMETRICS_PYTHON") {
        Some(path) => existing(path.into(), "OPENMETRICS_PYTHON names it"),
        None => existing(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"),
            "run `make setup`, or let OPENMETRICS_PYTHON name a Python that has the package \
             prometheus-client",
        ),
    }
}

fn existing(path: PathBuf, remedy: &str) -> PathBuf {
    assert!(path.is_file(), "there is no {}: {remedy}", path.display());
    path
}

/// Runs a program that reads `input` from its standard input.
pub async fn judge(program: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let feeding = async move {
        // A program may close its standard input before it has read everything.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feeding);
    output.expect("it ends").into()
}

/// Fails unless promtool accepts the text without any message.
pub async fn promtool_accepts(what: &str, text: &str) {
    let promtool = tool("PROMTOOL", "promtool");
    let verdict = judge(&promtool, &["check", "metrics"], text).await;
    let words = format!("{}{}", verdict.out, verdict.err);
    assert_eq!((verdict.code, words.as_str()), (Some(0), ""), "{what}");
}

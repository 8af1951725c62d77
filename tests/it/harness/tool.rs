//! Programs of others that judge what the exporter writes.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt, process::Command};

use super::Ended;

/// A program of Debian's package `prometheus`: what `variable` names, a path or a name, else
/// `name`; a name is looked for on the path. A story that needs it fails without it: what is not
/// judged is not right.
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

/// The generations of Prometheus that people run.
#[derive(Debug, Clone, Copy)]
pub enum Generation {
    Two,
    Three,
}

impl Generation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Two, Self::Three];

    /// Its server.
    pub fn server(self) -> PathBuf {
        match self {
            Self::Two => tool("PROMETHEUS", "prometheus"),
            Self::Three => unpacked("PROMETHEUS3", "prometheus"),
        }
    }

    /// Its tool.
    pub fn promtool(self) -> PathBuf {
        match self {
            Self::Two => tool("PROMTOOL", "promtool"),
            Self::Three => unpacked("PROMTOOL3", "promtool"),
        }
    }
}

/// A program of the Prometheus 3 that `make setup` unpacks, or what `variable` names instead.
fn unpacked(variable: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus3/usr/bin");
    let named = env::var_os(variable).map_or_else(|| folder.join(name), PathBuf::from);
    existing(
        named,
        &format!("run `make setup`, or name one of Prometheus 3 by {variable}"),
    )
}

/// A Python that has the package `prometheus-client`, whose parser of `OpenMetrics` is strict.
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

/// Runs a program that reads `input`.
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
        // A program that has seen enough closes its end.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feeding);
    output.expect("it ends").into()
}

/// Fails unless Prometheus's own tool accepts a text and finds nothing to say about it.
pub async fn promtool_accepts(what: &str, text: &str) {
    let promtool = tool("PROMTOOL", "promtool");
    let verdict = judge(&promtool, &["check", "metrics"], text).await;
    let words = format!("{}{}", verdict.out, verdict.err);
    assert_eq!((verdict.code, words.as_str()), (Some(0), ""), "{what}");
}

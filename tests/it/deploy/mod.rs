//! The deployment files, validated by the programs that read them.

mod booted;
mod compose;
mod config_map;
mod container;
mod derived;
mod dockerfile;
mod engine;
mod healthcheck;
mod kubernetes;
mod notify;
mod overlay;
mod package;
mod socket;
mod state;
mod system;
mod unit;
mod upgraded;

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::harness::{Ended, judge};

const BINARY: &str = env!("CARGO_BIN_EXE_vobiz-exporter");

/// The path of a file in the repository.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file in the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The path of a program. Searches the folders that `make setup` fills, then `PATH`. Fails if the
/// program is missing.
pub fn program(name: &str) -> PathBuf {
    let ours = ["target/venv/bin", "target/tools/bin"].map(shipped);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = ours.into_iter().chain(env::split_paths(&path));
    let found = places.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| panic!("this story needs `{name}`: run `make setup`"))
}

/// Runs a script of the repository with Node.js in the folder of the npm packages. The script reads `input`.
pub async fn node(script: &str, input: &str) -> Ended {
    let (folder, node) = (shipped("target/npm"), program("node"));
    let [folder, node] = [&folder, &node].map(|path| path.to_str().expect("paths are text"));
    let script = crate::rules::read(script);
    let arguments = ["-C", folder, node, "--input-type=module", "--eval", &script];
    judge(&program("env"), &arguments, input).await
}

/// Finds a program by its name, runs it and waits for its end.
async fn run(name: &str, arguments: &[&dyn AsRef<OsStr>]) -> Ended {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|one| one.as_ref().to_str().expect("paths are text"))
        .collect();
    judge(&program(name), &arguments, "").await
}

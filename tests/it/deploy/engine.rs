//! A container engine for tests: buildah and podman, without systemd and without a registry.

use std::{path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program;
use crate::harness::{Ended, Written};

/// A separate folder with images and containers. Dropping this struct removes containers and folder.
pub struct Engine {
    folder: TempDir,
}

/// The `podman run` process of a container, and the output of the container.
pub struct Container {
    pub out: Written,
    pub err: Written,
    _process: Child,
}

impl Engine {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    /// The folder of the images and containers. A test can also put other files into this folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn buildah(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("buildah");
        command.args(arguments);
        command
    }

    pub fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("podman");
        // With these options, podman needs no systemd and no new kernel features.
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file"]).args(arguments);
        command
    }

    /// `podman run` with the common options.
    pub fn container(&self, name: &str) -> Command {
        let mut command = self.podman(&["run", "--pull=never", "--no-healthcheck", "--name", name]);
        let limits = ["nofile=1024:1024", "nproc=4096:4096"];
        command.args(limits.map(|limit| format!("--ulimit={limit}")));
        command
    }

    /// A property of a container, as podman reports it.
    pub async fn inspect(&self, name: &str, format: &str) -> String {
        let inspected = done(&mut self.podman(&["inspect", "--format", format, name])).await;
        inspected.out.trim().to_owned()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        for (option, folder) in [("--root", "storage"), ("--runroot", "run")] {
            command.arg(option).arg(self.folder.path().join(folder));
        }
        command.args(["--storage-driver", "vfs"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A container outlives its `podman run` command, so this function removes all containers.
        let mut remove = self.podman(&["rm", "--all", "--force", "--time", "0"]);
        let _ = remove.as_std_mut().stdout(Stdio::null()).status();
        // While podman still writes files, removal of the folder can fail. So the loop tries again.
        for _ in 0..50 {
            if std::fs::remove_dir_all(self.folder.path()).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Container {
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            out: Written::by(process.stdout.take().unwrap()),
            err: Written::by(process.stderr.take().unwrap()),
            _process: process,
        }
    }
}

/// Runs a command. Fails if the command fails.
pub async fn done(command: &mut Command) -> Ended {
    let ended = Ended::from(command.output().await.unwrap());
    assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
    ended
}

//! A container engine of our own: buildah and podman, used without systemd and without a registry.

use std::{path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program;
use crate::harness::{Ended, Written};

/// Images and containers in a place of their own, which all end with the story.
pub struct Engine {
    folder: TempDir,
}

/// A container in the foreground, and what it writes.
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

    /// For whatever has to be gone with the containers.
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
        // What needs neither systemd nor a newer interface of the kernel.
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file"]).args(arguments);
        command
    }

    /// `podman run`, up to the options that differ.
    pub fn container(&self, name: &str) -> Command {
        let mut command = self.podman(&["run", "--pull=never", "--no-healthcheck", "--name", name]);
        let limits = ["nofile=1024:1024", "nproc=4096:4096"];
        command.args(limits.map(|limit| format!("--ulimit={limit}")));
        command
    }

    /// What podman knows of a container.
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
        // A container outlives the command that has started it.
        let mut remove = self.podman(&["rm", "--all", "--force", "--time", "0"]);
        let _ = remove.as_std_mut().stdout(Stdio::null()).status();
        // Podman's own cleaning may still be under way and put files back.
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

/// Runs a command that must do well.
pub async fn done(command: &mut Command) -> Ended {
    let ended = Ended::from(command.output().await.unwrap());
    assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
    ended
}

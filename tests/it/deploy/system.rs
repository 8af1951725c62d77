//! A container with a separate root file system, booted with a real systemd.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    BINARY,
    engine::{Container, Engine, done},
    text,
};
use crate::harness::{Ended, until};

pub const UNIT: &str = "vobiz-exporter.service";
/// Systemd needs shared mounts, as on a host, to pass credentials to services.
const BOOT: &str = "mount --make-rshared / && exec /lib/systemd/systemd --unit=idle.target";

/// A system that starts no service by itself. It has the programs of the host, a simulated vendor
/// as a service, and the token of this vendor.
pub struct System {
    // Rust drops this field first, and then the engine, which removes the container and its files.
    _container: Container,
    engine: Engine,
}

/// How the system mounts the programs of the host.
#[derive(Debug, Clone, Copy)]
pub enum Programs {
    /// The programs are read-only.
    Fixed,
    /// The programs can change in this system, but do not change on the host.
    Changeable,
}

impl System {
    /// Boots a system without a network.
    pub async fn boot(programs: Programs) -> Self {
        Self::boot_on(programs, "none").await
    }

    /// Boots a system on the network of the host, so that a test can be the vendor.
    pub async fn boot_on_host_network() -> Self {
        Self::boot_on(Programs::Fixed, "host").await
    }

    async fn boot_on(programs: Programs, network: &str) -> Self {
        let engine = Engine::new();
        let root = engine.folder().join("system");
        let folders = "usr etc/systemd/system etc/vobiz-exporter etc/default root tmp proc dev sys run var/log opt";
        for folder in folders.split(' ') {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        for file in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
            fs::copy(Path::new("/etc").join(file), root.join("etc").join(file)).unwrap();
        }
        // Without a machine id, systemd would treat this as the first boot and enable services.
        fs::write(
            root.join("etc/machine-id"),
            "0123456789abcdef0123456789abcdef\n",
        )
        .unwrap();
        fs::copy(BINARY, root.join("opt/vobiz-exporter")).unwrap();
        let units = root.join("etc/systemd/system");
        fs::write(units.join("idle.target"), "[Unit]\nDescription=Nothing\n").unwrap();
        let vendor = "[Service]\nExecStart=/opt/vobiz-exporter simulate --endpoints=50 --speed=0\n";
        fs::write(units.join("vendor.service"), vendor).unwrap();
        let token = root.join("etc/vobiz-exporter/token");
        fs::write(&token, "sim-token-00001-not-a-secret\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();

        let volume = match programs {
            Programs::Fixed => "--volume=/usr:/usr:ro",
            Programs::Changeable => "--volume=/usr:/usr:O",
        };
        let mut command = engine.container("system");
        command.args(["--systemd=always", "--privileged", "--network", network]);
        command.args([volume, "--rootfs"]).arg(root);
        let container = Container::start(command.args(["/bin/sh", "-c", BOOT]));
        let system = Self {
            engine,
            _container: container,
        };
        until("systemd has booted", || async {
            let state = system.run(&["systemctl", "is-active", "idle.target"]).await;
            (state.out == "active\n").then_some(())
        })
        .await;
        system
    }

    /// Installs the shipped unit with the binary of the tests, and the environment file `settings`.
    pub async fn install_unit(&self, settings: &str) {
        let unit = text("deploy/systemd/vobiz-exporter.service");
        // The container mounts the host's /usr read-only, so the binary is in /opt.
        let unit = unit.replace("/usr/bin/vobiz-exporter", "/opt/vobiz-exporter");
        fs::write(self.path("etc/systemd/system").join(UNIT), unit).unwrap();
        fs::write(self.path("etc/default/vobiz-exporter"), settings).unwrap();
        self.does("systemctl daemon-reload").await;
    }

    /// Writes the configuration file: the shipped example, the vendor's URL, and the text `more`.
    pub fn configure(&self, more: &str) {
        let shipped = text("deploy/systemd/exporter.yaml").replace("MA_XXXXXXXX", "MA_SIM00001");
        let vendor = "api: {base_url: \"http://127.0.0.1:10060/api/v1\"}\npoll: {interval: 5s}\n";
        fs::write(
            self.path("etc/vobiz-exporter/exporter.yaml"),
            format!("{shipped}{vendor}{more}"),
        )
        .unwrap();
    }

    /// The path of a file in this system.
    pub fn path(&self, file: &str) -> PathBuf {
        self.engine.folder().join("system").join(file)
    }

    pub async fn run(&self, command: &[&str]) -> Ended {
        let command = [&["exec", "system"], command].concat();
        self.engine.podman(&command).output().await.unwrap().into()
    }

    pub async fn does(&self, command: &str) -> String {
        let words: Vec<_> = ["exec", "system"]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        done(&mut self.engine.podman(&words)).await.out
    }

    /// The value of a property of the exporter's unit.
    pub async fn shows(&self, property: &str) -> String {
        let shown = self
            .does(&format!(
                "systemctl show {UNIT} --value --property={property}"
            ))
            .await;
        shown.trim().to_owned()
    }

    pub async fn until_it_shows(&self, property: &str, value: &str) {
        until(&format!("{property} is {value}"), || async {
            (self.shows(property).await == value).then_some(())
        })
        .await;
    }
}

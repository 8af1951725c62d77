//! The unit under a real systemd, booted in a container: `make test-container`, as root.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use super::{
    BINARY,
    engine::{Container, Engine, done},
    text,
};
use crate::stand::{Ended, until};

const UNIT: &str = "vobiz-exporter.service";
/// Mounts must spread as they do on a host, or no service gets its credentials.
const BOOT: &str = "mount --make-rshared / && exec /lib/systemd/systemd --unit=idle.target";

/// A system that runs nothing by itself, with the programs of its host.
struct System {
    // Dropped first: the engine then removes what is left.
    _container: Container,
    engine: Engine,
}

impl System {
    async fn boot() -> Self {
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
        // A system that is not booted for the first time: then it would enable services.
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
        let unit = text("deploy/systemd/vobiz-exporter.service");
        // The host's /usr cannot be written to.
        let unit = unit.replace("/usr/bin/vobiz-exporter", "/opt/vobiz-exporter");
        fs::write(units.join(UNIT), unit).unwrap();
        let settings = text("deploy/systemd/vobiz-exporter.default");
        fs::write(root.join("etc/default/vobiz-exporter"), settings).unwrap();
        let token = root.join("etc/vobiz-exporter/token");
        fs::write(&token, "sim-token-00001-not-a-secret\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();

        let mut command = engine.container("system");
        command.args(["--systemd=always", "--privileged", "--network=none"]);
        command
            .args(["--volume=/usr:/usr:ro", "--rootfs"])
            .arg(root);
        let container = Container::start(command.args(["/bin/sh", "-c", BOOT]));
        let system = Self {
            engine,
            _container: container,
        };
        system.configure("");
        until("systemd has booted", || async {
            let state = system.run(&["systemctl", "is-active", "idle.target"]).await;
            (state.out == "active\n").then_some(())
        })
        .await;
        system
    }

    /// Writes the shipped configuration for the vendor of this system, with more lines.
    fn configure(&self, more: &str) {
        let shipped = text("deploy/systemd/exporter.yaml").replace("MA_XXXXXXXX", "MA_SIM00001");
        let vendor = "api: {base_url: \"http://127.0.0.1:10060/api/v1\"}\npoll: {interval: 5s}\n";
        let file = self
            .engine
            .folder()
            .join("system/etc/vobiz-exporter/exporter.yaml");
        fs::write(file, format!("{shipped}{vendor}{more}")).unwrap();
    }

    async fn run(&self, command: &[&str]) -> Ended {
        let command = [&["exec", "system"], command].concat();
        self.engine.podman(&command).output().await.unwrap().into()
    }

    async fn does(&self, command: &str) -> String {
        let words: Vec<_> = ["exec", "system"]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        done(&mut self.engine.podman(&words)).await.out
    }

    /// A property of the exporter's unit.
    async fn shows(&self, property: &str) -> String {
        let shown = self
            .does(&format!(
                "systemctl show {UNIT} --value --property={property}"
            ))
            .await;
        shown.trim().to_owned()
    }

    async fn until_it_shows(&self, property: &str, value: &str) {
        until(&format!("{property} is {value}"), || async {
            (self.shows(property).await == value).then_some(())
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn under_a_real_systemd_the_unit_is_ready_watched_sandboxed_and_stopped() {
    let system = System::boot().await;
    // It returns once the service says that it is ready. There is no vendor.
    system.does("systemctl start vobiz-exporter").await;
    system
        .until_it_shows("StatusText", "1 account: 0 up, 1 failed their last walk")
        .await;
    system.does("systemctl start vendor").await;
    system
        .until_it_shows("StatusText", "1 account, all up")
        .await;
    system.does("/opt/vobiz-exporter --healthcheck").await;

    let pid = system.shows("MainPID").await;
    let status = system.does(&format!("cat /proc/{pid}/status")).await;
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|has| has == line), "{line}: {status}");
    }
    let limits = system.does(&format!("cat /proc/{pid}/limits")).await;
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "no token in a file after a crash");

    let hurry = system
        .engine
        .folder()
        .join("system/etc/systemd/system/vobiz-exporter.service.d");
    fs::create_dir(&hurry).unwrap();
    fs::write(
        hurry.join("hurry.conf"),
        "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n",
    )
    .unwrap();
    system.does("systemctl daemon-reload").await;
    system.does("systemctl restart vobiz-exporter").await;
    let pid = system.shows("MainPID").await;
    system.does(&format!("kill -s STOP {pid}")).await;
    system.until_it_shows("NRestarts", "1").await;
    system.until_it_shows("ActiveState", "active").await;
    assert_ne!(
        system.shows("MainPID").await,
        pid,
        "one that hangs is replaced"
    );

    system.configure("colour: blue\n");
    let refused = system
        .run(&["systemctl", "restart", "vobiz-exporter"])
        .await;
    assert_ne!(refused.code, Some(0));
    system.until_it_shows("ActiveState", "failed").await;
    assert_eq!(system.shows("ExecMainStatus").await, "2");
    assert_eq!(
        system.shows("NRestarts").await,
        "0",
        "it would not get better"
    );

    system.configure("");
    system.does("systemctl start vobiz-exporter").await;
    system.does("systemctl stop vobiz-exporter").await;
    assert_eq!(system.shows("Result").await, "success");
    assert_eq!(system.shows("ActiveState").await, "inactive");
}

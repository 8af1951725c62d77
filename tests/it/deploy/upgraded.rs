//! Installs the Debian package with a real systemd, upgrades it to a later version, and removes it.
//! `make test-container` runs this test as root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    package::build,
    run,
    system::{Programs, System},
};

const SETTINGS: &str = "etc/vobiz-exporter/exporter.yaml";
const NEXT: &str = "9.9.9-1";
/// A line that only the example configuration of the later version has.
const REMARK: &str = "# A setting that only the next version has.\n";

/// Builds a later version: the same program with another version number and another example
/// configuration.
async fn next(folder: &Path) -> PathBuf {
    let package = build(&folder.join("next"), &["--deb-version", NEXT]).await;
    let parts = folder.join("parts");
    let taken = run("dpkg-deb", &[&"-R", &package, &parts]).await;
    assert_eq!(taken.code, Some(0), "{taken:?}");
    let example = parts.join(SETTINGS);
    let text = fs::read_to_string(&example).unwrap();
    fs::write(example, format!("{text}{REMARK}")).unwrap();
    let package = folder.join("next.deb");
    let quickly = "-Zgzip";
    let put = run("dpkg-deb", &[&quickly, &"-z1", &"-b", &parts, &package]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    package
}

/// A system without installed packages. The package files of both versions are in `/opt`.
async fn system() -> System {
    let system = System::boot(Programs::Changeable).await;
    for part in ["info", "updates", "triggers"] {
        fs::create_dir_all(system.path("var/lib/dpkg").join(part)).unwrap();
    }
    fs::write(system.path("var/lib/dpkg/status"), "").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = build(&folder.path().join("first"), &[]).await;
    fs::copy(first, system.path("opt/first.deb")).unwrap();
    fs::copy(next(folder.path()).await, system.path("opt/next.deb")).unwrap();
    // The policy of the host can forbid service starts. The test removes it from this system only.
    system.does("rm -f /usr/sbin/policy-rc.d").await;
    system
}

/// Installs a package with the options of unattended upgrades. dpkg ignores dependencies, because
/// the system has no other packages.
async fn install(system: &System, package: &str) {
    let options = "--force-depends --force-confdef --force-confold";
    system
        .does(&format!("dpkg {options} -i /opt/{package}.deb"))
        .await;
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn an_upgrade_keeps_changed_files_and_state_and_restarts_running_services_only() {
    let system = system().await;
    install(&system, "first").await;
    system.until_it_shows("UnitFileState", "disabled").await;
    system.until_it_shows("ActiveState", "inactive").await;

    // These steps follow the deployment document.
    system.configure("");
    let ours = fs::read_to_string(system.path(SETTINGS)).unwrap();
    system.does("systemctl start vendor").await;
    system.does("systemctl enable --now vobiz-exporter").await;
    system
        .until_it_shows("StatusText", "1 account, all up")
        .await;
    let before = system.shows("MainPID").await;
    // `ls` shows the inode, and fails if the file is absent.
    let state = "/var/lib/vobiz-exporter/state.db";
    let database = system.does(&format!("ls -i {state}")).await;

    install(&system, "next").await;
    let version = system
        .does("dpkg-query -W -f=${Status},${Version} vobiz-exporter")
        .await;
    assert_eq!(version, format!("install ok installed,{NEXT}"));
    assert_eq!(fs::read_to_string(system.path(SETTINGS)).unwrap(), ours);
    let theirs = fs::read_to_string(system.path(&format!("{SETTINGS}.dpkg-dist"))).unwrap();
    assert!(theirs.ends_with(REMARK), "{theirs}");
    system
        .until_it_shows("StatusText", "1 account, all up")
        .await;
    let after = system.shows("MainPID").await;
    assert_ne!(before, after, "the new version runs");
    assert_eq!(system.does(&format!("ls -i {state}")).await, database);
    let program = system.does(&format!("readlink /proc/{after}/exe")).await;
    assert_eq!(program, "/usr/bin/vobiz-exporter\n");
    system.until_it_shows("UnitFileState", "enabled").await;
    system.until_it_shows("Result", "success").await;

    // An upgrade must not start a service that an operator has stopped and disabled.
    system.does("systemctl disable --now vobiz-exporter").await;
    install(&system, "first").await;
    system.until_it_shows("UnitFileState", "disabled").await;
    assert_eq!(system.shows("ActiveState").await, "inactive");
    assert_eq!(fs::read_to_string(system.path(SETTINGS)).unwrap(), ours);

    system.does("systemctl enable --now vobiz-exporter").await;
    system.does("dpkg -r vobiz-exporter").await;
    assert_eq!(
        system.shows("ActiveState").await,
        "inactive",
        "it is stopped"
    );
    assert!(system.path(SETTINGS).exists());
    assert_eq!(system.does(&format!("ls -i {state}")).await, database);
    system.does("dpkg -P vobiz-exporter").await;
    assert!(!system.path(SETTINGS).exists());
    assert!(!system.path("var/lib/private/vobiz-exporter").exists());
    let link = system.path("var/lib/vobiz-exporter");
    assert!(fs::symlink_metadata(link).is_err(), "the link is removed");
    assert!(system.path("etc/vobiz-exporter/token").exists());
}

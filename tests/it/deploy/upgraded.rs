//! The Debian package under a real systemd, from the first installation to the removal, with an upgrade to
//! a next version in between: `make test-container`, as root.

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
/// What the next version's example says and this one's does not.
const REMARK: &str = "# A setting that only the next version has.\n";

/// The next version: the same program, another number, and another example of a configuration.
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

/// A system that knows of no package yet, with both versions in `/opt`.
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
    // On a machine that builds containers, packages may be forbidden to start services.
    system.does("rm -f /usr/sbin/policy-rc.d").await;
    system
}

/// Installs as unattended upgrades do, in a system that has nothing that could be depended on.
async fn install(system: &System, package: &str) {
    let options = "--force-depends --force-confdef --force-confold";
    system
        .does(&format!("dpkg {options} -i /opt/{package}.deb"))
        .await;
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn an_upgrade_keeps_changed_files_and_restarts_running_services_only() {
    let system = system().await;
    install(&system, "first").await;
    system.until_it_shows("UnitFileState", "disabled").await;
    system.until_it_shows("ActiveState", "inactive").await;

    // As the document of deployment says.
    system.configure("");
    let ours = fs::read_to_string(system.path(SETTINGS)).unwrap();
    system.does("systemctl start vendor").await;
    system.does("systemctl enable --now vobiz-exporter").await;
    system
        .until_it_shows("StatusText", "1 account, all up")
        .await;
    let before = system.shows("MainPID").await;

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
    let program = system.does(&format!("readlink /proc/{after}/exe")).await;
    assert_eq!(program, "/usr/bin/vobiz-exporter\n");
    system.until_it_shows("UnitFileState", "enabled").await;
    system.until_it_shows("Result", "success").await;

    // Somebody has stopped it: then it stays so, whatever is installed.
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
    system.does("dpkg -P vobiz-exporter").await;
    assert!(!system.path(SETTINGS).exists());
    assert!(system.path("etc/vobiz-exporter/token").exists());
}

//! Builds, installs, configures, upgrades, removes and purges the Debian package.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::process::Command;

use super::{BINARY, program, run, shipped, text};
use crate::harness::Ended;

/// A built package, and the folder into which the test installs this package.
struct Installation {
    folder: TempDir,
    package: PathBuf,
}

/// Builds the package in the folder `target`. The package gets the binary of the tests, so cargo-deb
/// compiles nothing. `arguments` are additional arguments of cargo-deb.
pub async fn build(target: &Path, arguments: &[&str]) -> PathBuf {
    let binary = target.join("release/vobiz-exporter");
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    let stripped = run("strip", &[&"-o", &binary, &BINARY]).await;
    assert_eq!(stripped.code, Some(0), "{stripped:?}");
    let built = Command::new(shipped("scripts/package.sh"))
        .arg("--fast")
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_DEB", program("cargo-deb"))
        .output()
        .await
        .unwrap();
    let built = Ended::from(built);
    assert_eq!((built.code, built.err.as_str()), (Some(0), ""), "{built:?}");
    PathBuf::from(built.out.trim())
}

impl Installation {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let package = build(&folder.path().join("target"), &[]).await;
        let database = folder.path().join("root/var/lib/dpkg");
        for part in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(part)).unwrap();
        }
        fs::write(database.join("status"), "").unwrap();
        // Stubs replace `systemctl` and `deb-systemd-invoke`, because the test must not restart an
        // exporter of this machine.
        let stubs = folder.path().join("stubs");
        fs::create_dir(&stubs).unwrap();
        for name in ["systemctl", "deb-systemd-invoke"] {
            let stub = stubs.join(name);
            fs::write(&stub, "#!/bin/sh\n").unwrap();
            fs::set_permissions(stub, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, package }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path)
    }

    async fn dpkg(&self, action: &str, what: &Path) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let folders = [self.folder.path().join("stubs")]
            .into_iter()
            .chain(folders);
        let mut root = std::ffi::OsString::from("--root=");
        root.push(self.path(""));
        let output = Command::new(program("dpkg"))
            .arg(root)
            // The folder of `--root` has no dependencies and no shell for maintainer scripts.
            .args([
                "--force-depends",
                "--force-script-chrootless",
                "--force-not-root",
            ])
            .arg(action)
            .arg(what)
            .env("PATH", std::env::join_paths(folders).unwrap())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{action}: {output:?}");
    }

    /// Checks every manual page that the manual page of the program names.
    async fn every_page_that_is_referred_to_is_there(&self) {
        let page = async |name: &str| {
            let file = self.path(&format!("usr/share/man/man1/{name}.1.gz"));
            let page = run("gzip", &[&"-dc", &file]).await;
            assert_eq!(page.code, Some(0), "{page:?}");
            assert!(page.out.contains(&format!(".TH {name} 1 ")), "{page:?}");
            page.out.replace("\\-", "-")
        };
        let manual = page("vobiz-exporter").await;
        assert!(manual.contains("--healthcheck"), "{manual}");
        let reference = regex::Regex::new(r"(vobiz-exporter-[a-z]+)\(1\)").unwrap();
        let names: Vec<_> = reference
            .captures_iter(&manual)
            .map(|one| one[1].to_owned())
            .collect();
        assert!(names.len() > 3, "{manual}");
        for name in &names {
            let manual = page(name).await;
            let mut others = reference
                .captures_iter(&manual)
                .map(|one| one[1].to_owned());
            assert!(others.all(|other| names.contains(&other)), "{manual}");
        }
        let folder = fs::read_dir(self.path("usr/share/man/man1")).unwrap();
        assert_eq!(
            folder.count(),
            names.len() + 1,
            "no page without a reference"
        );
    }
}

#[tokio::test]
async fn the_package_installs_everything_and_keeps_what_was_changed() {
    let here = Installation::new().await;
    let needs = run("dpkg-deb", &[&"--field", &here.package, &"Depends"]).await;
    assert!(needs.out.contains("libc6 (>= "), "{needs:?}");
    here.dpkg("-i", &here.package).await;
    for (path, mode) in [
        ("usr/bin/vobiz-exporter", 0o755),
        ("usr/lib/systemd/system/vobiz-exporter.service", 0o644),
        ("etc/vobiz-exporter/exporter.yaml", 0o644),
        ("etc/default/vobiz-exporter", 0o644),
        ("usr/share/man/man1/vobiz-exporter.1.gz", 0o644),
        (
            "usr/share/bash-completion/completions/vobiz-exporter",
            0o644,
        ),
        ("usr/share/zsh/vendor-completions/_vobiz-exporter", 0o644),
        (
            "usr/share/fish/vendor_completions.d/vobiz-exporter.fish",
            0o644,
        ),
        ("usr/share/doc/vobiz-exporter/copyright", 0o644),
        ("usr/share/doc/vobiz-exporter/configuration.md", 0o644),
        (
            "usr/share/doc/vobiz-exporter/runbooks/VobizOutage.md",
            0o644,
        ),
        (
            "usr/share/doc/vobiz-exporter/examples/prometheus/rules/vobiz-exporter.yml",
            0o644,
        ),
        (
            "usr/share/doc/vobiz-exporter/examples/alertmanager/alertmanager.yml",
            0o644,
        ),
    ] {
        let about = fs::metadata(here.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(about.permissions().mode() & 0o777, mode, "{path}");
    }
    let unit = fs::read_to_string(here.path("usr/lib/systemd/system/vobiz-exporter.service"));
    assert_eq!(unit.unwrap(), text("deploy/systemd/vobiz-exporter.service"));
    let wanted = here.path("etc/systemd/system/multi-user.target.wants");
    assert!(
        !wanted.exists(),
        "it is not enabled before it has an account"
    );

    let installed = here.path("usr/bin/vobiz-exporter");
    let version = Command::new(&installed).arg("--version").output().await;
    let version = Ended::from(version.unwrap());
    let said = concat!("vobiz-exporter ", env!("CARGO_PKG_VERSION"), " ");
    assert!(version.out.starts_with(said), "{version:?}");
    here.every_page_that_is_referred_to_is_there().await;
    let completion = here.path("usr/share/bash-completion/completions/vobiz-exporter");
    let load = "source \"$0\" && complete -p vobiz-exporter";
    let loaded = run("bash", &[&"-c", &load, &completion]).await;
    assert_eq!(
        (loaded.code, loaded.err.as_str()),
        (Some(0), ""),
        "{loaded:?}"
    );

    // Installing the package again has the effect of an upgrade.
    let (settings, ours) = (
        here.path("etc/vobiz-exporter/exporter.yaml"),
        "accounts: []\n",
    );
    fs::write(&settings, ours).unwrap();
    // systemd would create this folder and this link at the start of the service.
    let (state, link) = ("var/lib/private/vobiz-exporter", "var/lib/vobiz-exporter");
    let (state, link) = (here.path(state), here.path(link));
    fs::create_dir_all(&state).unwrap();
    symlink("private/vobiz-exporter", &link).unwrap();
    fs::write(state.join("state.db"), "state").unwrap();
    here.dpkg("-i", &here.package).await;
    assert_eq!(fs::read_to_string(&settings).unwrap(), ours);
    let name = Path::new("vobiz-exporter");
    here.dpkg("-r", name).await;
    assert!(!installed.exists());
    assert!(link.join("state.db").exists());
    assert_eq!(fs::read_to_string(&settings).unwrap(), ours);
    let token = here.path("etc/vobiz-exporter/token");
    fs::write(&token, "abc\n").unwrap();
    here.dpkg("-P", name).await;
    assert!(!settings.exists());
    assert!(!state.exists());
    assert!(fs::symlink_metadata(&link).is_err(), "the link is removed");
    // According to the deployment document, purging keeps files that the package did not create.
    assert!(token.exists());
    assert!(!here.path("etc/default/vobiz-exporter").exists());
}

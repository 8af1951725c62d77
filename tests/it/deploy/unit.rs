//! The systemd unit, checked by systemd's tools.

use crate::harness::Program;

use super::{BINARY, run, shipped, text};

const UNIT: &str = "deploy/systemd/vobiz-exporter.service";
/// The maximum exposure level that `systemd-analyze` may report, in tenths: 1.5 of 10.
const THRESHOLD: &str = "--threshold=15";

#[tokio::test]
async fn systemd_accepts_every_line_of_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let judge = |text: String| {
        let file = folder.path().join("vobiz-exporter.service");
        std::fs::write(&file, text).unwrap();
        async move { run("systemd-analyze", &[&"verify", &"--man=no", &file]).await }
    };
    // `systemd-analyze` requires an existing program, but the exporter is not installed here.
    let unit = text(UNIT);
    assert!(unit.contains("ExecStart=/usr/bin/vobiz-exporter "));
    let unit = unit.replace("/usr/bin/vobiz-exporter", BINARY);
    let verdict = judge(unit.clone()).await;
    let words = format!("{}{}", verdict.out, verdict.err);
    assert_eq!((verdict.code, words.as_str()), (Some(0), ""));
    // The exit code is also 0 for an unknown key, so the test checks the output.
    let verdict = judge(unit.replace("ProtectHome=", "ProtectHouse=")).await;
    assert!(verdict.err.contains("ProtectHouse"), "{verdict:?}");
}

#[tokio::test]
async fn the_sandbox_leaves_an_exposure_of_one_and_a_half_at_most() {
    let arguments = ["security", "--offline=true", "--no-pager", THRESHOLD];
    let [verb, offline, pager, threshold] = &arguments;
    let verdict = run(
        "systemd-analyze",
        &[verb, offline, pager, threshold, &shipped(UNIT)],
    )
    .await;
    assert_eq!(verdict.code, Some(0), "{}", verdict.out);
    assert!(
        verdict.out.contains("Overall exposure level"),
        "{verdict:?}"
    );
}

#[test]
fn the_unit_has_readiness_watchdog_credential_and_state() {
    let unit = text(UNIT);
    for line in [
        "Type=notify",
        "WatchdogSec=30s",
        "DynamicUser=yes",
        "LoadCredential=token:/etc/vobiz-exporter/token",
        "EnvironmentFile=-/etc/default/vobiz-exporter",
        "RestartPreventExitStatus=2",
        "LimitCORE=0",
        "StateDirectory=vobiz-exporter",
        "StateDirectoryMode=0700",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(unit.lines().any(|has| has == line), "{line}");
    }
    let credential = "/run/credentials/vobiz-exporter.service/token";
    assert!(text("deploy/systemd/exporter.yaml").contains(credential));
    assert!(unit.contains("--config.file=/etc/vobiz-exporter/exporter.yaml $ARGS"));
}

/// The environment file has only plain assignments, so a shell reads the file as systemd does.
#[tokio::test]
async fn the_shipped_configuration_is_valid_with_the_flags_of_the_environment_file() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "abc\n").unwrap();
    let file = shipped("deploy/systemd/vobiz-exporter.default");
    let source = format!(". {}; set -- $ARGS \"$@\"", file.display());
    let configuration = text("deploy/systemd/exporter.yaml");
    let checked = Program::configured(&configuration, &["--config.check"])
        .after(&source)
        .set("VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN_FILE", &token)
        .run()
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.out.contains("valid: 1 account (main)"),
        "{checked:?}"
    );
    assert!(text("deploy/systemd/vobiz-exporter.default").contains("\nARGS=\"--"));
}

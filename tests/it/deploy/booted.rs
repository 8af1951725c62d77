//! Runs the unit in a container with a real systemd. `make test-container` runs this test as root.

use std::fs;

use super::{
    system::{Programs, System},
    text,
};
use crate::harness::until;

/// Changes the configuration of the running service, first with an error.
async fn reload(system: &System) {
    let pid = system.shows("MainPID").await;
    let refused = "1 account, all up; the last reload of the configuration was refused";
    for (more, status, timestamps) in [
        ("colour: blue\n", refused, false),
        (
            "metrics: {groups: [timestamps]}\n",
            "1 account, all up",
            true,
        ),
        ("", "1 account, all up", false),
    ] {
        system.configure(more);
        system.does("systemctl reload vobiz-exporter").await;
        system.until_it_shows("StatusText", status).await;
        system.until_it_shows("ActiveState", "active").await;
        until("the series of the configuration", || async {
            let metrics = system
                .does("curl --silent http://127.0.0.1:10059/metrics")
                .await;
            let has_timestamps = metrics.contains("\nvobiz_endpoint_created_timestamp_seconds{");
            (has_timestamps == timestamps).then_some(())
        })
        .await;
    }
    assert_eq!(system.shows("MainPID").await, pid, "the process goes on");
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn under_a_real_systemd_the_unit_is_ready_watched_sandboxed_and_stopped() {
    let system = System::boot(Programs::Fixed).await;
    let settings = text("deploy/systemd/vobiz-exporter.default");
    system.install_unit(&settings).await;
    system.configure("");
    // This command returns when the service has reported that it is ready. The service must be
    // ready although the vendor does not run.
    system.does("systemctl start vobiz-exporter").await;
    system
        .until_it_shows("StatusText", "1 account: 0 up, 1 down")
        .await;
    system.does("systemctl start vendor").await;
    system
        .until_it_shows("StatusText", "1 account, all up")
        .await;
    system.does("/opt/vobiz-exporter --healthcheck").await;
    reload(&system).await;

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

    let hurry = system.path("etc/systemd/system/vobiz-exporter.service.d");
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

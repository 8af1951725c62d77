//! The unit and the image keep the time of a loss over restarts. `make test-container` runs these tests
//! as root.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use vobiz_simulator::{Options, Vendor, World};

use super::{
    container::{NOBODY, address, build, start},
    engine::{Container, Engine, done},
    system::System,
};
use crate::harness::{Scrape, configuration, get, until};

const LISTEN: &str = "--web.listen-address=127.0.0.1:0";
/// The folder of the state database, in the systemd unit and in the image.
const FOLDER: &str = "/var/lib/vobiz-exporter";
const BACKUP: &str = "/root/state-backup.db";
/// The commands of docs/state.md.
const RESTORE: [&str; 5] = [
    "systemctl stop vobiz-exporter",
    "cd /var/lib/vobiz-exporter",
    "rm -f state.db state.db-wal state.db-shm",
    r#"install -m 0600 -o "$(stat -c %u .)" -g "$(stat -c %g .)" /root/state-backup.db state.db"#,
    "systemctl start vobiz-exporter",
];

/// A vendor of five endpoints.
async fn vendor() -> Vendor {
    let world = World::still(5, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

/// Changes the registration of the first endpoint.
fn register(vendor: &Vendor, registered: bool) {
    vendor.edit(|world| {
        let now = world.now();
        let id = world.first().at(0).unwrap().id().to_owned();
        let account = world.first_mut();
        account.edit(&id, |endpoint| endpoint.set_registered(registered, now));
    });
}

/// The metrics at the first successful walk that `holds` accepts.
async fn scraped(what: &str, address: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    until(what, || async {
        let answer = get(address, "/metrics").await;
        // The exporter answers 503 until it has loaded the state.
        let scrape = (answer.status == 200).then(|| Scrape::read(&answer.text()))?;
        (scrape.up("main") == Some(1.0) && holds(&scrape)).then_some(scrape)
    })
    .await
}

/// The time of the only loss.
fn loss(scrape: &Scrape) -> Option<f64> {
    scrape.value("vobiz_endpoint_registration_lost_timestamp_seconds", &[])
}

/// Shows the exporter an endpoint that loses its registration. Returns the time of the loss.
async fn lose(vendor: &Vendor, address: &str) -> f64 {
    scraped("no loss yet", address, |scrape| loss(scrape).is_none()).await;
    register(vendor, false);
    let scrape = scraped("the loss", address, |scrape| loss(scrape).is_some()).await;
    is_saved(&scrape);
    loss(&scrape).unwrap()
}

/// Asserts that the database was loaded, and that every walk was saved.
fn is_saved(scrape: &Scrape) {
    let value = |name: &str| scrape.value(&format!("vobiz_exporter_state_{name}"), &[]);
    assert_eq!(value("load_failures_total"), Some(0.0));
    assert_eq!(value("write_failures_total"), Some(0.0));
    assert!(value("last_write_timestamp_seconds") > Some(0.0));
    assert!(value("bytes") > Some(0.0));
}

/// The process id of the service and the address on which it listens.
async fn running(system: &System) -> (String, String) {
    let pid = system.shows("MainPID").await;
    let address = until("the service listens", || async {
        let journal = format!("journalctl --output=cat --no-pager _PID={pid}");
        address(&system.does(&journal).await)
    })
    .await;
    (pid, address)
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn under_a_real_systemd_a_loss_keeps_its_time_over_restart_crash_and_restore() {
    let vendor = vendor().await;
    let system = System::boot_on_host_network().await;
    system.install_unit(&format!("ARGS={LISTEN}\n")).await;
    let settings = system.path("etc/vobiz-exporter/exporter.yaml");
    fs::write(settings, configuration(&vendor, "")).unwrap();
    system.does("systemctl start vobiz-exporter").await;
    let (_, address) = running(&system).await;
    let lost_at = lose(&vendor, &address).await;

    let folder = system.path("var/lib/private/vobiz-exporter");
    assert_ne!(fs::metadata(&folder).unwrap().uid(), 0);
    private(&folder);
    assert_eq!(system.shows("MemoryDenyWriteExecute").await, "yes");

    system.does("systemctl restart vobiz-exporter").await;
    let (pid, address) = running(&system).await;
    let is_kept = |scrape: &Scrape| loss(scrape) == Some(lost_at);
    is_saved(&scraped("the loss after a restart", &address, is_kept).await);

    system.does(&format!("kill -s KILL {pid}")).await;
    system.until_it_shows("NRestarts", "1").await;
    system.until_it_shows("ActiveState", "active").await;
    let (_, address) = running(&system).await;
    is_saved(&scraped("the loss after a crash", &address, is_kept).await);

    // The folder is lost, and the service begins anew. Then the backup is restored.
    system.does("systemctl stop vobiz-exporter").await;
    let database = format!("{FOLDER}/state.db");
    system.does(&format!("cp {database} {BACKUP}")).await;
    system.does(&format!("rm {database}")).await;
    system.does("systemctl start vobiz-exporter").await;
    let (_, address) = running(&system).await;
    scraped("no loss", &address, |scrape| loss(scrape).is_none()).await;
    let restored = system.run(&["sh", "-ec", &RESTORE.join("\n")]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let (_, address) = running(&system).await;
    is_saved(&scraped("the loss after a restore", &address, is_kept).await);
    private(&folder);
}

/// Asserts that only the owner can use the folder and its database.
fn private(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    assert_eq!(mode(&folder.join("state.db")), 0o600);
}

#[tokio::test]
#[ignore = "needs root and containers: make test-container"]
async fn the_image_keeps_a_loss_in_a_volume_and_runs_read_only_without_one() {
    let engine = Engine::new();
    build(&engine).await;
    let vendor = vendor().await;
    let file = engine.folder().join("exporter.yaml");
    fs::write(&file, configuration(&vendor, "")).unwrap();
    let given = format!("{}:/exporter.yaml:ro", file.display());
    let options = ["--network", "host", "--volume", &given];
    let volume = [&options[..], &["--volume", "state:/var/lib/vobiz-exporter"]].concat();
    let run = |name: &str, options: &[&str]| {
        let arguments = ["--config.file=/exporter.yaml", LISTEN];
        start(&engine, name, options, &arguments)
    };
    let listens = async |container: &Container| {
        until("it listens", || async { address(&container.err.text()) }).await
    };

    let first = run("first", &volume);
    let lost_at = lose(&vendor, &listens(&first).await).await;
    let inspect = ["volume", "inspect", "--format", "{{.Mountpoint}}", "state"];
    let folder = done(&mut engine.podman(&inspect)).await.out;
    let folder = Path::new(folder.trim());
    let about = fs::metadata(folder).unwrap();
    assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY));
    private(folder);
    done(&mut engine.podman(&["stop", "first"])).await;

    let second = run("second", &volume);
    let address = listens(&second).await;
    let is_kept = |scrape: &Scrape| loss(scrape) == Some(lost_at);
    is_saved(&scraped("the loss in a new container", &address, is_kept).await);
    done(&mut engine.podman(&["stop", "second"])).await;

    let third = run("third", &options);
    let address = listens(&third).await;
    let scrape = scraped("a walk without a volume", &address, |_| true).await;
    assert_eq!(loss(&scrape), None);
    let failures = scrape.value("vobiz_exporter_state_write_failures_total", &[]);
    assert!(failures > Some(0.0), "{failures:?}");
    let log = third.err.text();
    let message = "the stored state is read, but cannot be written yet";
    assert_eq!(log.matches(message).count(), 1, "{log}");
    done(&mut engine.podman(&["stop", "third"])).await;
    let code = engine.inspect("third", "{{.State.ExitCode}}").await;
    assert_eq!(code, "0", "{}", third.err.text());

    // An empty variable means memory only.
    let memory = [&options[..], &["--env", "STATE_DIRECTORY="]].concat();
    let fourth = run("fourth", &memory);
    let address = listens(&fourth).await;
    let scrape = scraped("a walk without a state directory", &address, |_| true).await;
    assert!(!scrape.text.contains("vobiz_exporter_state_"));
    assert!(!fourth.err.text().contains("level=error"));
}

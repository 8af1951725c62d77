//! The state of the exporter on the disk: over faults of the disk, and beside other processes.

mod command;
mod disk;
mod faults;
mod file;
mod fuse;
mod kill;
mod loss_times;
mod processes;
mod restart;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use vobiz_simulator::Vendor;

use crate::harness::{
    Exporter, Scrape, accounts_config, auth_id, get, label, listed, until, vendor,
};

/// The time of a loss, with the label `endpoint_id`.
const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";

const LOAD_FAILURES: &str = "vobiz_exporter_state_load_failures_total";
const WRITE_FAILURES: &str = "vobiz_exporter_state_write_failures_total";
const LAST_WRITE: &str = "vobiz_exporter_state_last_write_timestamp_seconds";

const NOT_LOADED: &str = "the stored state could not be loaded";
const NOT_WRITABLE: &str = "the stored state is read, but cannot be written yet";
const DAMAGED: &str = "the state database is damaged";
const LOADED: &str = "the stored state is loaded";
const NOT_SAVED: &str = "the state cannot be saved";
const SAVED_AGAIN: &str = "the state is saved again";

/// The maximum duration of a scrape. The exporter waits two seconds for a disk, so a scrape that waits for the disk
/// takes longer.
const SCRAPE_LIMIT: Duration = Duration::from_secs(1);

/// The number of endpoints of the account `main`.
const ENDPOINTS: usize = 45;

/// A vendor with the account `main`, and the state directory of its exporters.
struct Stage {
    vendor: Vendor,
    directory: PathBuf,
    /// The ids of the endpoints that are registered at first.
    ids: Vec<String>,
    _folder: TempDir,
}

impl Stage {
    /// A state directory that does not exist yet, in a folder of its own.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("state");
        Self::at(folder, directory).await
    }

    async fn at(folder: TempDir, directory: PathBuf) -> Self {
        let vendor = vendor([("main", ENDPOINTS)]).await;
        let list = listed(&vendor, &auth_id("main")).into_iter();
        let ids = list.filter_map(|(id, state)| (state == Some(true)).then_some(id));
        Self {
            ids: ids.collect(),
            vendor,
            directory,
            _folder: folder,
        }
    }

    fn configuration(&self) -> String {
        let accounts = accounts_config(&self.vendor, "", [("main", "")]);
        format!(
            "{accounts}state: {{directory: '{}'}}\n",
            self.directory.display()
        )
    }

    async fn start(&self) -> Exporter {
        Exporter::start(&self.configuration()).await
    }

    /// Starts an exporter, and waits for its first good walk.
    async fn started(&self) -> Exporter {
        let exporter = self.start().await;
        is_up(&exporter).await;
        exporter
    }

    /// The path of a file in the state directory.
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens the database as another program would.
    fn database(&self) -> Connection {
        open(&self.file("state.db"))
    }

    /// Unregisters the endpoint with this number at the vendor.
    fn unregister(&self, number: usize) {
        self.vendor.edit(|world| {
            let now = world.now();
            let edit = |one: &mut vobiz_simulator::Endpoint| one.set_registered(false, now);
            assert!(world.first_mut().edit(&self.ids[number], edit));
        });
    }

    /// The time of the loss of the endpoint with this number that a scrape shows.
    fn lost_at(&self, scrape: &Scrape, number: usize) -> Option<f64> {
        let id = format!("endpoint_id=\"{}\"", self.ids[number]);
        scrape.value(LOST, &[&id])
    }

    /// Unregisters an endpoint, and waits until the exporter shows the time of the loss.
    async fn lose(&self, exporter: &Exporter, number: usize) -> f64 {
        self.unregister(number);
        let is_shown = |scrape: &Scrape| self.lost_at(scrape, number).is_some();
        let scrape = exporter.until("the loss", is_shown).await;
        self.lost_at(&scrape, number).expect("the loss")
    }

    /// Runs an exporter that sees the loss of the endpoint 0, and ends in good order. Returns the time of the loss.
    async fn run_with_loss(&self) -> f64 {
        let exporter = self.started().await;
        let lost = self.lose(&exporter, 0).await;
        assert_eq!(exporter.terminate().await.code, Some(0));
        lost
    }

    /// Starts another exporter, and checks that its first good walk shows exactly these losses.
    async fn restarted_with(&self, losses: &[(usize, f64)]) -> Exporter {
        let exporter = self.start().await;
        self.shows(&is_up(&exporter).await, losses);
        exporter
    }

    /// Checks that a scrape shows exactly these losses.
    fn shows(&self, scrape: &Scrape, losses: &[(usize, f64)]) {
        let of_number = |(number, at): &(usize, f64)| (self.ids[*number].as_str(), *at);
        let expected: BTreeMap<_, _> = losses.iter().map(of_number).collect();
        assert_eq!(loss_times(scrape), expected);
    }

    /// Ends an exporter at once, and waits until the kernel has released its lock.
    async fn kill(&self, exporter: Exporter) {
        exporter.signal("KILL").await;
        until("the end of the process", || async {
            let lock = File::open(self.file("state.lock")).ok()?;
            lock.try_lock().ok()
        })
        .await;
    }
}

/// Waits until a process answers `/metrics`, and then for its first good walk.
async fn is_up(exporter: &Exporter) -> Scrape {
    until("the state is loaded", || async {
        let (status, ..) = exporter.get("/metrics").await;
        (status == 200).then_some(())
    })
    .await;
    exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await
}

/// Waits until the counter has risen to `count`.
async fn counts(exporter: &Exporter, counter: &str, count: f64) -> Scrape {
    let has_risen = |scrape: &Scrape| scrape.value(counter, &[]) >= Some(count);
    exporter.until(counter, has_risen).await
}

/// Waits until a transaction later than `before` has succeeded.
async fn saves_after(exporter: &Exporter, before: Option<f64>) -> Scrape {
    let is_later = |scrape: &Scrape| scrape.value(LAST_WRITE, &[]) > before;
    exporter.until("a later write", is_later).await
}

/// The values of both failure counters: of loads and of writes.
fn failures(scrape: &Scrape) -> (f64, f64) {
    let value = |counter| scrape.value(counter, &[]).expect("a counter of the state");
    (value(LOAD_FAILURES), value(WRITE_FAILURES))
}

fn loss_times(scrape: &Scrape) -> BTreeMap<&str, f64> {
    let losses = scrape.family(LOST);
    losses
        .map(|(labels, value)| (label(labels, "endpoint_id"), value))
        .collect()
}

fn open(file: &Path) -> Connection {
    Connection::open(file).unwrap()
}

/// The first value of a query.
fn query<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> T {
    connection.query_one(query, (), |row| row.get(0)).unwrap()
}

/// The number of lines with these words.
fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

/// Scrapes again and again, in the background.
struct Scraping {
    task: JoinHandle<Seen>,
    is_enough: Arc<AtomicBool>,
}

/// What a `Scraping` has seen.
#[derive(Default)]
struct Seen {
    scrapes: usize,
    slowest: Duration,
    losses: BTreeMap<String, BTreeSet<String>>,
}

impl Scraping {
    fn of(exporter: &Exporter) -> Self {
        let address = exporter.address().to_owned();
        let is_enough = Arc::new(AtomicBool::new(false));
        let enough = Arc::clone(&is_enough);
        let task = tokio::spawn(async move {
            let mut seen = Seen::default();
            while !enough.load(Ordering::Relaxed) {
                seen.scrape(&address).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen
        });
        Self { task, is_enough }
    }

    /// Ends the scrapes, and checks them: each was quick, and no endpoint had two times of its loss.
    async fn finish(self) {
        self.is_enough.store(true, Ordering::Relaxed);
        let seen = self.task.await.expect("every scrape was answered");
        assert!(seen.scrapes > 0);
        assert!(
            seen.slowest < SCRAPE_LIMIT,
            "a scrape took {:?}",
            seen.slowest
        );
        for (id, times) in seen.losses {
            assert_eq!(times.len(), 1, "the losses of {id}: {times:?}");
        }
    }
}

impl Seen {
    async fn scrape(&mut self, address: &str) {
        let asked = Instant::now();
        let answer = get(address, "/metrics").await;
        self.slowest = self.slowest.max(asked.elapsed());
        self.scrapes += 1;
        assert_eq!(answer.status, 200);
        for (id, time) in loss_times(&Scrape::read(&answer.text())) {
            let times = self.losses.entry(id.to_owned()).or_default();
            times.insert(time.to_string());
        }
    }
}

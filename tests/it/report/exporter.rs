//! The pollers and the state database of the exporter, with a paused clock.
//!
//! The clock of the runtime moves only when the test moves it, because the thread of the database works in real time. So the
//! test also decides when a walk begins.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::advance,
};
use vobiz_exporter::{
    api::{RateLimiters, Transports},
    clock::{Clock, UnixMillis},
    config::{self, Config},
    snapshot::{Reader, WalkResult},
    state::{AccountStore, Restored, Store},
    telemetry::Instruments,
    walk::{Poller, PollerDeps},
};
use vobiz_simulator::{Fault, FaultId, Options, Vendor, World};

use super::{
    Happening,
    fleet::Fleet,
    oracle::{Oracle, Walk},
};
use crate::past::PausedClient;

const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// The accounts with the time between two walks, in seconds.
const ACCOUNTS: [(&str, i64); 2] = [("main", 600), ("branch", 1200)];

/// The configuration of the exporter, whose groups the oracle repeats.
pub fn configuration(base_url: &str) -> Config {
    let text = include_str!("exporter.yaml").replace("BASE_URL", base_url);
    config::load_yaml(&text, &[]).unwrap().config
}

struct Account {
    poller: Poller<PausedClient>,
    reader: Reader,
    next: UnixMillis,
}

/// An exporter, also while it is stopped, and its vendor.
pub struct Exporter {
    vendor: Vendor,
    clock: Clock,
    folder: tempfile::TempDir,
    /// The number of the folder's directory that is in use. After a crash, the next one gets a copy.
    directory: usize,
    store: Option<Store>,
    accounts: BTreeMap<&'static str, Account>,
    fault: Option<FaultId>,
    /// While this task runs, Tokio does not move the paused clock by itself.
    _pause: (JoinHandle<()>, mpsc::Sender<()>),
}

impl Exporter {
    pub async fn new(world: World) -> Self {
        let clock = Clock::anchored(UnixMillis(world.now().as_millisecond()));
        let (sender, wait) = mpsc::channel::<()>();
        let task = spawn_blocking(move || {
            let _ = wait.recv();
        });
        Self {
            vendor: Vendor::start(world, Options::default()).await.unwrap(),
            clock,
            folder: tempfile::tempdir().unwrap(),
            directory: 0,
            store: None,
            accounts: BTreeMap::new(),
            fault: None,
            _pause: (task, sender),
        }
    }

    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub fn directory(&self) -> PathBuf {
        self.folder.path().join(self.directory.to_string())
    }

    /// The time of the next walk, or a minute from now.
    pub fn next(&self) -> UnixMillis {
        let next = self.accounts.values().map(|account| account.next).min();
        next.unwrap_or(self.now().plus(Duration::from_secs(60)))
    }

    pub async fn wait_until(&self, at: UnixMillis) {
        advance(at.since(self.now())).await;
    }

    /// Walks the account whose walk is next.
    pub async fn walk_next(&mut self, fleet: &mut Fleet, oracle: &mut Oracle) {
        let next = self.next();
        self.wait_until(next).await;
        let now = self.now();
        fleet.pass(&self.vendor, now.0.div_euclid(1000));
        let due = self.accounts.iter_mut().find(|one| one.1.next <= now);
        let Some((name, account)) = due else { return };
        let listed = Oracle::look(&self.vendor, name);
        let _ = account.poller.walk().await;
        let state = Arc::clone(&account.reader.borrow());
        let walk = match state.walks.last().unwrap().result {
            WalkResult::Published(_) => Walk::Published,
            WalkResult::Unconfirmed { .. } => Walk::Unconfirmed,
            WalkResult::Failed { .. } => Walk::Failed,
        };
        oracle.walked(name, walk, (now, self.clock.now()), listed);
        let interval = ACCOUNTS.iter().find(|one| one.0 == *name).unwrap().1;
        let later = Duration::from_millis(fastrand::u64(..20_000));
        let interval = Duration::from_secs(interval.unsigned_abs());
        account.next = now.plus(interval + later);
    }

    pub async fn happens(&mut self, happening: Happening, oracle: &mut Oracle) {
        let now = self.now();
        match happening {
            Happening::Fault => self.fault = Some(self.vendor.plan(Fault::status(503))),
            Happening::Heal => {
                assert!(self.vendor.cancel(self.fault.take().unwrap()));
            }
            Happening::Stop => {
                self.stop().await;
                oracle.ended(&["main", "branch"], now);
            }
            Happening::Crash => {
                self.crash();
                oracle.crashed();
            }
            Happening::Start => self.start(oracle).await,
            Happening::Unpoll => {
                self.accounts.remove("branch");
                let store = self.store.as_ref().unwrap();
                let restored = store.reconfigure(vec!["main".into()], RETENTION).await;
                assert!(restored.is_empty());
                oracle.ended(&["branch"], now);
            }
            Happening::Poll => {
                let store = self.store.clone().unwrap();
                let names = vec!["main".into(), "branch".into()];
                let mut restored = store.reconfigure(names, RETENTION).await;
                let restored = restored.remove("branch").unwrap();
                let account = store.account("branch".into());
                self.add("branch", account, Some(restored));
                oracle.starts(&["branch"]);
            }
        }
    }

    pub async fn start(&mut self, oracle: &mut Oracle) {
        let names = ACCOUNTS.map(|one| one.0);
        let opened = Store::open(
            self.directory(),
            RETENTION,
            names.map(Into::into).to_vec(),
            self.clock,
            Instruments::new(),
        );
        let (store, mut restored) = opened.await.unwrap();
        for name in names {
            let restored = restored.remove(name);
            self.add(name, store.account(name.into()), restored);
        }
        self.store = Some(store);
        oracle.starts(&names);
    }

    fn add(&mut self, name: &'static str, store: AccountStore, restored: Option<Restored>) {
        let config = configuration(self.vendor.base_url().as_str());
        let account = config
            .accounts
            .into_iter()
            .find(|one| one.name == name)
            .unwrap();
        let instruments = Instruments::new().account(name);
        let mut transports = Transports::default();
        let client = transports
            .client(&account, instruments.clone(), self.clock)
            .unwrap();
        let deps = PollerDeps {
            clock: self.clock,
            instruments,
            limiter: RateLimiters::new(8).limiter(&account),
        };
        let source = Arc::new(PausedClient(client));
        let (mut poller, reader) = Poller::new(account, source, deps, Duration::ZERO);
        poller.restore(Some(store), restored);
        let next = self
            .now()
            .plus(Duration::from_millis(fastrand::u64(1..5_000)));
        let account = Account {
            poller,
            reader,
            next,
        };
        self.accounts.insert(name, account);
    }

    /// Stops the exporter in good order.
    pub async fn stop(&mut self) {
        self.accounts.clear();
        self.store.take().unwrap().stop().await;
    }

    /// The exporter ends without a stop: the next one gets a copy of its files. The thread of the database remains, because
    /// only the end of a process ends it.
    fn crash(&mut self) {
        self.accounts.clear();
        self.store = None;
        let from = self.directory();
        self.directory += 1;
        fs::create_dir(self.directory()).unwrap();
        for name in ["state.db", "state.db-wal"] {
            fs::copy(from.join(name), self.directory().join(name)).unwrap();
        }
    }
}

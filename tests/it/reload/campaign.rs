//! Many reloads with random changes, while two clients scrape.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vobiz_simulator::Vendor;

use super::Reloadable;
use crate::harness::{Scrape, accounts_config, ask, auth_id, vendor};

/// The number of accounts that the simulated vendor has. A configuration has about four fifths of them.
const ACCOUNTS: usize = 250;

/// The interval of unchanged accounts. No test lasts this long, so such an account is walked once.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The settings of an account that reloads change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    /// The number of groups. A change needs no walk.
    groups: u32,
    /// `api.retries`. A change causes a walk.
    retries: u32,
    /// The number of the reload that added the account.
    added: usize,
}

/// What the test expects of one account since its addition.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    walks: u32,
    /// The value of `vobiz_walks_total` in the last scrape.
    seen: f64,
}

type Accounts = BTreeMap<usize, Settings>;

fn name(number: usize) -> String {
    format!("n{number}")
}

fn configuration(vendor: &Vendor, accounts: &Accounts) -> String {
    let poll = "poll: {interval: 1h, max_age: 4h}, details: {mode: never}";
    let accounts: Vec<_> = accounts
        .iter()
        .map(|(number, settings)| {
            let mut groups = String::new();
            for group in 0..settings.groups {
                let _ = write!(
                    groups,
                    "{{name: g{group}, match: {{alias: '.*{group}'}}}}, "
                );
            }
            let api = format!("api: {{retries: {}}}", settings.retries);
            (name(*number), format!("{poll}, {api}, groups: [{groups}]"))
        })
        .collect();
    let accounts = accounts
        .iter()
        .map(|(name, more)| (name.as_str(), more.as_str()));
    accounts_config(vendor, "", accounts)
}

/// Changes some accounts at random. Returns those that must walk.
fn change(accounts: &mut Accounts, reload: usize, random: &mut Rng) -> Vec<usize> {
    let mut walking = Vec::new();
    let mut numbers: Vec<_> = (0..ACCOUNTS).collect();
    random.shuffle(&mut numbers);
    for number in numbers.into_iter().take(random.usize(0..8)) {
        let may_remove = accounts.len() > ACCOUNTS / 2;
        let Some(settings) = accounts.get_mut(&number) else {
            let settings = Settings {
                groups: random.u32(0..3),
                retries: random.u32(0..5),
                added: reload,
            };
            accounts.insert(number, settings);
            walking.push(number);
            continue;
        };
        match random.u32(0..5) {
            0 if may_remove => _ = accounts.remove(&number),
            1 | 2 => settings.groups = random.u32(0..3),
            3 => {
                settings.retries = (settings.retries + 1) % 5;
                walking.push(number);
            }
            _ => {}
        }
    }
    walking
}

/// Scrapes until `stop`. Every response must have status 200 and each series once.
async fn scrape_until(address: String, stop: Arc<AtomicBool>, scrapes: Arc<AtomicU32>) {
    // Scrapes without a pause would only slow down the reloads.
    let mut ticks = interval(Duration::from_millis(400));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let answer = ask(&address, "GET", "/metrics", &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        Scrape::read(&answer.text());
        scrapes.fetch_add(1, Ordering::Relaxed);
    }
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// The number of tasks after the last reload.
fn tasks(log: &str) -> usize {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("tasks after the reload"));
    let (_, number) = line.unwrap().rsplit_once("tasks=").unwrap();
    number.split_whitespace().next().unwrap().parse().unwrap()
}

/// Checks the counters of walks in the metrics after a reload. The clients read the other metrics.
fn check(metrics: &str, accounts: &Accounts, expected: &mut HashMap<(usize, usize), Expected>) {
    let walks = metrics
        .lines()
        .filter(|line| line.starts_with("vobiz_walks_total{"));
    let walks = Scrape::read(&walks.collect::<Vec<_>>().join("\n"));
    let walks = walks.family("vobiz_walks_total");
    let walks: HashMap<_, _> = walks
        .map(|(labels, value)| (labels.to_owned(), value))
        .collect();
    assert_eq!(
        walks.len(),
        accounts.len(),
        "the configured accounts, and no other"
    );
    for (number, settings) in accounts {
        let value = walks[&format!("{{account=\"{}\"}}", name(*number))];
        let expected = expected.get_mut(&(*number, settings.added)).unwrap();
        assert!(value >= expected.seen, "{number}: the counter goes back");
        assert!(
            value <= f64::from(expected.walks),
            "{number}: {value} walks of {expected:?}"
        );
        expected.seen = value;
    }
}

/// Checks that the vendor has received no request besides those of the expected walks.
fn check_requests(vendor: &Vendor, expected: &HashMap<(usize, usize), Expected>) {
    // The list of an account is one page, so the vendor has received one request for each walk.
    let mut walks: BTreeMap<usize, u32> = BTreeMap::new();
    for ((number, _), expected) in expected {
        *walks.entry(*number).or_default() += expected.walks;
    }
    let requests = vendor.requests();
    for (number, walks) in walks {
        let auth_id = Some(auth_id(&name(number)));
        let asked = requests.iter().filter(|one| one.account == auth_id);
        assert!(asked.count() <= walks as usize, "{number}: {walks} walks");
    }
}

/// Reloads `reloads` times. Returns how many tasks and descriptors are left over.
async fn campaign(reloads: usize, variables: &[(&str, &str)]) -> (usize, usize) {
    let names: Vec<_> = (0..ACCOUNTS).map(name).collect();
    let vendor = vendor(names.iter().map(|name| (name.as_str(), 3))).await;
    let mut random = Rng::with_seed(2_026);
    let settings = Settings {
        groups: 0,
        retries: 0,
        added: 0,
    };
    let mut accounts: Accounts = (0..200).map(|number| (number, settings)).collect();
    let mut expected: HashMap<_, _> = HashMap::new();
    for number in accounts.keys() {
        expected.insert(
            (*number, 0),
            Expected {
                walks: 1,
                seen: 0.0,
            },
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.yaml");
    fs::write(&file, configuration(&vendor, &accounts)).unwrap();
    let arguments = ["--log.level=debug"];
    let exporter = Reloadable::in_folder(folder, &file, &arguments, variables).await;
    let begun = Instant::now();
    exporter
        .until("all first walks", |scrape| {
            scrape.count("vobiz_up", &[]) == 200
        })
        .await;
    let first = used(&exporter, &vendor, accounts.len()).await;
    let (stop, scrapes) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let clients = [(); 2].map(|()| {
        let (stop, scrapes) = (Arc::clone(&stop), Arc::clone(&scrapes));
        tokio::spawn(scrape_until(exporter.address.clone(), stop, scrapes))
    });
    for reload in 1..=reloads {
        for number in change(&mut accounts, reload, &mut random) {
            if let Some(settings) = accounts.get(&number) {
                let key = (number, settings.added);
                expected.entry(key).or_insert_with(Expected::default).walks += 1;
            }
        }
        exporter.change(&configuration(&vendor, &accounts)).await;
        let (status, metrics) = exporter.ask("GET", "/metrics").await;
        assert_eq!(status, 200);
        check(&metrics, &accounts, &mut expected);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no scrape fails");
    }
    let scrapes = scrapes.load(Ordering::Relaxed);
    assert!(
        scrapes > u32::try_from(reloads / 10).unwrap(),
        "{scrapes} scrapes"
    );
    assert!(begun.elapsed() < INTERVAL, "no walk is due by its interval");
    exporter
        .until("the last walks", |scrape| {
            scrape
                .family("vobiz_up")
                .filter(|(_, up)| *up > 0.0)
                .count()
                == accounts.len()
        })
        .await;
    exporter.reload().await;
    let scrape = exporter.scrape().await;
    for (number, settings) in &accounts {
        let name = name(*number);
        assert_eq!(scrape.endpoints(&name).len(), 3, "{name}");
        let groups = scrape.count("vobiz_group_endpoints", &[&format!("account=\"{name}\"")]);
        let groups = u32::try_from(groups / 3).unwrap();
        assert!(
            [settings.groups, settings.groups + 1].contains(&groups),
            "{name}: {groups}"
        );
    }
    check_requests(&vendor, &expected);
    left_over(&exporter, &vendor, accounts.len(), first).await
}

/// The open connections of the exporter to the vendor.
fn connections(vendor: &Vendor) -> usize {
    let port = format!(":{:04X}", vendor.base_url().port().unwrap());
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let is_open = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        // The remote address, and the state: established.
        words[2].ends_with(&port) && words[3] == "01"
    };
    sockets.lines().skip(1).filter(is_open).count()
}

/// The numbers of tasks and descriptors, besides a task for each account, and one of both for each connection.
async fn used(exporter: &Reloadable, vendor: &Vendor, accounts: usize) -> (usize, usize) {
    exporter.reload().await;
    let connections = connections(vendor);
    let descriptors = descriptors(exporter.process.pid());
    let tasks = tasks(&exporter.process.err());
    (
        tasks.saturating_sub(accounts + connections),
        descriptors.saturating_sub(connections),
    )
}

/// How many tasks and descriptors there are more than the `first` ones. Connections may open or end during a count, so
/// this function counts several times.
async fn left_over(
    exporter: &Reloadable,
    vendor: &Vendor,
    accounts: usize,
    first: (usize, usize),
) -> (usize, usize) {
    let mut least = (usize::MAX, usize::MAX);
    for _ in 0..10 {
        let now = used(exporter, vendor, accounts).await;
        least = (least.0.min(now.0), least.1.min(now.1));
    }
    (
        least.0.saturating_sub(first.0),
        least.1.saturating_sub(first.1),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; `make test-slow` runs it"]
async fn a_thousand_reloads_of_two_hundred_accounts_disturb_nothing() {
    let left_over = campaign(1_000, &[]).await;
    assert_eq!(left_over, (0, 0), "tasks and descriptors are left over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; `make test-slow` runs it"]
async fn a_leak_of_one_task_per_reload_is_found() {
    let (tasks, descriptors) = campaign(20, &[("FAILPOINT_TASK_LEAK", "1")]).await;
    assert!(tasks >= 20, "{tasks}");
    assert_eq!(descriptors, 0);
}

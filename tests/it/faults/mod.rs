//! Tests faults of the vendor: the metrics and the snapshot during each fault. If the account was down,
//! the next successful walk must recover it.

mod cases;
mod rows;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, time::Instant};
use vobiz_exporter::clock::Clock;
use vobiz_simulator::{FaultId, Options, START, Vendor, World};

use self::cases::{
    Case,
    Outcome::{Confirming, Down, FailedOnce, Retried, Unaffected},
};
use crate::harness::{Exporter, Scrape, accounts_config, auth_id, listed, once, plan, vendor};

/// The number of endpoints of each account, which gives three pages.
const ENDPOINTS: usize = 12;
/// The number of list requests in a walk without faults, with five rows on a page.
const PAGES: u64 = 3;
const SETTINGS: &str = "page_size: 5, retries: 1, connect_timeout: 1s, request_timeout: 3s, \
                        max_page_bytes: 64KiB, max_concurrent_requests: 200";
/// With this long maximum age, the exporter withdraws no data, even on a busy machine.
const LONG_MAX_AGE: &str = "poll: {max_age: 60s}";
/// The time limit for all cases together.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Starts a server that counts its connections. The exporter must never connect to this server.
async fn other_host() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, connections)
}

/// The progress of a case.
enum Phase {
    /// The fault is not active yet.
    Start,
    /// The fault is active. `before` is the scrape before the fault.
    Faulty {
        before: Scrape,
        planned: Vec<FaultId>,
    },
    /// The fault put the account down and has ended. The account must recover.
    Repaired { before: Scrape },
    /// The case has ended.
    Done,
}

/// The simulated vendors of all accounts.
struct Vendors {
    vendor: Vendor,
    /// The vendor that the test stops as a fault, or its address and world while it is stopped.
    second: Result<Vendor, (SocketAddr, World)>,
}

impl Vendors {
    async fn start_faults(&mut self, case: &mut Case) -> Vec<FaultId> {
        if case.faults.is_empty() {
            let address = (self.second.as_ref()).map_or_else(|(away, _)| *away, Vendor::address);
            let stopped = Err((address, World::new(START, 0)));
            if let Ok(vendor) = std::mem::replace(&mut self.second, stopped) {
                self.second = Err((address, vendor.stop().await));
            }
        }
        let auth_id = auth_id(&case.name);
        case.faults
            .drain(..)
            .map(|fault| self.vendor.plan(fault.for_account(&auth_id)))
            .collect()
    }

    async fn end_faults(&mut self, planned: &[FaultId]) {
        for fault in planned {
            self.vendor.cancel(*fault);
        }
        let Err((listen, world)) = &mut self.second else {
            return;
        };
        if planned.is_empty() {
            let options = Options {
                listen: *listen,
                ..Options::default()
            };
            let world = std::mem::replace(world, World::new(START, 0));
            let vendor = Vendor::start(world, options).await;
            self.second = Ok(vendor.expect("its port is still free"));
        }
    }
}

/// The values of the label `by` for which a counter of the account has increased.
fn grown<'a>(
    name: &str,
    by: &str,
    account: &str,
    before: &Scrape,
    now: &'a Scrape,
) -> Vec<&'a str> {
    let before = before.counted(name, account, by);
    let now = now.counted(name, account, by);
    now.into_iter()
        .filter(|(label, value)| before.get(label) != Some(value))
        .map(|(label, _)| label)
        .collect()
}

/// Whether the last walk succeeded less than 2.5 s ago, so that the next walk does not start soon.
/// A fault that starts during a walk might not affect this walk.
fn is_between_walks(account: &str, now: &Scrape) -> bool {
    let walked = now.last_success(account).expect("a good walk");
    let age = Clock::system().now().as_seconds() - walked;
    now.up(account) == Some(1.0) && age < 2.5
}

/// Whether the scrape shows the outcome of the case. Panics on a different outcome.
fn shows_outcome(case: &Case, before: &Scrape, now: &Scrape) -> bool {
    let account = case.name.as_str();
    let failures = grown("vobiz_walk_failures_total", "reason", account, before, now);
    let rereads = grown("vobiz_walk_rereads_total", "reason", account, before, now);
    let retries = grown("vobiz_api_retries_total", "operation", account, before, now);
    let walked = now.last_success(account) > before.last_success(account);
    let outcome = match case.outcome {
        Down(reason) => {
            if now.up(account) != Some(0.0) {
                return false;
            }
            assert_eq!(failures, [reason], "{account}");
            assert_eq!(
                now.last_success(account),
                before.last_success(account),
                "{account}"
            );
            true
        }
        FailedOnce(reason) => {
            let confirming = now.only("vobiz_walk_confirming", account);
            assert!(
                now.up(account) == Some(1.0) || confirming == Some(1.0),
                "{account}"
            );
            walked && failures == [reason]
        }
        Retried => walked && retries == ["list_endpoints"],
        Confirming => now.only("vobiz_walk_confirming", account) == Some(1.0),
        Unaffected => walked,
    };
    if !matches!(case.outcome, Down(_) | FailedOnce(_)) {
        assert_eq!(now.up(account), Some(1.0), "{account}: {failures:?}");
        assert_eq!(failures, [""; 0], "{account}");
    }
    if matches!(case.outcome, Unaffected) {
        assert_eq!((retries, rereads), (vec![], vec![]), "{account}");
    }
    let same = now.snapshot(account) == before.snapshot(account);
    assert!(same, "{account} keeps the last good snapshot");
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_one_reason_and_leaves_the_last_snapshot() {
    let (other_host, connections) = other_host().await;
    let mut cases = cases::all(other_host);
    let mut world = World::new(START, 7);
    let mut second = World::new(START, 7);
    for case in &cases {
        let world = if case.faults.is_empty() {
            &mut second
        } else {
            &mut world
        };
        world.settle(plan(&case.name, ENDPOINTS));
    }
    let mut vendors = Vendors {
        vendor: Vendor::start(world, Options::default()).await.unwrap(),
        second: Ok(Vendor::start(second, Options::default()).await.unwrap()),
    };
    let there = vendors.second.as_ref().map(Vendor::base_url).unwrap();
    let there = format!("{LONG_MAX_AGE}, api: {{base_url: '{there}'}}");
    let accounts = cases.iter().map(|case| {
        let more = if case.faults.is_empty() {
            there.as_str()
        } else {
            LONG_MAX_AGE
        };
        (case.name.as_str(), more)
    });
    let exporter = Exporter::start(&accounts_config(&vendors.vendor, SETTINGS, accounts)).await;

    let mut phases: Vec<_> = cases.iter().map(|_| Phase::Start).collect();
    let mut fresh: BTreeMap<String, _> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.faults.is_empty()) {
        fresh.insert(
            case.name.clone(),
            listed(&vendors.vendor, &auth_id(&case.name)),
        );
    }
    let deadline = Instant::now() + TIMEOUT;
    while !phases.iter().all(|phase| matches!(phase, Phase::Done)) {
        let under_way = || {
            let phases = cases.iter().zip(&phases);
            phases
                .filter(|(_, phase)| !matches!(phase, Phase::Done))
                .map(|(case, _)| &case.name)
        };
        assert!(
            Instant::now() < deadline,
            "{:?}",
            under_way().collect::<Vec<_>>()
        );
        let mut scrapes = exporter.scrape().await.by_account();
        for (case, phase) in cases.iter_mut().zip(&mut phases) {
            let account = case.name.clone();
            let Some(scrape) = scrapes.remove(&account) else {
                continue;
            };
            match phase {
                Phase::Start
                    if scrape.up(&account).is_some() && is_between_walks(&account, &scrape) =>
                {
                    if let Some(list) = fresh.get(&account) {
                        assert_eq!(&scrape.endpoints(&account), list, "{account}");
                    }
                    let planned = vendors.start_faults(case).await;
                    let before = scrape;
                    *phase = Phase::Faulty { before, planned };
                }
                Phase::Faulty { before, planned } if shows_outcome(case, before, &scrape) => {
                    vendors.end_faults(planned).await;
                    *phase = match case.outcome {
                        Down(_) => Phase::Repaired {
                            before: before.clone(),
                        },
                        _ => Phase::Done,
                    };
                }
                Phase::Repaired { before } if scrape.up(&account) == Some(1.0) => {
                    assert!(scrape.last_success(&account) > before.last_success(&account));
                    let same = scrape.snapshot(&account) == before.snapshot(&account);
                    assert!(same, "{account} shows what it has shown before");
                    assert_eq!(scrape.only("vobiz_walk_confirming", &account), Some(0.0));
                    *phase = Phase::Done;
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(
        connections.load(Ordering::Relaxed),
        0,
        "another host was asked"
    );
    let end = exporter.terminate().await;
    assert_eq!(end.code, Some(0));
}

#[tokio::test]
async fn an_account_that_never_succeeded_has_a_reason_and_nothing_else() {
    let vendor = vendor(["wrong-token", "wrong-path"].map(|name| (name, ENDPOINTS))).await;
    vendor.edit(|world| "another".clone_into(&mut world.first_mut().token));
    let port = vendor.address().port();
    let at = |base: String| format!("api: {{base_url: '{base}', allow_insecure_http: true}}");
    let accounts = [
        ("wrong-token", String::new(), ["auth"].as_slice()),
        (
            "wrong-path",
            at(format!("http://127.0.0.1:{port}/API/v1")),
            &["auth"],
        ),
        (
            "no-tls-there",
            at(format!("https://127.0.0.1:{port}/api/v1")),
            &["network"],
        ),
        // If the name server does not respond, the connect time-out ends the request.
        (
            "no-such-name",
            at("http://nonexistent.invalid/api/v1".to_owned()),
            &["network", "timeout"],
        ),
    ];
    let configuration = accounts_config(
        &vendor,
        SETTINGS,
        accounts
            .iter()
            .map(|(name, more, _)| (*name, more.as_str())),
    );
    let scrape = once(&configuration).await;
    for (name, _, reasons) in accounts {
        assert_eq!(scrape.up(name), Some(0.0), "{name}");
        assert_eq!(scrape.last_success(name), None, "{name}");
        assert!(scrape.snapshot(name).is_empty(), "{name}");
        let outcome: Vec<_> = (scrape.counted("vobiz_walk_failures_total", name, "reason"))
            .into_iter()
            .collect();
        assert!(
            matches!(outcome[..], [(reason, 1.0)] if reasons.contains(&reason)),
            "{name}: {outcome:?}"
        );
    }
}

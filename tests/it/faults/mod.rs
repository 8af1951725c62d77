//! Every fault the vendor may show: the metrics that tell it, the last good snapshot kept, and
//! recovery at the first good walk.

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
    Told::{As, Confirming, NotAtAll, Passing, Retried},
};
use crate::harness::{Exporter, Scrape, accounts_config, auth_id, listed, once, plan, vendor};

/// Endpoints of each account: enough for three pages.
const ENDPOINTS: usize = 12;
/// Requests of an undisturbed walk over them, at five rows a page.
const PAGES: u64 = 3;
const SETTINGS: &str = "page_size: 5, retries: 1, connect_timeout: 1s, request_timeout: 3s, \
                        max_page_bytes: 64KiB, max_concurrent_requests: 200";
/// Nothing is withdrawn while a busy machine looks elsewhere.
const UNHURRIED: &str = "poll: {max_age: 60s}";
/// The whole table takes no longer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Another host, which must never be asked for anything.
async fn elsewhere() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let visitors = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visitors);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, visitors)
}

/// How far an account is in its story.
enum Stage {
    /// Its first walk has not been seen.
    Fresh,
    /// The fault is planned; what was seen before it.
    Ill {
        before: Scrape,
        planned: Vec<FaultId>,
    },
    /// It was healed after being down.
    Healed { before: Scrape },
    /// Its story is over.
    Well,
}

/// The clinic: the vendor, and what accounts go through there.
struct Clinic {
    vendor: Vendor,
    /// The vendor of the account whose vendor goes away; `Err` while it is away.
    second: Result<Vendor, (SocketAddr, World)>,
}

impl Clinic {
    async fn make_ill(&mut self, case: &mut Case) -> Vec<FaultId> {
        if case.faults.is_empty() {
            let address = (self.second.as_ref()).map_or_else(|(away, _)| *away, Vendor::address);
            let nobody = Err((address, World::new(START, 0)));
            if let Ok(vendor) = std::mem::replace(&mut self.second, nobody) {
                self.second = Err((address, vendor.stop().await));
            }
        }
        let auth_id = auth_id(&case.name);
        case.faults
            .drain(..)
            .map(|fault| self.vendor.plan(fault.for_account(&auth_id)))
            .collect()
    }

    async fn heal(&mut self, planned: &[FaultId]) {
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

/// The label values of a counter of the account that have grown.
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

/// Is it certain that no walk of the account is under way, nor will be for two seconds? One that has
/// begun would suffer half of a fault, and could still end well.
fn rests(account: &str, now: &Scrape) -> bool {
    let walked = now.last_success(account).expect("a good walk");
    let age = Clock::system().now().as_seconds() - walked;
    now.up(account) == Some(1.0) && age < 2.5
}

/// Has the account told its fault? Panics when it tells it wrongly.
fn has_told(case: &Case, before: &Scrape, now: &Scrape) -> bool {
    let account = case.name.as_str();
    let failures = grown("vobiz_walk_failures_total", "reason", account, before, now);
    let rereads = grown("vobiz_walk_rereads_total", "reason", account, before, now);
    let retries = grown("vobiz_api_retries_total", "operation", account, before, now);
    let walked = now.last_success(account) > before.last_success(account);
    let told = match case.told {
        As(reason) => {
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
        Passing(reason) => {
            let confirming = now.only("vobiz_walk_confirming", account);
            assert!(
                now.up(account) == Some(1.0) || confirming == Some(1.0),
                "{account}"
            );
            walked && failures == [reason]
        }
        Retried => walked && retries == ["list_endpoints"],
        Confirming => now.only("vobiz_walk_confirming", account) == Some(1.0),
        NotAtAll => walked,
    };
    if !matches!(case.told, As(_) | Passing(_)) {
        assert_eq!(now.up(account), Some(1.0), "{account}: {failures:?}");
        assert_eq!(failures, [""; 0], "{account}");
    }
    if matches!(case.told, NotAtAll) {
        assert_eq!((retries, rereads), (vec![], vec![]), "{account}");
    }
    let same = now.snapshot(account) == before.snapshot(account);
    assert!(same, "{account} keeps the last good snapshot");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_one_reason_and_leaves_the_last_snapshot() {
    let (other_host, visitors) = elsewhere().await;
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
    let mut clinic = Clinic {
        vendor: Vendor::start(world, Options::default()).await.unwrap(),
        second: Ok(Vendor::start(second, Options::default()).await.unwrap()),
    };
    let there = clinic.second.as_ref().map(Vendor::base_url).unwrap();
    let there = format!("{UNHURRIED}, api: {{base_url: '{there}'}}");
    let accounts = cases.iter().map(|case| {
        let more = if case.faults.is_empty() {
            there.as_str()
        } else {
            UNHURRIED
        };
        (case.name.as_str(), more)
    });
    let exporter = Exporter::start(&accounts_config(&clinic.vendor, SETTINGS, accounts)).await;

    let mut stages: Vec<_> = cases.iter().map(|_| Stage::Fresh).collect();
    let mut fresh: BTreeMap<String, _> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.faults.is_empty()) {
        fresh.insert(
            case.name.clone(),
            listed(&clinic.vendor, &auth_id(&case.name)),
        );
    }
    let deadline = Instant::now() + TIMEOUT;
    while !stages.iter().all(|stage| matches!(stage, Stage::Well)) {
        let under_way = || {
            let stages = cases.iter().zip(&stages);
            stages
                .filter(|(_, stage)| !matches!(stage, Stage::Well))
                .map(|(case, _)| &case.name)
        };
        assert!(
            Instant::now() < deadline,
            "{:?}",
            under_way().collect::<Vec<_>>()
        );
        let mut scrapes = exporter.scrape().await.by_account();
        for (case, stage) in cases.iter_mut().zip(&mut stages) {
            let account = case.name.clone();
            let Some(scrape) = scrapes.remove(&account) else {
                continue;
            };
            match stage {
                Stage::Fresh if scrape.up(&account).is_some() && rests(&account, &scrape) => {
                    if let Some(list) = fresh.get(&account) {
                        assert_eq!(&scrape.endpoints(&account), list, "{account}");
                    }
                    let planned = clinic.make_ill(case).await;
                    let before = scrape;
                    *stage = Stage::Ill { before, planned };
                }
                Stage::Ill { before, planned } if has_told(case, before, &scrape) => {
                    clinic.heal(planned).await;
                    *stage = match case.told {
                        As(_) => Stage::Healed {
                            before: before.clone(),
                        },
                        _ => Stage::Well,
                    };
                }
                Stage::Healed { before } if scrape.up(&account) == Some(1.0) => {
                    assert!(scrape.last_success(&account) > before.last_success(&account));
                    let same = scrape.snapshot(&account) == before.snapshot(&account);
                    assert!(same, "{account} shows what it has shown before");
                    assert_eq!(scrape.only("vobiz_walk_confirming", &account), Some(0.0));
                    *stage = Stage::Well;
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(
        visitors.load(Ordering::Relaxed),
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
        // Where no name server answers, the time for connecting ends first.
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
        let told: Vec<_> = (scrape.counted("vobiz_walk_failures_total", name, "reason"))
            .into_iter()
            .collect();
        assert!(
            matches!(told[..], [(reason, 1.0)] if reasons.contains(&reason)),
            "{name}: {told:?}"
        );
    }
}

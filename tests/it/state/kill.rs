//! `kill -9` at any moment while the endpoints of a simulated vendor gain and lose their registrations.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep},
};
use vobiz_simulator::{Endpoint, Fault, Latency, Operation, PageFault, Vendor};

use super::loss_times::{History, now};
use crate::harness::{Process, Program, Scrape, accounts_config, auth_id, listed, until, vendor};

/// The number of endpoints at the start.
const ENDPOINTS: usize = 48;

/// When a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// At a random moment of the start: before it listens, while it loads the state, or in its first walk.
    Start,
    /// At a random request of the first walk.
    FirstWalk,
    /// When the first walk is committed and not published.
    AfterCommit,
    /// At a random moment after the first publication.
    AfterPublication,
    /// As before, but a page of the first walk fails, or lacks a row.
    AfterBadWalk,
    /// At a random request of the second walk.
    SecondWalk,
}

use Moment::{AfterBadWalk, AfterCommit, AfterPublication, FirstWalk, SecondWalk, Start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_kills_change_no_loss_time() {
    let plan = [
        (AfterCommit, 3),
        (FirstWalk, 2),
        (Start, 1),
        (AfterPublication, 1),
        (AfterBadWalk, 1),
    ];
    let history = kill_repeatedly(&plan).await;
    assert!(history.survived > 0, "{}", history.survived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; see make test-slow"]
async fn a_hundred_kills_change_no_loss_time() {
    let plan = [
        (AfterCommit, 36),
        (FirstWalk, 20),
        (Start, 16),
        (AfterPublication, 14),
        (AfterBadWalk, 10),
        (SecondWalk, 4),
    ];
    let history = kill_repeatedly(&plan).await;
    assert!(history.survived > 100, "{}", history.survived);
}

/// Kills so many processes at each moment, in random order. Fails if a scrape breaks a rule of [`History`].
#[expect(
    clippy::print_stdout,
    reason = "the figures are part of the result of the test"
)]
async fn kill_repeatedly(plan: &[(Moment, usize)]) -> History {
    let mut moments: Vec<_> = (plan.iter())
        .flat_map(|(moment, times)| vec![*moment; *times])
        .collect();
    let begun = Instant::now();
    let mut story = Story::begin().await;
    story.rng.shuffle(&mut moments);
    let (mut after_commit, mut found) = (0, 0);
    for moment in &moments {
        story.change_fleet();
        let losses = story.kill_at(*moment).await;
        after_commit += usize::from(losses.is_some());
        found += losses.unwrap_or(0);
        story.assert_rules();
    }
    story.end().await;
    let history = std::mem::take(&mut *story.history.lock().unwrap());
    println!(
        "{} kills, {after_commit} of them between a commit and its publication, with {found} losses that no scrape \
         had shown; {} scrapes; {} times a loss time survived; {:.0} s",
        moments.len(),
        history.scrapes,
        history.survived,
        begun.elapsed().as_secs_f64()
    );
    let planned = plan.iter().find(|(moment, _)| *moment == AfterCommit);
    assert_eq!(
        Some(after_commit),
        planned.map(|(_, times)| *times),
        "an unpublished walk was scraped before the kill"
    );
    assert!(found > 0, "the commits matter");
    history
}

/// The vendor, the state directory, and what happened so far.
struct Story {
    vendor: Vendor,
    history: Arc<Mutex<History>>,
    /// Whether registrations change during walks.
    flaps: Arc<AtomicBool>,
    /// Endpoints that the customer has deleted.
    deleted: Vec<Endpoint>,
    directory: tempfile::TempDir,
    rng: Rng,
}

/// A running exporter that is scraped all the time.
struct Life {
    process: Process,
    started: i64,
    seen: Arc<Mutex<Seen>>,
    scraping: JoinHandle<()>,
}

/// What the scrapes of one process have shown.
#[derive(Debug, Default)]
struct Seen {
    scrapes: u32,
    up: Option<f64>,
}

impl Story {
    /// Starts the vendor, and an exporter that publishes one walk.
    async fn begin() -> Self {
        let mut rng = Rng::with_seed(7);
        let story = Self {
            vendor: vendor([("main", ENDPOINTS)]).await,
            history: Arc::default(),
            flaps: Arc::default(),
            deleted: Vec::new(),
            directory: tempfile::tempdir().unwrap(),
            rng: rng.fork(),
        };
        let (history, flaps) = (Arc::clone(&story.history), Arc::clone(&story.flaps));
        let record = Fault::edit(move |world| {
            history.lock().unwrap().served(world);
            if flaps.load(Ordering::Relaxed) && rng.u8(..4) == 0 {
                let (now, account) = (world.now(), world.first_mut());
                let endpoint = account.at(rng.usize(..account.len())).unwrap();
                let (id, registered) = (endpoint.id().to_owned(), endpoint.registered());
                account.edit(&id, |one| one.set_registered(!registered, now));
            }
        });
        story.vendor.plan(record.on(Operation::ListEndpoints));
        let life = story.start("0").await;
        life.until("a good walk", |seen| seen.up == Some(1.0)).await;
        life.kill().await;
        story
    }

    /// Between two processes, two endpoints lose their registrations, and one registers. Sometimes, an endpoint is
    /// deleted, a deleted endpoint returns, or the API shows neither true nor false for an endpoint.
    fn change_fleet(&mut self) {
        let Self { rng, deleted, .. } = self;
        self.vendor.edit(|world| {
            let (now, account) = (world.now(), world.first_mut());
            let choose = |registered: bool, many: usize, rng: &mut Rng| {
                let all = account.endpoints();
                let all = all.filter(|one| one.registered() == registered && one.raw.is_none());
                let chosen = rng.choose_multiple(all, many).into_iter();
                chosen
                    .map(|one| one.id().to_owned())
                    .collect::<Vec<String>>()
            };
            let (lost, back) = (choose(true, 2, rng), choose(false, 1, rng));
            let odd = choose(rng.bool(), 1, rng);
            let all: Vec<_> = account.endpoints().map(|one| one.id().to_owned()).collect();
            for (ids, registered) in [(lost, false), (back, true)] {
                for id in ids {
                    account.edit(&id, |one| one.set_registered(registered, now));
                }
            }
            match rng.u8(..10) {
                0..2 => deleted.extend(rng.choice(&all).and_then(|id| account.remove(id))),
                2..5 if !deleted.is_empty() => {
                    let mut endpoint = deleted.swap_remove(rng.usize(..deleted.len()));
                    endpoint.set_registered(rng.u8(..4) == 0, now);
                    account.push(endpoint);
                }
                5..7 => {
                    for id in &odd {
                        let row = format!(r#"{{"endpoint_id":"{id}","sip_registered":null}}"#);
                        account.edit(id, |one| one.raw = Some(row));
                    }
                }
                7 => account.edit_all(|one| one.raw = None),
                _ => {}
            }
        });
    }

    /// Starts an exporter and scrapes it. After a commit, it waits for `failpoint` milliseconds.
    async fn start(&self, failpoint: &str) -> Life {
        let started = now();
        self.history.lock().unwrap().starts();
        let process = self.spawn(failpoint);
        let address = process.listens(1).await.remove(0);
        let (seen, history) = (Arc::default(), Arc::clone(&self.history));
        let scraping = tokio::spawn(scrape_continuously(address, Arc::clone(&seen), history));
        Life {
            process,
            started,
            seen,
            scraping,
        }
    }

    fn spawn(&self, failpoint: &str) -> Process {
        let account = [("main", "")];
        // A large change would wait for its confirmation, which is another story.
        let configuration = accounts_config(&self.vendor, "retries: 0, page_size: 10", account)
            .replace("poll: {", "poll: {flip_share: 1, ")
            + &format!(
                "state: {{directory: \"{}\"}}\n",
                self.directory.path().display()
            );
        let arguments = ["--web.listen-address=127.0.0.1:0", "--log.level=debug"];
        let program = Program::configured(&configuration, &arguments);
        let variable = "FAILPOINT_AFTER_COMMIT_MILLIS";
        program.set(variable, failpoint).start()
    }

    /// Starts an exporter and kills it at this moment. If a walk was committed and not published, returns the number
    /// of losses that it found.
    async fn kill_at(&mut self, moment: Moment) -> Option<u32> {
        let latency = Latency::Between(Duration::from_millis(1), Duration::from_millis(40));
        self.vendor.set(|options| options.latency = latency);
        self.flaps.store(self.rng.bool(), Ordering::Relaxed);
        let requests = self.vendor.counts().list_endpoints;
        let nth = self.rng.u64(1..=6);
        match moment {
            Start => {
                self.history.lock().unwrap().starts();
                let process = self.spawn("0");
                self.wait_at_random(Duration::from_millis(400)).await;
                process.signal("KILL").await;
                process.ended().await;
            }
            FirstWalk => {
                let life = self.start("0").await;
                self.wait_for_request(requests + nth).await;
                self.wait_at_random(Duration::from_millis(40)).await;
                life.kill().await;
            }
            AfterCommit => {
                let life = self.start("60000").await;
                life.process.says("state committed").await;
                let losses = self.history.lock().unwrap().committed(life.started);
                // These scrapes must not show the committed walk.
                let scrapes = life.seen.lock().unwrap().scrapes;
                life.until("scrapes", |seen| seen.scrapes >= scrapes + 20)
                    .await;
                return life.kill().await.up.is_none().then_some(losses);
            }
            AfterPublication => {
                let life = self.start("0").await;
                life.until("a good walk", |seen| seen.up == Some(1.0)).await;
                self.wait_at_random(Duration::from_millis(200)).await;
                life.kill().await;
            }
            AfterBadWalk => {
                let fault = if self.rng.bool() {
                    Fault::status(500)
                } else {
                    Fault::page(PageFault::MissingRow(self.rng.usize(1..9)))
                };
                let planned = self.vendor.plan(fault.at_offsets(10..).once());
                let life = self.start("0").await;
                life.until("a walk", |seen| seen.up.is_some()).await;
                life.kill().await;
                self.vendor.cancel(planned);
            }
            SecondWalk => {
                let life = self.start("0").await;
                life.until("a good walk", |seen| seen.up == Some(1.0)).await;
                self.change_fleet();
                let requests = self.vendor.counts().list_endpoints;
                self.wait_for_request(requests + nth).await;
                life.kill().await;
            }
        }
        None
    }

    /// Waits until the vendor has received this many list requests.
    async fn wait_for_request(&self, number: u64) {
        let vendor = &self.vendor;
        vendor.until(|counts| counts.list_endpoints >= number).await;
    }

    /// The result of the test depends on no duration of this wait. It only spreads the moments of the kills.
    async fn wait_at_random(&mut self, limit: Duration) {
        sleep(limit.mul_f64(self.rng.f64())).await;
    }

    /// A last process shows the fleet as it is.
    async fn end(&mut self) {
        self.flaps.store(false, Ordering::Relaxed);
        self.vendor.set(|options| options.latency = Latency::None);
        self.vendor.edit(|world| {
            let account = world.first_mut();
            for endpoint in self.deleted.drain(..) {
                account.push(endpoint);
            }
            // Also of the deleted endpoints, which may have an odd row.
            account.edit_all(|one| one.raw = None);
        });
        let list = listed(&self.vendor, &auth_id("main"));
        let life = self.start("0").await;
        life.until("a good walk", |seen| seen.up == Some(1.0)).await;
        let last = life.process.listens(1).await.remove(0);
        let last = Scrape::read(&body(&last).await.expect("it runs"));
        assert_eq!(last.endpoints("main"), list);
        life.kill().await;
        self.assert_rules();
    }

    fn assert_rules(&self) {
        let violations = &self.history.lock().unwrap().violations;
        assert!(
            violations.is_empty(),
            "{} rules are broken, first: {:#?}",
            violations.len(),
            &violations[..violations.len().min(3)]
        );
    }
}

impl Life {
    /// Waits until the scrapes of this process have shown this.
    async fn until(&self, what: &str, reached: impl Fn(&Seen) -> bool) {
        let reached = || async { reached(&self.seen.lock().unwrap()).then_some(()) };
        until(what, reached).await;
    }

    /// Kills the process, and returns what its scrapes have shown.
    async fn kill(self) -> Seen {
        self.process.signal("KILL").await;
        let ended = self.process.ended().await;
        assert_eq!(ended.code, None, "it has not ended by itself: {ended:?}");
        self.scraping.await.unwrap();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Scrapes one process until its end.
async fn scrape_continuously(
    address: String,
    seen: Arc<Mutex<Seen>>,
    history: Arc<Mutex<History>>,
) {
    while let Ok(stream) = TcpStream::connect(&address).await {
        if let Some(body) = body_of(stream).await {
            let scrape = Scrape::read(&body);
            history.lock().unwrap().scraped(&scrape);
            let mut seen = seen.lock().unwrap();
            seen.scrapes += 1;
            seen.up = scrape.up("main");
        }
        // Leaves time for the exporter.
        sleep(Duration::from_millis(3)).await;
    }
}

async fn body(address: &str) -> Option<String> {
    body_of(TcpStream::connect(address).await.ok()?).await
}

/// The complete body of a scrape with status 200. `None` if the process ended before, or has not loaded its state.
async fn body_of(mut stream: TcpStream) -> Option<String> {
    let request = b"GET /metrics HTTP/1.0\r\nHost: exporter\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let is_success = lines.next()?.contains(" 200 ");
    let length = lines.find_map(|line| line.strip_prefix("content-length: "))?;
    let is_complete = length.parse() == Ok(body.len());
    (is_success && is_complete).then(|| body.to_owned())
}

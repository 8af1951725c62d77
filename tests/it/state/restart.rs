//! What an exporter shows and stores after a restart.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use vobiz_exporter::clock::Clock;
use vobiz_simulator::{Account, Effect, Fault, Vendor};

use crate::harness::{
    Exporter, Scrape, accounts_config, auth_id, is_closed, listed, until, vendor,
};

const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";
/// Short intervals.
const SHORT: &str = "interval: 5s, max_age: 10m, deadline: 5s";
/// A walk of these settings that hangs fails after a long time. The account is stale after 3 minutes.
const LONG: &str = "interval: 60s, max_age: 10m, deadline: 50s";
const DAY: i64 = 24 * 3600 * 1000;

/// A vendor with one account, and the state directory of its exporter.
struct Place {
    vendor: Vendor,
    directory: tempfile::TempDir,
}

/// An event of the event log.
#[derive(Debug)]
struct Event {
    kind: String,
    at: i64,
    earlier: Option<i64>,
    detail: Option<String>,
}

impl Place {
    async fn new() -> Self {
        Self {
            vendor: vendor([("main", 45)]).await,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an exporter. `poll` has the keys of the section `poll`, and `more` has further lines of the file.
    async fn start(&self, poll: &str, more: &str) -> Exporter {
        let configuration = accounts_config(&self.vendor, "retries: 0", [("main", "")])
            .replace("interval: 5s, max_age: 15s, deadline: 5s", poll)
            + &format!(
                "state: {{directory: \"{}\"}}\n{more}\n",
                self.directory.path().display()
            );
        Exporter::start(&configuration).await
    }

    /// Starts an exporter, waits until it has published a walk, and stops it.
    async fn walk_once(&self) -> Scrape {
        let exporter = self.start(SHORT, "").await;
        let scrape = published(&exporter).await;
        assert_eq!(exporter.terminate().await.code, Some(0));
        scrape
    }

    fn edit<T>(
        &self,
        change: impl FnOnce(&mut Account, &dyn Fn(&mut Account, &str, bool)) -> T,
    ) -> T {
        self.vendor.edit(|world| {
            let now = world.now();
            let register = |account: &mut Account, id: &str, registered| {
                assert!(account.edit(id, |one| one.set_registered(registered, now)));
            };
            change(world.first_mut(), &register)
        })
    }

    /// Ends the registration of this endpoint.
    fn lose(&self, id: &str) {
        self.edit(|account, register| register(account, id, false));
    }

    /// The id of a registered endpoint.
    fn registered(&self) -> String {
        let mut list = listed(&self.vendor, &auth_id("main")).into_iter();
        let found = list.find(|(_, state)| *state == Some(true));
        found.expect("most of them are registered").0
    }

    fn database(&self) -> Connection {
        Connection::open(self.file("state.db")).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The events of an endpoint, or those of the exporter itself, in the order of the log.
    fn events(&self, endpoint_id: Option<&str>) -> Vec<Event> {
        let database = self.database();
        let select = "SELECT kind, at, earlier, detail FROM event
            WHERE endpoint_id IS ?1 AND (?1 IS NOT NULL OR account IS NULL) ORDER BY id";
        let mut select = database.prepare(select).unwrap();
        let events = select.query_map([endpoint_id], |row| {
            Ok(Event {
                kind: row.get(0)?,
                at: row.get(1)?,
                earlier: row.get(2)?,
                detail: row.get(3)?,
            })
        });
        events.unwrap().map(Result::unwrap).collect()
    }

    /// Makes the last success of the account older, while no exporter runs.
    fn age_last_success(&self, seconds: i64) {
        let now = Clock::system().now().0;
        let update = "UPDATE account SET last_success = ?1, walk_started = ?1";
        let updated = self.database().execute(update, [now - seconds * 1000]);
        assert_eq!(updated.unwrap(), 1);
    }
}

/// Waits for a published walk.
async fn published(exporter: &Exporter) -> Scrape {
    let is_published = |scrape: &Scrape| scrape.up("main") == Some(1.0);
    exporter.until("a published walk", is_published).await
}

/// Ends the exporter with SIGKILL.
async fn kill(exporter: Exporter) {
    exporter.signal("KILL").await;
    let ended = || async { is_closed(exporter.address()).await.then_some(()) };
    until("its end", ended).await;
}

/// The loss time of an endpoint in milliseconds.
fn lost_at(scrape: &Scrape, id: &str) -> Option<i64> {
    let seconds = scrape.value(LOST, &[&format!("endpoint_id=\"{id}\"")]);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number of milliseconds"
    )]
    seconds.map(|seconds| (seconds * 1000.0).round() as i64)
}

#[tokio::test]
async fn the_stored_last_success_implies_the_condition_before_the_first_walk_ends() {
    let place = Place::new().await;
    place.walk_once().await;
    place.vendor.plan(Fault::new(Effect::Hang));
    for (age, expected) in [(0, "ok"), (200, "stale"), (3600, "withdrawn")] {
        place.age_last_success(age);
        let exporter = place.start(LONG, "").await;
        let scrape = exporter.scrape().await;
        assert_eq!(scrape.condition("main"), expected);
        assert!(scrape.last_success("main").is_some());
        assert_eq!(scrape.up("main"), None);
        assert!(
            scrape.snapshot("main").is_empty(),
            "restored values are not shown"
        );
        kill(exporter).await;
    }
}

#[tokio::test]
async fn a_refused_account_and_an_account_without_a_success_stay_so_over_a_restart() {
    let refused = Place::new().await;
    refused.walk_once().await;
    let never = Place::new().await;
    for (place, status, expected) in [(&refused, 402, "refused"), (&never, 503, "never")] {
        place.vendor.plan(Fault::status(status));
        let exporter = place.start(SHORT, "").await;
        let is_reached = |scrape: &Scrape| scrape.condition("main") == expected;
        exporter.until(expected, is_reached).await;
        kill(exporter).await;
        place.vendor.heal();
        place.vendor.plan(Fault::new(Effect::Hang));
    }
    refused.age_last_success(3600);
    for (place, expected) in [(&refused, "refused"), (&never, "never")] {
        let exporter = place.start(LONG, "").await;
        assert_eq!(exporter.scrape().await.condition("main"), expected);
        kill(exporter).await;
        place.vendor.heal();
        let exporter = place.start(SHORT, "").await;
        exporter
            .until("the recovery", |scrape| scrape.condition("main") == "ok")
            .await;
    }
}

#[tokio::test]
async fn no_condition_moves_backwards_over_restarts_while_the_vendor_is_away() {
    let place = Place::new().await;
    place.walk_once().await;
    place.vendor.plan(Fault::status(503));
    let order = ["ok", "failing", "stale", "withdrawn"];
    let rank = |scrape: &Scrape| {
        let condition = scrape.condition("main");
        let found = order.iter().position(|one| *one == condition);
        found.unwrap_or_else(|| panic!("unexpected: {condition}"))
    };
    let times = "interval: 5s, max_age: 20s, deadline: 5s";
    let mut last = 0;
    for next in 1..order.len() {
        let exporter = place.start(times, "").await;
        let reached = exporter.until(order[next], |scrape| {
            let now = rank(scrape);
            assert!(now >= last, "{} after {}", order[now], order[last]);
            now >= next
        });
        last = rank(&reached.await);
        kill(exporter).await;
    }
    let exporter = place.start(times, "").await;
    assert_eq!(exporter.scrape().await.condition("main"), "withdrawn");
}

#[tokio::test]
async fn a_loss_while_the_exporter_is_stopped_is_counted_shown_and_logged() {
    let place = Place::new().await;
    let id = place.registered();
    let before = place.walk_once().await;
    let stopped = Clock::system().now().0;
    place.lose(&id);

    let after = place.walk_once().await;
    let changes = after.counted("vobiz_registration_changes_total", "main", "change");
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), [("lost", 1.0)]);
    assert_eq!(lost_at(&before, &id), None);
    let lost = lost_at(&after, &id).expect("the loss is shown");
    assert!(lost >= stopped);

    let events = place.events(Some(&id));
    let [event] = &events[..] else {
        panic!("one event: {events:?}");
    };
    assert_eq!((event.kind.as_str(), event.at), ("lost", lost));
    let earlier = event.earlier.expect("a walk has read it as registered");
    assert!(earlier < stopped, "{event:?}, stopped at {stopped}");
    let shown = place.walk_once().await;
    assert_eq!(lost_at(&shown, &id), Some(lost));
}

#[tokio::test]
async fn a_large_change_while_the_exporter_is_stopped_waits_for_a_second_walk() {
    let place = Place::new().await;
    place.walk_once().await;
    let list = listed(&place.vendor, &auth_id("main"));
    let registered: Vec<_> = (list.into_iter())
        .filter_map(|(id, state)| (state == Some(true)).then_some(id))
        .collect();
    for id in &registered {
        place.lose(id);
    }

    let exporter = place.start(SHORT, "").await;
    let confirming = |scrape: &Scrape| scrape.only("vobiz_walk_confirming", "main");
    let first = exporter.until("the first walk", |scrape| confirming(scrape) == Some(1.0));
    let walked = first.await.only("vobiz_walks_total", "main");
    assert_eq!(walked, Some(1.0));
    let after = exporter.until("the confirmation", |scrape| {
        if confirming(scrape) == Some(1.0) {
            assert_ne!(scrape.up("main"), Some(1.0));
            assert!(scrape.snapshot("main").is_empty());
            return false;
        }
        scrape.up("main") == Some(1.0)
    });
    let after = after.await;
    assert_eq!(after.only("vobiz_walks_total", "main"), Some(2.0));
    let times: Vec<_> = registered.iter().map(|id| lost_at(&after, id)).collect();
    assert!(
        times[0].is_some() && times.iter().all(|time| *time == times[0]),
        "{times:?}"
    );
}

#[tokio::test]
async fn a_removed_endpoint_that_returns_within_a_week_has_its_loss_time() {
    let place = Place::new().await;
    for (away, is_remembered) in [(7 * DAY - 3_600_000, true), (7 * DAY, false)] {
        let id = place.registered();
        place.walk_once().await;
        place.lose(&id);
        let lost = lost_at(&place.walk_once().await, &id);
        assert!(lost.is_some());
        let removed = place.edit(|account, _| account.remove(&id)).unwrap();
        let without = place.walk_once().await;
        assert!(!without.text.contains(&id));

        let update = "UPDATE endpoint SET removed_at = removed_at - ? WHERE removed_at IS NOT NULL";
        let updated = place.database().execute(update, [away]);
        assert_eq!(updated.unwrap(), 1);
        place.edit(|account, _| account.push(removed));
        let back = place.walk_once().await;
        assert!(back.text.contains(&id));
        assert_eq!(lost_at(&back, &id), lost.filter(|_| is_remembered));
        let kinds = place.events(Some(&id)).into_iter().map(|event| event.kind);
        assert_eq!(kinds.collect::<Vec<_>>(), ["lost", "removed", "added"]);
    }
}

#[tokio::test]
async fn without_usernames_the_next_walk_deletes_them_from_the_file() {
    let place = Place::new().await;
    let names: Vec<_> = place.edit(|account, _| {
        let endpoints = account.endpoints();
        endpoints
            .flat_map(|one| [one.username.clone(), one.alias.clone()])
            .collect()
    });
    let found = || {
        let files = ["state.db", "state.db-wal"].map(|name| place.file(name));
        let bytes = files
            .map(|file| fs::read(file).unwrap_or_default())
            .concat();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        names.iter().filter(|name| text.contains(*name)).count()
    };
    place.walk_once().await;
    // The names of removed endpoints are stored, too.
    let id = place.registered();
    place.edit(|account, _| account.remove(&id));
    let exporter = place.start(SHORT, "").await;
    published(&exporter).await;
    kill(exporter).await;
    assert_eq!(found(), names.len(), "the search works");

    let exporter = place.start(SHORT, "metrics: {username: false}").await;
    published(&exporter).await;
    assert_eq!(found(), 0, "while the exporter runs");
    kill(exporter).await;
    assert_eq!(found(), 0, "after its end");
}

#[tokio::test]
async fn the_event_log_tells_a_stop_from_a_kill() {
    let place = Place::new().await;
    place.walk_once().await;
    let exporter = place.start(SHORT, "").await;
    published(&exporter).await;
    kill(exporter).await;
    place.walk_once().await;
    let events = place.events(None);
    let crash = "the last run did not stop in good order";
    let events: Vec<_> = (events.iter())
        .map(|event| {
            let detail = event.detail.as_deref().unwrap_or_default();
            (event.kind.as_str(), detail.contains(crash))
        })
        .collect();
    let expected = [
        ("start", false),
        ("stop", false),
        ("start", false),
        ("start", true),
        ("stop", false),
    ];
    assert_eq!(events, expected);
}

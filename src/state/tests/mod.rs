//! Saves walks in a real database and loads them again.

mod accounts;
mod groups;
mod past;
mod reported;

use std::{path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;
use rusqlite::Connection;

use super::{
    Applied, Change, Request,
    file::{AllRestored, Settings, StateFile, read_only},
    read_log, report, request, requests, schema,
};
use crate::{
    clock::{Clock, UnixMillis},
    snapshot::{
        AccountState, Endpoint, History, LastSuccess, Retention, Row, RowKey, Shown, Snapshot,
        SnapshotBuilder, WalkFacts,
    },
    telemetry::logs::{Captured, Format, Level},
};

const MAIN: &str = "main";

/// The time for which the tests keep events and the state of removed accounts.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// The wall time, in minutes after the first walk.
fn minute(minute: i64) -> UnixMillis {
    UnixMillis(1_800_000_000_000 + minute * 60_000)
}

/// The list of a walk: ids with the value of `sip_registered`.
type List<'a> = &'a [(&'a str, Option<bool>)];

/// The snapshot of a complete walk at `at` that finds `list`.
fn walk(at: i64, list: List<'_>, previous: Option<&Snapshot>) -> Arc<Snapshot> {
    let mut builder = SnapshotBuilder::new(false);
    for (position, (id, registered)) in (0..).zip(list) {
        let endpoint = Endpoint {
            id: (*id).to_owned(),
            username: Some(format!("user-{id}")),
            registered: *registered,
            ..Endpoint::default()
        };
        let row = Row {
            key: RowKey(position),
            content: Ok(endpoint),
        };
        builder.take(&row, position);
    }
    let facts = WalkFacts::new(minute(at), minute(at), Duration::from_secs(1));
    let (snapshot, _) = builder
        .finish()
        .build(previous, facts, Retention::default(), &|_| None);
    Arc::new(snapshot)
}

fn published(snapshot: &Arc<Snapshot>) -> Arc<AccountState> {
    let shown = Shown {
        username: true,
        ..Shown::default()
    };
    Arc::new(AccountState {
        account: MAIN.into(),
        shown: Arc::new(shown),
        snapshot: Some(Arc::clone(snapshot)),
        last_success: Some(LastSuccess::new(snapshot.walk.ended_at, Duration::ZERO)),
        up: Some(true),
        ..AccountState::default()
    })
}

/// What `action` returns, and what it logs.
fn logged<T>(action: impl FnOnce() -> T) -> (T, String) {
    let log = Captured::default();
    let dispatch = log.dispatch(Level::INFO, Format::Logfmt);
    let returned = tracing::dispatcher::with_default(&dispatch, action);
    (returned, log.text())
}

/// A process that uses the state directory.
struct Process(StateFile);

impl Process {
    fn start(directory: &Path, now: UnixMillis) -> (Self, AllRestored) {
        Self::polling(&[MAIN], directory, now)
    }

    /// A process that polls `accounts`.
    fn polling(accounts: &[&str], directory: &Path, now: UnixMillis) -> (Self, AllRestored) {
        let mut file = StateFile::new(Settings {
            directory: directory.to_owned(),
            retention: RETENTION,
            accounts: names(accounts),
            clock: Clock::anchored(now),
        });
        assert!(file.lock().unwrap(), "no other process");
        let loaded = file.load(true).unwrap();
        assert!(loaded.damage.is_none());
        (Self(file), loaded.restored)
    }

    fn save(&mut self, snapshot: &Arc<Snapshot>) {
        assert!(self.0.save([published(snapshot)]).unwrap().is_none());
    }

    /// The changes for the poller, and the log. Every test captures the log, because the first thread that logs a
    /// message decides whether another one can capture it.
    fn changes(&mut self) -> (Vec<Change>, String) {
        logged(|| self.0.changes(&MAIN.into()).unwrap())
    }
}

fn names(accounts: &[&str]) -> Vec<Arc<str>> {
    accounts.iter().map(|name| Arc::from(*name)).collect()
}

/// Ids, registrations and histories of endpoints.
type Histories = Vec<(String, Option<bool>, History)>;

/// The histories of the listed and of the removed endpoints.
fn histories(snapshot: &Snapshot) -> [Histories; 2] {
    let listed = snapshot.endpoints();
    let listed = listed.map(|one| (one.id.to_owned(), one.registered, one.history));
    let removed = snapshot.removed_endpoints();
    let removed = removed.map(|(id, removed)| (id.to_owned(), None, removed.history));
    [listed.collect(), removed.collect()]
}

/// The events of the log: kind, endpoint and earlier time.
fn events(directory: &Path) -> Vec<(String, Option<String>, Option<i64>)> {
    let connection = Connection::open(schema::path(directory)).unwrap();
    let mut select = connection
        .prepare("SELECT kind, endpoint_id, earlier FROM event ORDER BY id")
        .unwrap();
    let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn registered() -> impl Strategy<Value = Option<bool>> {
    prop_oneof![Just(None), Just(Some(true)), Just(Some(false))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// After any walks and restarts, the next process knows what the last one knew.
    #[test]
    fn a_restart_restores_every_history(
        walks in prop::collection::vec(
            (any::<bool>(), prop::collection::btree_map("[a-e]", registered(), 0..5)),
            1..12,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut process, _) = Process::start(folder.path(), minute(0));
        let mut last: Option<Arc<Snapshot>> = None;
        for (at, (is_restarted, list)) in (1..).zip(&walks) {
            let list: Vec<_> = list.iter().map(|(id, value)| (id.as_str(), *value)).collect();
            let next = walk(at, &list, last.as_deref());
            process.save(&next);
            last = Some(next);
            if *is_restarted {
                drop(process);
                let (new, mut restored) = Process::start(folder.path(), minute(at));
                process = new;
                let restored = restored.remove(MAIN).unwrap().snapshot;
                let known = last.as_deref().unwrap();
                prop_assert_eq!(histories(&restored), histories(known));
                last = Some(restored);
            }
        }
    }
}

#[test]
fn the_log_has_losses_returns_additions_and_removals_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, restored) = Process::start(folder.path(), minute(0));
    assert!(restored.is_empty());
    let first = walk(1, &[("a", Some(true)), ("b", Some(true))], None);
    process.save(&first);
    let second = walk(2, &[("a", Some(false)), ("b", Some(true))], Some(&first));
    process.save(&second);
    drop(process);
    let (mut process, mut restored) = Process::start(folder.path(), minute(60));
    let restored = restored.remove(MAIN).unwrap().snapshot;
    let third = walk(61, &[("a", Some(true)), ("c", None)], Some(&restored));
    process.save(&third);
    process.0.stop().unwrap();
    let event = |kind: &str, id: Option<&str>, earlier: Option<i64>| {
        let earlier = earlier.map(|at| minute(at).0);
        (kind.to_owned(), id.map(str::to_owned), earlier)
    };
    assert_eq!(
        events(folder.path()),
        [
            event("start", None, None),
            event("seeing", None, None),
            event("lost", Some("a"), Some(1)),
            // The first process ended without a stop, and had worked until its last walk at least.
            event("start", None, Some(2)),
            event("seeing", None, None),
            event("back", Some("a"), Some(2)),
            event("removed", Some("b"), None),
            event("added", Some("c"), None),
            event("stop", None, None),
        ]
    );
}

#[test]
fn an_endpoint_that_was_lost_and_removed_returns_with_its_loss_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let lists: [List<'_>; 4] = [
        &[("a", Some(true))],
        &[("a", Some(false))],
        &[],
        &[("a", Some(true))],
    ];
    let mut last = None;
    for (at, list) in (1..).zip(lists) {
        let next = walk(at, list, last.as_deref());
        process.save(&next);
        last = Some(next);
    }
    // The first two events are those of the start and of the first walk.
    let log = events(folder.path()).into_iter().skip(2);
    let log: Vec<_> = log.map(|(kind, _, earlier)| (kind, earlier)).collect();
    let event =
        |kind: &str, earlier: Option<i64>| (kind.to_owned(), earlier.map(|at| minute(at).0));
    assert_eq!(
        log,
        [
            event("lost", Some(1)),
            event("removed", None),
            event("added", None),
            event("back", Some(2)),
        ]
    );
}

#[test]
fn a_loss_while_no_process_ran_is_logged_also_where_usernames_are_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let unnamed = |snapshot: &Arc<Snapshot>| {
        let state = AccountState::clone(&published(snapshot));
        Arc::new(AccountState {
            shown: Arc::default(),
            ..state
        })
    };
    let mut last = None;
    for (at, registered) in [(1, true), (2, false), (3, false)] {
        let (mut process, mut restored) = Process::start(folder.path(), minute(at));
        let restored = restored.remove(MAIN).map(|restored| restored.snapshot);
        let next = walk(at, &[("a", Some(registered))], restored.as_deref());
        process.0.save([unnamed(&next)]).unwrap();
        last = Some(next);
    }
    let lost = last.unwrap().endpoint("a").unwrap().lost_at();
    assert_eq!(lost, Some(minute(2)));
    let log = events(folder.path()).into_iter();
    let log: Vec<_> = log
        .map(|one| one.0)
        .filter(|kind| kind != "start" && kind != "seeing")
        .collect();
    assert_eq!(log, ["lost"]);
}

#[test]
fn a_file_deleted_before_the_first_walk_is_written_anew_with_what_was_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = walk(1, &[("a", Some(true))], None);
    process.save(&first);
    process.save(&walk(2, &[("a", Some(false))], Some(&first)));
    drop(process);
    let (mut process, _) = Process::start(folder.path(), minute(3));
    for ending in ["db", "db-wal", "db-shm"] {
        std::fs::remove_file(schema::path(folder.path()).with_extension(ending)).unwrap();
    }
    let failed = AccountState {
        account: MAIN.into(),
        up: Some(false),
        failure: Some("network"),
        ..AccountState::default()
    };
    process.0.save([Arc::new(failed)]).unwrap();
    drop(process);
    let (_, restored) = Process::start(folder.path(), minute(4));
    let restored = &restored[MAIN];
    let lost = restored.snapshot.endpoint("a").unwrap().lost_at();
    assert_eq!(lost, Some(minute(2)));
    let account = &restored.account;
    assert_eq!(
        (account.last_success, account.failure),
        (Some(minute(2)), Some("network"))
    );
}

#[test]
fn a_change_asked_for_beside_a_running_process_is_made_at_its_next_walk() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = walk(1, &[("a", Some(true)), ("b", Some(true))], None);
    let lost = walk(2, &[("a", Some(false)), ("b", Some(false))], Some(&first));
    process.save(&first);
    process.save(&lost);
    request(folder.path(), &forget(MAIN, Some("a"))).unwrap();
    let [Change::Forget(Some(id))] = &process.changes().0[..] else {
        panic!("one change");
    };
    assert!(process.changes().0.is_empty(), "it is made once");
    let forgotten = lost.forgetting(Some(id), minute(3));
    let next = walk(
        4,
        &[("a", Some(false)), ("b", Some(false))],
        Some(&forgotten),
    );
    process.save(&next);
    drop(process);
    let (_, restored) = Process::start(folder.path(), minute(5));
    let snapshot = &restored[MAIN].snapshot;
    let lost_at = |id| snapshot.endpoint(id).unwrap().lost_at();
    assert_eq!((lost_at("a"), lost_at("b")), (None, Some(minute(2))));
    let losses = events(folder.path())
        .into_iter()
        .filter(|one| one.0 == "lost");
    let ids: Vec<_> = losses.filter_map(|one| one.1).collect();
    assert_eq!(ids, ["b"], "its events are deleted, too");
}

/// Stores a loss of the endpoint `a` under the account name `old`, which no process polls.
fn store_loss_of_old_account(directory: &Path) {
    let (mut process, _) = Process::start(directory, minute(0));
    let all = [("a", Some(true)), ("b", Some(true)), ("c", Some(true))];
    let first = walk(1, &all, None);
    process.save(&first);
    process.save(&walk(
        2,
        &[("a", Some(false)), all[1], all[2]],
        Some(&first),
    ));
    drop(process);
    let connection = Connection::open(schema::path(directory)).unwrap();
    connection
        .execute_batch("UPDATE account SET name = 'old'; UPDATE endpoint SET account = 'old';")
        .unwrap();
}

fn rename(account: &str, new_name: &str) -> Request {
    Request::Rename {
        account: account.to_owned(),
        new_name: new_name.to_owned(),
    }
}

fn forget(account: &str, endpoint_id: Option<&str>) -> Request {
    Request::Forget {
        account: account.to_owned(),
        endpoint_id: endpoint_id.map(str::to_owned),
    }
}

#[test]
fn a_renamed_account_continues_the_losses_of_its_old_name() {
    let folder = tempfile::tempdir().unwrap();
    store_loss_of_old_account(folder.path());
    // The exporter runs under the new name, and has seen another loss, but could not save it yet.
    let (mut process, restored) = Process::start(folder.path(), minute(3));
    assert!(restored.is_empty());
    let new = walk(
        4,
        &[("a", Some(false)), ("b", Some(true)), ("c", Some(false))],
        None,
    );
    let later = walk(
        5,
        &[("a", Some(false)), ("b", Some(false)), ("c", Some(false))],
        Some(&new),
    );
    request(folder.path(), &rename("old", MAIN)).unwrap();
    let (changes, log) = process.changes();
    let [Change::Continue(older)] = &changes[..] else {
        panic!("one change");
    };
    assert!(
        log.contains("level=info") && log.contains("account=old request=\"rename old main\""),
        "{log}"
    );
    assert!(log.contains("endpoints=3"), "{log}");
    let continued = Arc::new(later.continuing(&older.snapshot));
    let expected = [("a", Some(2)), ("b", Some(5)), ("c", Some(4))];
    let check = |snapshot: &Snapshot| {
        for (id, lost_at) in expected {
            let endpoint = snapshot.endpoint(id).unwrap();
            assert_eq!(endpoint.lost_at(), lost_at.map(minute), "{id}");
            assert_eq!(endpoint.history.first_seen, minute(1), "{id}");
        }
    };
    check(&continued);
    process.save(&continued);
    drop(process);
    let (_, restored) = Process::start(folder.path(), minute(6));
    check(&restored[MAIN].snapshot);
}

#[test]
fn a_queued_rename_is_dropped_with_a_warning_if_its_new_name_has_a_history_by_now() {
    for is_at_start in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        store_loss_of_old_account(folder.path());
        let (mut process, _) = Process::start(folder.path(), minute(3));
        request(folder.path(), &rename("old", MAIN)).unwrap();
        process.save(&walk(4, &[("b", Some(true))], None));
        let mut log = String::new();
        if !is_at_start {
            let (changes, lines) = process.changes();
            assert!(changes.is_empty());
            log = lines;
        }
        drop(process);
        let ((_, restored), lines) = logged(|| Process::start(folder.path(), minute(5)));
        log += &lines;
        let lines: Vec<_> = log.lines().collect();
        let [line] = lines[..] else {
            panic!("one line: {log}");
        };
        for words in [
            "level=warn",
            "is dropped",
            "account=old",
            "the database already has the account main",
        ] {
            assert!(line.contains(words), "{words}: {line}");
        }
        let [listed, _] = histories(&restored[MAIN].snapshot);
        let ids: Vec<_> = listed.iter().map(|one| one.0.as_str()).collect();
        assert_eq!(ids, ["b"], "the newer history stays");
        let shown = report(folder.path(), Some("old"), false).unwrap();
        assert!(shown.contains("lost "), "so does the older one: {shown}");
        assert!(!shown.contains("queued"), "{shown}");
    }
}

#[test]
fn a_newer_request_replaces_an_older_one_about_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    process.save(&walk(1, &[("a", Some(true)), ("b", Some(true))], None));
    let queued_after = |newer: &Request| {
        assert_eq!(request(folder.path(), newer).unwrap(), Applied::Later);
        let connection = Connection::open(schema::path(folder.path())).unwrap();
        let queued = requests::queued(&connection).unwrap().into_iter();
        queued.map(|(_, one)| one).collect::<Vec<_>>()
    };
    let (a, b) = (forget(MAIN, Some("a")), forget(MAIN, Some("b")));
    let [first, second] = ["first", "second"].map(|name| rename(MAIN, name));
    queued_after(&first);
    assert_eq!(queued_after(&second), [rename(MAIN, "second")]);
    queued_after(&a);
    queued_after(&b);
    assert_eq!(queued_after(&a), [second, b, a]);
    // To forget the account also cancels its rename.
    let all = forget(MAIN, None);
    assert_eq!(queued_after(&all), [all]);
    drop(process);
    // The same applies to a command that finds no exporter.
    request(folder.path(), &forget(MAIN, None)).unwrap();
    let (_, log) = logged(|| Process::start(folder.path(), minute(2)));
    assert_eq!(log, "", "no request is left");
}

#[test]
fn old_events_and_events_above_the_maximum_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let day = 24 * 60;
    for (id, at) in [(2, -91 * day), (3, -89 * day), (1_000_003, 0)] {
        connection
            .execute(
                "INSERT INTO event (id, at, kind) VALUES (?, ?, 'test')",
                (id, minute(at).0),
            )
            .unwrap();
    }
    let ids = || {
        let mut select = connection
            .prepare("SELECT id FROM event ORDER BY id")
            .unwrap();
        let ids = select.query_map((), |row| row.get(0)).unwrap();
        ids.collect::<Result<Vec<i64>, _>>().unwrap()
    };
    process.save(&walk(1, &[], None));
    // The last event is that of the walk.
    assert_eq!(ids(), [1_000_003, 1_000_004]);
    for (id, at) in [(1_000_005, -91 * day), (1_000_006, -89 * day)] {
        connection
            .execute(
                "INSERT INTO event (id, at, kind) VALUES (?, ?, 'test')",
                (id, minute(at).0),
            )
            .unwrap();
    }
    connection
        .execute("DELETE FROM event WHERE id < 1000005", ())
        .unwrap();
    process.save(&walk(2, &[], None));
    assert_eq!(ids(), [1_000_006], "older than 90 days");
    let until = "SELECT until FROM deleted_events";
    let until: i64 = connection.query_one(until, (), |row| row.get(0)).unwrap();
    // A deletion of an event that is older than one before changes nothing.
    assert!(until > minute(-91 * day).0, "{until}");
    let since = read_log(folder.path(), |log| Ok([log.complete_since()?])).unwrap();
    assert_eq!(since, [Some(UnixMillis(until))]);
}

#[test]
fn a_database_without_the_newest_tables_is_read_and_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    process.save(&walk(1, &[("a", Some(true))], None));
    drop(process);
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let earlier = "DROP TABLE changing_endpoint; DROP TABLE outage_pending; DROP TABLE past_outage;
        DROP TABLE past_outage_member; DROP INDEX event_of_endpoint; DROP INDEX event_of_account;
        DROP TABLE deleted_events; PRAGMA user_version = 4";
    connection.execute_batch(earlier).unwrap();
    let settings = Settings {
        directory: folder.path().to_owned(),
        retention: RETENTION,
        accounts: names(&[MAIN]),
        clock: Clock::anchored(minute(2)),
    };
    assert!(read_only(&settings).unwrap().contains_key(MAIN));
    assert!(
        report(folder.path(), None, false)
            .unwrap()
            .contains("account main")
    );
    let (_, restored) = Process::start(folder.path(), minute(2));
    assert!(restored.contains_key(MAIN));
    let version = |name: &str| connection.query_one(name, (), |row| row.get::<_, i64>(0));
    assert_eq!(version("PRAGMA user_version").unwrap(), 8);
    assert_eq!(
        version("SELECT count(*) FROM changing_endpoint").unwrap(),
        0
    );
}

//! Past outages and events that the web pages read.

use super::*;
use crate::{
    judgement::{Judgements, Member, MissingEndpoint, Outage, Outages, Part},
    state::{
        Error, EventKind, EventQuery, OutageQuery, PastEventKind, PastMember, PastOutage,
        PastReader, ScopeFilter,
    },
    telemetry::labels::Watch,
};

const DAY: i64 = 24 * 60;

/// All past outages that a query can have.
const ALL: OutageQuery = OutageQuery {
    opened_at: None,
    account: None,
    scope: ScopeFilter::Any,
    limit: 100,
    offset: 0,
    before: None,
};

/// An endpoint of the group `shop` that was lost at the minute `since`.
fn missing(id: &str, since: i64, part: Part) -> Arc<MissingEndpoint> {
    Arc::new(MissingEndpoint {
        id: id.into(),
        username: format!("user-{id}").into(),
        group: "shop".into(),
        watch: Watch::Notice,
        present_group: "shop".into(),
        since: minute(since),
        last_registered: Some(minute(since - 1)),
        part,
        last_listed: None,
    })
}

/// An open outage of the `scope` that began at the minute `opened_at`, with all `ids` lost a minute before.
fn outage(scope: Option<&str>, opened_at: i64, ids: &[&str]) -> Outage {
    let member = |id: &&str| Member {
        id: (*id).into(),
        group: "shop".into(),
        is_lost: true,
    };
    Outage {
        scope: scope.map(Into::into),
        slot: 1,
        started_at: minute(opened_at - 1),
        opened_at: minute(opened_at),
        is_major: true,
        is_usual: false,
        is_growing: true,
        members: ids.iter().map(member).collect(),
    }
}

fn judged(open: &[Outage], missing: &[Arc<MissingEndpoint>]) -> Judgements {
    Judgements {
        missing: missing.into(),
        outages: Outages::stored(open.to_vec(), Vec::new(), Vec::new()),
        ..Judgements::default()
    }
}

impl Process {
    fn save_judged(&mut self, account: &str, snapshot: &Arc<Snapshot>, judgements: Judgements) {
        let state = AccountState {
            account: account.into(),
            judgements,
            ..(*published(snapshot)).clone()
        };
        assert!(self.0.save([Arc::new(state)]).unwrap().is_none());
    }

    /// Saves an outage of `shop` with the endpoints a, b and c that began at minute 2, and its end. `b` stays lost.
    fn save_past_outage(&mut self) -> Arc<Snapshot> {
        let list = walk(1, &[("a", None), ("b", None), ("c", None)], None);
        let open = outage(Some("shop"), 2, &["a", "b", "c"]);
        let lost = |part| ["a", "b", "c"].map(|id| missing(id, 1, part));
        self.save_judged(MAIN, &list, Judgements::default());
        self.save_judged(MAIN, &list, judged(&[open], &lost(Part::Open)));
        // `c` has registered, and is lost again.
        let after = [missing("b", 1, Part::Past), missing("c", 5, Part::None)];
        self.save_judged(MAIN, &list, judged(&[], &after));
        list
    }
}

fn reader(folder: &tempfile::TempDir) -> PastReader {
    PastReader::new(folder.path().to_owned())
}

/// The ids of the endpoints of the newest past outage, and the numbers that are stored with it.
async fn members(reader: &PastReader) -> (Vec<String>, u64, u64) {
    let newest = &reader.outages(ALL).await.unwrap()[0];
    let (outage, members) = reader.outage(newest.id, 100, 0).await.unwrap().unwrap();
    assert_eq!(outage, *newest);
    let ids = members.into_iter().map(|one| one.endpoint_id).collect();
    (ids, newest.endpoints, newest.lost_at_end)
}

#[tokio::test]
async fn an_outage_that_ends_is_kept_with_its_times_and_members_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    process.save_past_outage();
    let reader = reader(&folder);
    let check = async || {
        let past = reader.outages(ALL).await.unwrap();
        let [one] = &past[..] else {
            panic!("one outage: {past:?}");
        };
        let ended_at = one.ended_at;
        assert!(minute(10) <= ended_at && ended_at < minute(11));
        let expected = PastOutage {
            id: 1,
            account: MAIN.to_owned(),
            scope: Some("shop".to_owned()),
            started_at: minute(1),
            opened_at: minute(2),
            ended_at,
            is_major: true,
            is_usual: false,
            endpoints: 3,
            lost_at_end: 1,
        };
        assert_eq!(*one, expected);
        let member = |id: &str| PastMember {
            endpoint_id: id.to_owned(),
            group: "shop".to_owned(),
            was_lost_at_end: id == "b",
        };
        let all = reader.outage(1, 100, 0).await.unwrap();
        let (outage, members) = all.unwrap();
        assert_eq!(outage, expected);
        assert_eq!(members, ["a", "b", "c"].map(member));
        let (_, page) = reader.outage(1, 1, 1).await.unwrap().unwrap();
        assert_eq!(page, [member("b")]);
        assert_eq!(reader.outage(2, 100, 0).await.unwrap(), None);
    };
    check().await;
    // The hidden usernames replace all judgements, but not the past.
    let state = AccountState::clone(&published(&walk(11, &[], None)));
    let hidden = AccountState {
        shown: Arc::default(),
        ..state
    };
    process.0.save([Arc::new(hidden)]).unwrap();
    check().await;
    drop(process);
    let (_process, _) = Process::start(folder.path(), minute(20));
    check().await;
}

#[tokio::test]
async fn past_outages_are_found_by_account_and_scope_with_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = [MAIN, "other"];
    let (mut process, _) = Process::polling(&accounts, folder.path(), minute(10));
    let list = walk(1, &[], None);
    let mut at = 1;
    for (account, scope) in [
        (MAIN, Some("shop")),
        (MAIN, None),
        ("other", None),
        (MAIN, Some("desk")),
    ] {
        at += 1;
        process.save_judged(account, &list, Judgements::default());
        let open = judged(&[outage(scope, at, &["a"])], &[]);
        process.save_judged(account, &list, open);
        process.save_judged(account, &list, Judgements::default());
    }
    let reader = reader(&folder);
    let found = async |account: Option<&str>, scope, limit, offset| {
        let query = OutageQuery {
            opened_at: None,
            account: account.map(str::to_owned),
            scope,
            limit,
            offset,
            before: None,
        };
        let found = reader.outages(query).await.unwrap().into_iter();
        found.map(|one| one.id).collect::<Vec<_>>()
    };
    let group = |name: &str| ScopeFilter::Group(name.to_owned());
    assert_eq!(found(None, ScopeFilter::Any, 100, 0).await, [4, 3, 2, 1]);
    assert_eq!(found(None, ScopeFilter::Any, 2, 1).await, [3, 2]);
    assert_eq!(found(Some(MAIN), ScopeFilter::Any, 9, 0).await, [4, 2, 1]);
    assert_eq!(found(Some(MAIN), ScopeFilter::Account, 9, 0).await, [2]);
    assert_eq!(found(None, group("shop"), 9, 0).await, [1]);
    assert!(found(Some("other"), group("shop"), 9, 0).await.is_empty());
}

#[tokio::test]
async fn past_outages_are_deleted_after_the_retention() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    let list = process.save_past_outage();
    drop(process);
    let reader = reader(&folder);
    for (day, is_kept) in [(89, true), (91, false)] {
        let (mut process, _) = Process::start(folder.path(), minute(day * DAY));
        process.save_judged(MAIN, &list, Judgements::default());
        drop(process);
        let past = reader.outages(ALL).await.unwrap();
        assert_eq!(past.len(), usize::from(is_kept), "day {day}");
    }
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let rows = "SELECT count(*) FROM past_outage_member";
    let rows: i64 = connection.query_one(rows, (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn the_oldest_past_outages_above_the_maximum_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let insert = |id: i64, endpoints: i64| {
        connection
            .execute(
                "INSERT INTO past_outage VALUES (?1, 'main', '', 0, 0, ?2, 0, 0, ?3, 0)",
                (id, minute(9).0, endpoints),
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO past_outage_member VALUES (?, 'a', '', 0)",
                [id],
            )
            .unwrap();
    };
    let mut kept_after = || {
        process.save(&walk(1, &[], None));
        let ids = |column: &str, table: &str| {
            let select = format!("SELECT {column} FROM {table} ORDER BY 1");
            let mut select = connection.prepare(&select).unwrap();
            let ids = select.query_map((), |row| row.get(0)).unwrap();
            ids.collect::<Result<Vec<i64>, _>>().unwrap()
        };
        let kept = ids("id", "past_outage");
        assert_eq!(ids("outage_id", "past_outage_member"), kept);
        kept
    };
    for id in [1, 2, 10_001] {
        insert(id, 1);
    }
    assert_eq!(kept_after(), [2, 10_001], "at most 10,000 outages");
    insert(10_002, 999_998);
    assert_eq!(kept_after(), [10_001, 10_002], "at most 1,000,000 members");
    insert(10_003, 2_000_000);
    assert_eq!(kept_after(), [10_003], "the newest outage stays");
}

#[tokio::test]
async fn a_forgotten_endpoint_is_no_member_of_past_outages() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    process.save_past_outage();
    drop(process);
    let reader = reader(&folder);
    let all = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(members(&reader).await, (all, 3, 1));
    request(folder.path(), &forget(MAIN, Some("b"))).unwrap();
    let others = ["a", "c"].map(str::to_owned).to_vec();
    assert_eq!(members(&reader).await, (others, 2, 0));
    let unknown = request(folder.path(), &forget(MAIN, Some("b")));
    assert!(matches!(unknown, Err(Error::Refused { .. })), "{unknown:?}");
    request(folder.path(), &forget(MAIN, None)).unwrap();
    assert!(reader.outages(ALL).await.unwrap().is_empty());
    assert_eq!(reader.outage(1, 100, 0).await.unwrap(), None);
}

#[tokio::test]
async fn an_endpoint_forgotten_during_an_outage_is_no_member_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    let list = walk(1, &[("a", None), ("b", None)], None);
    let lost = ["a", "b"].map(|id| missing(id, 1, Part::Open));
    let open = judged(&[outage(None, 2, &["a", "b"])], &lost);
    process.save_judged(MAIN, &list, Judgements::default());
    process.save_judged(MAIN, &list, open);
    request(folder.path(), &forget(MAIN, Some("a"))).unwrap();
    assert_eq!(process.changes().0.len(), 1);
    // The save between the change and the next walk has failed.
    process.save_judged(MAIN, &list, Judgements::default());
    let reader = reader(&folder);
    assert_eq!(members(&reader).await, (vec!["b".to_owned()], 1, 0));
}

#[tokio::test]
async fn a_renamed_account_keeps_its_past() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    process.save_past_outage();
    drop(process);
    request(folder.path(), &rename(MAIN, "new")).unwrap();
    let reader = reader(&folder);
    let of = async |account: &str| {
        let account = Some(account.to_owned());
        let past = reader.outages(OutageQuery { account, ..ALL }).await;
        past.unwrap().len()
    };
    assert_eq!((of(MAIN).await, of("new").await), (0, 1));
    let all = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(members(&reader).await, (all, 3, 1));
    let events = reader.account_events("new".to_owned(), 2).await.unwrap();
    let kinds = events.iter().map(|one| one.kind.label());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["outage_ended", "outage_started"]
    );
}

/// A state directory with events of two accounts and of the exporter.
fn log_with_events() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    let mut last = None;
    for (at, a, b) in [
        (1, true, true),
        (2, false, true),
        (3, false, false),
        (4, true, false),
    ] {
        let next = walk(at, &[("a", Some(a)), ("b", Some(b))], last.as_deref());
        process.save(&next);
        last = Some(next);
    }
    let failed = AccountState {
        failure: Some("network"),
        ..AccountState::clone(&published(&last.unwrap()))
    };
    process.0.save([Arc::new(failed)]).unwrap();
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let other = "INSERT INTO event (at, account, endpoint_id, kind) VALUES (1, 'main', 'a', 'x'),
        (2, 'other', 'a', 'lost'), (3, 'other', NULL, 'blind')";
    connection.execute(other, ()).unwrap();
    process.0.stop().unwrap();
    folder
}

#[tokio::test]
async fn the_last_events_of_an_endpoint_and_of_an_account_are_read_newest_first() {
    let folder = log_with_events();
    let reader = reader(&folder);
    let of = async |id: &str, limit| {
        let events = reader.endpoint_events(MAIN.to_owned(), id.to_owned(), limit);
        let events = events.await.unwrap().into_iter();
        let events = events.map(|one| (one.kind, one.at, one.earlier));
        events.collect::<Vec<_>>()
    };
    let back = (
        PastEventKind::Known(EventKind::Back),
        minute(4),
        Some(minute(2)),
    );
    let lost = (
        PastEventKind::Known(EventKind::Lost),
        minute(2),
        Some(minute(1)),
    );
    let unknown = (PastEventKind::Other("x".to_owned()), UnixMillis(1), None);
    assert_eq!(of("a", 9).await, [unknown.clone(), back.clone(), lost]);
    assert_eq!(of("a", 2).await, [unknown, back]);
    assert_eq!(of("b", 9).await.len(), 1);
    assert!(of("c", 9).await.is_empty());
    let account = async |limit| {
        let events = reader.account_events(MAIN.to_owned(), limit).await.unwrap();
        let kinds = events.into_iter().map(|one| (one.kind, one.detail));
        kinds.collect::<Vec<_>>()
    };
    let event = |kind, detail: Option<&str>| {
        let kind = PastEventKind::Known(kind);
        (kind, detail.map(str::to_owned))
    };
    let version = format!("version {}", env!("CARGO_PKG_VERSION"));
    let expected = [
        event(EventKind::Stop, None),
        event(EventKind::Blind, Some("network")),
        event(EventKind::Seeing, Some("the first of this run")),
        event(EventKind::Start, Some(&version)),
    ];
    assert_eq!(account(9).await, expected);
    assert_eq!(account(1).await, expected[..1]);
}

#[tokio::test]
async fn the_event_log_is_read_page_by_page() {
    let folder = log_with_events();
    let reader = reader(&folder);
    let all = EventQuery::default();
    let total = pages_of_events(&reader, &all, 1).await;
    assert_eq!(pages_of_events(&reader, &all, 1000).await, total);
    let mut ids = total.iter().map(|one| one.1).collect::<Vec<_>>();
    ids.dedup();
    assert!(
        ids.is_sorted_by(|one, next| one > next) && ids.len() > 6,
        "{ids:?}"
    );
    let main = Some(MAIN.to_owned());
    for (query, kinds) in [
        (
            EventQuery {
                account: main.clone(),
                endpoint_id: Some("a".to_owned()),
                ..EventQuery::default()
            },
            &["x", "back", "lost"][..],
        ),
        (
            EventQuery {
                account: main,
                without_endpoints: true,
                ..EventQuery::default()
            },
            &["blind", "seeing"],
        ),
        (
            EventQuery {
                kind: Some("lost".to_owned()),
                ..EventQuery::default()
            },
            &["lost", "lost", "lost"],
        ),
    ] {
        let found = pages_of_events(&reader, &query, 1).await;
        let found: Vec<_> = found.iter().map(|(kind, _)| &**kind).collect();
        assert_eq!(found, kinds, "{query:?}");
    }
}

/// The kinds and ids of all events, read with pages of `limit` events.
async fn pages_of_events(
    reader: &PastReader,
    query: &EventQuery,
    limit: usize,
) -> Vec<(String, i64)> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let query = EventQuery {
            before,
            limit,
            ..query.clone()
        };
        let page = reader.events(query).await.unwrap();
        let events = page.events.iter();
        found.extend(events.map(|one| (one.event.kind.label().to_owned(), one.id)));
        if page.next.is_none() {
            return found;
        }
        before = page.next;
    }
}

#[tokio::test]
async fn a_database_of_an_older_schema_has_no_past_until_it_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let reader = reader(&folder);
    let is_empty = async || {
        let events = reader.endpoint_events(MAIN.to_owned(), "a".to_owned(), 9);
        reader.outages(ALL).await.unwrap().is_empty()
            && reader.outage(1, 9, 0).await.unwrap().is_none()
            && events.await.unwrap().is_empty()
    };
    assert!(is_empty().await, "without a database");
    let (process, _) = Process::start(folder.path(), minute(0));
    drop(process);
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let earlier = "DROP TABLE past_outage; DROP TABLE past_outage_member;
        DROP INDEX event_of_endpoint; DROP INDEX event_of_account; DROP TABLE deleted_events; PRAGMA user_version = 6";
    connection.execute_batch(earlier).unwrap();
    assert!(is_empty().await, "without the tables");
    let events = reader.account_events(MAIN.to_owned(), 9).await.unwrap();
    assert_eq!(events.len(), 1, "the start");
    let (mut process, _) = Process::start(folder.path(), minute(10));
    process.save_past_outage();
    assert_eq!(reader.outages(ALL).await.unwrap().len(), 1);
    // The reads of events use an index. Only a new connection sees it, because a plan is made without a read.
    let connection = Connection::open(schema::path(folder.path())).unwrap();
    let plan = |select: &str| {
        let plan = format!("EXPLAIN QUERY PLAN {select} ORDER BY id DESC LIMIT 9");
        let detail = connection.query_one(&plan, (), |row| row.get::<_, String>(3));
        detail.unwrap()
    };
    let of_endpoint = plan("SELECT at FROM event WHERE account = 'main' AND endpoint_id = 'a'");
    assert!(of_endpoint.contains("event_of_endpoint"), "{of_endpoint}");
    let of_account = plan("SELECT at FROM event WHERE account = 'main' AND endpoint_id IS NULL");
    assert!(of_account.contains("event_of_account"), "{of_account}");
}

#[tokio::test]
async fn reads_that_hang_end_after_two_seconds_and_keep_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, _) = Process::start(folder.path(), minute(0));
    let reader = reader(&folder);
    let hang = || {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let read = reader.read(move |_| {
            let _ = ended.recv();
            Ok(())
        });
        (end, read)
    };
    let ((first, one), (second, two)) = (hang(), hang());
    let (one, two, three) = tokio::join!(one, two, reader.outages(ALL));
    let is_hanging = |result: &Result<(), Error>| matches!(result, Err(Error::NoAnswer(_)));
    assert!(is_hanging(&one) && is_hanging(&two));
    let error = three.unwrap_err().to_string();
    assert!(error.contains("the disk does not answer"), "{error}");
    drop((first, second));
    assert!(reader.outages(ALL).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_read_beside_a_process_sees_one_state_also_with_an_empty_log() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(10));
    process.save_past_outage();
    let log = schema::path(folder.path()).with_extension("db-wal");
    let length = || std::fs::metadata(&log).map(|file| file.len()).ok();
    request(folder.path(), &forget(MAIN, Some("a"))).unwrap();
    // After this change, the process empties its log.
    assert_eq!(process.changes().0.len(), 1);
    assert_eq!(length(), Some(0));
    let reader = reader(&folder);
    let read = reader.read(move |connection| {
        let read = connection.unchecked_transaction()?;
        let count = || {
            let count = "SELECT count(*) FROM event";
            read.query_one(count, (), |row| row.get::<_, i64>(0))
        };
        let before = count()?;
        process.0.stop().unwrap();
        // The log still has the event, because this read uses it.
        Ok((before, count()?, log.exists()))
    });
    let (before, after, has_log) = read.await.unwrap();
    assert_eq!(before, after);
    assert!(has_log);
    assert!(!reader.outages(ALL).await.unwrap().is_empty());
}

//! What the event log has for reports.

use super::*;
use crate::{
    snapshot::{WalkHistory, WalkRecord, WalkResult},
    state::{Error, EventKind, PastEvent, PastEventKind, read_log},
};

const OTHER: &str = "other";

/// A state after a walk at the minute `at` with this result.
fn after_walk(
    before: &AccountState,
    at: i64,
    result: WalkResult,
    failure: Option<&'static str>,
) -> AccountState {
    let record = WalkRecord {
        started_at: minute(at),
        duration: Duration::from_secs(1),
        pages: 1,
        retries: 0,
        result,
    };
    AccountState {
        walks: before.walks.with(record),
        failure,
        ..before.clone()
    }
}

fn failed(before: &AccountState, at: i64) -> AccountState {
    let result = WalkResult::Failed {
        reason: "network",
        status: None,
        detail: "".into(),
    };
    after_walk(before, at, result, Some("network"))
}

fn unconfirmed(before: &AccountState, at: i64) -> AccountState {
    let result = WalkResult::Unconfirmed {
        endpoints_before: 2,
        removed: 2,
        registration_changed: 0,
    };
    after_walk(before, at, result, None)
}

impl Process {
    fn save_state(&mut self, state: AccountState) {
        assert!(self.0.save([Arc::new(state)]).unwrap().is_none());
    }
}

/// The events of the account, without those of endpoints: kind, minute and detail.
fn account_events(directory: &Path) -> Vec<(EventKind, i64, Option<String>)> {
    let found = read_log(directory, |log| log.account_events(MAIN)).unwrap();
    let shown = |event: PastEvent| match event.kind {
        PastEventKind::Known(kind) => (kind, (event.at.0 - minute(0).0) / 60_000, event.detail),
        PastEventKind::Other(kind) => panic!("{kind}"),
    };
    found.into_iter().map(shown).collect()
}

/// The kinds of these events with their minutes.
fn kinds(directory: &Path) -> Vec<(EventKind, i64)> {
    let found = account_events(directory).into_iter();
    found.map(|(kind, at, _)| (kind, at)).collect()
}

#[test]
fn an_account_is_blind_from_the_start_of_a_failed_walk_to_that_of_a_published_one() {
    use EventKind::{Blind, Seeing, Start};
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let list: List<'_> = &[("a", Some(true)), ("b", Some(true))];
    let first = published(&walk(1, list, None));
    process.save_state((*first).clone());
    let blind = failed(&first, 2);
    process.save_state(blind.clone());
    process.save_state(failed(&blind, 3));
    // A walk that waits for confirmation is not published, so the account is still unknown.
    let waiting = unconfirmed(&blind, 4);
    process.save_state(waiting.clone());
    process.save_state(failed(&waiting, 5));
    process.save(&walk(6, list, first.snapshot.as_deref()));
    let expected = [(Start, 0), (Seeing, 1), (Blind, 2), (Seeing, 6)];
    assert_eq!(kinds(folder.path()), expected);
    let details = account_events(folder.path()).into_iter().map(|one| one.2);
    let details: Vec<_> = details.skip(1).collect();
    let first = Some("the first of this run".to_owned());
    assert_eq!(details, [first, Some("network".to_owned()), None]);
}

#[test]
fn several_failed_walks_that_are_saved_late_have_the_time_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = walk(1, &[], None);
    process.save(&first);
    // The disk did not answer when the first of them was saved.
    let state = AccountState {
        walks: WalkHistory::default(),
        ..(*published(&first)).clone()
    };
    process.save_state(failed(&failed(&state, 2), 3));
    assert_eq!(kinds(folder.path()).last(), Some(&(EventKind::Blind, 2)));
}

#[test]
fn an_account_is_not_seen_if_no_walk_is_published_for_more_than_three_intervals() {
    use EventKind::{Blind, Seeing, Start};
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let mut last: Option<Arc<Snapshot>> = None;
    // The walk of the minute 20 has a shorter interval. The pause before it was one of the longer interval.
    for (at, interval) in [(1, 2), (7, 2), (14, 2), (20, 1), (21, 1), (25, 1)] {
        let next = walk(at, &[], last.as_deref());
        let state = AccountState {
            poll_interval: Duration::from_secs(interval * 60),
            ..(*published(&next)).clone()
        };
        process.save_state(state);
        last = Some(next);
    }
    let run = [(Start, 0), (Seeing, 1), (Blind, 7), (Seeing, 14)];
    let expected = [&run[..], &[(Blind, 21), (Seeing, 25)]].concat();
    assert_eq!(kinds(folder.path()), expected);
}

#[test]
fn each_process_logs_its_first_published_walk() {
    use EventKind::{Blind, Seeing, Start, Stop};
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = published(&walk(1, &[], None));
    process.save_state((*first).clone());
    process.save_state(failed(&first, 2));
    process.0.stop().unwrap();
    drop(process);
    let (mut process, mut restored) = Process::start(folder.path(), minute(10));
    let restored = restored.remove(MAIN).unwrap().snapshot;
    let without = AccountState {
        snapshot: None,
        ..(*first).clone()
    };
    process.save_state(failed(&without, 11));
    process.save(&walk(12, &[], Some(&restored)));
    process.save(&walk(13, &[], Some(&restored)));
    let first_run = [(Start, 0), (Seeing, 1), (Blind, 2), (Stop, 0)];
    let expected = [&first_run[..], &[(Start, 10), (Seeing, 12)]].concat();
    assert_eq!(
        kinds(folder.path()),
        expected,
        "the second run is still blind at first"
    );
}

#[test]
fn a_start_after_a_crash_knows_until_when_some_account_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::polling(&[MAIN, OTHER], folder.path(), minute(0));
    process.save(&walk(1, &[], None));
    let other = AccountState {
        account: OTHER.into(),
        ..(*published(&walk(7, &[], None))).clone()
    };
    process.save_state(other);
    drop(process);
    let starts = || {
        let found = read_log(folder.path(), |log| log.account_events(MAIN)).unwrap();
        let is_start = |one: &PastEvent| one.kind == PastEventKind::Known(EventKind::Start);
        let starts = found.into_iter().filter(is_start);
        starts.map(|one| one.earlier).collect::<Vec<_>>()
    };
    let (mut process, _) = Process::start(folder.path(), minute(20));
    assert_eq!(starts(), [None, Some(minute(7))]);
    process.0.stop().unwrap();
    drop(process);
    Process::start(folder.path(), minute(30));
    assert_eq!(starts(), [None, Some(minute(7)), None]);
}

#[test]
fn the_log_says_while_an_account_is_not_polled() {
    use EventKind::{Polled, Seeing, Start, Unpolled};
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = walk(1, &[], None);
    process.save(&first);
    process.0.reconfigure(names(&[OTHER]), RETENTION);
    process.0.reconfigure(names(&[OTHER, "third"]), RETENTION);
    let mut restored = process
        .0
        .reconfigure(names(&[OTHER, MAIN]), RETENTION)
        .restored;
    let restored = restored.remove(MAIN).unwrap().snapshot;
    process.save(&walk(5, &[], Some(&restored)));
    let run = [
        (Start, 0),
        (Seeing, 1),
        (Unpolled, 0),
        (Polled, 0),
        (Seeing, 5),
    ];
    assert_eq!(kinds(folder.path()), run);
    drop(process);
    // A start with other accounts says it, too.
    Process::polling(&[OTHER], folder.path(), minute(6));
    assert_eq!(kinds(folder.path()).last(), Some(&(Unpolled, 6)));
}

#[test]
fn a_new_log_after_a_damage_says_again_that_the_account_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let first = walk(1, &[("a", Some(true))], None);
    process.save(&first);
    let second = walk(2, &[("a", Some(true))], Some(&first));
    process.save(&second);
    let damage = |process: &mut Process, next| {
        for ending in ["db", "db-wal", "db-shm"] {
            std::fs::remove_file(folder.path().join("state").with_extension(ending)).unwrap();
        }
        process.save(next);
    };
    let third = walk(3, &[("a", Some(false))], Some(&second));
    damage(&mut process, &third);
    let expected = [(EventKind::Start, 0), (EventKind::Seeing, 3)];
    assert_eq!(kinds(folder.path()), expected);
}

#[test]
fn additions_removals_and_first_values_have_the_registration() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let lists: [List<'_>; 4] = [
        &[("a", Some(true)), ("b", None)],
        &[("a", None), ("b", Some(false)), ("c", Some(true))],
        &[("d", None)],
        &[("a", None)],
    ];
    let mut last = None;
    for (at, list) in (1..).zip(lists) {
        let next = walk(at, list, last.as_deref());
        process.save(&next);
        last = Some(next);
    }
    let mut found = Vec::new();
    let visited = read_log(folder.path(), |log| {
        log.endpoints(MAIN, |one| {
            let events = one.events.into_iter();
            let events = events.map(|event| {
                let detail = event.detail.unwrap_or_default();
                format!("{} {detail}", event.kind.label())
            });
            let row = one
                .row
                .map(|row| (row.last_known, row.removed_at.is_some()));
            found.push((one.id, row, events.collect::<Vec<_>>().join(", ")));
        })
    });
    visited.unwrap();
    let shown: Vec<_> = found.iter().map(|one| (&*one.0, one.1, &*one.2)).collect();
    assert_eq!(
        shown,
        [
            (
                "a",
                Some((Some(true), false)),
                "removed registered, added registered"
            ),
            (
                "b",
                Some((Some(false), true)),
                "known unregistered, removed unregistered"
            ),
            (
                "c",
                Some((Some(true), true)),
                "added registered, removed registered"
            ),
            // The row of an endpoint without a known registration is deleted at once.
            ("d", None, "added unknown, removed unknown"),
        ]
    );
}

#[test]
fn a_log_reader_finds_accounts_and_whether_an_exporter_runs() {
    let folder = tempfile::tempdir().unwrap();
    let absent = read_log(folder.path(), |log| Ok(log.has_writer()));
    assert!(matches!(absent, Err(Error::Absent(_))), "{absent:?}");
    let (mut process, _) = Process::polling(&[MAIN, OTHER], folder.path(), minute(0));
    let first = published(&walk(1, &[], None));
    process.save_state(failed(&first, 2));
    process.0.reconfigure(names(&[OTHER]), RETENTION);
    let read = || {
        read_log(folder.path(), |log| {
            Ok((log.accounts()?, log.has_writer(), log.complete_since()?))
        })
    };
    let (accounts, has_writer, oldest) = read().unwrap();
    let [main] = &accounts[..] else {
        panic!("{accounts:?}")
    };
    assert_eq!((&*main.name, main.last_success), (MAIN, Some(minute(1))));
    assert!(main.is_failing && !main.is_polled && has_writer);
    let is_start = |at: UnixMillis| at.since(minute(0)) < Duration::from_secs(60);
    assert!(oldest.is_some_and(is_start), "{oldest:?}");
    drop(process);
    assert!(!read().unwrap().1, "the lock ends with its process");
}

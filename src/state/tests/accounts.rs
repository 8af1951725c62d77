//! Accounts that a process stops to poll, or polls from some time on.

use super::*;

const OTHER: &str = "other";
const DAY: i64 = 24 * 60;

impl Process {
    fn poll(&mut self, accounts: &[&str]) -> AllRestored {
        self.0.reconfigure(names(accounts), RETENTION).restored
    }

    /// Saves an empty list of the account `OTHER`.
    fn save_other(&mut self, at: i64) {
        let state = AccountState {
            account: OTHER.into(),
            ..(*published(&walk(at, &[], None))).clone()
        };
        self.0.save([Arc::new(state)]).unwrap();
    }
}

/// A process that has polled `main`, of which the endpoint `a` was lost in the last walk.
fn process_with_loss(directory: &Path) -> (Process, Arc<Snapshot>) {
    let (mut process, _) = Process::start(directory, minute(20));
    let first = walk(1, &[("a", Some(true)), ("b", Some(true))], None);
    process.save(&first);
    let second = walk(2, &[("a", Some(false)), ("b", Some(true))], Some(&first));
    process.save(&second);
    (process, second)
}

#[test]
fn an_account_that_returns_after_its_removal_continues_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, last) = process_with_loss(folder.path());
    assert!(process.poll(&[OTHER]).is_empty());
    process.save_other(3);
    let mut restored = process.poll(&[OTHER, MAIN]);
    assert_eq!(restored.len(), 1);
    let restored = restored.remove(MAIN).unwrap().snapshot;
    assert_eq!(histories(&restored), histories(&last));
    let next = walk(10, &[("a", Some(true)), ("b", Some(true))], Some(&restored));
    process.save(&next);
    let back = ("back".to_owned(), Some("a".to_owned()), Some(minute(2).0));
    assert_eq!(events(folder.path()).last(), Some(&back));
}

#[test]
fn the_state_of_a_removed_account_is_deleted_after_the_retention() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = process_with_loss(folder.path());
    process.poll(&[OTHER]);
    drop(process);
    // A start without the account does not begin the time anew.
    for (day, is_kept) in [(1, true), (89, true), (91, false)] {
        let (mut process, _) = Process::polling(&[OTHER], folder.path(), minute(day * DAY));
        process.save_other(day * DAY);
        drop(process);
        let shown = report(folder.path(), None, false).unwrap();
        assert_eq!(shown.contains(MAIN), is_kept, "day {day}: {shown}");
    }
    let (_, restored) = Process::start(folder.path(), minute(92 * DAY));
    assert!(restored.is_empty());
    let has_main = |(_, endpoint, _): &(_, Option<String>, _)| endpoint.is_some();
    assert!(!events(folder.path()).iter().any(has_main));
}

#[test]
fn the_retention_of_an_account_that_returns_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, last) = process_with_loss(folder.path());
    process.poll(&[OTHER]);
    process.poll(&[OTHER, MAIN]);
    drop(process);
    let accounts = [OTHER, MAIN];
    let (mut process, _) = Process::polling(&accounts, folder.path(), minute(91 * DAY));
    process.save_other(91 * DAY);
    drop(process);
    let (_, mut restored) = Process::start(folder.path(), minute(92 * DAY));
    let restored = restored.remove(MAIN).unwrap().snapshot;
    assert_eq!(histories(&restored), histories(&last));
}

#[test]
fn a_queued_rename_is_made_when_the_process_polls_the_new_name_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, last) = process_with_loss(folder.path());
    let queued = request(folder.path(), &rename(MAIN, "new")).unwrap();
    assert_eq!(queued, Applied::Later);
    let (mut restored, log) = logged(|| process.poll(&["new"]));
    assert!(log.contains("request=\"rename main new\""), "{log}");
    let restored = restored.remove("new").unwrap().snapshot;
    assert_eq!(histories(&restored), histories(&last));
    let shown = report(folder.path(), None, false).unwrap();
    assert!(!shown.contains(MAIN), "{shown}");
}

#[test]
fn an_account_that_is_added_while_the_disk_fails_gets_its_history_later() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, last) = process_with_loss(folder.path());
    process.poll(&[OTHER]);
    let (database, hidden) = (schema::path(folder.path()), folder.path().join("hidden"));
    // A folder in the place of the database keeps it from being opened.
    std::fs::rename(&database, &hidden).unwrap();
    std::fs::create_dir(&database).unwrap();
    assert!(process.poll(&[OTHER, MAIN]).is_empty());
    std::fs::remove_dir(&database).unwrap();
    std::fs::rename(&hidden, &database).unwrap();
    process.save_other(5);
    let (changes, _) = process.changes();
    let [Change::Continue(older)] = &changes[..] else {
        panic!("one change: {changes:?}");
    };
    assert_eq!(histories(&older.snapshot), histories(&last));
}

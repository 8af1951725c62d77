//! A damaged, missing or unwritable state: what the exporter reports, and what it still knows.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use futures_util::future::join_all;

use super::{
    DAMAGED, ENDPOINTS, LAST_WRITE, LOAD_FAILURES, LOADED, NOT_LOADED, NOT_SAVED, SAVED_AGAIN,
    Scraping, Stage, WRITE_FAILURES, counts, failures, is_up, lines, query, saves_after,
};
use crate::harness::{Exporter, Scrape, until};

/// Overwrites a part of the file with bytes that are no part of a database.
pub(super) fn overwrite(file: &Path, offset: u64, length: usize) {
    let bytes: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&bytes, offset).unwrap();
}

fn truncate(file: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length).unwrap();
}

fn size(file: &Path) -> u64 {
    file.metadata().unwrap().len()
}

/// A change of a file that leaves no usable database.
type Damage<'a> = &'a dyn Fn(&Path);

/// Damages the database of a stopped exporter, and starts another one.
async fn a_damaged_file_is_set_aside(is_killed: bool, damage: Damage<'_>) {
    let stage = Stage::new().await;
    if is_killed {
        let exporter = stage.started().await;
        stage.lose(&exporter, 0).await;
        stage.kill(exporter).await;
        assert!(size(&stage.file("state.db-wal")) > 0);
    } else {
        stage.run_with_loss().await;
    }
    let file = stage.file("state.db");
    damage(&file);
    let damaged = fs::read(&file).unwrap();

    let exporter = stage.start().await;
    let scrape = is_up(&exporter).await;
    assert_eq!(failures(&scrape), (1.0, 0.0));
    let line = exporter.log_line(DAMAGED).await;
    let consequence =
        "it was renamed to state.db.corrupt, and losses before this start are unknown";
    for words in ["level=error", consequence, file.to_str().unwrap()] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(
        fs::read(stage.file("state.db.corrupt")).unwrap() == damaged,
        "it is kept"
    );
    assert_eq!(stage.file("state.db.corrupt-wal").exists(), is_killed);
    // The exporter begins anew: it knows no earlier loss, and remembers what it sees from now on.
    stage.shows(&scrape, &[]);
    let scraping = Scraping::of(&exporter);
    let lost = stage.lose(&exporter, 1).await;
    scraping.finish().await;
    let log = exporter.terminate().await.log;
    let counted = [DAMAGED, NOT_LOADED, LOADED, NOT_SAVED].map(|words| lines(&log, words));
    assert_eq!(counted, [1, 0, 0, 0], "{log}");
    let events = "SELECT group_concat(kind, ' ') FROM (SELECT kind FROM event ORDER BY id)";
    let events: String = query(&stage.database(), events);
    assert_eq!(events, "start seeing lost stop");
    stage.restarted_with(&[(1, lost)]).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_at_the_start_is_set_aside_and_begun_anew() {
    let header = |file: &Path| overwrite(file, 0, 100);
    let middle = |file: &Path| {
        let size = size(file);
        overwrite(file, 4096, usize::try_from(size).unwrap() - 4096);
        assert_eq!(self::size(file), size);
    };
    let half = |file: &Path| truncate(file, size(file) / 2);
    let empty = |file: &Path| truncate(file, 0);
    let damages: [(bool, Damage<'_>); 4] = [
        (false, &header),
        (false, &middle),
        (false, &half),
        (true, &empty),
    ];
    join_all(damages.map(|(is_killed, damage)| a_damaged_file_is_set_aside(is_killed, damage)))
        .await;
}

/// Stops the threads of an exporter until the signal CONT.
pub(super) async fn pause(exporter: &Exporter) {
    exporter.signal("STOP").await;
    let status = format!("/proc/{}/status", exporter.pid());
    until("all threads are stopped", || async {
        let text = fs::read_to_string(&status).unwrap();
        text.contains("State:\tT").then_some(())
    })
    .await;
}

/// Damages the database of a running exporter from `offset` to its end.
async fn a_damage_is_found_while_running(offset: u64) {
    let stage = Stage::new().await;
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    let scraping = Scraping::of(&exporter);
    until("a complete file of a paused exporter", || async {
        // A write of another program makes the exporter read the file again.
        let other = stage.database();
        other
            .execute("UPDATE account SET refusals = refusals", ())
            .unwrap();
        let _: i64 = query(&other, "PRAGMA wal_checkpoint(TRUNCATE)");
        drop(other);
        pause(&exporter).await;
        if size(&stage.file("state.db-wal")) == 0 {
            return Some(());
        }
        exporter.signal("CONT").await;
        None
    })
    .await;
    let file = stage.file("state.db");
    let rest = size(&file) - offset;
    overwrite(&file, offset, usize::try_from(rest).unwrap());
    exporter.signal("CONT").await;

    let next = stage.lose(&exporter, 1).await;
    let scrape = exporter.scrape().await;
    assert_eq!(failures(&scrape), (1.0, 0.0));
    let line = exporter.log_line(DAMAGED).await;
    let consequence = "it was renamed to state.db.corrupt, and is written anew without its events";
    for words in ["level=error", consequence, file.to_str().unwrap()] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(stage.file("state.db.corrupt").exists());
    let losses = [(0, lost), (1, next)];
    stage.shows(&scrape, &losses);
    scraping.finish().await;
    stage.kill(exporter).await;
    // All rows were written anew, so a restart knows the earlier loss, too.
    stage.restarted_with(&losses).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_while_the_exporter_runs_is_written_anew() {
    join_all([0, 4096].map(a_damage_is_found_while_running)).await;
}

/// Removes a part of the state of a running exporter.
async fn a_removal_is_repaired(remove: impl Fn(&Stage)) {
    let stage = Stage::new().await;
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    let scraping = Scraping::of(&exporter);
    remove(&stage);
    until("a new file with all endpoints", || async {
        let file = stage.file("state.db");
        let other =
            rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
                .ok()?;
        let stored: i64 = other
            .query_one("SELECT count(*) FROM endpoint", (), |row| row.get(0))
            .ok()?;
        (usize::try_from(stored) == Ok(ENDPOINTS)).then_some(())
    })
    .await;
    let next = stage.lose(&exporter, 1).await;
    let losses = [(0, lost), (1, next)];
    let scrape = exporter.scrape().await;
    stage.shows(&scrape, &losses);
    assert_eq!(failures(&scrape), (0.0, 0.0), "nothing was lost");
    scraping.finish().await;
    // The present lock file keeps a second exporter away.
    let lock = File::open(stage.file("state.lock")).unwrap();
    assert!(lock.try_lock().is_err());
    drop(lock);
    stage.kill(exporter).await;
    let starts: i64 = query(
        &stage.database(),
        "SELECT count(*) FROM event WHERE kind = 'start'",
    );
    assert_eq!(starts, 1, "each event log has the start");
    stage.restarted_with(&losses).await;
}

#[tokio::test]
async fn a_state_that_is_deleted_while_the_exporter_runs_is_written_anew() {
    let file = |stage: &Stage| fs::remove_file(stage.file("state.db")).unwrap();
    let lock = |stage: &Stage| fs::remove_file(stage.file("state.lock")).unwrap();
    let all = |stage: &Stage| {
        // The exporter may write at this moment, so the files are removed under another name.
        let away = stage.directory.with_extension("away");
        fs::rename(&stage.directory, &away).unwrap();
        fs::remove_dir_all(away).unwrap();
    };
    let removals: [&dyn Fn(&Stage); 3] = [&file, &lock, &all];
    join_all(removals.map(a_removal_is_repaired)).await;
}

#[tokio::test]
async fn a_directory_that_is_unusable_at_the_start_is_used_as_soon_as_possible() {
    let stage = Stage::new().await;
    fs::write(&stage.directory, "a file in its place").unwrap();
    let exporter = stage.start().await;
    is_up(&exporter).await;
    let scraping = Scraping::of(&exporter);
    let line = exporter.log_line(NOT_LOADED).await;
    let reason = format!(
        "{}: state.directory is not a directory",
        stage.directory.display()
    );
    assert!(line.contains(&reason), "{line}");
    let lost = stage.lose(&exporter, 0).await;
    let scrape = counts(&exporter, WRITE_FAILURES, 2.0).await;
    assert_eq!(scrape.value(LAST_WRITE, &[]), None, "nothing was saved");
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(1.0));

    fs::remove_file(&stage.directory).unwrap();
    exporter.log_line(SAVED_AGAIN).await;
    let saved = saves_after(&exporter, None).await;
    scraping.finish().await;
    let log = exporter.terminate().await.log;
    let counted = [NOT_LOADED, LOADED, NOT_SAVED, SAVED_AGAIN].map(|words| lines(&log, words));
    assert_eq!(counted, [1, 0, 1, 1], "{log}");
    stage.shows(&saved, &[(0, lost)]);
    stage.restarted_with(&[(0, lost)]).await;
}

#[tokio::test]
async fn a_state_that_appears_after_the_start_continues_the_histories() {
    let stage = Stage::new().await;
    let lost = stage.run_with_loss().await;
    // The folder is a mount point, and the disk is not mounted yet.
    let away = stage.directory.with_extension("away");
    fs::rename(&stage.directory, &away).unwrap();
    std::os::unix::fs::symlink(away.with_extension("missing"), &stage.directory).unwrap();
    let exporter = stage.start().await;
    stage.shows(&is_up(&exporter).await, &[]);
    exporter.log_line(NOT_LOADED).await;
    let next = stage.lose(&exporter, 1).await;

    fs::remove_file(&stage.directory).unwrap();
    fs::rename(&away, &stage.directory).unwrap();
    exporter.log_line(SAVED_AGAIN).await;
    let losses = [(0, lost), (1, next)];
    let is_known = |scrape: &Scrape| stage.lost_at(scrape, 0).is_some();
    let scrape = exporter.until("the earlier loss", is_known).await;
    stage.shows(&scrape, &losses);
    stage.kill(exporter).await;
    stage.restarted_with(&losses).await;
}

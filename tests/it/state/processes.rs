//! A state directory with several processes: a second exporter, a single run, and other programs.

use std::{collections::BTreeMap, fs, time::Duration};

use tokio::time::Instant;

use super::{
    LOAD_FAILURES, LOADED, NOT_LOADED, NOT_SAVED, NOT_WRITABLE, SAVED_AGAIN, Scraping, Stage,
    WRITE_FAILURES, counts, failures, is_up, lines, query,
};
use crate::harness::{Exporter, Program, Scrape, once, until_within};

const WAITS: &str = "another exporter uses the state directory: waiting for its end";

/// The status codes of the pages of a process that waits for the state directory.
async fn status_codes(exporter: &Exporter) -> [u16; 3] {
    let mut codes = [0; 3];
    for (code, path) in codes.iter_mut().zip(["/metrics", "/-/ready", "/-/healthy"]) {
        let asked = Instant::now();
        *code = exporter.get(path).await.0;
        assert!(asked.elapsed() < super::SCRAPE_LIMIT, "{path}");
    }
    codes
}

#[tokio::test]
async fn a_second_exporter_waits_and_takes_over_with_the_times_of_the_losses() {
    let stage = Stage::new().await;
    let first = stage.started().await;
    let lost = stage.lose(&first, 0).await;
    let second = stage.start().await;
    let line = second.log_line(WAITS).await;
    assert!(
        line.contains("level=warn") && line.contains(&stage.directory.display().to_string()),
        "{line}"
    );
    assert_eq!(status_codes(&second).await, [503, 503, 200]);
    // The first exporter is not disturbed, and the second waits without requests to the API.
    let next = stage.lose(&first, 1).await;
    assert_eq!(status_codes(&second).await, [503, 503, 200]);
    let losses = [(0, lost), (1, next)];
    stage.shows(&first.scrape().await, &losses);
    assert_eq!(failures(&first.scrape().await), (0.0, 0.0));

    assert_eq!(first.terminate().await.code, Some(0));
    let scrape = is_up(&second).await;
    stage.shows(&scrape, &losses);
    assert_eq!(failures(&scrape), (0.0, 0.0));
    assert_eq!(status_codes(&second).await, [200, 200, 200]);
    // A third process takes over from one that is killed, and can be stopped while it waits.
    let third = stage.start().await;
    third.log_line(WAITS).await;
    let fourth = stage.start().await;
    fourth.log_line(WAITS).await;
    assert_eq!(fourth.terminate().await.code, Some(0));
    second.signal("KILL").await;
    stage.shows(&is_up(&third).await, &losses);
}

#[tokio::test]
async fn a_second_exporter_ends_with_an_error_after_a_minute() {
    let stage = Stage::new().await;
    let first = stage.started().await;
    let arguments = ["--web.listen-address=127.0.0.1:0"];
    let second = Program::configured(&stage.configuration(), &arguments).start();
    let asked = Instant::now();
    second.says(WAITS).await;
    let words = "another exporter uses this state directory";
    let said = || async { second.err().contains(words).then_some(()) };
    until_within(Duration::from_secs(90), words, said).await;
    assert!(asked.elapsed() >= Duration::from_secs(59));
    let ended = second.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .err
            .contains("give each exporter a state.directory of its own"),
        "{ended:?}"
    );
    assert_eq!(failures(&first.scrape().await), (0.0, 0.0));
}

/// The content of all files of the state that outlive the processes.
fn content(stage: &Stage) -> BTreeMap<String, Vec<u8>> {
    let entries = stage
        .directory
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    // The index of the log is memory that the processes share.
    let files = entries.filter(|path| !path.ends_with("state.db-shm"));
    let named = files.map(|path| (path.display().to_string(), fs::read(&path).unwrap()));
    named.collect()
}

#[tokio::test]
async fn a_single_run_reads_the_times_of_the_losses_and_changes_nothing_on_the_disk() {
    let stage = Stage::new().await;
    let lost = stage.run_with_loss().await;
    // The first walk is the only one, so the exporter writes nothing while the test compares.
    let rare = stage
        .configuration()
        .replace("interval: 5s, max_age: 15s", "interval: 10m, max_age: 30m");
    let exporter = Exporter::start(&rare).await;
    let scrape = is_up(&exporter).await;
    stage.shows(&scrape, &[(0, lost)]);
    let before = content(&stage);
    assert!(
        before.keys().any(|name| name.ends_with("-wal")),
        "an open database"
    );
    // A loss that only the single run sees is not stored.
    stage.unregister(1);
    let single = once(&stage.configuration()).await;
    assert_eq!(stage.lost_at(&single, 0), Some(lost));
    assert!(
        stage.lost_at(&single, 1) > Some(lost),
        "seen by the comparison with the stored state"
    );
    assert!(content(&stage) == before, "the files are as before");
    stage.shows(&exporter.scrape().await, &[(0, lost)]);
    // It also changes nothing without a running exporter, however the last one has ended.
    stage.kill(exporter).await;
    let unchanged = async || {
        let before = content(&stage);
        let single = once(&stage.configuration()).await;
        assert_eq!(stage.lost_at(&single, 0), Some(lost));
        assert!(content(&stage) == before);
    };
    unchanged().await;
    let exporter = stage.started().await;
    assert_eq!(exporter.terminate().await.code, Some(0));
    unchanged().await;
}

/// Locks the database as another program would, until the returned connection is dropped.
fn write_lock(stage: &Stage) -> rusqlite::Connection {
    let other = stage.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn a_write_lock_of_another_program_delays_no_scrape_and_the_state_is_saved_after_it() {
    let stage = Stage::new().await;
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    let scraping = Scraping::of(&exporter);
    let other = write_lock(&stage);
    // A walk every five seconds is published without being saved.
    let next = stage.lose(&exporter, 1).await;
    let scrape = counts(&exporter, WRITE_FAILURES, 1.0).await;
    let losses = [(0, lost), (1, next)];
    stage.shows(&scrape, &losses);
    let line = exporter.log_line(NOT_SAVED).await;
    assert!(
        line.contains("level=error") && line.contains("database is locked"),
        "{line}"
    );
    counts(&exporter, WRITE_FAILURES, 2.0).await;
    drop(other);
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    stage.kill(exporter).await;
    stage.restarted_with(&losses).await;
}

#[tokio::test]
async fn an_exporter_that_starts_during_a_write_lock_knows_the_times_of_the_losses() {
    let stage = Stage::new().await;
    let lost = stage.run_with_loss().await;
    let other = write_lock(&stage);
    let exporter = stage.start().await;
    stage.shows(&is_up(&exporter).await, &[(0, lost)]);
    let line = exporter.log_line(NOT_WRITABLE).await;
    let reason = format!("{}: database is locked", stage.file("state.db").display());
    assert!(
        line.contains("level=warn") && line.contains(&reason),
        "{line}"
    );
    let next = stage.lose(&exporter, 1).await;
    drop(other);
    exporter.log_line(SAVED_AGAIN).await;
    let losses = [(0, lost), (1, next)];
    let scrape = exporter.scrape().await;
    stage.shows(&scrape, &losses);
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(0.0), "it was read");
    assert!(scrape.value(WRITE_FAILURES, &[]) >= Some(1.0));
    let log = exporter.terminate().await.log;
    let counted = [NOT_WRITABLE, LOADED, NOT_SAVED].map(|words| lines(&log, words));
    assert_eq!(counted, [1, 0, 0], "{log}");
    let starts: i64 = query(
        &stage.database(),
        "SELECT count(*) FROM event WHERE kind = 'start'",
    );
    assert_eq!(starts, 2, "the late start is in the log");
    stage.restarted_with(&losses).await;
}

#[tokio::test]
async fn an_exclusive_lock_of_another_program_at_the_start_delays_no_scrape() {
    let stage = Stage::new().await;
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    // The log of a killed exporter has content, so the file alone is not complete.
    stage.kill(exporter).await;
    let other = stage.database();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let exporter = stage.start().await;
    let scrape = is_up(&exporter).await;
    let scraping = Scraping::of(&exporter);
    stage.shows(&scrape, &[]);
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(1.0));
    let line = exporter.log_line(NOT_LOADED).await;
    let reason = format!("{}: database is locked", stage.file("state.db").display());
    assert!(line.contains(&reason), "{line}");
    let next = stage.lose(&exporter, 1).await;
    drop(other);
    let is_known = |scrape: &Scrape| stage.lost_at(scrape, 0).is_some();
    let scrape = exporter.until("the earlier loss", is_known).await;
    let losses = [(0, lost), (1, next)];
    stage.shows(&scrape, &losses);
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    stage.kill(exporter).await;
    stage.restarted_with(&losses).await;
}

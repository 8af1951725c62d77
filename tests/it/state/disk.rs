//! Disks that are full, read-only, failing, or do not answer. The tests mount file systems, so they need root. The
//! command `make test-container` runs them.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use fuser::Errno;
use tokio::time::Instant;

use super::{
    DAMAGED, LAST_WRITE, LOAD_FAILURES, LOADED, NOT_LOADED, NOT_SAVED, NOT_WRITABLE, SAVED_AGAIN,
    Scraping, Stage, WRITE_FAILURES, counts, failures,
    faults::{overwrite, pause},
    fuse::{Condition, Mounted},
    is_up, lines,
};
use crate::harness::{Program, Scrape, until};

const NO_ANSWER: &str = "the disk does not answer";

/// A file system in memory of 1 MiB. Dropping this struct unmounts it.
struct Tmpfs(PathBuf);

/// Runs a program that mounts or unmounts.
fn run(program: &str, arguments: &[&str], path: &Path) {
    let done = Command::new(program).args(arguments).arg(path).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {done:?}");
}

impl Tmpfs {
    fn at(path: &Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"], path);
        Self(path.to_owned())
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        run("mount", &["-o", &option], &self.0);
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut file = File::create(self.0.join("fill")).unwrap();
        for block in [[0; 4096].as_slice(), &[0]] {
            let error = loop {
                if let Err(error) = file.write_all(block) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("fill")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // The files of a process that ends just now are still open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A stage whose state directory is on a disk of its own.
async fn stage<Disk>(mount: impl Fn(&Path) -> Disk) -> (Disk, Stage) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::create_dir(&path).unwrap();
    let disk = mount(&path);
    // The exporter creates the folder on a disk that is good, and finds it on a disk that is not.
    let directory = path.join("state");
    (disk, Stage::at(folder, directory).await)
}

/// Like [`stage`], with a file system that can fail.
async fn stage_with_faults() -> (Mounted, Stage) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("disk");
    fs::create_dir(&directory).unwrap();
    (Mounted::at(&directory), Stage::at(folder, directory).await)
}

/// What happens to a disk, and the message that reports it.
struct Trouble<'a> {
    begin: &'a dyn Fn(),
    end: &'a dyn Fn(),
    message: &'a str,
}

/// The disk fails while the exporter runs: all losses are shown at once, and saved after the trouble.
async fn survives_while_running(stage: &Stage, trouble: Trouble<'_>) {
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    let saved = exporter.scrape().await.value(LAST_WRITE, &[]);
    let scraping = Scraping::of(&exporter);
    (trouble.begin)();
    let next = stage.lose(&exporter, 1).await;
    let scrape = counts(&exporter, WRITE_FAILURES, 2.0).await;
    let losses = [(0, lost), (1, next)];
    stage.shows(&scrape, &losses);
    assert_eq!(scrape.up("main"), Some(1.0), "the walks go on");
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(0.0));
    assert!(scrape.value(LAST_WRITE, &[]) >= saved);
    let line = exporter.log_line(NOT_SAVED).await;
    assert!(line.contains("level=error"), "{line}");
    assert!(line.contains(trouble.message), "{line}");

    (trouble.end)();
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    stage.kill(exporter).await;
    let exporter = stage.restarted_with(&losses).await;
    assert_eq!(failures(&exporter.scrape().await), (0.0, 0.0));
    let log = exporter.terminate().await.log;
    assert_eq!(lines(&log, NOT_SAVED), 0, "{log}");
}

/// Runs an exporter that sees a loss, and ends it. Returns the time of the loss.
async fn earlier_run(stage: &Stage, is_killed: bool) -> f64 {
    if !is_killed {
        return stage.run_with_loss().await;
    }
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    stage.kill(exporter).await;
    lost
}

/// The disk cannot be written when the exporter starts: it knows the stored losses, and saves after the trouble.
async fn is_read_at_the_start(stage: &Stage, is_killed: bool, trouble: Trouble<'_>) {
    let lost = earlier_run(stage, is_killed).await;
    (trouble.begin)();
    let exporter = stage.start().await;
    let scrape = is_up(&exporter).await;
    let scraping = Scraping::of(&exporter);
    stage.shows(&scrape, &[(0, lost)]);
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(0.0), "it was read");
    let line = exporter.log_line(NOT_WRITABLE).await;
    let directory = stage.directory.to_str().unwrap();
    for words in ["level=warn", directory, trouble.message] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let next = stage.lose(&exporter, 1).await;
    counts(&exporter, WRITE_FAILURES, 2.0).await;
    let losses = [(0, lost), (1, next)];
    stage.shows(&exporter.scrape().await, &losses);

    (trouble.end)();
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    assert!(!stage.file("state.db.corrupt").exists());
    exporter.signal("KILL").await;
    let log = exporter.ended().await.log;
    let counted = [NOT_WRITABLE, LOADED, NOT_LOADED, NOT_SAVED].map(|words| lines(&log, words));
    assert_eq!(counted, [1, 0, 0, 0], "{log}");
    stage.restarted_with(&losses).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_full_disk_delays_no_scrape_and_loses_nothing() {
    let (disk, stage) = stage(Tmpfs::at).await;
    let trouble = Trouble {
        begin: &|| disk.fill(),
        end: &|| disk.free(),
        message: "database or disk is full",
    };
    survives_while_running(&stage, trouble).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exporter_that_starts_on_a_full_disk_knows_the_times_of_the_losses() {
    for is_killed in [false, true] {
        let (disk, stage) = stage(Tmpfs::at).await;
        let trouble = Trouble {
            begin: &|| disk.fill(),
            end: &|| disk.free(),
            message: "error=",
        };
        is_read_at_the_start(&stage, is_killed, trouble).await;
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exporter_that_starts_on_a_read_only_disk_knows_the_times_of_the_losses() {
    for is_killed in [false, true] {
        let (disk, stage) = stage(Tmpfs::at).await;
        let trouble = Trouble {
            begin: &|| disk.remount("ro"),
            end: &|| disk.remount("rw"),
            message: "Read-only file system",
        };
        is_read_at_the_start(&stage, is_killed, trouble).await;
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_file_that_is_damaged_while_the_disk_fails_is_written_anew() {
    let (disk, stage) = stage(Tmpfs::at).await;
    let lost = stage.run_with_loss().await;
    disk.remount("ro");
    let exporter = stage.started().await;
    let scraping = Scraping::of(&exporter);
    exporter.log_line(NOT_WRITABLE).await;
    pause(&exporter).await;
    disk.remount("rw");
    overwrite(&stage.file("state.db"), 0, 100);
    exporter.signal("CONT").await;
    exporter.log_line(DAMAGED).await;
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    assert!(stage.file("state.db.corrupt").exists());
    stage.kill(exporter).await;
    stage.restarted_with(&[(0, lost)]).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_disk_that_becomes_read_only_or_fails_delays_no_scrape_and_loses_nothing() {
    for error in [Errno::EROFS, Errno::EIO] {
        let (disk, stage) = stage_with_faults().await;
        let trouble = Trouble {
            begin: &|| disk.becomes(Condition::Refuses(error)),
            end: &|| disk.becomes(Condition::Good),
            message: "disk I/O error",
        };
        survives_while_running(&stage, trouble).await;
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_disk_that_does_not_answer_delays_no_scrape_and_loses_nothing() {
    let (disk, stage) = stage_with_faults().await;
    let trouble = Trouble {
        begin: &|| disk.becomes(Condition::Hangs),
        end: &|| {
            assert!(disk.hangs(), "the exporter waits for the disk");
            disk.becomes(Condition::Good);
        },
        message: NO_ANSWER,
    };
    survives_while_running(&stage, trouble).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_exporter_that_starts_on_a_disk_without_an_answer_continues_the_histories_later() {
    let (disk, stage) = stage_with_faults().await;
    let lost = stage.run_with_loss().await;
    disk.becomes(Condition::Hangs);
    let exporter = stage.start().await;
    until("the exporter waits for the disk", || async {
        disk.hangs().then_some(())
    })
    .await;
    assert_eq!(exporter.get("/metrics").await.0, 503, "not yet known");
    assert_eq!(exporter.get("/-/healthy").await.0, 200);
    let scrape = is_up(&exporter).await;
    let scraping = Scraping::of(&exporter);
    assert_eq!(scrape.value(LOAD_FAILURES, &[]), Some(1.0));
    let line = exporter.log_line(NOT_LOADED).await;
    assert!(line.contains(NO_ANSWER), "{line}");
    let next = stage.lose(&exporter, 1).await;
    stage.shows(&exporter.scrape().await, &[(1, next)]);
    counts(&exporter, WRITE_FAILURES, 2.0).await;

    disk.becomes(Condition::Good);
    let is_known = |scrape: &Scrape| stage.lost_at(scrape, 0).is_some();
    let scrape = exporter.until("the earlier loss", is_known).await;
    let losses = [(0, lost), (1, next)];
    stage.shows(&scrape, &losses);
    exporter.log_line(SAVED_AGAIN).await;
    scraping.finish().await;
    stage.kill(exporter).await;
    stage.restarted_with(&losses).await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_command_on_a_full_disk_says_which_file_it_cannot_write_and_what_to_do() {
    let (disk, stage) = stage(Tmpfs::at).await;
    stage.run_with_loss().await;
    disk.fill();
    let copy = stage.file("copy");
    let [directory, target] = [&stage.directory, &copy].map(|path| path.to_str().unwrap());
    let database = stage.file("state.db");
    for (words, file) in [
        (&["forget", "main"][..], database.to_str().unwrap()),
        (&["backup", target], target),
    ] {
        let arguments = [&["state", "--state.directory", directory], words].concat();
        let ended = Program::new(&arguments).run().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(&format!("{file}: ")), "{ended:?}");
        let advice = [
            "free some space on the disk",
            "check the disk, which may be full",
        ];
        assert!(
            advice.iter().any(|words| ended.err.contains(words)),
            "{ended:?}"
        );
    }
    assert!(!copy.exists(), "no incomplete copy is left");
    disk.free();
    stage.started().await;
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shutdown_does_not_wait_for_a_disk_without_an_answer() {
    let (disk, stage) = stage_with_faults().await;
    let exporter = stage.started().await;
    let lost = stage.lose(&exporter, 0).await;
    disk.becomes(Condition::Hangs);
    let begun = Instant::now();
    exporter.signal("TERM").await;
    exporter.log_line("shutdown complete").await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    // The kernel ends no process that waits for a disk.
    disk.becomes(Condition::Good);
    assert_eq!(exporter.ended().await.code, Some(0));
    stage.restarted_with(&[(0, lost)]).await;
}

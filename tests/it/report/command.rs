//! The command `report`, beside a running exporter and without one.

use std::{fs, path::Path};

use rusqlite::Connection;
use vobiz_simulator::Vendor;

use crate::harness::{Ended, Exporter, Program, accounts_config, auth_id, until, vendor};

const GROUPS: &str = "groups: [{name: all, match: {alias: '.*'}, watch: page}]";

/// A configuration file with one account, its group and a state directory.
fn config(vendor: &Vendor, directory: &Path, more: &str) -> String {
    let accounts = accounts_config(vendor, "", [("main", &*format!("{GROUPS}, {more}"))]);
    format!("{accounts}state: {{directory: {}}}\n", directory.display())
}

async fn report(file: &Path, words: &[&str]) -> Ended {
    let file = file.to_str().unwrap();
    let arguments = [&["report", "--config.file", file], words].concat();
    Program::new(&arguments).run().await
}

/// The rows of a report as CSV, without the header.
fn rows(ended: &Ended) -> Vec<Vec<String>> {
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let rows = ended.out.lines().skip(1);
    rows.map(|row| row.split(',').map(str::to_owned).collect())
        .collect()
}

/// Starts an exporter that has lost an endpoint, with or without names. Returns the configuration file and the lost id.
async fn with_loss(folder: &Path, more: &str) -> (Exporter, std::path::PathBuf, String) {
    let vendor = vendor([("main", 20)]).await;
    let text = config(&vendor, &folder.join("state"), more);
    let file = folder.join("exporter.yaml");
    fs::write(&file, &text).unwrap();
    let exporter = Exporter::start(&text).await;
    until("the stored state is loaded", || async {
        let (status, ..) = exporter.get("/metrics").await;
        (status == 200).then_some(())
    })
    .await;
    exporter
        .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let id = vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        let id = account
            .endpoints()
            .find(|one| one.registered())
            .unwrap()
            .id()
            .to_owned();
        assert!(account.edit(&id, |one| one.set_registered(false, now)));
        id
    });
    let lost = "vobiz_endpoint_registration_lost_timestamp_seconds";
    exporter
        .until("a loss", |scrape| scrape.count(lost, &[]) == 1)
        .await;
    // The next walk makes the time without a registration longer than a second.
    let walks = "vobiz_walks_total";
    let before = exporter.scrape().await.value(walks, &[]).unwrap();
    exporter
        .until("another walk", |scrape| {
            scrape.value(walks, &[]) > Some(before + 1.0)
        })
        .await;
    (exporter, file, id)
}

#[tokio::test]
async fn a_loss_is_reported_in_three_formats_beside_an_exporter_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, file, id) = with_loss(folder.path(), "").await;
    let table = report(&file, &[]).await;
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""));
    assert!(
        table
            .out
            .contains("because the event log has nothing older"),
        "{table:?}"
    );
    let worst = table.out.split("Worst endpoints").nth(1).unwrap();
    assert_eq!(worst.matches(&id).count(), 1, "{table:?}");
    let page = report(&file, &["--format=html", "--since=24h"]).await;
    assert!(
        page.out.starts_with("<!DOCTYPE html>") && page.out.contains(&id),
        "{page:?}"
    );
    exporter.terminate().await;

    let all = rows(&report(&file, &["--format=csv", "--account=main"]).await);
    assert_eq!(all.len(), 20);
    let lost = all.iter().find(|row| row[1] == id).unwrap();
    assert_eq!(
        (&*lost[0], &*lost[4], &*lost[5], &*lost[10]),
        ("main", "all", "page", "1")
    );
    let unregistered: u64 = lost[8].parse().unwrap();
    assert!(unregistered > 0 && !lost[2].is_empty(), "{lost:?}");
    let others = all.iter().filter(|row| row[1] != id);
    assert!(others.clone().all(|row| row[10] == "0"), "{all:?}");
    // A setting that no exporter has read yet counts, too.
    let hidden = fs::read_to_string(&file).unwrap();
    let hidden = hidden.replace("groups: [", "metrics: {username: false}, groups: [");
    fs::write(&file, hidden).unwrap();
    for row in rows(&report(&file, &["--format=csv"]).await) {
        assert_eq!((&*row[2], &*row[3]), ("", ""), "{row:?}");
    }
    // Without the configuration, the groups are not known.
    let directory = folder.path().join("state");
    let directory = directory.to_str().unwrap();
    let arguments = ["report", "--state.directory", directory, "--format=csv"];
    let ended = Program::new(&arguments).run().await;
    assert!(
        rows(&ended).iter().all(|row| row[4].is_empty()),
        "{ended:?}"
    );
}

#[tokio::test]
async fn hidden_usernames_are_hidden_in_reports() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, file, id) = with_loss(folder.path(), "metrics: {username: false}").await;
    exporter.terminate().await;
    for row in rows(&report(&file, &["--format=csv"]).await) {
        assert_eq!((&*row[2], &*row[3]), ("", ""), "{row:?}");
    }
    let table = report(&file, &[]).await;
    assert!(table.out.contains(&id), "{table:?}");
}

#[tokio::test]
async fn a_report_that_is_not_possible_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    let run = async |words: &[&str]| Program::new(&[&["report"], words].concat()).run().await;
    let here = ["--state.directory", directory];
    let long_ago = [
        &here[..],
        &[
            "--since=2026-01-02T00:00:00Z",
            "--until=2026-01-01T00:00:00Z",
        ],
    ];
    for (words, code, message) in [
        (
            &[][..],
            2,
            "no state directory is set; give --state.directory",
        ),
        (
            &["--since=yesterday"],
            2,
            "must be a duration such as 7d or 24h",
        ),
        (&["--format=pdf"], 2, "possible values: table, csv, html"),
        (&["--config.file=/nowhere.yaml"], 2, "/nowhere.yaml"),
        (&here, 1, "state.db: there is no state database"),
        (
            &long_ago.concat(),
            2,
            "is not before the end of the period (2026-01-01T00:00:00Z)",
        ),
    ] {
        let ended = run(words).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(code), ""),
            "{ended:?}"
        );
        assert!(ended.err.contains(message), "{message} in {ended:?}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is created"
    );
    fs::write(folder.path().join("state.db"), "no database").unwrap();
    let ended = run(&here).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("the file is damaged"), "{ended:?}");
}

#[tokio::test]
async fn an_unknown_account_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, file, _) = with_loss(folder.path(), "").await;
    let ended = report(&file, &["--account=nope"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("the database has no account nope"),
        "{ended:?}"
    );
    exporter.terminate().await;
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_reported_and_a_newer_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let database = Connection::open(folder.path().join("state.db")).unwrap();
    database
        .execute_batch(include_str!("../state/first-schema.sql"))
        .unwrap();
    database
        .execute_batch("PRAGMA journal_mode = DELETE")
        .unwrap();
    let directory = folder.path().to_str().unwrap();
    let words = [
        "report",
        "--state.directory",
        directory,
        "--since=2023-11-01T00:00:00Z",
        "--format=csv",
    ];
    let ended = Program::new(&words).run().await;
    let known: Vec<_> = rows(&ended).into_iter().map(|row| row[0].clone()).collect();
    assert!(known.contains(&"main".to_owned()), "{ended:?}");
    database.execute_batch("PRAGMA user_version = 99").unwrap();
    let ended = Program::new(&words).run().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains("its schema 99 is newer"), "{ended:?}");
}

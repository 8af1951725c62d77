//! The command `state`: it shows, changes and copies the stored state, beside a running exporter or without one.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rusqlite::Connection;
use vobiz_simulator::Vendor;

use crate::harness::{Ended, Exporter, Program, Scrape, accounts_config, auth_id, until, vendor};

const FIRST_SCHEMA: &str = include_str!("first-schema.sql");
const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";

fn config(vendor: &Vendor, name: &str, directory: &Path) -> String {
    let accounts = accounts_config(vendor, "", [("main", "")]);
    let renamed = accounts.replace("name: 'main'", &format!("name: '{name}'"));
    format!("{renamed}state: {{directory: {}}}\n", directory.display())
}

/// Starts an exporter and waits for its first walk.
async fn walked(configuration: &str, name: &str) -> (Exporter, Scrape) {
    let exporter = Exporter::start(configuration).await;
    until("the stored state is loaded", || async {
        let (status, ..) = exporter.get("/metrics").await;
        (status == 200).then_some(())
    })
    .await;
    let walked = exporter.until("the first walk", |scrape| scrape.up(name) == Some(1.0));
    let scrape = walked.await;
    (exporter, scrape)
}

async fn state(directory: &Path, words: &[&str]) -> Ended {
    let directory = directory.to_str().unwrap();
    let arguments = [&["state", "--state.directory", directory], words].concat();
    Program::new(&arguments).run().await
}

/// The loss time of an endpoint.
fn lost(scrape: &Scrape, id: &str) -> Option<f64> {
    scrape.value(LOST, &[&format!("endpoint_id=\"{id}\"")])
}

/// Unregisters the first two registered endpoints and returns their ids.
fn unregister_two(vendor: &Vendor) -> [String; 2] {
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        let registered = account.endpoints().filter(|one| one.registered());
        let ids: Vec<_> = registered.take(2).map(|one| one.id().to_owned()).collect();
        for id in &ids {
            assert!(account.edit(id, |one| one.set_registered(false, now)));
        }
        ids.try_into().unwrap()
    })
}

#[tokio::test]
async fn the_stored_state_is_shown_forgotten_copied_and_renamed() {
    let vendor = vendor([("main", 20)]).await;
    let folder = tempfile::tempdir().unwrap();
    let (directory, copy) = (folder.path().join("state"), folder.path().join("copy"));
    let (exporter, _) = walked(&config(&vendor, "main", &directory), "main").await;
    let [first, second] = unregister_two(&vendor);
    let both = exporter.until("two losses", |scrape| scrape.count(LOST, &[]) == 2);
    let since = lost(&both.await, &second);

    // Beside the running exporter.
    let shown = state(&directory, &["show", "main", "--json"]).await;
    let stored: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let endpoints = stored["accounts"][0]["endpoints"].as_array().unwrap();
    let lost_ids: Vec<_> = endpoints
        .iter()
        .filter(|one| one["lost"] == true)
        .map(|one| one["endpoint_id"].as_str().unwrap().to_owned())
        .collect();
    let mut expected = [first.clone(), second.clone()];
    expected.sort();
    assert_eq!((endpoints.len(), lost_ids.as_slice()), (20, &expected[..]));
    let shown = state(&directory, &["show"]).await;
    assert_eq!(
        shown
            .out
            .lines()
            .filter(|line| line.contains(" lost "))
            .count(),
        2,
        "{shown:?}"
    );
    let copied = state(&directory, &["backup", copy.to_str().unwrap()]).await;
    assert_eq!(copied.code, Some(0), "{copied:?}");
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = state(&directory, &["backup", copy.to_str().unwrap()]).await;
    assert_eq!(again.code, Some(1), "a backup replaces no file");
    let reason = format!(
        "{}: the file already exists: choose a new name",
        copy.display()
    );
    assert!(again.err.contains(&reason), "{again:?}");

    let forgotten = state(&directory, &["forget", "main", &first]).await;
    assert!(forgotten.out.starts_with("queued"), "{forgotten:?}");
    let one = exporter.until("one loss is forgotten", |scrape| {
        scrape.count(LOST, &[]) == 1
    });
    assert_eq!(lost(&one.await, &second), since);
    let line = exporter
        .log_line("a requested change of the stored state is made")
        .await;
    let made = format!("account=main request=\"forget main {first}\" endpoints=1");
    assert!(
        line.contains("level=info") && line.contains(&made),
        "{line}"
    );
    assert_eq!(exporter.terminate().await.code, Some(0));

    // Without an exporter.
    let renamed = state(&directory, &["rename", "main", "office"]).await;
    assert_eq!(renamed.out, "renamed: 20 endpoints\n", "{renamed:?}");
    let (exporter, scrape) = walked(&config(&vendor, "office", &directory), "office").await;
    assert_eq!(
        (scrape.count(LOST, &[]), lost(&scrape, &second)),
        (1, since)
    );
    exporter.terminate().await;

    // The copy has the state of its time.
    let restored = folder.path().join("restored");
    fs::create_dir(&restored).unwrap();
    fs::copy(&copy, restored.join("state.db")).unwrap();
    let (_exporter, scrape) = walked(&config(&vendor, "main", &restored), "main").await;
    assert_eq!(
        (scrape.count(LOST, &[]), lost(&scrape, &second)),
        (2, since)
    );
}

#[tokio::test]
async fn a_command_without_a_database_or_a_directory_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["show"][..], &["forget", "main"], &["backup", "/dev/null"]] {
        let ended = state(folder.path(), words).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("state.db"), "{ended:?}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is created"
    );
    let ended = Program::new(&["state", "show"]).run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("--state.directory"), "{ended:?}");
}

#[tokio::test]
async fn an_impossible_change_is_refused_beside_an_exporter_and_without_one() {
    let vendor = vendor([("main", 20)]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let (exporter, _) = walked(&config(&vendor, "main", &directory), "main").await;
    let database = Connection::open(directory.join("state.db")).unwrap();
    let other = "INSERT INTO account (name, last_success, refusals) VALUES ('office', 1, 0)";
    database.execute(other, ()).unwrap();
    drop(database);
    let refused = async || {
        for (words, reason) in [
            (&["show", "nope"][..], "the database has no account nope"),
            (&["forget", "nope"], "the database has no account nope"),
            (
                &["forget", "main", "7"],
                "the account main has no endpoint 7",
            ),
            (
                &["rename", "nope", "new"],
                "the database has no account nope",
            ),
            (&["rename", "main", ""], "the new name is empty"),
            (
                &["rename", "main", "main"],
                "the account has the name main already",
            ),
            (
                &["rename", "main", "office"],
                "the database already has the account office: stop an exporter that polls it, and \
                 forget office first",
            ),
        ] {
            let ended = state(&directory, words).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let message = format!("{}: {reason}", directory.join("state.db").display());
            assert!(ended.err.contains(&message), "{ended:?}");
        }
    };
    refused().await;
    exporter.terminate().await;
    refused().await;
    let shown = state(&directory, &["show", "main"]).await;
    assert!(
        shown.out.starts_with("account main: 20 endpoints"),
        "{shown:?}"
    );
    assert!(!shown.out.contains("queued"), "{shown:?}");
    let forgotten = state(&directory, &["forget", "office"]).await;
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    let renamed = state(&directory, &["rename", "main", "office"]).await;
    assert_eq!(renamed.out, "renamed: 20 endpoints\n", "{renamed:?}");
}

#[tokio::test]
async fn removed_endpoints_are_not_lost_and_queued_requests_are_shown() {
    let vendor = vendor([("main", 20)]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let (exporter, _) = walked(&config(&vendor, "main", &directory), "main").await;
    let [first, _] = unregister_two(&vendor);
    exporter
        .until("two losses", |scrape| scrape.count(LOST, &[]) == 2)
        .await;
    vendor.edit(|world| {
        let account = world.account_mut(&auth_id("main")).unwrap();
        assert!(account.remove(&first).is_some());
    });
    exporter
        .until("the removal", |scrape| scrape.count(LOST, &[]) == 1)
        .await;
    let queued = state(&directory, &["rename", "main", "office"]).await;
    assert!(queued.out.starts_with("queued"), "{queued:?}");
    let text = state(&directory, &["show"]).await.out;
    assert!(
        text.starts_with("account main: 19 endpoints, 1 removed, "),
        "{text}"
    );
    assert!(
        text.ends_with("queued for the exporter: rename main office\n"),
        "{text}"
    );
    let shown = state(&directory, &["show", "--json"]).await;
    let stored: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let request = serde_json::json!({"action": "rename", "account": "main", "new_name": "office"});
    assert_eq!(stored["queued"], serde_json::json!([request]));
    let endpoints = stored["accounts"][0]["endpoints"].as_array().unwrap();
    let removed = endpoints
        .iter()
        .find(|one| one["endpoint_id"] == *first)
        .unwrap();
    assert_eq!(removed["lost"], false, "{removed}");
    assert!(removed["removed_at"].is_string(), "{removed}");

    // The exporter makes the change when it starts without the old name.
    exporter.terminate().await;
    let (exporter, _) = walked(&config(&vendor, "office", &directory), "office").await;
    let line = exporter
        .log_line("a requested change of the stored state is made")
        .await;
    assert!(
        line.contains("request=\"rename main office\" endpoints=20"),
        "{line}"
    );
    exporter.terminate().await;
    let forgotten = state(&directory, &["forget", "office"]).await;
    assert_eq!(forgotten.out, "forgotten: 20 endpoints\n");
    assert_eq!(state(&directory, &["show"]).await.out, "no accounts\n");
}

/// Commands that read, change and copy.
const COMMANDS: [&[&str]; 3] = [&["show"], &["forget", "main"], &["backup", "copy"]];

#[tokio::test]
async fn a_command_on_an_unusable_database_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let copy = folder.path().join("copy");
    let says = async |words: &[&str], code: i32, reason: &str, advice: &str| {
        let words: Vec<_> = words
            .iter()
            .map(|word| word.replace("copy", copy.to_str().unwrap()))
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ended = state(folder.path(), &words).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let message = format!("{}: {reason}", file.display());
        assert!(ended.err.contains(&message), "{ended:?}");
        assert!(ended.err.contains(advice), "{ended:?}");
        assert!(!copy.exists(), "{words:?}");
    };
    fs::write(&file, [7; 10_000]).unwrap();
    for words in COMMANDS {
        let advice = "the file is damaged: restore a backup, or start the exporter";
        says(words, 1, "file is not a database", advice).await;
    }
    fs::remove_file(&file).unwrap();
    let database = Connection::open(&file).unwrap();
    database.execute_batch(FIRST_SCHEMA).unwrap();
    let lock = "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE";
    database.execute_batch(lock).unwrap();
    let advice = "another program uses the database: try again when it has finished";
    says(COMMANDS[1], 1, "database is locked", advice).await;
    database
        .execute_batch("ROLLBACK; PRAGMA user_version = 99")
        .unwrap();
    drop(database);
    for words in COMMANDS {
        says(
            words,
            2,
            "its schema 99 is newer than",
            "run the newer version",
        )
        .await;
    }
}

#[tokio::test]
async fn a_file_in_place_of_the_state_directory_is_found_by_the_check_and_by_commands() {
    let vendor = vendor([("main", 20)]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    fs::write(&directory, "a file").unwrap();
    let reason = format!(
        "{}: state.directory is not a directory",
        directory.display()
    );
    for words in COMMANDS {
        let ended = state(&directory, words).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(&reason), "{ended:?}");
    }
    let check = || async {
        let configuration = config(&vendor, "main", &directory);
        Program::configured(&configuration, &["--config.check"])
            .run()
            .await
    };
    let ended = check().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains(&reason), "{ended:?}");
    fs::remove_file(&directory).unwrap();
    assert_eq!(check().await.code, Some(0));
    assert!(!directory.exists(), "the check creates nothing");
}

#[tokio::test]
async fn a_command_reads_the_variables_as_the_exporter_does() {
    let variable = "VOBIZ_EXPORTER__STATE__DIRECTORY";
    let show = || Program::new(&["state", "show"]);
    let relative = show().set(variable, "missing/folder").run().await;
    assert_eq!(relative.code, Some(1), "{relative:?}");
    let message = "missing/folder/state.db: there is no state database";
    assert!(relative.err.contains(message), "{relative:?}");
    let named = show().set("STATE_DIRECTORY", "relative").run().await;
    assert_eq!(named.code, Some(2), "{named:?}");
    let message = "STATE_DIRECTORY: must name a folder with its full path";
    assert!(named.err.contains(message), "{named:?}");
    let neither = show()
        .set(variable, "")
        .set("STATE_DIRECTORY", "")
        .run()
        .await;
    assert_eq!(neither.code, Some(2), "{neither:?}");
    assert!(
        neither.err.contains("no state directory is set"),
        "{neither:?}"
    );
}

//! The command `state`: it shows, changes and copies the stored state, beside a running exporter or without one.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use vobiz_simulator::Vendor;

use crate::harness::{Ended, Exporter, Program, Scrape, accounts_config, auth_id, until, vendor};

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
    let accounts: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let endpoints = accounts[0]["endpoints"].as_array().unwrap();
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

    let forgotten = state(&directory, &["forget", "main", &first]).await;
    assert!(forgotten.out.starts_with("queued"), "{forgotten:?}");
    let one = exporter.until("one loss is forgotten", |scrape| {
        scrape.count(LOST, &[]) == 1
    });
    assert_eq!(lost(&one.await, &second), since);
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

//! A bad configuration changes nothing, whatever is wrong with it.

use std::{fs, path::PathBuf};

use super::{Reloadable, is_successful};
use crate::harness::{accounts_config, vendor};

/// Every token and password in the fixtures that is no number, date, time or path contains one of these texts.
const SECRETS: [&str; 4] = ["SECRET", "test-token", "quoted#token", "proxy-password"];

/// The fixtures of this format with their expected messages.
fn bad_fixtures(extension: &str) -> Vec<(PathBuf, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/testdata");
    let ending = format!(".bad.{extension}");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(&ending))
        .map(|path| {
            (
                path.clone(),
                fs::read_to_string(path.with_extension("err")).unwrap(),
            )
        })
        .collect();
    found.sort();
    assert!(found.len() > 3, "{extension}");
    found
}

#[tokio::test]
async fn every_bad_configuration_is_refused_with_all_reasons_and_changes_nothing() {
    let vendor = vendor([("a", 3)]).await;
    let yaml = accounts_config(&vendor, "", [("a", "poll: {interval: 1h, max_age: 3h}")]);
    let toml = format!(
        "[api]\nbase_url = '{}'\n[[accounts]]\nname = 'a'\nauth_id = 'MA_a'\nauth_token = 'token-of-a'\n\
         poll = {{interval = '1h', max_age = '3h'}}\n",
        vendor.base_url()
    );
    for (extension, good) in [("yaml", yaml), ("toml", toml)] {
        // The fixtures name files beside them.
        let folder = tempfile::tempdir().unwrap();
        for entry in
            fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/testdata")).unwrap()
        {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let name = format!("live.{extension}");
        let file = folder.path().join(&name);
        fs::write(&file, &good).unwrap();
        let exporter = Reloadable::in_folder(folder, &file, &[], &[]).await;
        let before = exporter
            .until("a walk", |scrape| scrape.up("a") == Some(1.0))
            .await;
        let in_force = exporter.ask("GET", "/-/config").await;
        for (fixture, expected) in bad_fixtures(extension) {
            exporter.write(fs::read(&fixture).unwrap());
            let (status, text) = exporter.reload().await;
            let shown = fixture.display();
            assert_eq!(status, 500, "{shown}: {text}");
            let fixture = fixture.file_name().unwrap().to_str().unwrap();
            let expected = expected.replace(fixture, &name);
            let text = text.replace(&prefix, "");
            assert!(
                text.ends_with(&expected),
                "{shown}: {text}\nexpected: {expected}"
            );
            let scrape = exporter.scrape().await;
            assert_eq!(is_successful(&scrape), Some(0.0), "{shown}");
            assert_eq!(scrape.snapshot("a"), before.snapshot("a"), "{shown}");
            assert_eq!(exporter.ask("GET", "/-/config").await, in_force, "{shown}");
            let log = exporter.process.err();
            for secret in SECRETS {
                assert!(
                    !text.contains(secret) && !log.contains(secret),
                    "{shown}: {text}"
                );
            }
        }
        exporter.change(&good).await;
        let scrape = exporter.scrape().await;
        assert_eq!(is_successful(&scrape), Some(1.0));
        assert_eq!(
            scrape.only("vobiz_walks_total", "a"),
            Some(1.0),
            "no further walk"
        );
    }
}

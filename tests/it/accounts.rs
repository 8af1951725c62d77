//! A failing account delays no other account. Accounts with the same auth id share a rate limit.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use tokio::time::Instant;
use vobiz_simulator::{Effect, Fault, RequestRecord};

use crate::harness::{Exporter, Scrape, accounts_config, auth_id, listed, vendor};

/// The times of the requests for an account, in seconds since the start of the simulated vendor.
fn asked(requests: &[RequestRecord], auth_id: &str) -> Vec<f64> {
    requests
        .iter()
        .filter(|request| request.account.as_deref() == Some(auth_id))
        .map(|request| request.since_start.as_secs_f64())
        .collect()
}

#[tokio::test]
async fn a_failing_account_delays_no_other_and_a_refused_one_backs_off() {
    let names = ["well", "hanging", "refused"];
    let vendor = vendor(names.map(|name| (name, 45))).await;
    vendor.plan(Fault::new(Effect::Hang).for_account(auth_id("hanging")));
    vendor.plan(Fault::status(401).for_account(auth_id("refused")));
    // A list of 45 endpoints fits on one page, so each walk sends one request.
    let refused = "poll: {max_age: 40s}";
    let accounts = [("well", ""), ("hanging", ""), ("refused", refused)];
    let exporter = Exporter::start(&accounts_config(&vendor, "retries: 1", accounts)).await;
    let auth_failures = |scrape: &Scrape| {
        scrape.value(
            "vobiz_walk_failures_total",
            &["account=\"refused\"", "reason=\"auth\""],
        )
    };
    let scrape = exporter
        .until("a second refusal", |scrape| {
            auth_failures(scrape) == Some(2.0)
        })
        .await;
    assert_eq!(
        names.map(|name| scrape.up(name)),
        [Some(1.0), Some(0.0), Some(0.0)]
    );
    let requests = vendor.requests();
    let refused = asked(&requests, &auth_id("refused"));
    assert_eq!(refused.len(), 2, "one request a walk, and no retry");
    assert!(
        refused[1] - refused[0] >= 9.9,
        "twice the interval: {refused:?}"
    );
    let well = asked(&requests, &auth_id("well"));
    assert!(well.len() >= 3, "{well:?}");
    for pair in well.windows(2) {
        assert!(pair[1] - pair[0] < 7.0, "retained up: {well:?}");
    }
    assert_eq!(scrape.endpoints("well"), listed(&vendor, &auth_id("well")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_accounts_are_all_shown_and_start_within_ten_seconds() {
    let names: Vec<_> = (0..300).map(|number| format!("n{number}")).collect();
    let vendor = vendor(names.iter().map(|name| (name.as_str(), 45))).await;
    let accounts = names
        .iter()
        .map(|name| (name.as_str(), "poll: {interval: 60s, max_age: 5m}"));
    let exporter = Exporter::start(&accounts_config(&vendor, "", accounts)).await;
    let all = exporter
        .until("every first walk", |scrape| {
            scrape.count("vobiz_up", &[]) == 300
        })
        .await;
    let mut shown = all.by_account();
    for name in &names {
        let account = shown.remove(name).unwrap_or_default();
        assert_eq!(account.up(name), Some(1.0), "{name}");
        assert_eq!(
            account.endpoints(name),
            listed(&vendor, &auth_id(name)),
            "{name}"
        );
    }
    let requests = vendor.requests();
    let mut first: BTreeMap<_, _> = BTreeMap::new();
    for request in &requests {
        first
            .entry(request.account.clone())
            .or_insert(request.since_start.as_secs_f64());
    }
    assert_eq!(first.len(), 300);
    let mut first: Vec<_> = first.into_values().collect();
    first.sort_by(f64::total_cmp);
    assert!(first[299] - first[0] < 11.0, "{} s", first[299] - first[0]);
    assert_eq!(exporter.get("/-/ready").await.0, 200);
}

#[tokio::test]
async fn accounts_with_one_auth_id_share_one_rate_limit() {
    const RATE: f64 = 8.0;
    let vendor = vendor([("shared", 45)]).await;
    let base_url = vendor.base_url();
    let auth_id = auth_id("shared");
    let account = |name: &str, filter: &str| {
        format!(
            "  - {{name: {name}, auth_id: {auth_id}, auth_token: token-of-shared, filter: {{{filter}}}}}\n"
        )
    };
    let configuration = format!(
        "poll: {{interval: 5s, max_age: 15s, deadline: 5s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: {RATE}, page_size: 5}}\n\
         accounts:\n{}{}",
        account("all", ""),
        account("with-application", "application_id__isnull: 'false'"),
    );
    let exporter = Exporter::start(&configuration).await;
    exporter
        .until("two walks of each", |scrape| {
            let walks = |name| scrape.only("vobiz_walks_total", name) >= Some(3.0);
            walks("all") && walks("with-application")
        })
        .await;
    let times = asked(&vendor.requests(), &auth_id);
    assert!(times.len() > 40, "{}", times.len());
    // On a busy machine, the vendor can record a request up to `late` seconds too late.
    let late = 0.5;
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let window = to - from + late;
            let most = RATE * window + 1.0;
            let number = f64::from(u32::try_from(last - first + 1).unwrap());
            assert!(number <= most, "{number} requests in {window} s");
        }
    }
}

#[tokio::test]
async fn a_token_file_that_changes_is_picked_up_without_a_restart() {
    let vendor = vendor([("main", 45)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "token-of-main\n").unwrap();
    let (base_url, auth_id, path) = (vendor.base_url(), auth_id("main"), file.display());
    let configuration = format!(
        "poll: {{interval: 5s, max_age: 2m, deadline: 5s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
         accounts: [{{name: main, auth_id: {auth_id}, auth_token_file: \"{path}\"}}]\n"
    );
    let exporter = Exporter::start(&configuration).await;
    let good = exporter
        .until("a good walk", |scrape| scrape.up("main") == Some(1.0))
        .await;

    vendor.edit(|world| "rotated-token".clone_into(&mut world.first_mut().token));
    let refused = exporter
        .until("the refusal", |scrape| scrape.up("main") == Some(0.0))
        .await;
    assert_eq!(
        refused.counted("vobiz_walk_failures_total", "main", "reason"),
        BTreeMap::from([("auth", 1.0)])
    );
    assert_eq!(refused.snapshot("main"), good.snapshot("main"));
    let turned = Instant::now();
    // Like a secret store, the test writes a new file and renames it over the token file.
    let beside = folder.path().join("next");
    std::fs::write(&beside, "rotated-token\n").unwrap();
    std::fs::rename(&beside, &file).unwrap();
    exporter
        .until("the new token", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert!(
        turned.elapsed() < Duration::from_secs(8),
        "the file is looked at every five seconds"
    );

    // After the removal of the token file, the exporter continues to use its current token.
    std::fs::remove_file(&file).unwrap();
    let before = exporter.scrape().await.last_success("main");
    let later = exporter
        .until("a walk", |scrape| scrape.last_success("main") > before)
        .await;
    assert_eq!(later.up("main"), Some(1.0));
    let log = exporter.terminate().await.log;
    assert!(
        !log.contains("token-of-main") && !log.contains("rotated-token"),
        "{log}"
    );
}

#[tokio::test]
async fn token_files_that_would_hang_stop_no_account() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "well"];
    let vendor = vendor(names.map(|name| (name, 5))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = format!(
        "poll: {{interval: 5s, max_age: 15s, deadline: 5s}}\n\
         api: {{base_url: \"{}\", requests_per_second: 0}}\n\
         accounts:\n",
        vendor.base_url()
    );
    for name in names {
        let (auth_id, file) = (auth_id(name), folder.path().join(name));
        std::fs::write(&file, format!("token-of-{name}")).unwrap();
        let file = file.display();
        writeln!(
            configuration,
            "  - {{name: {name}, auth_id: {auth_id}, auth_token_file: '{file}'}}"
        )
        .unwrap();
    }
    let exporter = Exporter::start(&configuration).await;
    let everyone = |is: &dyn Fn(&str) -> bool| names.iter().all(|name| is(name));
    exporter
        .until("a good walk of everyone", |scrape| {
            everyone(&|name| scrape.up(name) == Some(1.0))
        })
        .await;

    let (failing, _) = names.split_at(8);
    for name in failing {
        let file = folder.path().join(name);
        std::fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
    }
    let failures = |scrape: &Scrape, name: &str| {
        scrape.value(
            "vobiz_token_read_failures_total",
            &[&format!("account=\"{name}\"")],
        )
    };
    exporter
        .until("two failed looks of each", |scrape| {
            failing
                .iter()
                .all(|name| failures(scrape, name) >= Some(2.0))
        })
        .await;
    let before = exporter.scrape().await;
    let later = exporter
        .until("another walk of everyone", |scrape| {
            everyone(&|name| scrape.last_success(name) > before.last_success(name))
        })
        .await;
    assert!(everyone(&|name| later.up(name) == Some(1.0)));
    assert_eq!(failures(&later, "well"), Some(0.0));
    let log = exporter.terminate().await.log;
    assert!(log.contains("is not a regular file"), "{log}");
}

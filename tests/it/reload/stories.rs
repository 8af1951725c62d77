//! What an operator changes, and what the metrics then show.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixDatagram},
    process::{Command, Stdio},
    time::Duration,
};

use vobiz_simulator::Fault;

use super::{Reloadable, is_successful};
use crate::harness::{Program, Scrape, accounts_config, auth_id, get, listed, until, vendor};

const HOURLY: &str = "poll: {interval: 1h, max_age: 3h}";

#[tokio::test]
async fn accounts_are_added_changed_and_removed_without_disturbing_the_others() {
    let vendor = vendor([
        ("same", 30),
        ("changed", 30),
        ("removed", 30),
        ("added", 30),
    ])
    .await;
    let before = [("same", HOURLY), ("changed", HOURLY), ("removed", HOURLY)];
    let exporter = Reloadable::start(&accounts_config(&vendor, "", before), &[]).await;
    let all_up = |names: &'static [&str]| {
        move |scrape: &Scrape| names.iter().all(|name| scrape.up(name) == Some(1.0))
    };
    let first = exporter
        .until("all walks", all_up(&["same", "changed", "removed"]))
        .await;
    let grouped = format!("{HOURLY}, groups: [{{name: all, match: {{alias: '.*'}}, watch: page}}]");
    let after = [
        ("added", HOURLY),
        ("changed", grouped.as_str()),
        ("same", HOURLY),
    ];
    let text = exporter.change(&accounts_config(&vendor, "", after)).await;
    assert_eq!(
        text,
        "configuration reloaded; accounts: 1 added, 1 changed, 1 removed\n"
    );
    // The removed account is gone in the first scrape after the response.
    let scrape = exporter.scrape().await;
    assert!(
        !scrape.text.contains("account=\"removed\""),
        "{}",
        scrape.text
    );
    assert_eq!(exporter.ask("GET", "/-/ready").await.0, 200);
    let group = [
        "account=\"changed\"",
        "group=\"all\"",
        "registration=\"registered\"",
    ];
    let scrape = exporter
        .until("the added account and the group", |scrape| {
            scrape.up("added") == Some(1.0)
                && scrape.value("vobiz_group_endpoints", &group).is_some()
        })
        .await;
    assert_eq!(
        scrape.endpoints("added"),
        listed(&vendor, &auth_id("added"))
    );
    assert_eq!(scrape.snapshot("same"), first.snapshot("same"));
    for name in ["same", "changed", "added"] {
        assert_eq!(scrape.only("vobiz_walks_total", name), Some(1.0), "{name}");
    }
    let page = ["account=\"changed\"", "group=\"all\"", "watch=\"page\""];
    assert_eq!(scrape.count("vobiz_endpoint_info", &page), 30);
    let last =
        |scrape: &Scrape, name| scrape.only("vobiz_walk_last_success_timestamp_seconds", name);
    assert_eq!(
        last(&scrape, "changed"),
        last(&first, "changed"),
        "groups need no walk"
    );
}

#[tokio::test]
async fn sighup_reloads_and_new_credentials_are_used_at_once() {
    let vendor = vendor([("a", 3)]).await;
    let wrong = accounts_config(&vendor, "", [("a", HOURLY)]).replace("token-of-a", "wrong");
    let exporter = Reloadable::start(&wrong, &[]).await;
    exporter
        .until("a refusal", |scrape| scrape.up("a") == Some(0.0))
        .await;
    exporter.write(accounts_config(&vendor, "", [("a", HOURLY)]));
    exporter.process.signal("HUP").await;
    let scrape = exporter
        .until("a walk", |scrape| scrape.up("a") == Some(1.0))
        .await;
    assert_eq!(scrape.only("vobiz_walks_total", "a"), Some(2.0));
    assert_eq!(
        scrape.value(
            "vobiz_walk_failures_total",
            &["account=\"a\"", "reason=\"auth\""]
        ),
        Some(1.0),
        "the counters stay"
    );
}

#[tokio::test]
async fn the_response_names_the_keys_that_need_a_restart() {
    let vendor = vendor([("a", 3)]).await;
    let exporter = Reloadable::start(&accounts_config(&vendor, "", [("a", HOURLY)]), &[]).await;
    exporter
        .until("a walk", |scrape| scrape.up("a") == Some(1.0))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let changed = format!(
        "state: {{directory: '{}', retention: 7d}}\n{}",
        directory.display(),
        accounts_config(&vendor, "max_concurrent_requests: 3", [("a", HOURLY)])
    );
    for _ in 0..2 {
        let text = exporter.change(&changed).await;
        for key in ["state.directory", "api.max_concurrent_requests"] {
            assert!(
                text.contains(&format!("{key} has changed: restart the exporter")),
                "{text}"
            );
        }
    }
    let (_, config) = exporter.ask("GET", "/-/config").await;
    assert!(config.contains("\"directory\": null"), "{config}");
    assert!(config.contains("\"retention\": \"168h\""), "{config}");
    assert!(
        config.contains("<redacted>") && !config.contains("token-of-a"),
        "{config}"
    );
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_link_that_is_replaced_as_by_kubernetes_reloads_by_itself() {
    let vendor = vendor([("a", 3), ("b", 3)]).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    // A ConfigMap is a link to a file below `..data`, which is a link to the folder of the present version.
    let put = |version: &str, content: &str| {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("exporter.yaml"), content).unwrap();
        symlink(version, root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join("..data")).unwrap();
    };
    put("..1", &accounts_config(&vendor, "", [("a", HOURLY)]));
    symlink("..data/exporter.yaml", root.join("exporter.yaml")).unwrap();
    let arguments = [
        "--config.enable-auto-reload",
        "--config.auto-reload-interval=1s",
    ];
    let file = root.join("exporter.yaml");
    let exporter = Reloadable::in_folder(folder, &file, &arguments, &[]).await;
    exporter
        .until("a walk", |scrape| scrape.up("a") == Some(1.0))
        .await;
    put(
        "..2",
        &accounts_config(&vendor, "", [("a", HOURLY), ("b", HOURLY)]),
    );
    exporter
        .until("a walk of b", |scrape| scrape.up("b") == Some(1.0))
        .await;
    put("..3", "accounts: nonsense\n");
    let scrape = exporter
        .until("a refusal", |scrape| is_successful(scrape) == Some(0.0))
        .await;
    assert_eq!(scrape.up("b"), Some(1.0));
    // A bad file is reported once, and not at each check.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refusals = exporter.process.err().matches("is refused").count();
    assert_eq!(refusals, 1, "{}", exporter.process.err());
    put("..4", &accounts_config(&vendor, "", [("b", HOURLY)]));
    let scrape = exporter
        .until("a success", |scrape| is_successful(scrape) == Some(1.0))
        .await;
    assert_eq!((scrape.up("a"), scrape.up("b")), (None, Some(1.0)));
    assert_eq!(scrape.only("vobiz_walks_total", "b"), Some(1.0));
}

#[tokio::test]
async fn a_token_file_that_arrives_after_the_configuration_is_waited_for() {
    let vendor = vendor([("a", 3), ("b", 3)]).await;
    let arguments = [
        "--config.enable-auto-reload",
        "--config.auto-reload-interval=1s",
    ];
    let only_a = accounts_config(&vendor, "", [("a", HOURLY)]);
    let exporter = Reloadable::start(&only_a, &arguments).await;
    exporter
        .until("a walk", |scrape| scrape.up("a") == Some(1.0))
        .await;
    let both = accounts_config(&vendor, "", [("a", HOURLY), ("b", HOURLY)]);
    exporter.write(both.replace("auth_token: 'token-of-b'", "auth_token_file: later"));
    exporter
        .until("a refusal", |scrape| is_successful(scrape) == Some(0.0))
        .await;
    fs::write(exporter.file.with_file_name("later"), "token-of-b\n").unwrap();
    let scrape = exporter
        .until("a walk of b", |scrape| scrape.up("b") == Some(1.0))
        .await;
    assert_eq!(is_successful(&scrape), Some(1.0));
    assert_eq!(scrape.only("vobiz_walks_total", "a"), Some(1.0));
}

#[tokio::test]
async fn systemd_learns_of_a_reload_and_of_its_end() {
    let vendor = vendor([("a", 3)]).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let file = folder.path().join("live.yaml");
    fs::write(&file, accounts_config(&vendor, "", [("a", HOURLY)])).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.to_str().unwrap())];
    let exporter = Reloadable::in_folder(folder, &file, &[], &variables).await;
    let received = std::cell::RefCell::new(String::new());
    let says = async |words: &str| {
        until(words, || async {
            let mut buffer = [0; 4096];
            while let Ok(length) = manager.recv(&mut buffer) {
                received
                    .borrow_mut()
                    .push_str(&String::from_utf8_lossy(&buffer[..length]));
                received.borrow_mut().push('\n');
            }
            let mut received = received.borrow_mut();
            let end = received.find(words)? + words.len();
            received.replace_range(..end, "");
            Some(())
        })
        .await;
    };
    says("STATUS=1 account, all up").await;
    exporter.process.signal("HUP").await;
    says("RELOADING=1").await;
    says("READY=1").await;
    exporter.write("nonsense");
    exporter.process.signal("HUP").await;
    says("RELOADING=1").await;
    says("READY=1").await;
    says("STATUS=1 account, all up; the last reload of the configuration was refused").await;
    exporter.write(accounts_config(&vendor, "", [("a", HOURLY), ("b", HOURLY)]));
    exporter.process.signal("HUP").await;
    says("READY=1").await;
    says("STATUS=2 accounts: 1 up, 1 down").await;
}

#[tokio::test]
async fn a_loss_is_remembered_while_its_account_is_removed() {
    let vendor = vendor([("a", 30), ("b", 3)]).await;
    let folder = tempfile::tempdir().unwrap();
    let state = format!(
        "state: {{directory: '{}'}}\n",
        folder.path().join("state").display()
    );
    let config = |accounts: &[(&'static str, &'static str)]| {
        state.clone() + &accounts_config(&vendor, "", accounts.iter().copied())
    };
    let exporter = Reloadable::start(&config(&[("a", "")]), &[]).await;
    exporter
        .until("a walk", |scrape| scrape.up("a") == Some(1.0))
        .await;
    let id = vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("a")).unwrap();
        let registered = account.endpoints().find(|one| one.registered());
        let id = registered.unwrap().id().to_owned();
        account.edit(&id, |one| one.set_registered(false, now));
        id
    });
    let label = format!("endpoint_id=\"{id}\"");
    let lost = |scrape: &Scrape| {
        scrape.value(
            "vobiz_endpoint_registration_lost_timestamp_seconds",
            &[&label],
        )
    };
    let scrape = exporter
        .until("the loss", |scrape| lost(scrape).is_some())
        .await;
    let at = lost(&scrape);
    exporter.change(&config(&[("b", "")])).await;
    exporter
        .until("b", |scrape| scrape.up("b") == Some(1.0))
        .await;
    exporter.change(&config(&[("a", ""), ("b", "")])).await;
    let scrape = exporter
        .until("a again", |scrape| scrape.up("a") == Some(1.0))
        .await;
    assert_eq!(lost(&scrape), at);
}

#[tokio::test]
async fn a_hanging_vendor_delays_no_reload() {
    let vendor = vendor([("a", 3)]).await;
    vendor.plan(Fault::new(vobiz_simulator::Effect::Hang).for_account(auth_id("a")));
    let exporter = Reloadable::start(&accounts_config(&vendor, "", [("a", "")]), &[]).await;
    until("a request", || async {
        (!vendor.requests().is_empty()).then_some(())
    })
    .await;
    let begun = tokio::time::Instant::now();
    exporter
        .change(&accounts_config(&vendor, "", [("b", "")]))
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(exporter.scrape().await.up("a"), None);
}

#[tokio::test]
async fn probes_are_turned_on_and_off() {
    let vendor = vendor([("a", 3)]).await;
    let id = listed(&vendor, &auth_id("a")).into_keys().next().unwrap();
    let path = format!("/probe?account=a&endpoint_id={id}");
    let off = accounts_config(&vendor, "", [("a", HOURLY)]);
    let on = format!("probe: {{enabled: true}}\n{off}");
    let exporter = Reloadable::start(&off, &[]).await;
    for (configuration, status) in [(&on, 200), (&off, 404), (&on, 200)] {
        exporter.change(configuration).await;
        let answer = exporter.ask("GET", &path).await;
        assert_eq!(answer.0, status, "{}", answer.1);
    }
    // A probe of a removed account, and one of an added account.
    let renamed = on.replace("'a'", "'b'");
    exporter.change(&renamed).await;
    assert_eq!(exporter.ask("GET", &path).await.0, 400);
    let path = path.replace("account=a", "account=b");
    assert_eq!(exporter.ask("GET", &path).await.0, 200);
}

#[tokio::test]
async fn a_configuration_from_standard_input_stays_because_it_cannot_be_read_again() {
    let vendor = vendor([("a", 3)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.yaml");
    fs::write(&file, accounts_config(&vendor, "", [("a", HOURLY)])).unwrap();
    let arguments = [
        "--config.file=/dev/stdin",
        "--config.enable-auto-reload",
        "--config.auto-reload-interval=1s",
        "--web.listen-address=127.0.0.1:0",
    ];
    let mut writer = Command::new("cat");
    writer.arg(&file).stdout(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    let input = writer.stdout.take().unwrap();
    let process = Program::new(&arguments).input(input).start();
    let address = process.listens(1).await.remove(0);
    writer.wait().unwrap();
    process.signal("HUP").await;
    process.says("the new configuration is refused").await;
    let scraped = || async {
        let answer = get(&address, "/metrics").await;
        let scrape = (answer.status == 200).then(|| Scrape::read(&answer.text()))?;
        (scrape.up("a") == Some(1.0) && is_successful(&scrape) == Some(0.0)).then_some(())
    };
    until("a walk with the first configuration", scraped).await;
}

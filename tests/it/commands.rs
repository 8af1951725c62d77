//! The command line: output and exit code of each command.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use vobiz_simulator::{Options, TEST_ACCOUNT, Vendor, World};

use crate::harness::{Ended, Program, Scrape, SlowReader, ask, configuration, get, until};

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

async fn run(arguments: &[&str]) -> Ended {
    Program::new(arguments).run().await
}

#[tokio::test]
async fn version_and_help_are_printed() {
    let version = run(&["--version"]).await;
    assert_eq!((version.code, version.err.as_str()), (Some(0), ""));
    let begins = concat!("vobiz-exporter ", env!("CARGO_PKG_VERSION"), " (revision ");
    assert!(version.out.starts_with(begins), "{version:?}");
    assert_eq!(version.out.lines().count(), 1);

    let help = run(&["--help"]).await;
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for flag in [
        "--config.file",
        "--config.check",
        "--config.check.live",
        "--config.check.no-secrets",
        "--web.listen-address",
        "--web.probe-listen-address",
        "--web.systemd-socket",
        "--web.external-url",
        "--web.route-prefix",
        "--web.telemetry-path",
        "--web.max-requests",
        "--log.level",
        "--log.format",
        "--once",
        "--once.output",
        "--version",
        ":10059",
        "VOBIZ_AUTH_TOKEN_FILE",
        "Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration.",
    ] {
        assert!(help.out.contains(flag), "{flag} in {}", help.out);
    }
}

#[tokio::test]
async fn manual_and_completion_scripts_are_printed() {
    let manual = run(&["man"]).await;
    assert_eq!((manual.code, manual.err.as_str()), (Some(0), ""));
    assert!(
        manual.out.contains(".TH vobiz-exporter 1"),
        "{}",
        manual.out
    );
    assert!(manual.out.contains("once.output"), "{}", manual.out);
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef vobiz-exporter"),
        ("fish", "complete -c vobiz-exporter"),
    ] {
        let script = run(&["completion", shell]).await;
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
        assert!(script.out.contains(word), "{}", script.out);
        assert!(script.out.contains("web.telemetry-path"), "{}", script.out);
    }
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_names_the_error() {
    for (arguments, message) in [
        (&["--unknown"][..], "--unknown"),
        (&["serve"], "serve"),
        (&["--config.check", "--once"], "--once"),
        (&["--once.output=x.prom"], "--once"),
        (&["--log.level=loud"], "loud"),
        (&["--web.listen-address=nowhere"], "nowhere"),
        (&["--web.telemetry-path=metrics"], "metrics"),
        (&["--web.max-requests=many"], "many"),
        (&["--web.external-url=example.com"], "https://example.com/"),
        (&["--web.route-prefix=/a b"], "a plain path such as /vobiz"),
        (&["completion", "tcsh"], "tcsh"),
        (&["demo", "--endpoints=-1"], "-1"),
        (&["simulate", "--latency=20"], "20ms"),
    ] {
        let ended = run(arguments).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.err.contains(message), "{message} in {ended:?}");
    }
}

#[tokio::test]
async fn a_check_reports_a_valid_configuration_or_all_errors_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exporter.yaml");
    let good = "accounts: [{name: main, auth_id: MA_1, auth_token: abc}]\n";
    let name = file.to_str().unwrap();
    std::fs::write(&file, good).unwrap();
    let joined = format!("--config.file={name}");
    for arguments in [
        &["--config.file", name, "--config.check"][..],
        &[&joined, "--config.check"],
    ] {
        let checked = run(arguments).await;
        let printed = (checked.code, checked.out.as_str(), checked.err.as_str());
        let expected = "configuration is valid: 1 account (main)\n";
        assert_eq!(printed, (Some(0), expected, ""));
    }

    let bad = "poll: {interval: 1s}\n\
               api: {page_size: 1000, colour: red}\n\
               accounts: [{name: main, auth_id: 0123, auth_token_file: absent.txt}]\n";
    std::fs::write(&file, bad).unwrap();
    for arguments in [
        &[&joined, "--config.check"][..],
        &[&joined],
        &[&joined, "--once"],
    ] {
        let checked = run(arguments).await;
        assert_eq!(
            (checked.code, checked.out.as_str()),
            (Some(2), ""),
            "{checked:?}"
        );
        for message in [
            "exporter.yaml:1: poll.interval: ",
            "exporter.yaml:2: api.page_size: ",
            "exporter.yaml:2: api.colour: ",
            "exporter.yaml:3: accounts[0].auth_id: must be text",
            "exporter.yaml:3: accounts[0].auth_token_file: token file",
        ] {
            assert!(
                checked.err.contains(message),
                "{message} in {}",
                checked.err
            );
        }
        assert_eq!(checked.err.lines().count(), 5, "{}", checked.err);
    }

    let missing = run(&["--config.check", "--config.file=/nowhere.yaml"]).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("/nowhere.yaml"), "{missing:?}");
    let no_account = run(&["--config.check"]).await;
    assert_eq!(no_account.code, Some(2));
    assert!(no_account.err.contains("VOBIZ_AUTH_ID"), "{no_account:?}");
}

#[tokio::test]
async fn a_write_error_of_standard_output_is_reported_and_a_closed_pipe_is_not() {
    let vendor = vendor_of(50).await;
    let text = configuration(&vendor, "");
    for arguments in [
        &["--once"][..],
        &["--config.check"],
        &["--config.check.live"],
        &["man"],
        &["completion", "bash"],
        &["simulate", "--listen-address=127.0.0.1:0"],
    ] {
        // The subcommands have no `--config.file` flag.
        let text = if arguments[0].starts_with('-') {
            &text
        } else {
            ""
        };
        let full = Program::configured(text, arguments).after("exec >/dev/full");
        let ended = full.run().await;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        let message = "cannot write to standard output: No space left";
        assert!(ended.err.contains(message), "{arguments:?}: {ended:?}");

        // The read end of the pipe is closed before the program writes.
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let closed = format!("mkfifo {0}; exec 3<>{0} >{0} 3<&-", pipe.display());
        let ended = Program::configured(text, arguments)
            .after(&closed)
            .run()
            .await;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(!ended.err.contains("pipe"), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn one_account_can_be_configured_by_environment_variables_alone() {
    let vendor = vendor_of(45).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", TEST_ACCOUNT.token)).unwrap();
    let here = |arguments: &[&str]| {
        Program::new(arguments)
            .set("VOBIZ_EXPORTER__API__BASE_URL", vendor.base_url().as_str())
            .set("VOBIZ_AUTH_ID", TEST_ACCOUNT.auth_id)
    };
    for once in [
        here(&["--once"]).set("VOBIZ_AUTH_TOKEN", TEST_ACCOUNT.token),
        here(&["--once"]).set("VOBIZ_AUTH_TOKEN_FILE", file.path()),
    ] {
        let ended = once.run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let scrape = Scrape::read(&ended.out);
        assert_eq!(scrape.up("default"), Some(1.0));
        assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);
    }
    let half = here(&["--once"]).run().await;
    assert_eq!(half.code, Some(2), "{half:?}");
    assert!(half.err.contains("VOBIZ_AUTH_ID"), "{half:?}");

    // `VOBIZ_AUTH_ID` and `VOBIZ_AUTH_TOKEN` apply only to a configuration without accounts.
    let text = configuration(&vendor, "");
    let both = Program::configured(&text, &["--once"])
        .set("VOBIZ_AUTH_ID", "MA_OTHER")
        .set("VOBIZ_AUTH_TOKEN", "other-token");
    let ended = both.run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.err.contains("level=warn") && ended.err.contains("VOBIZ_AUTH_ID"),
        "{ended:?}"
    );
    assert!(!ended.err.contains("other-token"), "{ended:?}");
    assert_eq!(Scrape::read(&ended.out).up("default"), None);
}

#[tokio::test]
async fn a_variable_overrides_the_file() {
    let vendor = vendor_of(45).await;
    let text = configuration(&vendor, "");
    let ended = Program::configured(&text, &["--once"])
        .set("VOBIZ_EXPORTER__ACCOUNTS__0__NAME", "renamed")
        .set("VOBIZ_EXPORTER__METRICS__USERNAME", "false")
        .set("VOBIZ_EXPORTER__METRICS__GROUPS", "timestamps,permissions")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let scrape = Scrape::read(&ended.out);
    assert_eq!(scrape.up("renamed"), Some(1.0));
    assert_eq!(
        scrape.count("vobiz_endpoint_created_timestamp_seconds", &[]),
        45
    );
    assert_eq!(scrape.count("vobiz_endpoint_user_agent_info", &[]), 0);
    assert!(!ended.out.contains("username=\""));

    let wrong = Program::configured(&text, &["--config.check"])
        .set("VOBIZ_EXPORTER__POLL__INTERVALL", "30s")
        .run()
        .await;
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err.contains("VOBIZ_EXPORTER__POLL__INTERVALL"),
        "{wrong:?}"
    );
    assert!(wrong.err.contains("did you mean `INTERVAL`?"), "{wrong:?}");
}

#[tokio::test]
async fn an_address_in_use_exits_with_1_before_any_api_request() {
    let vendor = vendor_of(5).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = format!("--web.listen-address={address}");
    let ended = Program::configured(&configuration(&vendor, ""), &[&listen])
        .run()
        .await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains(&address), "{ended:?}");
    assert!(ended.err.contains("in use"), "{ended:?}");
    assert_eq!(vendor.counts().requests, 0);
}

#[tokio::test]
async fn it_listens_at_every_address_and_shows_metrics_at_the_chosen_path() {
    let vendor = vendor_of(5).await;
    let arguments = [
        "--web.listen-address=127.0.0.1:0",
        "--web.listen-address",
        "localhost:0",
        "--web.telemetry-path=/vobiz/metrics",
        "--log.level",
        "info",
    ];
    let process = Program::configured(&configuration(&vendor, ""), &arguments).start();
    // `localhost` can resolve to two addresses. The server binds both before the first walk ends.
    process.says("walk published").await;
    let log = process.err();
    let listening = log.lines().filter(|line| line.contains("listening"));
    let listening = listening.count();
    assert!((2..=3).contains(&listening), "{log}");
    for address in process.listens(listening).await {
        until("it is ready", || async {
            (get(&address, "/-/ready").await.status == 200).then_some(())
        })
        .await;
        assert_eq!(get(&address, "/vobiz/metrics").await.status, 200);
        assert_eq!(get(&address, "/metrics").await.status, 404);
        let page = get(&address, "/").await.text();
        assert!(page.contains("href=\"./vobiz/metrics\""), "{page}");
        for path in ["/-/healthy", "/healthz", "/-/ready", "/readyz"] {
            assert_eq!(get(&address, path).await.status, 200, "{path}");
        }
        let posted = ask(&address, "POST", "/vobiz/metrics", &[]).await;
        assert_eq!(
            (posted.status, posted.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
    process.signal("TERM").await;
    assert_eq!(process.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_metrics_keeps_no_other_from_scraping() {
    let vendor = vendor_of(3_000).await;
    let text = configuration(
        &vendor,
        "metrics: {groups: [timestamps, permissions, contact]}",
    );
    let arguments = ["--web.listen-address=127.0.0.1:0", "--web.max-requests=1"];
    let process = Program::configured(&text, &arguments).start();
    let address = process.listens(1).await.remove(0);
    until("the large snapshot", || async {
        let answer = get(&address, "/metrics").await;
        (answer.body.len() > 5_000_000).then_some(())
    })
    .await;

    let reader = SlowReader::ask(&address, "/metrics").await;
    assert_eq!(get(&address, "/metrics").await.status, 200);
    assert_eq!(reader.finish().await.status, 200);
}

#[tokio::test]
async fn idle_half_sent_and_stalled_connections_do_not_stop_scrapes_and_health_checks() {
    let vendor = vendor_of(3_000).await;
    let groups = "metrics: {groups: [timestamps, permissions, contact]}";
    let listen = ["--web.listen-address=127.0.0.1:0"];
    let process = Program::configured(&configuration(&vendor, groups), &listen).start();
    let address = process.listens(1).await.remove(0);
    until("the large snapshot", || async {
        let answer = get(&address, "/metrics").await;
        (answer.body.len() > 5_000_000).then_some(())
    })
    .await;

    // By default, the server allows 40 scrapes and 512 connections at the same time.
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(SlowReader::ask(&address, "/metrics").await);
    }
    let mut others = Vec::new();
    for number in 0..600 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if number % 2 == 0 {
            let half = b"GET /metrics HTTP/1.1\r\nHost: exp";
            stream.write_all(half).await.unwrap();
        }
        others.push(stream);
    }
    // `soon` is shorter than the time-out of the server for an incomplete request head.
    let soon = Duration::from_secs(8);
    let answers = timeout(soon, async {
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!(get(&address, path).await.status, 200, "{path}");
        }
        assert_eq!(get(&address, "/metrics").await.status, 200);
    });
    answers.await.expect("no connection keeps others waiting");
    for reader in stalled {
        let answer = reader.finish().await;
        assert_eq!(answer.status, 200, "a response in progress is not cut off");
    }
}

use std::{path::PathBuf, time::Duration};

use clap::{CommandFactory, error::ErrorKind};

use super::*;

fn read(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("vobiz-exporter").chain(words.split_whitespace()))
}

fn refused(words: &str) -> (ErrorKind, String) {
    let error = read(words).expect_err(words);
    assert_eq!(error.exit_code(), 2, "{words}");
    (error.kind(), error.to_string())
}

#[test]
fn the_declaration_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn without_flags_it_serves_on_10059() {
    let cli = read("").unwrap();
    assert_eq!(cli.command, None);
    assert_eq!(cli.serve.config_file, None);
    assert_eq!(
        cli.serve.web.listen_addresses,
        [ListenAddress::Everywhere(10059)]
    );
    assert!(cli.serve.web.probe_listen_addresses.is_empty());
    assert_eq!(cli.serve.web.telemetry_path, "/metrics");
    assert_eq!(cli.serve.web.max_requests, 40);
    assert_eq!(cli.serve.web.config_file, None);
    assert_eq!(
        cli.serve.log,
        LogArgs {
            level: Level::INFO,
            format: Format::Logfmt
        }
    );
    let serve = cli.serve;
    assert!(!serve.once && !serve.healthcheck && !serve.config_check);
    assert!(!serve.config_check_live && !serve.config_check_no_secrets);
}

#[test]
fn flags_take_their_value_after_an_equals_sign_or_a_space() {
    let with_equals = "--config.file=a.yaml --web.listen-address=:1 --web.listen-address=[::1]:2 \
                       --web.probe-listen-address=[::1]:3 --web.telemetry-path=/m --web.max-requests=0 --log.level=debug --log.format=json";
    let cli = read(with_equals).unwrap();
    assert_eq!(cli, read(&with_equals.replace('=', " ")).unwrap());
    assert_eq!(cli.serve.config_file, Some(PathBuf::from("a.yaml")));
    assert_eq!(
        cli.serve.web.listen_addresses,
        [
            ListenAddress::Everywhere(1),
            ListenAddress::Host("::1".to_owned(), 2)
        ]
    );
    assert_eq!(
        cli.serve.web.probe_listen_addresses,
        [ListenAddress::Host("::1".to_owned(), 3)]
    );
    assert_eq!(cli.serve.web.max_requests, 0);
    assert_eq!(
        cli.serve.log,
        LogArgs {
            level: Level::DEBUG,
            format: Format::Json
        }
    );
}

#[test]
fn every_task_has_its_flag_or_command() {
    assert!(read("--config.check").unwrap().serve.config_check);
    let both = read("--config.check --config.check.live").unwrap().serve;
    assert!(both.config_check && both.config_check_live);
    let both = read("--config.check --config.check.no-secrets").unwrap();
    assert!(both.serve.config_check_no_secrets);
    assert!(read("--healthcheck").unwrap().serve.healthcheck);
    let web = read("--web.config.file=w.yml --web.config.check").unwrap();
    assert!(web.serve.web_config_check);
    assert_eq!(web.serve.web.config_file, Some(PathBuf::from("w.yml")));
    let once = read("--once").unwrap().serve;
    assert_eq!((once.once, once.once_output), (true, None));
    let once = read("--once --once.output=/x/vobiz.prom").unwrap().serve;
    assert_eq!(once.once_output, Some(PathBuf::from("/x/vobiz.prom")));
    for (words, command) in [
        (
            "completion bash",
            Command::Completion { shell: Shell::Bash },
        ),
        ("man", Command::Man { command: None }),
        (
            "man demo",
            Command::Man {
                command: Some("demo".to_owned()),
            },
        ),
    ] {
        assert_eq!(read(words).unwrap().command, Some(command), "{words}");
    }
}

#[test]
fn the_demo_and_the_simulated_api_have_flags_of_their_own() {
    let cli =
        read("demo --endpoints=50 --seed 7 --web.listen-address=:0 --log.level=warn").unwrap();
    assert_eq!(cli.serve.log.level, Level::WARN);
    let Some(Command::Demo(demo)) = cli.command else {
        panic!("a demo")
    };
    assert_eq!((demo.endpoints, demo.seed), (50, Some(7)));
    assert_eq!(demo.web.listen_addresses, [ListenAddress::Everywhere(0)]);

    let words = "simulate --accounts=3 --latency=20ms --row-shape=captured --speed=60 --listen-address=[::1]:9";
    let Some(Command::Simulate {
        listen_address,
        api: simulate,
        ..
    }) = read(words).unwrap().command
    else {
        panic!("a simulation")
    };
    assert_eq!(
        (simulate.endpoints, simulate.accounts, simulate.seed),
        (200, 3, None)
    );
    assert_eq!(simulate.latency, Duration::from_millis(20));
    assert_eq!(simulate.row_shape, vobiz_simulator::Shape::Captured);
    assert!((simulate.speed - 60.0).abs() < f64::EPSILON);
    assert_eq!(listen_address.to_string(), "[::1]:9");
}

#[test]
fn only_a_command_line_that_starts_an_exporter_needs_sockets() {
    for words in ["", "--web.systemd-socket", "demo --web.systemd-socket"] {
        let cli = read(words).unwrap();
        let web = cli.served().expect(words);
        assert_eq!(web.systemd_socket, !words.is_empty(), "{words}");
    }
    for words in [
        "--once",
        "--healthcheck",
        "--config.check",
        "--config.check.live",
    ] {
        let words = format!("--web.systemd-socket {words}");
        assert_eq!(read(&words).unwrap().served(), None, "{words}");
    }
    assert_eq!(read("simulate").unwrap().served(), None);
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_error() {
    for (words, kind) in [
        ("--once.output=x", ErrorKind::MissingRequiredArgument),
        ("--config.check --once", ErrorKind::ArgumentConflict),
        ("--config.check.live --once", ErrorKind::ArgumentConflict),
        (
            "--config.check.live --config.check.no-secrets",
            ErrorKind::ArgumentConflict,
        ),
        ("--once demo", ErrorKind::ArgumentConflict),
        ("--once --healthcheck", ErrorKind::ArgumentConflict),
        ("--web.config.check", ErrorKind::MissingRequiredArgument),
        (
            "--web.config.check --web.config.file=w --once",
            ErrorKind::ArgumentConflict,
        ),
        (
            "--web.config.check --web.config.file=w --healthcheck",
            ErrorKind::ArgumentConflict,
        ),
        ("--config.check --healthcheck", ErrorKind::ArgumentConflict),
        ("--config.fle=x", ErrorKind::UnknownArgument),
        ("--log.level=loud", ErrorKind::InvalidValue),
        ("--web.listen-address=10059", ErrorKind::ValueValidation),
        ("--web.probe-listen-address=x", ErrorKind::ValueValidation),
        (
            "--web.systemd-socket --web.listen-address=:1",
            ErrorKind::ArgumentConflict,
        ),
        (
            "--web.telemetry-path=/-/healthy",
            ErrorKind::ValueValidation,
        ),
        ("--web.max-requests=-1", ErrorKind::ValueValidation),
        ("--web.external-url=/vobiz", ErrorKind::ValueValidation),
        ("--web.route-prefix=/a?b", ErrorKind::ValueValidation),
        ("serve", ErrorKind::InvalidSubcommand),
        ("simulate --latency=20", ErrorKind::ValueValidation),
        ("simulate --speed=fast", ErrorKind::ValueValidation),
        ("simulate --accounts=0", ErrorKind::ValueValidation),
        ("simulate --listen-address=9", ErrorKind::ValueValidation),
    ] {
        assert_eq!(refused(words).0, kind, "{words}");
    }
    assert!(refused("--config.fle=x").1.contains("--config.file"));
    assert!(refused("--web.listen-address=10059").1.contains(":PORT"));
}

#[test]
fn version_and_help_are_no_errors() {
    let version = read("--version").unwrap_err();
    assert_eq!(version.exit_code(), 0);
    let said = version.to_string();
    assert!(
        said.starts_with(concat!(
            "vobiz-exporter ",
            env!("CARGO_PKG_VERSION"),
            " (revision "
        )),
        "{said}"
    );
    assert!(said.contains("rustc "), "{said}");

    let help = read("--help").unwrap_err();
    assert_eq!(help.exit_code(), 0);
    assert!(help.to_string().contains("VOBIZ_AUTH_ID"));
}

#[test]
fn completion_and_manual_know_every_flag() {
    let flags = [
        "config.file",
        "config.check",
        "config.check.live",
        "web.listen-address",
        "web.probe-listen-address",
        "web.systemd-socket",
        "web.external-url",
        "web.route-prefix",
        "web.telemetry-path",
        "web.max-requests",
        "web.config.file",
        "web.config.check",
        "log.level",
        "log.format",
        "once",
        "once.output",
        "healthcheck",
    ];
    let manual = String::from_utf8(manual(None)).unwrap().replace("\\-", "-");
    for flag in flags {
        assert!(
            manual.contains(&format!("--{flag}")),
            "{flag} in the manual"
        );
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = String::from_utf8(completion(shell)).unwrap();
        for flag in flags {
            assert!(script.contains(flag), "{flag} in the script for {shell}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page_that_can_be_asked_for() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let words = format!("man {name}");
        let parsed = read(&words).unwrap().command;
        let expected = Command::Man {
            command: Some(name.to_owned()),
        };
        assert_eq!(parsed, Some(expected));
        let page = String::from_utf8(manual(Some(name))).unwrap();
        assert!(
            page.contains(&format!(".TH vobiz-exporter-{name} 1")),
            "{page}"
        );
    }
    assert_eq!(refused("man help").0, ErrorKind::InvalidValue);
}

#[test]
fn every_form_of_an_address_is_parsed_and_formatted_again() {
    for text in [
        ":10059",
        "0.0.0.0:80",
        "localhost:0",
        "[::1]:65535",
        "my-host.test:9",
    ] {
        assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
    }
    assert_eq!(":9".parse(), Ok(ListenAddress::Everywhere(9)));
    assert_eq!(
        "[::1]:9".parse(),
        Ok(ListenAddress::Host("::1".to_owned(), 9))
    );
}

#[test]
fn an_invalid_address_is_refused_and_the_error_names_the_valid_forms() {
    for text in [
        "10059",
        "",
        ":",
        ":65536",
        ":+80",
        "::1:80",
        "[::1]",
        "[x]:80",
        "a b:80",
        "http://a:80",
    ] {
        let said = text.parse::<ListenAddress>().expect_err(text);
        assert!(said.contains(":PORT"), "{text}: {said}");
    }
}

#[test]
fn the_route_prefix_is_the_path_of_the_external_url_by_default() {
    for (words, prefix) in [
        ("", "/"),
        ("--web.external-url=https://example.com/a/", "/a"),
        ("--web.route-prefix=/b", "/b"),
        (
            "--web.external-url=https://example.com --web.route-prefix=b/",
            "/b",
        ),
        (
            "--web.external-url=https://example.com/a --web.route-prefix=/",
            "/",
        ),
    ] {
        let web = read(words).unwrap().serve.web;
        assert_eq!(web.route_prefix().to_string(), prefix, "{words}");
    }
}

#[test]
fn a_path_may_not_hide_another_page() {
    for path in ["/metrics", "/probe/metrics", "/-metrics"] {
        assert_eq!(telemetry_path(path).unwrap(), path);
    }
    for path in [
        "",
        "metrics",
        "/",
        "/-/healthy",
        "/-/reload",
        "/healthz",
        "/readyz",
        "/probe",
        "/m?x",
        "/m m",
        "/m\n",
    ] {
        assert!(telemetry_path(path).is_err(), "{path}");
    }
}

#[test]
fn the_state_command_takes_its_flags_before_or_after_the_action() {
    let state = |words: &str| match read(words).unwrap().command {
        Some(Command::State(args)) => args,
        other => panic!("{other:?}"),
    };
    let before = state("state --state.directory /srv --config.file a.yaml show main --json");
    let after = state("state show main --json --state.directory /srv --config.file a.yaml");
    assert_eq!(before, after);
    assert_eq!(before.directory, Some(PathBuf::from("/srv")));
    assert_eq!(before.config_file, Some(PathBuf::from("a.yaml")));
    let show = StateAction::Show {
        account: Some("main".to_owned()),
        json: true,
    };
    assert_eq!(before.action, show);
    for incomplete in ["state", "state forget", "state rename main", "state backup"] {
        refused(incomplete);
    }
}

#[test]
fn a_report_begins_a_duration_before_its_end_or_at_a_time() {
    let report = |words: &str| match read(words).unwrap().command {
        Some(Command::Report(args)) => args,
        other => panic!("{other:?}"),
    };
    let args = report("report");
    let week = Since::Before(Duration::from_secs(7 * 24 * 3600));
    assert_eq!((args.since, args.until), (week, None));
    assert_eq!(args.format, ReportFormat::Table);
    let words = "report --state.directory=/srv --config.file=a.yaml --account=main --format=csv \
        --since=2026-11-01T00:00:00+01:00 --until=2026-12-01T00:00:00Z";
    let args = report(words);
    assert_eq!(args.since, Since::At(UnixMillis(1_793_487_600_000)));
    assert_eq!(args.until, Some(UnixMillis(1_796_083_200_000)));
    assert_eq!(args.account.as_deref(), Some("main"));
    assert_eq!(args.format, ReportFormat::Csv);
    for bad in [
        "--since=7",
        "--since=0s",
        "--since=soon",
        "--until=7d",
        "--until=2026-12-01",
    ] {
        let (kind, text) = refused(&format!("report {bad}"));
        assert_eq!(kind, ErrorKind::ValueValidation);
        assert!(text.contains("2026-11-01T00:00:00Z"), "{text}");
    }
    assert_eq!(refused("report --format=pdf").0, ErrorKind::InvalidValue);
}

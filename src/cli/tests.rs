use std::{path::PathBuf, time::Duration};

use clap::{CommandFactory, error::ErrorKind};

use super::{line::Line, *};

fn read(words: &str) -> Result<Arguments, clap::Error> {
    Arguments::read(std::iter::once("vobiz-exporter").chain(words.split_whitespace()))
}

fn refused(words: &str) -> (ErrorKind, String) {
    let error = read(words).expect_err(words);
    assert_eq!(error.exit_code(), 2, "{words}");
    (error.kind(), error.to_string())
}

#[test]
fn the_declaration_is_sound() {
    Line::command().debug_assert();
}

#[test]
fn without_flags_it_serves_on_10059() {
    let arguments = read("").unwrap();
    assert_eq!(arguments.task, Task::Serve);
    assert_eq!(arguments.config_file, None);
    assert_eq!(
        arguments.web.listen_addresses,
        [ListenAddress::Everywhere(10059)]
    );
    assert_eq!(arguments.web.telemetry_path.as_str(), "/metrics");
    assert_eq!(arguments.web.max_requests, 40);
    assert_eq!(
        arguments.log,
        Log {
            level: LogLevel::Info,
            format: LogFormat::Logfmt
        }
    );
}

#[test]
fn flags_take_their_value_after_an_equals_sign_or_a_space() {
    let with_equals = "--config.file=a.yaml --web.listen-address=:1 --web.listen-address=[::1]:2 \
                       --web.telemetry-path=/m --web.max-requests=0 --log.level=debug --log.format=json";
    let arguments = read(with_equals).unwrap();
    assert_eq!(arguments, read(&with_equals.replace('=', " ")).unwrap());
    assert_eq!(arguments.config_file, Some(PathBuf::from("a.yaml")));
    assert_eq!(
        arguments.web.listen_addresses,
        [
            ListenAddress::Everywhere(1),
            ListenAddress::Host("::1".to_owned(), 2)
        ]
    );
    assert_eq!(arguments.web.max_requests, 0);
    assert_eq!(
        arguments.log,
        Log {
            level: LogLevel::Debug,
            format: LogFormat::Json
        }
    );
}

#[test]
fn every_task_has_its_flag_or_command() {
    for (words, task) in [
        ("--config.check", Task::Check(Check::Whole)),
        ("--config.check.live", Task::Check(Check::Live)),
        (
            "--config.check --config.check.live",
            Task::Check(Check::Live),
        ),
        (
            "--config.check --config.check.no-secrets",
            Task::Check(Check::WithoutSecrets),
        ),
        ("--once", Task::Once { output: None }),
        (
            "--once --once.output=/x/vobiz.prom",
            Task::Once {
                output: Some("/x/vobiz.prom".into()),
            },
        ),
        ("--healthcheck", Task::Healthcheck),
        ("--config.file=a.yaml --healthcheck", Task::Healthcheck),
        ("completion bash", Task::Completion(Shell::Bash)),
        ("man", Task::Manual(None)),
        ("man demo", Task::Manual(Some("demo".to_owned()))),
    ] {
        assert_eq!(read(words).unwrap().task, task, "{words}");
    }
}

#[test]
fn the_demo_and_the_simulated_api_have_flags_of_their_own() {
    let arguments =
        read("demo --endpoints=50 --seed 7 --web.listen-address=:0 --log.level=warn").unwrap();
    assert_eq!(arguments.log.level, LogLevel::Warn);
    let Task::Demo(demo) = arguments.task else {
        panic!("a demo")
    };
    assert_eq!((demo.endpoints, demo.seed), (50, Some(7)));
    assert_eq!(demo.web.listen_addresses, [ListenAddress::Everywhere(0)]);

    let words = "simulate --accounts=3 --latency=20ms --row-shape=captured --speed=60 --listen-address=[::1]:9";
    let Task::Simulate(simulate) = read(words).unwrap().task else {
        panic!("a simulation")
    };
    assert_eq!(
        (simulate.endpoints, simulate.accounts, simulate.seed),
        (200, 3, None)
    );
    assert_eq!(simulate.latency, Duration::from_millis(20));
    assert_eq!(simulate.row_shape, RowShape::Captured);
    assert!((simulate.speed - 60.0).abs() < f64::EPSILON);
    assert_eq!(simulate.listen_address.to_string(), "[::1]:9");
}

#[test]
fn wrong_usage_leaves_with_2_and_says_what_is_wrong() {
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
        ("--config.check --healthcheck", ErrorKind::ArgumentConflict),
        ("--config.fle=x", ErrorKind::UnknownArgument),
        ("--log.level=loud", ErrorKind::InvalidValue),
        ("--web.listen-address=10059", ErrorKind::ValueValidation),
        (
            "--web.telemetry-path=/-/healthy",
            ErrorKind::ValueValidation,
        ),
        ("--web.max-requests=-1", ErrorKind::ValueValidation),
        ("serve", ErrorKind::InvalidSubcommand),
        ("simulate --latency=20", ErrorKind::ValueValidation),
        ("simulate --speed=fast", ErrorKind::ValueValidation),
        ("simulate --accounts=0", ErrorKind::ValueValidation),
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
        "web.telemetry-path",
        "web.max-requests",
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
    for command in Line::command().get_subcommands() {
        let name = command.get_name();
        let words = format!("man {name}");
        assert_eq!(
            read(&words).unwrap().task,
            Task::Manual(Some(name.to_owned()))
        );
        let page = String::from_utf8(manual(Some(name))).unwrap();
        assert!(
            page.contains(&format!(".TH vobiz-exporter-{name} 1")),
            "{page}"
        );
    }
    assert_eq!(refused("man help").0, ErrorKind::InvalidValue);
}

//! Tests of files and variables that are nested too deeply, too large, endless, empty or invalid.

use std::{fmt::Write, fs, time::Duration};

use proptest::prelude::*;

use super::{errors_with, testdata, with_variables};
use crate::config::load;

/// The error message about a file with this content.
fn errors_of(suffix: &str, content: &str) -> String {
    let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    fs::write(file.path(), content).unwrap();
    let message = load(Some(file.path()), &[]).unwrap_err().to_string();
    message.replace(&file.path().display().to_string(), "FILE")
}

#[test]
fn a_file_nested_too_deeply_is_refused_and_does_not_overflow_the_stack() {
    let ours = "is nested deeper than 64 levels";
    for (deep, wrong) in [
        ("- ".repeat(100_000), ours),
        (
            "? ".repeat(100_000),
            "a key must be text, without a tag or an alias",
        ),
        ("{a: ".repeat(200), ours),
        (
            "[".repeat(100_000),
            "is not valid YAML: recursion limit exceeded",
        ),
    ] {
        let message = errors_of(".yaml", &deep);
        assert!(message.ends_with(wrong), "{message}");
        assert!(message.len() < 300, "{message}");
    }
    for deep in [".a".repeat(100_000), format!(" = {}", "[".repeat(100_000))] {
        let message = errors_of(".toml", &format!("a{deep}"));
        assert!(message.contains("FILE:1: is not valid TOML"), "{message}");
    }
}

#[test]
fn a_file_of_too_many_values_is_refused() {
    let message = errors_of(".yaml", &"- a\n".repeat(210_000));
    assert_eq!(
        message,
        "FILE:200001: [200000]: holds more than 200,000 values"
    );
}

#[test]
fn of_very_many_errors_the_first_hundred_are_shown_and_the_others_counted() {
    for suffix in [".yaml", ".toml"] {
        let sign = if suffix == ".yaml" { ":" } else { " =" };
        let mut keys = String::new();
        for number in 0..50_000 {
            writeln!(keys, "k{number}{sign} 1").unwrap();
        }
        let message = errors_of(suffix, &keys);
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(lines.len(), 101, "{}", &message[..1000]);
        // The first line is the error about the missing account. Unknown keys have a line number only in YAML.
        let shown = match suffix {
            ".yaml" => "FILE:99: k98: unknown key \"k98\"",
            _ => "FILE: k10085: unknown key \"k10085\"",
        };
        let known = "(known are poll, api, details, metrics, outage, probe, state, web, accounts)";
        assert_eq!(lines[99], format!("{shown} {known}"));
        assert_eq!(lines[100], "FILE: and 49901 more errors");
    }
}

/// The configuration of an account with one group for each expression.
fn groups(expressions: &[&str]) -> String {
    let mut text = "accounts:\n- {name: main, auth_id: MA_1, auth_token: a, groups: [\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        writeln!(
            text,
            "{{name: g{number}, match: {{alias: '{expression}'}}}},"
        )
        .unwrap();
    }
    text + "]}\n"
}

#[test]
fn expressions_that_are_too_large_together_are_refused_once() {
    let large: Vec<_> = (80..180).map(|most| format!(r"\w{{1,{most}}}")).collect();
    let mut expressions: Vec<_> = large.iter().map(String::as_str).collect();
    expressions[50] = "a(b";
    let wrong = "takes the expressions of all groups above 10 MB of memory; use smaller classes, such as \
                 [A-Za-z] instead of \\w, or fewer repetitions";
    assert_eq!(
        errors_of(".yaml", &groups(&expressions)),
        format!(
            "FILE:5: accounts[0].groups[2].match.alias: {wrong}\n\
             FILE:53: accounts[0].groups[50].match.alias: the regular expression does not compile at \
             character 2: unclosed group"
        )
    );
    let long = "a".repeat(20_000);
    assert_eq!(
        errors_of(".yaml", &groups(&[&long])),
        "FILE:3: accounts[0].groups[0].match.alias: is longer than 16 KiB"
    );
}

#[test]
fn as_many_usual_expressions_as_there_may_be_groups_are_accepted() {
    let usual = |number| match number % 3 {
        0 => format!("Reception {number}.*"),
        1 => format!("(BLR|DEL)-[0-9]+ (upper|ground) floor {number}"),
        _ => format!("(?i)desk {number} .*"),
    };
    let mut usual: Vec<_> = (0..998).map(usual).collect();
    // A repeated expression needs no additional memory.
    usual.extend([r"\w{1,80}".to_owned(), r"\w{1,80}".to_owned()]);
    let expressions: Vec<_> = usual.iter().map(String::as_str).collect();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), groups(&expressions)).unwrap();
    let loaded = load(Some(file.path()), &[]).unwrap();
    let groups = &loaded.config.accounts[0].groups;
    let alias = groups[995].matches.alias.as_ref().unwrap();
    assert!(alias.is_match("DESK 995 éé") && !alias.is_match("a desk 995 a"));
}

#[test]
fn a_file_that_is_too_large_or_never_ends_is_refused() {
    for suffix in [".yaml", ".toml"] {
        errors_of(suffix, &"#\n".repeat(1 << 19));
        let message = errors_of(suffix, &"#\n".repeat((1 << 19) + 1));
        assert_eq!(message, "FILE: cannot be read: it is larger than 1.0 MiB");
    }
    for (path, wrong) in [
        ("/dev/zero", "it is not a regular file"),
        ("/dev/fd", "Is a directory (os error 21)"),
    ] {
        let message = load(Some(path.as_ref()), &[]).unwrap_err().to_string();
        assert_eq!(message, format!("{path}: cannot be read: {wrong}"));
    }
}

#[test]
fn a_setting_variable_with_invalid_utf_8_is_named_once() {
    let message = errors_with(
        &[
            ("VOBIZ_AUTH_TOKEN", "SECRET-\u{fffd}"),
            ("VOBIZ_EXPORTER__API__RETRIES", "3\u{fffd}"),
            ("VOBIZ_EXPORTER__\u{fffd}", "3"),
            ("OTHER_\u{fffd}", "\u{fffd}"),
        ],
        Some("minimal.ok.yaml"),
    );
    let expected = [
        "environment variable VOBIZ_AUTH_TOKEN: is not UTF-8 text",
        "environment variable VOBIZ_EXPORTER__API__RETRIES: is not UTF-8 text",
        "environment variable VOBIZ_EXPORTER__…: is not UTF-8 text",
        "warning: VOBIZ_AUTH_TOKEN ignored: the configuration lists accounts of its own",
    ];
    assert_eq!(message, expected.join("\n"));
}

#[test]
fn an_empty_token_variable_is_reported_at_the_variable() {
    let pairs = [("VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN_FILE", "")];
    assert_eq!(
        errors_with(&pairs, Some("minimal.ok.yaml")),
        "environment variable VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN_FILE: \
         accounts[0].auth_token_file: is empty or null; the account needs a token here"
    );
}

#[test]
fn a_long_inherited_deadline_becomes_five_sixths_of_an_accounts_interval() {
    let pairs = [
        ("VOBIZ_EXPORTER__POLL__INTERVAL", "10m"),
        ("VOBIZ_EXPORTER__POLL__DEADLINE", "8m"),
        ("VOBIZ_EXPORTER__ACCOUNTS__0__POLL__INTERVAL", "5m"),
    ];
    let loaded = with_variables(Some("minimal.ok.yaml"), &pairs).unwrap();
    let poll = &loaded.config.accounts[0].poll;
    assert_eq!(poll.deadline, Duration::from_secs(250));
    assert_eq!(
        loaded.warnings,
        [
            "accounts[0].poll: the inherited deadline 8m is above the interval 5m of this account; 4m10s is used"
        ]
    );
}

#[test]
fn an_invalid_proxy_variable_gives_a_warning_where_an_account_uses_it() {
    let warnings = |file: &str, name: &str, value: &str| {
        let loaded = with_variables(Some(file), &[(name, value)]).unwrap();
        loaded.warnings.join("\n")
    };
    let plain = "minimal.ok.yaml";
    for value in [
        ":::bad",
        "ftp://user:SECRET@proxy.test",
        "http://a b",
        "SECRET\u{fffd}",
    ] {
        assert_eq!(
            warnings(plain, "HTTPS_PROXY", value),
            "HTTPS_PROXY ignored: it is not the URL of a proxy, such as http://proxy.example:3128"
        );
        assert!(warnings(plain, "all_proxy", value).starts_with("all_proxy ignored"));
        assert_eq!(
            warnings(plain, "HTTP_PROXY", value),
            "",
            "no account asks by http"
        );
        assert_eq!(
            warnings("ca-file.ok.yaml", "HTTPS_PROXY", value),
            "",
            "another is set"
        );
        assert_eq!(warnings("loopback-http.ok.yaml", "HTTP_PROXY", value), "");
    }
    for value in [
        "",
        "proxy.test:3128",
        "http://u:p@proxy.test:3128",
        "socks5://[::1]:1080",
    ] {
        assert_eq!(warnings(plain, "HTTPS_PROXY", value), "");
    }
}

#[test]
fn a_file_may_come_through_a_descriptor() {
    use std::os::fd::AsRawFd;
    let file = fs::File::open(testdata().join("everything.ok.yaml")).unwrap();
    let path = format!("/dev/fd/{}", file.as_raw_fd());
    // A relative token path is resolved against `/dev/fd`, where the token file does not exist. The error shows
    // that the configuration itself was read.
    let message = load(Some(path.as_ref()), &[]).map(|_| ()).unwrap_err();
    assert!(
        message
            .to_string()
            .contains("accounts[0].auth_token_file: token file"),
        "{message}"
    );
}

/// Pieces of a configuration, in valid and invalid order.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "accounts",
        "api",
        "poll",
        "groups",
        "match",
        "alias",
        "flip_share",
        "interval",
        "base_url",
        "auth_id",
        "auth_token",
        "auth_token_file",
        "name",
        "main",
        ":",
        ": ",
        " = ",
        "- ",
        "\n",
        "\n  ",
        "\n- ",
        "{",
        "}",
        "[",
        "]",
        "[[",
        "]]",
        ",",
        "\"",
        "'",
        "'''",
        "\\u0000",
        "&a",
        "*a",
        "<<",
        "!!binary",
        "---",
        "#",
        "|",
        ">",
        "~",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        ".inf",
        "60s",
        "0.5",
        "(",
        "a{9}",
        ".*",
        "http://",
        "127.0.0.1",
        "\u{202e}",
        "\u{0}",
        "\t",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// No content of a file causes a panic or an overflow.
    #[test]
    fn any_file_is_loaded_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        text in hostile_text(),
        value in hostile_text(),
    ) {
        let account = format!(
            "accounts: [{{name: main, auth_id: MA_1, auth_token: a}}]\napi: {{proxy_url: {value}}}\npoll: {value}"
        );
        for suffix in [".yaml", ".toml"] {
            let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
            for content in [&bytes[..], text.as_bytes(), account.as_bytes()] {
                fs::write(file.path(), content).unwrap();
                if let Err(errors) = load(Some(file.path()), &[]) {
                    prop_assert!(!errors.to_string().is_empty());
                }
            }
        }
        let variables = [("VOBIZ_EXPORTER__POLL".to_owned(), value), (text, String::new())];
        let loaded = load(None, &variables);
        prop_assert!(loaded.is_err(), "it has no account");
    }
}

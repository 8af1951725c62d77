//! Tests that unusual input gives the intended value, an error or a warning.

use std::fs;

use super::with_variables;
use crate::config::{Loaded, load};

fn loaded(suffix: &str, content: &str) -> Result<Loaded, String> {
    let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    fs::write(file.path(), content).unwrap();
    load(Some(file.path()), &[]).map_err(|errors| {
        let message = errors.to_string();
        message.replace(&file.path().display().to_string(), "FILE")
    })
}

fn errors_of(suffix: &str, content: &str) -> String {
    loaded(suffix, content).map(|_| ()).unwrap_err()
}

const ACCOUNT: &str = "accounts:\n  - {name: main, auth_id: MA_1, auth_token: abc}\n";

#[test]
fn a_nul_byte_is_refused_with_its_line() {
    let message = "holds a NUL byte; remove it, or write the file as UTF-8 if it is UTF-16";
    assert_eq!(
        errors_of(".yaml", &format!("{ACCOUNT}\0\npoll: {{interval: 5m}}\n")),
        format!("FILE:3: {message}")
    );
    assert_eq!(errors_of(".toml", "# \0\n"), format!("FILE:1: {message}"));
}

#[test]
fn a_duration_has_units_and_a_decimal_point() {
    for odd in ["00:01:30", "60,5s", "+60s", "1h, 30m"] {
        let message = errors_of(
            ".yaml",
            &format!("poll: {{interval: \"{odd}\"}}\n{ACCOUNT}"),
        );
        let wrong = "must be a duration with its unit, such as 60s or 1h30m, from 5s to 720h";
        assert_eq!(
            message,
            format!("FILE:1: poll.interval: {wrong}, not \"{odd}\"")
        );
    }
    for usual in ["60.5s", "1h 30m", "90 seconds", "60000ms"] {
        loaded(".yaml", &format!("poll: {{interval: {usual}}}\n{ACCOUNT}")).unwrap();
    }
}

#[test]
fn a_number_is_written_in_decimal_digits() {
    let wrong = "api.page_size: must be a whole number from 2 to 100";
    for odd in ["0x32", "0o62"] {
        let yaml = format!("api: {{page_size: {odd}}}\n{ACCOUNT}");
        assert_eq!(
            errors_of(".yaml", &yaml),
            format!("FILE:1: {wrong}, not \"{odd}\"")
        );
    }
}

#[test]
fn a_misspelt_variable_gives_a_warning_with_the_likely_name() {
    let names = [
        (
            "VOBIZ_EXPORTER_POLL__INTERVAL",
            "VOBIZ_EXPORTER__POLL__INTERVAL",
        ),
        (
            "VOBIZ_EXPORTER_POLL_INTERVAL",
            "VOBIZ_EXPORTER__POLL__INTERVAL",
        ),
        (
            "vobiz_exporter__poll__interval",
            "VOBIZ_EXPORTER__POLL__INTERVAL",
        ),
        ("VOBIZ_POLL__INTERVALL", "VOBIZ_EXPORTER__POLL__INTERVAL"),
        (
            "VOBIZ_EXPORTER_ACCOUNTS_12_API_PAGE_SIZE",
            "VOBIZ_EXPORTER__ACCOUNTS__0__API__PAGE_SIZE",
        ),
        ("vobiz_auth_id", "VOBIZ_AUTH_ID"),
        ("VOBIZ_AUTHTOKEN_FILE", "VOBIZ_AUTH_TOKEN_FILE"),
        ("VOBIZ_EXPORTER_AUTH_TOKEN", "VOBIZ_AUTH_TOKEN"),
    ];
    for (name, meant) in names {
        let loaded = with_variables(Some("minimal.ok.yaml"), &[(name, "SECRET")]).unwrap();
        let warning = format!("environment variable {name} is ignored; did you mean {meant}?");
        assert_eq!(loaded.warnings, [warning]);
    }
    // These variables belong to other programs and give no warning. Kubernetes sets the first four
    // for a service `vobiz-exporter`.
    for name in [
        "VOBIZ_EXPORTER_SERVICE_HOST",
        "VOBIZ_EXPORTER_SERVICE_PORT_METRICS",
        "VOBIZ_EXPORTER_PORT",
        "VOBIZ_EXPORTER_PORT_10059_TCP_ADDR",
        "VOBIZ_EXPORTER_CONFIG",
        "VOBIZ_EXPORTER_REVISION",
        "POLL_INTERVAL",
    ] {
        let loaded = with_variables(Some("minimal.ok.yaml"), &[(name, "x")]).unwrap();
        assert_eq!(loaded.warnings, [""; 0], "{name}");
    }
}

#[test]
fn a_misspelt_variable_is_a_warning_beside_the_errors_that_it_causes() {
    let errors = with_variables(None, &[("VOBIZ_AUTHID", "MA_1")]).unwrap_err();
    let message = errors.to_string();
    assert!(message.starts_with("there is no account"), "{message}");
    let warning =
        "\nwarning: environment variable VOBIZ_AUTHID is ignored; did you mean VOBIZ_AUTH_ID?";
    assert!(message.ends_with(warning), "{message}");
}

#[test]
fn a_name_that_reorders_a_line_is_refused() {
    for odd in ["\u{202e}", "\u{2066}", "\u{200f}", "\u{61c}"] {
        let name = format!("a{odd}b");
        let keys = "auth_id: MA_1, auth_token: abc";
        let must = "must be one line of at most 128 bytes, without white space at its ends and without \
                    bidirectional control characters";
        assert_eq!(
            errors_of(".yaml", &format!("accounts: [{{name: {name}, {keys}}}]")),
            format!("FILE:1: accounts[0].name: {must}")
        );
        let groups = format!("groups: [{{name: {name}, match: {{alias: x}}}}]");
        assert_eq!(
            errors_of(
                ".yaml",
                &format!("accounts: [{{name: a, {keys}, {groups}}}]")
            ),
            format!("FILE:1: accounts[0].groups[0].name: {must}")
        );
    }
}

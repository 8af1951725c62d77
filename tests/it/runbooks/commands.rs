//! Runs the commands of the runbooks and checks their output.

use std::collections::BTreeSet;

use regex::Regex;

use super::{
    forms::is_known,
    page::{Command, commands},
    stage::Stage,
};

/// An entry has a part of a command, the account for which the test runs the command, and a regular
/// expression for the output. The first entry whose part the command contains applies.
const SHOWN: [(&str, &str, &str); 13] = [
    ("EXPORTER:10059/-/healthy", "", "HTTP/1.1 200 OK"),
    ("localhost:10059/-/reload", "", "configuration reloaded"),
    (
        "journalctl -u vobiz-exporter --since -1h | grep 'account=ACCOUNT'",
        "branch",
        r#"message="walk failed" account=branch .*reason=auth "#,
    ),
    (
        "grep -E 'level=(warn|error)'",
        "",
        "level=warn .*keeping the token in use.*token file .* cannot be read",
    ),
    (
        "grep -E 'level=error|Main process exited'",
        "",
        "Main process exited, code=exited, status=2",
    ),
    (
        "--config.file=/etc/vobiz-exporter.yaml --config.check.live",
        "",
        r"main: endpoints: 22, (?s:.*)main: 1 rows could not be read(?s:.*)branch: FAILED: .*status 401",
    ),
    (
        "vobiz-exporter --config.file=/etc/vobiz-exporter.yaml --config.check",
        "",
        r"configuration is valid: 2 accounts \(main, branch\)",
    ),
    (
        "VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN_FILE=",
        "",
        "configuration is valid",
    ),
    (
        "/Endpoint/ID/",
        "main",
        r#""alias": "Front desk",\s+"sip_registered": "?false"#,
    ),
    (
        "/Endpoint/?limit=100",
        "main",
        r"(?m)^ +[0-9]+ (true|false|null)$",
    ),
    ("/api/v1/targets?state=any", "", r"^ +2 vobiz-exporter\n$"),
    ("/api/v1/targets | jq", "", "connect: connection refused"),
    (
        "promtool check config",
        "",
        "SUCCESS: .* is valid prometheus config",
    ),
];

#[tokio::test]
async fn every_runbook_command_shows_the_expected_output_or_has_a_known_form() {
    let stage = Stage::set().await;
    stage.refuse_the_token_for_a_short_time().await;
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    // The test in `silences.rs` runs the `amtool` commands.
    for command in commands().iter().filter(|one| !one.text.contains("amtool")) {
        if !seen.insert(&command.text) {
            continue;
        }
        let shown = SHOWN.iter().find(|(part, ..)| command.text.contains(part));
        let Some((_, account, expected)) = shown else {
            if !is_known(&command.text) {
                faults.push(format!("nothing is known of {command:?}"));
            }
            continue;
        };
        let ended = stage.run(command, account).await;
        let text = format!("{}{}", ended.out, ended.err);
        if !Regex::new(expected).unwrap().is_match(&text) {
            faults.push(format!("{command:?} does not show {expected}: {ended:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn commands_are_found_in_blocks_and_in_sentences() {
    let all: Vec<Command> = commands();
    for text in [
        "systemctl reload vobiz-exporter",
        "amtool silence query account=main",
    ] {
        assert!(all.iter().any(|one| one.text == text), "{all:#?}");
    }
}

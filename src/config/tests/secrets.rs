//! Tests that no message contains a token, wherever the token is in a configuration.

use std::fs;

use crate::config::load;

/// A token of letters and digits, like a real token. Messages quote an unknown lower-case key of this length.
const PLAIN: &str = "Zq9XmT4bW2kLr8vNpQ7sYd3hJf6gCa1uEo5iBw0x";
/// A token that begins with a common word and contains a dash.
const DASHED: &str = "secretive-Zq9XmT4bW2kLr8vN";

/// The error messages about a file with this content. Checks that they show no token.
fn errors_of(suffix: &str, content: &str, variables: &[(&str, &str)]) -> String {
    let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    fs::write(file.path(), content).unwrap();
    let variables = super::variables(variables);
    let errors = load(Some(file.path()), &variables).unwrap_err();
    assert_no_token(&format!("{errors:?}"));
    let message = errors.to_string();
    message.replace(&file.path().display().to_string(), "FILE")
}

fn assert_no_token(message: &str) {
    for part in ["Zq9", "secretive"] {
        assert!(!message.contains(part), "a message shows {part}: {message}");
    }
}

/// A configuration of one account with these additional keys, in YAML's flow style.
fn account(keys: &str) -> String {
    format!("accounts: [{{name: main, auth_id: X, {keys}}}]")
}

#[test]
fn a_token_behind_a_missing_space_is_not_shown() {
    for token in [PLAIN, DASHED] {
        for sign in [":", "="] {
            let message = errors_of(".yaml", &account(&format!("auth_token{sign}{token}")), &[]);
            assert_eq!(
                message,
                "FILE:1: accounts[0].auth_token…: unknown key \"auth_token…\"; write a colon and a \
                 space after auth_token\n\
                 FILE:1: accounts[0]: needs `auth_token_file` or `auth_token`"
            );
        }
    }
}

#[test]
fn a_token_in_the_place_of_a_key_is_not_shown() {
    for token in [PLAIN, DASHED] {
        let message = errors_of(".yaml", &account(&format!("auth_token: a, {token}: ")), &[]);
        assert_eq!(
            message,
            "FILE:1: accounts[0].…: unknown key \"…\" (not shown, it may hold a token)"
        );
        for keys in [
            format!("filter: {{{token}: x}}"),
            format!("applications: {{{token}: 1}}"),
            format!("applications: {{{token}: a, {token}: b}}"),
            format!("groups: [{{name: a, match: {{{token}: x}}}}]"),
            format!("poll: {{{token}: x}}"),
        ] {
            errors_of(".yaml", &account(&keys), &[]);
        }
        errors_of(".yaml", &format!("{token}: {token}"), &[]);
        errors_of(".yaml", &format!("auth_token:{token}: {token}"), &[]);
        let header = "[[accounts]]\nname = \"main\"\nauth_id = \"X\"\n";
        errors_of(".toml", &format!("{header}\"auth_token:{token}\" = 1"), &[]);
        errors_of(".toml", &format!("{header}{token} = 2020-01-01"), &[]);
        errors_of(".toml", &format!("{header}auth_token = {token}"), &[]);
    }
}

#[test]
fn a_token_in_the_place_of_its_files_name_is_not_shown() {
    for token in [PLAIN, DASHED] {
        let wrong = "the file that is named here cannot be read: No such file or directory (os error \
                     2); a token itself belongs in `auth_token`";
        assert_eq!(
            errors_of(".yaml", &account(&format!("auth_token_file: {token}")), &[]),
            format!("FILE:1: accounts[0].auth_token_file: {wrong}")
        );
        let pairs = [("VOBIZ_AUTH_ID", "X"), ("VOBIZ_AUTH_TOKEN_FILE", token)];
        assert_eq!(
            errors_of(".yaml", "", &pairs),
            format!(
                "environment variable VOBIZ_AUTH_TOKEN_FILE: accounts[0].auth_token_file: {wrong}"
            )
        );
        let name = "VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN_FILE";
        let file = account("auth_token_file: x");
        assert_eq!(
            errors_of(".yaml", &file, &[(name, token)]),
            format!("environment variable {name}: accounts[0].auth_token_file: {wrong}")
        );
        let message = errors_of(".yaml", &format!("api: {{ca_file: {token}}}"), &[]);
        assert!(
            message.contains("api.ca_file: the file that is named here cannot"),
            "{message}"
        );
    }
}

#[test]
fn no_value_of_an_account_is_shown() {
    let file = |keys: &str| account(&format!("auth_token: a, {keys}"));
    for (keys, wrong) in [
        (
            "poll: {interval: TOKEN}",
            "poll.interval: must be a duration",
        ),
        (
            "api: {page_size: TOKEN}",
            "api.page_size: must be a whole number",
        ),
        (
            "api: {max_page_bytes: TOKEN}",
            "api.max_page_bytes: must be a size",
        ),
        (
            "details: {mode: TOKEN}",
            "details.mode: must be one of auto, always, never",
        ),
        (
            "metrics: {username: TOKEN}",
            "metrics.username: must be true or false",
        ),
        (
            "metrics: {groups: [TOKEN]}",
            "metrics.groups[0]: must be one of user_agent, timestamps, permissions, contact",
        ),
        (
            "groups: [{name: a, match: {alias: x}, watch: TOKEN}]",
            "groups[0].watch: must be one of page, notice, ignore",
        ),
        (
            "groups: [{name: a, match: {alias: \"(TOKEN\"}}]",
            "groups[0].match.alias: the regular expression does not compile at character 1: unclosed group",
        ),
        (
            "groups: [{name: TOKEN, match: {alias: x}}, {name: TOKEN, match: {alias: x}}]",
            "groups[1].name: is also the name of accounts[0].groups[0]",
        ),
    ] {
        for token in [PLAIN, DASHED] {
            let message = errors_of(".yaml", &file(&keys.replace("TOKEN", token)), &[]);
            assert!(
                message.starts_with(&format!("FILE:1: accounts[0].{wrong}")),
                "{message}"
            );
        }
    }
    let twice = format!("{{name: {PLAIN}, auth_id: X, auth_token: a}}");
    assert_eq!(
        errors_of(".yaml", &format!("accounts: [{twice}, {twice}]"), &[]),
        "FILE:1: accounts[1].name: is also the name of accounts[0]; names must differ"
    );
}

#[test]
fn the_name_of_a_variable_is_shown_up_to_the_first_odd_character() {
    for name in ["VOBIZ_EXPORTER__API__RETRIES:", "VOBIZ_EXPORTER__API__"] {
        let message = errors_of(".yaml", "", &[(&format!("{name}-{DASHED}"), "")]);
        assert!(message.contains("unknown variable"), "{message}");
    }
    let message = errors_of(
        ".yaml",
        "",
        &[(&format!("VOBIZ_AUTH_TOKEN:{PLAIN}"), "\u{fffd}")],
    );
    assert!(
        message.contains("environment variable VOBIZ_AUTH_TOKEN…: is not UTF-8"),
        "{message}"
    );
}

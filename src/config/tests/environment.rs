//! Tests of environment variables for single keys and for the account `default`.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{errors_with, with_variables};
use crate::config::{ApiToken, Optional};

#[test]
fn the_environment_alone_gives_the_account_default() {
    let config = with_variables(
        None,
        &[
            ("VOBIZ_AUTH_ID", "MA_1"),
            ("VOBIZ_AUTH_TOKEN", "SECRET-1\n"),
            ("VOBIZ_AUTH_TOKEN_FILE", ""),
        ],
    )
    .unwrap()
    .config;
    let [account] = &config.accounts[..] else {
        panic!("one account")
    };
    assert_eq!(
        (account.name.as_str(), account.auth_id.as_str()),
        ("default", "MA_1")
    );
    let ApiToken::Inline(token) = &account.token else {
        panic!("an inline token")
    };
    assert_eq!(token.expose_secret(), "SECRET-1");
    assert_eq!(account.poll.deadline, Duration::from_secs(50));
    assert_eq!(account.poll.max_age, Duration::from_secs(300));
    assert_eq!(config.max_concurrent_requests, 32);
    assert_eq!(account.api.base_url.as_str(), "https://api.vobiz.ai/api/v1");
    assert_eq!(account.api.max_page_bytes, 8 << 20);
    assert_eq!(
        account.metrics.groups.iter().collect::<Vec<_>>(),
        [&Optional::UserAgent]
    );
}

#[test]
fn the_environments_account_is_ignored_with_a_warning_beside_a_configured_one() {
    let pairs = [("VOBIZ_AUTH_ID", "MA_9"), ("VOBIZ_AUTH_TOKEN", "SECRET-9")];
    let loaded = with_variables(Some("minimal.ok.yaml"), &pairs).unwrap();
    assert_eq!(loaded.config.accounts.len(), 1);
    assert_eq!(loaded.config.accounts[0].auth_id, "MA_TEST0001");
    assert_eq!(
        loaded.warnings,
        ["VOBIZ_AUTH_ID, VOBIZ_AUTH_TOKEN ignored: the configuration lists accounts of its own"]
    );
}

#[test]
fn half_an_account_in_the_environment_is_an_error_that_names_the_variables() {
    assert_eq!(
        errors_with(&[("VOBIZ_AUTH_TOKEN", "SECRET-1")], None),
        "environment variable VOBIZ_AUTH_TOKEN: is set, but VOBIZ_AUTH_ID is not; both together make an account"
    );
    assert_eq!(
        errors_with(&[("VOBIZ_AUTH_ID", "MA_1")], None),
        "environment variable VOBIZ_AUTH_ID: accounts[0]: needs VOBIZ_AUTH_TOKEN_FILE or VOBIZ_AUTH_TOKEN"
    );
    assert!(
        errors_with(&[("VOBIZ_AUTH_ID", "MA_1"), ("VOBIZ_AUTH_TOKEN_FILE", "/nowhere")], None)
            .starts_with("environment variable VOBIZ_AUTH_TOKEN_FILE: accounts[0].auth_token_file: token file /nowhere cannot be read")
    );
    assert!(errors_with(&[], None).contains("VOBIZ_AUTH_ID"));
    assert!(errors_with(&[], None).contains("--config.file"));
}

#[test]
fn every_scalar_can_be_set_by_the_environment_over_the_file() {
    let config = with_variables(
        Some("everything.ok.yaml"),
        &[
            (
                "VOBIZ_EXPORTER__API__BASE_URL",
                "https://other.test/api/v1/",
            ),
            ("VOBIZ_EXPORTER__API__PAGE_SIZE", "20"),
            ("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "0"),
            ("VOBIZ_EXPORTER__API__PROXY_URL", ""),
            ("VOBIZ_EXPORTER__METRICS__GROUPS", "timestamps, contact"),
            ("VOBIZ_EXPORTER__METRICS__USERNAME", "false"),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_ID", "0123"),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__POLL__INTERVAL", "20s"),
            (
                "VOBIZ_EXPORTER__ACCOUNTS__0__GROUPS__2__MATCH__ALIAS",
                "DEL-.*",
            ),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__APPLICATIONS__0042", "Sales"),
            (
                "VOBIZ_EXPORTER__ACCOUNTS__0__FILTER__ALIAS__CONTAINS",
                "desk",
            ),
            ("VOBIZ_EXPORTER_WEB_SOMETHING", "is not ours"),
        ],
    )
    .unwrap()
    .config;
    let account = &config.accounts[0];
    assert_eq!(account.api.base_url.as_str(), "https://other.test/api/v1");
    assert_eq!(account.api.page_size, 20);
    assert_eq!(account.api.requests_per_second, None);
    assert!(!account.metrics.username);
    assert_eq!(account.metrics.groups.len(), 2);
    assert_eq!(account.auth_id, "0123");
    assert_eq!(account.poll.interval, Duration::from_secs(20));
    assert!(
        account.groups[2]
            .matches
            .alias
            .as_ref()
            .unwrap()
            .is_match("DEL-7")
    );
    assert_eq!(account.applications["0042"], "Sales");
    assert_eq!(account.filter["alias__contains"], "desk");
    assert_eq!(account.applications["12345678901234567"], "Support");
}

#[test]
fn a_variable_without_a_key_is_an_error_that_names_it() {
    let message = errors_with(
        &[
            ("VOBIZ_EXPORTER__API__PAGESIZE", "20"),
            ("VOBIZ_EXPORTER__API__page_size", "20"),
            ("VOBIZ_EXPORTER__API", "20"),
            ("VOBIZ_EXPORTER__API__PAGE_SIZE__X", "20"),
            ("VOBIZ_EXPORTER__API__RETRIES", "many"),
            ("VOBIZ_EXPORTER__ACCOUNTS__7__NAME", "x"),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__FILTER__LIMIT", "1"),
            (
                "VOBIZ_EXPORTER__ACCOUNTS__0__API__MAX_CONCURRENT_REQUESTS",
                "1",
            ),
            ("VOBIZ_EXPORTER__ACCOUNTS__00__NAME", "x"),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__APPLICATIONS__", "x"),
            ("VOBIZ_EXPORTER__ACCOUNTS__0__APPLICATIONS__A.B", "x"),
            ("VOBIZ_EXPORTER__", ""),
        ],
        Some("minimal.ok.yaml"),
    );
    insta::assert_snapshot!(message, @r#"
environment variable VOBIZ_EXPORTER__API__PAGESIZE: unknown variable: there is no PAGESIZE; did you mean `PAGE_SIZE`?
environment variable VOBIZ_EXPORTER__API__page_size: unknown variable: there is no page_size; did you mean `PAGE_SIZE`?
environment variable VOBIZ_EXPORTER__API: is not one value; name a key below api
environment variable VOBIZ_EXPORTER__API__PAGE_SIZE__X: unknown variable: there is no key below api.page_size
environment variable VOBIZ_EXPORTER__ACCOUNTS__7__NAME: unknown variable: accounts has 1 items, numbered from 0; the environment cannot add one
environment variable VOBIZ_EXPORTER__ACCOUNTS__0__FILTER__LIMIT: unknown variable: there is no LIMIT (known are USERNAME__CONTAINS, USERNAME__EXACT, USERNAME__STARTSWITH, ALIAS__CONTAINS, ALIAS__EXACT, APPLICATION_ID__EXACT, APPLICATION_ID__ISNULL, SUB_ACCOUNT)
environment variable VOBIZ_EXPORTER__ACCOUNTS__0__API__MAX_CONCURRENT_REQUESTS: counts for the whole process; set it in `api` at the top level
environment variable VOBIZ_EXPORTER__ACCOUNTS__00__NAME: unknown variable: accounts has 1 items, numbered from 0; the environment cannot add one
environment variable VOBIZ_EXPORTER__ACCOUNTS__0__APPLICATIONS__: such an id can only be written in the file
environment variable VOBIZ_EXPORTER__ACCOUNTS__0__APPLICATIONS__A…: such an id can only be written in the file
environment variable VOBIZ_EXPORTER__: unknown variable: it ends too early
environment variable VOBIZ_EXPORTER__API__RETRIES: api.retries: must be a whole number from 0 to 10, not "many"
    "#);
}

#[test]
fn a_shorter_interval_brings_a_shorter_deadline_and_a_longer_one_a_longer_max_age() {
    let account = [("VOBIZ_AUTH_ID", "MA_1"), ("VOBIZ_AUTH_TOKEN", "SECRET-1")];
    for (interval, deadline, max_age) in [("30s", 25, 300), ("6s", 5, 300), ("10m", 50, 3000)] {
        let mut pairs = account.to_vec();
        pairs.push(("VOBIZ_EXPORTER__POLL__INTERVAL", interval));
        let poll = with_variables(None, &pairs).unwrap().config.accounts[0]
            .poll
            .clone();
        assert_eq!(poll.deadline, Duration::from_secs(deadline));
        assert_eq!(poll.max_age, Duration::from_secs(max_age));
    }
}

#[test]
fn an_account_keeps_its_line_under_a_variable_for_one_of_its_keys() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(
        file.path(),
        "# comment\naccounts:\n  - auth_token: SECRET\n",
    )
    .unwrap();
    let pairs = super::variables(&[
        ("VOBIZ_EXPORTER__ACCOUNTS__0__NAME", "main"),
        ("VOBIZ_EXPORTER__ACCOUNTS__0__POLL__INTERVAL", "30s"),
    ]);
    let message = crate::config::load(Some(file.path()), &pairs)
        .unwrap_err()
        .to_string();
    let file = file.path().display();
    assert_eq!(
        message,
        format!("{file}:3: accounts[0]: needs an `auth_id`, such as MA_XXXXXXXX")
    );
}

#[test]
fn the_folder_of_systemd_is_used_unless_the_configuration_names_another() {
    let directory = |pairs: &[(&str, &str)]| {
        let pairs = [
            &[
                ("VOBIZ_AUTH_ID", "MA_1"),
                ("VOBIZ_AUTH_TOKEN", "test-token"),
            ],
            pairs,
        ]
        .concat();
        let config = with_variables(None, &pairs).unwrap().config;
        config
            .state
            .directory
            .map(|path| path.display().to_string())
    };
    let systemd = ("STATE_DIRECTORY", "/var/lib/vobiz-exporter:/var/lib/other");
    assert_eq!(directory(&[]), None);
    assert_eq!(
        directory(&[systemd]).as_deref(),
        Some("/var/lib/vobiz-exporter")
    );
    let own = ("VOBIZ_EXPORTER__STATE__DIRECTORY", "/srv/state");
    assert_eq!(directory(&[systemd, own]).as_deref(), Some("/srv/state"));
    assert_eq!(directory(&[("STATE_DIRECTORY", "")]), None);
    let relative = ("STATE_DIRECTORY", "relative");
    assert_eq!(directory(&[relative, own]).as_deref(), Some("/srv/state"));
    assert_eq!(
        errors_with(
            &[
                ("VOBIZ_AUTH_ID", "MA_1"),
                ("VOBIZ_AUTH_TOKEN", "test-token"),
                relative,
            ],
            None
        ),
        "environment variable STATE_DIRECTORY: must name a folder with its full path, such as /var/lib/vobiz-exporter"
    );
}

//! Tests every file in `testdata`. Each file `*.ok.*` must be accepted. Each file `*.bad.*` must fail with
//! exactly the messages in its `.err` file.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::ExposeSecret;

mod environment;
mod limits;
mod oddities;
mod secrets;

use super::{ApiToken, Config, Errors, Loaded, Watch, load};

/// Every token and password in `testdata` that is no number, date, time or path contains one of these texts.
const SECRETS: [&str; 4] = ["SECRET", "test-token", "quoted#token", "proxy-password"];

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/testdata")
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(testdata())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(&format!(".{kind}.yaml")) || name.ends_with(&format!(".{kind}.toml"))
        })
        .collect();
    found.sort();
    assert!(found.len() > 1, "fixtures of {kind}");
    found
}

fn fixture(name: &str) -> Config {
    load(Some(&testdata().join(name)), &[])
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn with_variables(file: Option<&str>, pairs: &[(&str, &str)]) -> Result<Loaded, Errors> {
    let file = file.map(|name| testdata().join(name));
    load(file.as_deref(), &variables(pairs))
}

fn without_folder(errors: &Errors) -> String {
    errors
        .to_string()
        .replace(&format!("{}/", testdata().display()), "")
}

fn errors_with(pairs: &[(&str, &str)], file: Option<&str>) -> String {
    without_folder(&with_variables(file, pairs).unwrap_err())
}

#[test]
fn every_good_file_loads_and_shows_no_secret() {
    for path in fixtures("ok") {
        let loaded = load(Some(&path), &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let shown = format!(
            "{loaded:?}\n{:#?}\n{}",
            loaded.config,
            loaded.config.redacted()
        );
        for secret in SECRETS {
            assert!(
                !shown.contains(secret),
                "{} shows {secret}: {shown}",
                path.display()
            );
        }
    }
}

#[test]
fn every_bad_file_fails_with_its_message_and_shows_no_secret() {
    // `UPDATE_EXPECTED=1 cargo test` writes the current messages into the `.err` files. Review the changes.
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    for path in fixtures("bad") {
        let errors = load(Some(&path), &[]).expect_err(&path.display().to_string());
        let message = format!("{}\n", without_folder(&errors));
        let expected = path.with_extension("err");
        if update {
            fs::write(&expected, &message).unwrap();
        }
        let expected = fs::read_to_string(&expected).expect("a file with the expected messages");
        assert_eq!(message, expected, "{}", path.display());
        assert_eq!(
            message.lines().count(),
            errors.0.len(),
            "one line for each error:\n{message}"
        );
        for secret in SECRETS {
            assert!(
                !format!("{message}{errors:?}").contains(secret),
                "{}: {message}",
                path.display()
            );
        }
    }
}

#[test]
fn the_default_file_gives_no_warning_and_its_example_is_valid() {
    let account = [("VOBIZ_AUTH_ID", "MA_1"), ("VOBIZ_AUTH_TOKEN", "SECRET-1")];
    let plain = with_variables(None, &account).unwrap();
    assert!(plain.warnings.is_empty());

    // A commented example follows `accounts: []`. Each line of the example begins with `#  `.
    let (settings, example) = super::DEFAULT_YAML.split_once("accounts: []").unwrap();
    let example: Vec<_> = example
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .collect();
    let example = example.join("\n");
    let example = format!("{settings}accounts:{example}");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "SECRET-1").unwrap();
    let file = folder.path().join("example.yaml");
    let example = example.replace("/run/secrets/vobiz-token", token.to_str().unwrap());
    fs::write(&file, &example).unwrap();
    let example = load(Some(&file), &[]).unwrap_or_else(|errors| panic!("{errors}\n{example}"));
    assert_eq!(example.config.accounts[0].groups.len(), 3);
    assert_eq!(example.config.accounts[0].filter.len(), 2);
    assert_eq!(
        plain.config.accounts[0].poll.interval,
        Duration::from_secs(60)
    );
}

#[test]
fn the_redacted_configuration_can_be_loaded_again_with_the_same_result() {
    for name in [
        "everything.ok.yaml",
        "everything.ok.toml",
        "ca-file.ok.yaml",
        "insecure-http-allowed.ok.yaml",
        "probe.ok.yaml",
    ] {
        let shown = fixture(name).redacted();
        let file = tempfile::Builder::new()
            .suffix(".yaml")
            .tempfile_in(testdata())
            .unwrap();
        fs::write(file.path(), &shown).unwrap();
        let again =
            load(Some(file.path()), &[]).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
        assert_eq!(again.config.redacted(), shown);
    }
}

#[test]
fn an_inherited_deadline_is_shortened_to_an_accounts_own_interval_with_a_warning() {
    let path = testdata().join("everything.ok.yaml");
    let loaded = load(Some(&path), &[]).unwrap();
    let poll = &loaded.config.accounts[0].poll;
    assert_eq!(
        (poll.interval, poll.deadline),
        (Duration::from_secs(30), Duration::from_secs(25))
    );
    assert_eq!(
        loaded.warnings,
        [
            "accounts[0].poll: the inherited deadline 50s is above the interval 30s of this account; 25s is used"
        ]
    );
}

#[test]
fn a_rate_of_details_above_the_limiter_gives_a_warning_where_details_are_on() {
    let warnings = |mode: &str| {
        let pairs = [
            ("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "0.5"),
            ("VOBIZ_EXPORTER__DETAILS__MODE", mode),
        ];
        let loaded = with_variables(Some("minimal.ok.yaml"), &pairs).unwrap();
        loaded.warnings.join("\n")
    };
    assert_eq!(
        warnings("auto"),
        "details.requests_per_minute: 60 is more than the 30 requests per minute that \
         api.requests_per_second leaves account main, walks included"
    );
    assert_eq!(warnings("never"), "");
}

#[test]
fn probes_that_leave_walks_less_than_half_give_a_warning_where_they_are_on() {
    let warnings = |pairs: &[(&str, &str)]| {
        let loaded = with_variables(Some("probe.ok.yaml"), pairs).unwrap();
        loaded.warnings.join("\n")
    };
    assert_eq!(warnings(&[]), "");
    let slow = ("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "4");
    assert_eq!(
        warnings(&[slow]),
        "probe.requests_per_second: 2.5 is more than half of the 4 requests per second of account \
         main; its walks may take more than twice as long"
    );
    assert_eq!(
        warnings(&[slow, ("VOBIZ_EXPORTER__PROBE__ENABLED", "false")]),
        ""
    );
    assert_eq!(
        warnings(&[("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "0")]),
        ""
    );
}

#[test]
fn accounts_override_poll_api_and_metrics_key_by_key() {
    let config = fixture("everything.ok.toml");
    let account = &config.accounts[0];
    assert_eq!(account.poll.interval, Duration::from_secs(30));
    assert!((account.poll.flip_share - 0.25).abs() < f64::EPSILON);
    assert_eq!(account.api.page_size, 50);
    assert_eq!(fixture("ca-file.ok.yaml").accounts[0].api.ca_file, None);
    assert!(
        fixture("ca-file.ok.yaml").accounts[0]
            .api
            .proxy_url
            .is_some()
    );
}

#[test]
fn no_written_text_is_altered() {
    let config = fixture("quoted-numbers.ok.yaml");
    let account = &config.accounts[0];
    assert_eq!(
        (account.name.as_str(), account.auth_id.as_str()),
        ("007", "0123")
    );
    assert_eq!(account.applications["0123"], "42");
    assert_eq!(account.applications["Abc"], "Case stays");
    assert_eq!(
        fixture("everything.ok.toml").accounts[0].applications["Ab"],
        "Case stays"
    );
    assert_eq!(fixture("empty-sections.ok.yaml").accounts[0].name, "yes");
    let ApiToken::Inline(token) = &account.token else {
        panic!("an inline token")
    };
    assert_eq!(token.expose_secret(), "1e5");
    assert_eq!(account.filter.len(), 2);
    assert_eq!(account.filter["application_id__exact"], "12345678901234567");
    assert_eq!(account.filter["application_id__isnull"], "true");
}

#[test]
fn group_expressions_match_the_whole_text_and_the_first_group_keeps_its_place() {
    let config = fixture("everything.ok.yaml");
    let groups = &config.accounts[0].groups;
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["reception", "webrtc", "bangalore"]);
    assert_eq!(groups[0].watch, Watch::Page);
    assert_eq!(groups[2].watch, Watch::Notice);
    let alias = groups[0].matches.alias.as_ref().unwrap();
    assert!(alias.is_match("Reception 2"));
    assert!(!alias.is_match("Old Reception"));
}

#[test]
fn aliases_that_repeat_too_much_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{below}]").unwrap();
    }
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    let errors = load(Some(file.path()), &[]).unwrap_err();
    assert!(errors.to_string().contains("repeat too much"), "{errors}");
}

#[test]
fn a_missing_file_is_named() {
    let errors = load(Some(Path::new("/nowhere/vobiz.yaml")), &[]).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("/nowhere/vobiz.yaml: cannot be read"),
        "{errors}"
    );
    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn a_file_from_another_editor_with_a_byte_order_mark_and_carriage_returns_loads() {
    let text =
        "\u{feff}accounts:\r\n  - name: main\r\n    auth_id: MA_1\r\n    auth_token: SECRET-1\r\n";
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    let config = load(Some(file.path()), &[])
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config;
    assert_eq!(
        (
            config.accounts[0].name.as_str(),
            config.accounts[0].auth_id.as_str()
        ),
        ("main", "MA_1")
    );
}

//! Checks the configurations in `docs/configuration.md`, `src/config` and `deploy/`.

use std::path::{Path, PathBuf};

use crate::harness::{Ended, Program};

/// The default configuration that the program contains.
const DEFAULT: &str = include_str!("../../src/config/default.yaml");
const DOCUMENT: &str = include_str!("../../docs/configuration.md");
/// The path of the token file in the examples.
const TOKEN_FILE: &str = "/run/secrets/vobiz-token";

/// The code blocks of this language in `docs/configuration.md`.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    let mut parts = DOCUMENT.split(fence.as_str());
    parts.next();
    let end = |block: &'static str| block.find("\n```\n").expect("a block ends") + 1;
    parts.map(|block| &block[..end(block)]).collect()
}

/// A folder with a token file. The path of the file replaces `TOKEN_FILE` in each configuration.
struct ConfigCheck {
    folder: tempfile::TempDir,
}

impl ConfigCheck {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "abc\n").unwrap();
        Self { folder }
    }

    fn check(&self, name: &str, text: &str) -> Program {
        let token = self.folder.path().join("token");
        let file = self.folder.path().join(name);
        let text = text.replace(TOKEN_FILE, token.to_str().unwrap());
        std::fs::write(&file, text).unwrap();
        Program::new(&["--config.check", "--config.file", file.to_str().unwrap()])
    }
}

fn assert_valid(ended: &Ended, said: &str) {
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.out, said);
}

const ONE_ACCOUNT: &str = "configuration is valid: 1 account (main)\n";

#[tokio::test]
async fn the_complete_example_is_valid() {
    let example = blocks("yaml")[0];
    for words in [
        "flip_share: 0.5",
        "username__startswith",
        "watch: page",
        "applications: {",
    ] {
        assert!(example.contains(words), "{words}");
    }
    // The inherited deadline is longer than the interval of this account, so the check warns.
    let said = format!(
        "warning: accounts[0].poll: the inherited deadline 50s is above the interval 30s \
         of this account; 25s is used\n{ONE_ACCOUNT}"
    );
    assert_valid(
        &ConfigCheck::new().check("a.yaml", example).run().await,
        &said,
    );
}

#[tokio::test]
async fn the_example_in_toml_is_valid() {
    let [example] = blocks("toml")[..] else {
        panic!("one block")
    };
    assert_valid(
        &ConfigCheck::new().check("a.toml", example).run().await,
        ONE_ACCOUNT,
    );
}

#[tokio::test]
async fn every_variable_of_the_example_sets_something() {
    let [variables] = blocks("sh")[..] else {
        panic!("one block")
    };
    let check = ConfigCheck::new();
    let mut program = check.check("a.yaml", blocks("yaml")[0]);
    for line in variables.lines() {
        let (name, value) = line.split_once('=').unwrap();
        program = program.set(name, value);
    }
    assert_valid(&program.run().await, ONE_ACCOUNT);
}

#[test]
fn the_document_shows_the_embedded_default_word_for_word() {
    let [_, reference] = blocks("yaml")[..] else {
        panic!("two blocks")
    };
    assert!(
        reference == DEFAULT,
        "docs/configuration.md must end with src/config/default.yaml as it is"
    );
}

#[tokio::test]
async fn the_account_that_the_default_shows_as_a_comment_is_valid() {
    let (settings, account) = DEFAULT.split_once("accounts: []\n").unwrap();
    let account = account.lines().map(|line| line.strip_prefix('#').unwrap());
    let account = account.collect::<Vec<_>>().join("\n");
    assert!(account.contains("applications:"), "{account}");
    let text = format!("{settings}accounts:\n{account}\n");
    assert_valid(
        &ConfigCheck::new().check("a.yaml", &text).run().await,
        ONE_ACCOUNT,
    );
}

#[tokio::test]
async fn the_default_itself_needs_an_account_and_nothing_else() {
    let check = ConfigCheck::new();
    let alone = check.check("a.yaml", DEFAULT).run().await;
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.err.contains("there is no account"), "{alone:?}");
    let with_one = check
        .check("a.yaml", DEFAULT)
        .set("VOBIZ_AUTH_ID", "MA_1")
        .set("VOBIZ_AUTH_TOKEN_FILE", check.folder.path().join("token"))
        .run()
        .await;
    assert_valid(&with_one, "configuration is valid: 1 account (default)\n");
}

/// The test files of the module `config` whose names contain this kind, `ok` or `bad`.
fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/testdata");
    let files = folder.read_dir().unwrap().map(|file| file.unwrap().path());
    let is_wanted = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        [".yaml", ".toml"]
            .iter()
            .any(|end| name.ends_with(&format!(".{kind}{end}")))
    };
    let found: Vec<_> = files.filter(is_wanted).collect();
    assert!(found.len() > 5, "fixtures of {kind}");
    found
}

#[tokio::test]
async fn valid_files_are_accepted_and_invalid_ones_refused_with_their_messages() {
    for file in fixtures("ok") {
        let arguments = ["--config.check", "--config.file", file.to_str().unwrap()];
        let ended = Program::new(&arguments).run().await;
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", file.display());
    }
    for file in fixtures("bad") {
        let arguments = ["--config.check", "--config.file", file.to_str().unwrap()];
        let ended = Program::new(&arguments).run().await;
        let expected = std::fs::read_to_string(file.with_extension("err")).unwrap();
        let folder = format!("{}/", file.parent().unwrap().display());
        let said = ended.err.replace(&folder, "");
        assert_eq!(said.trim_end(), expected.trim_end(), "{}", file.display());
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    }
}

#[tokio::test]
async fn a_file_nested_without_end_is_refused_like_any_other_error() {
    let deep = "- ".repeat(100_000);
    let ended = ConfigCheck::new().check("deep.yaml", &deep).run().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains("nested deeper than"), "{ended:?}");
    assert!(ended.err.len() < 400, "{ended:?}");
}

#[tokio::test]
async fn a_variable_of_ours_that_is_not_text_is_refused_and_not_dropped() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    for name in ["VOBIZ_EXPORTER__POLL__INTERVAL", "VOBIZ_AUTH_ID"] {
        let ended = ConfigCheck::new()
            .check("a.toml", blocks("toml")[0])
            .set(name, OsStr::from_bytes(b"5m\xff"))
            .set("SOMEBODY_ELSES", OsStr::from_bytes(b"\xff"))
            .run()
            .await;
        let said = format!("environment variable {name}: is not UTF-8 text");
        let errors = ended
            .err
            .lines()
            .filter(|line| !line.starts_with("warning: "));
        assert_eq!(errors.collect::<Vec<_>>(), [said]);
        assert_eq!(ended.code, Some(2));
    }
}

#[tokio::test]
async fn a_pipe_without_a_writer_does_not_block_the_exporter() {
    let check = ConfigCheck::new();
    let pipe = check.folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let with_authority = format!(
        "{}[accounts.api]\nca_file = \"{pipe}\"\n",
        blocks("toml")[0]
    );
    for program in [
        Program::new(&["--config.check", "--config.file", pipe]),
        check.check("a.toml", &with_authority),
    ] {
        let ended = program.run().await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("is not a regular file"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_proxy_variable_that_is_no_proxy_is_warned_of() {
    let check = ConfigCheck::new();
    let program = check.check("a.toml", blocks("toml")[0]);
    let ended = program.set("HTTPS_PROXY", ":::bad").run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.starts_with("warning: HTTPS_PROXY ignored"),
        "{ended:?}"
    );
    assert!(!ended.out.contains(":::bad"), "{ended:?}");
}

#[tokio::test]
async fn the_shipped_configuration_can_be_checked_without_secrets() {
    for file in ["deploy/exporter.yaml", "deploy/systemd/exporter.yaml"] {
        let file = format!("--config.file={file}");
        let with = Program::new(&["--config.check", &file]).run().await;
        assert_eq!(with.code, Some(2), "{with:?}");
        assert!(with.err.contains("cannot be read"), "{with:?}");
        let without = Program::new(&["--config.check.no-secrets", &file]);
        let said = format!("{ONE_ACCOUNT}token files were not read\n");
        assert_valid(&without.run().await, &said);
    }
}

#[tokio::test]
async fn without_secrets_every_other_error_is_reported() {
    let text = std::fs::read_to_string("deploy/exporter.yaml").unwrap();
    let text = text.replace("watch: page", "watch: pge");
    let checked = Program::configured(&text, &["--config.check.no-secrets"]);
    let checked = checked.run().await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.err.contains("watch"), "{checked:?}");
    assert!(!checked.err.contains("token"), "{checked:?}");
}

//! The fuzz target `config`: the text of a configuration, and environment variables.

use std::{fs, sync::LazyLock};

use tempfile::TempDir;

use super::secrets::Secret;
use crate::config::{Errors, Loaded, load};

/// The line between the text of the file and the lines with variables.
const VARIABLES: &str = "\n%%\n";
/// The most errors, with the line that gives the number of further errors.
const MAX_ERRORS: usize = 101;

static TOKEN: LazyLock<Secret> = LazyLock::new(|| Secret {
    placeholder: "@token@",
    text: "Zq9XmT4bW2kLr8vNpQ7sYd3hJf6gCa1uEo5iBw0x".to_owned(),
});

/// A folder with the files that the text can name.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
    let authorities = include_str!("../config/testdata/ca.pem");
    for (name, text) in [("ca.pem", authorities), ("token.txt", &TOKEN.text)] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    folder
});

/// Loads the bytes as YAML, which includes JSON, or as TOML.
pub fn check_configuration(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    let content = TOKEN.insert(&input);
    let (text, variables) = content.split_once(VARIABLES).unwrap_or((&content, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<_> = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Each load reads the default, too, which takes most of the time. So each input has one format.
    let is_toml = text.starts_with('[') || text.contains(" = ");
    let file = FOLDER
        .path()
        .join(if is_toml { "vobiz.toml" } else { "vobiz.yaml" });
    fs::write(&file, text).expect("the folder is writable");
    let loaded = load(Some(&file), &variables);
    match &loaded {
        Ok(loaded) => check_loaded(loaded, &input),
        Err(errors) => check_errors(errors, &input),
    }
    if bytes.len().is_multiple_of(8) {
        let again = load(Some(&file), &variables);
        let [first, second] = [loaded, again].map(|loaded| format!("{loaded:?}"));
        assert_eq!(first, second, "the same file loads the same");
    }
}

fn check_errors(errors: &Errors, input: &str) {
    let shown = errors.to_string();
    assert_eq!(shown.lines().count(), errors.0.len(), "{shown}");
    let is_warning = |message: &str| message.starts_with("warning: ");
    let all = errors.0.iter().filter(|one| !is_warning(&one.message));
    assert!((1..=MAX_ERRORS).contains(&all.count()), "{shown}");
    // The name of a file is shown if it has a dot or a slash. A token has neither.
    let token = format!("/{} ", TOKEN.text);
    let is_name = |line: &&str| line.contains(" cannot be read: ") && !line.contains(&token);
    for line in shown.lines().filter(|line| !is_name(line)) {
        TOKEN.check_hidden(input, line);
    }
}

fn check_loaded(loaded: &Loaded, input: &str) {
    for warning in &loaded.warnings {
        assert!(!warning.contains('\n'), "{warning:?}");
        TOKEN.check_hidden(input, warning);
    }
    assert!(!loaded.config.accounts.is_empty(), "there is an account");
    // A token that is also a name, or that an alias repeats, is shown.
    let is_token = |(start, _): (usize, &str)| input[..start].trim_end().ends_with("auth_token:");
    if !input.contains('*') && input.match_indices(TOKEN.placeholder).all(is_token) {
        let shown = format!("{loaded:?} {}", loaded.config.redacted());
        TOKEN.check_hidden(input, &shown);
    }
}

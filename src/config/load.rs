//! From files and variables to a valid configuration, or to every mistake at once.

use std::path::Path;

use config::ValueKind;

use super::{
    accounts, authorities,
    entry::Section,
    environment::{self, NO_ACCOUNT},
    layers, misspelt,
    mistake::{Errors, Report},
    model::Config,
    settings::{self, Keys},
};

/// A valid configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is valid, but perhaps not meant; each one line, to be logged once.
    pub warnings: Vec<String>,
}

/// Loads the configuration: the embedded default, `file` over it (YAML; TOML if it ends in `.toml`),
/// `environment` (names and values of the process's variables) over both. What is not text in a variable
/// is expected as U+FFFD there.
///
/// Reads token files and CA files too, so that a missing one is found at start. Errors hold
/// everything that is wrong, never only the first, and never a secret.
pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Loaded, Errors> {
    loaded(file, environment, Report::default())
}

/// The same where secrets are not: no token file is read, and its token is empty.
pub fn load_without_secrets(
    file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Loaded, Errors> {
    let report = Report {
        without_secrets: true,
        ..Report::default()
    };
    loaded(file, environment, report)
}

fn loaded(
    file: Option<&Path>,
    environment: &[(String, String)],
    mut report: Report,
) -> Result<Loaded, Errors> {
    report.file = file
        .map(|file| file.display().to_string())
        .unwrap_or_default();
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    environment::check_text(environment, &mut report);
    misspelt::warn(environment, &mut report);
    authorities::check_environment(environment, &mut report);
    let tree = layers::tree(file, environment, &mut report);
    let config = walk(&Section::root(&tree), folder, &mut report);
    match config {
        Some(config) if report.mistakes.is_empty() => {
            environment::check_proxies(environment, &config.accounts, &mut report);
            settings::check_budget(&config.accounts, &mut report);
            settings::check_share(&config.probe, &config.accounts, &mut report);
            Ok(Loaded {
                config,
                warnings: report.warnings,
            })
        }
        _ => Err(report.into_errors()),
    }
}

fn walk(root: &Section<'_>, folder: &Path, report: &mut Report) -> Option<Config> {
    let global = Keys::read(root, folder, report);
    global.poll.finish(&root.section("poll"), report);
    global.api.check_scheme(None, &root.section("api"), report);
    let probe = settings::probe(&root.section("probe"), report);
    let is_list = |kind: &ValueKind| matches!(kind, ValueKind::Array(_) | ValueKind::Nil);
    let accounts_is_list = root
        .section("accounts")
        .value
        .is_some_and(|accounts| is_list(&accounts.kind));
    if accounts_is_list && root.items("accounts").is_empty() && !report.incomplete {
        report.whole("", NO_ACCOUNT);
    }
    let accounts = accounts::read(root, &global, folder, report)?;
    Some(Config {
        max_concurrent_requests: global.api.max_concurrent_requests()?,
        probe: probe?,
        accounts,
    })
}

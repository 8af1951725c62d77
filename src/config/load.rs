//! Merges the layers of a configuration: `default.yaml`, the operator's file, the environment.

use std::{io, path::Path};

use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};

use config::{ConfigError, Map, Value, ValueKind, builder::DefaultState};

use super::{
    DEFAULT_YAML,
    account::{self, Config},
    environment::{self, Variables},
    error::{Diagnostics, Errors},
    known_keys::{Node, ROOT},
    values::{read_bounded, read_regular},
    yaml_toml,
};

/// The maximum size of a configuration, in bytes. Parsing one byte may use a hundred bytes of memory.
const MAX_CONFIGURATION: u64 = 1 << 20;

/// A valid configuration and its warnings.
#[derive(Debug)]
pub struct Loaded {
    /// The validated settings.
    pub config: Config,
    /// Warnings about settings and variables that may be unintended. Each warning is one line.
    pub warnings: Vec<String>,
}

/// Loads the configuration. `file` (TOML if its name ends in `.toml`, else YAML) overrides the default. The
/// environment `variables` override the file and the default. The caller replaces invalid UTF-8 by U+FFFD.
///
/// Also reads token files and CA files, so that the start fails if a file is missing. Returns all errors
/// together. No error holds a secret.
pub fn load(file: Option<&Path>, variables: &Variables) -> Result<Loaded, Errors> {
    load_file(file, variables, false)
}

/// The SHA-256 digest of a configuration file.
pub type FileDigest = [u8; SHA256_OUTPUT_LEN];

/// The digest of the configuration `file`. `None` if it cannot be read, or if it is an inherited file descriptor, which
/// can be read only once.
pub fn file_digest(file: &Path) -> Option<FileDigest> {
    if is_descriptor(file) {
        return None;
    }
    let content = read_regular(file, MAX_CONFIGURATION).ok()?;
    digest::digest(&SHA256, &content).as_ref().try_into().ok()
}

/// Loads the configuration like [`load()`], but reads no token files. Tokens from files are then empty text.
pub fn load_without_secrets(file: Option<&Path>, variables: &Variables) -> Result<Loaded, Errors> {
    load_file(file, variables, true)
}

/// Loads the configuration like [`load()`], with the text `yaml` instead of a file.
pub fn load_yaml(yaml: &str, variables: &Variables) -> Result<Loaded, Errors> {
    let diagnostics = Diagnostics::new(None, false);
    let operator = yaml_toml::yaml(yaml, "", &diagnostics);
    load_layers(operator, variables, diagnostics)
}

fn load_file(
    file: Option<&Path>,
    variables: &Variables,
    without_secrets: bool,
) -> Result<Loaded, Errors> {
    let diagnostics = Diagnostics::new(file, without_secrets);
    let operator = file.map_or_else(Map::new, |file| read_file(file, &diagnostics));
    load_layers(operator, variables, diagnostics)
}

/// Merges and validates the default, the layer of the `operator`, and the environment.
fn load_layers(
    operator: Map<String, Value>,
    variables: &Variables,
    diagnostics: Diagnostics,
) -> Result<Loaded, Errors> {
    environment::check_variables(variables, &diagnostics);
    let tree = merged(operator, variables, &diagnostics);
    let state_directory = variables.iter().find(|(name, _)| name == "STATE_DIRECTORY");
    let state_directory = state_directory.map(|(_, value)| value.as_str());
    match account::config(&Node::root(&tree, &diagnostics), state_directory) {
        Some(config) if diagnostics.error_count() == 0 => {
            environment::warn_of_proxies(variables, &config.accounts, &diagnostics);
            account::warn_of_rates(&config, &diagnostics);
            let warnings = diagnostics.warnings.into_inner();
            Ok(Loaded { config, warnings })
        }
        _ => Err(diagnostics.into_errors()),
    }
}

/// Merges all layers into one tree.
fn merged(
    mut operator: Map<String, Value>,
    variables: &Variables,
    diagnostics: &Diagnostics,
) -> Value {
    let default = yaml_toml::yaml(DEFAULT_YAML, "default.yaml", diagnostics);
    environment::add_account(&mut operator, variables, diagnostics);
    let operator = Value::new(None, operator);
    let root = Node::root(&operator, diagnostics);
    // The check precedes the merge, because a merge drops the line numbers of tables.
    ROOT.check(&root);
    let overrides = environment::overrides(variables, &root);
    let mut operator = operator.into_table().unwrap_or_default();
    // Keeps only names in `ROOT`, because the `config` crate would read the key `"poll.interval":` as a path.
    // Drops empty sections, because the crate would merge an empty `poll:` as null and hide its defaults.
    operator.retain(|key, value| ROOT.contains(key) && value.kind != ValueKind::Nil);
    merge([default, operator], overrides).unwrap_or_else(|error| {
        diagnostics.error_in_file(format!("cannot be layered: {error}"));
        Value::new(None, ValueKind::Nil)
    })
}

fn merge(
    layers: [Map<String, Value>; 2],
    overrides: Vec<(String, Value)>,
) -> Result<Value, ConfigError> {
    let mut builder = config::ConfigBuilder::<DefaultState>::default();
    for layer in layers {
        let mut source = config::Config::default();
        source.cache = Value::new(None, layer);
        builder = builder.add_source(source);
    }
    for (path, value) in overrides {
        builder = builder.set_override(path, value)?;
    }
    Ok(builder.build()?.cache)
}

/// Reads and parses the operator's file.
fn read_file(path: &Path, diagnostics: &Diagnostics) -> Map<String, Value> {
    let Some(text) = read_text(path, diagnostics) else {
        return Map::new();
    };
    let extension = path.extension().unwrap_or_default();
    let parse = if extension.eq_ignore_ascii_case("toml") {
        yaml_toml::toml
    } else {
        yaml_toml::yaml
    };
    parse(&text, &diagnostics.file, diagnostics)
}

fn read_text(path: &Path, diagnostics: &Diagnostics) -> Option<String> {
    let error_at = |content: &[u8], at: usize, message| {
        let line = content[..at].split(|byte| *byte == b'\n').count();
        diagnostics.error(format!("{}:{line}", diagnostics.file), "", message);
    };
    match read_configuration(path).map(String::from_utf8) {
        Ok(Ok(text)) => {
            // The YAML parser stops at a NUL byte without an error.
            let Some(at) = text.find('\0') else {
                return Some(text);
            };
            let message = "holds a NUL byte; remove it, or write the file as UTF-8 if it is UTF-16";
            error_at(text.as_bytes(), at, message);
        }
        Ok(Err(error)) => {
            let valid = error.utf8_error().valid_up_to();
            error_at(error.as_bytes(), valid, "is not UTF-8 text");
        }
        Err(error) => diagnostics.error_in_file(format!("cannot be read: {error}")),
    }
    None
}

/// Reads the configuration at `path`. `path` names a regular file or an inherited file descriptor. A shell
/// passes such a descriptor for `<(...)`.
fn read_configuration(path: &Path) -> io::Result<Vec<u8>> {
    if is_descriptor(path) {
        read_bounded(path, MAX_CONFIGURATION)
    } else {
        read_regular(path, MAX_CONFIGURATION)
    }
}

fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd")
}

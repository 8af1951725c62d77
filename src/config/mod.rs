//! The configuration. The program reads and validates it at its start and at each reload.
//!
//! It has three layers: the embedded `default.yaml`, the operator's file, and the environment. The `config`
//! crate merges the layers. This module checks keys before the merge and values after the merge. An error about
//! a key names the key, and its variable, file or line. No number is read as text: `auth_id: 0123` is an error.
//!
//! [`load()`] reads the configuration; [`TokenFile`] reads a token again before each walk.

mod account;
mod ca_file;
mod duty;
mod environment;
mod error;
mod groups;
mod known_keys;
mod load;
mod settings;
mod token;
mod values;
mod yaml_toml;

pub use account::{Account, Config, Effect};
pub use error::{ConfigError, Errors};
pub use groups::{Group, GroupFields, GroupMatch, Minimum, Pattern, Watch, first_match};
pub use load::{FileDigest, Loaded, file_digest, load, load_without_secrets, load_yaml};
pub use settings::{
    Api, DetailMode, Details, Metrics, Optional, Outage, PagesLevel, Poll, Probe, State, Web,
};
pub use token::{ApiToken, TokenFile, TokenFileError};
pub use values::{is_loopback, parse_duration};

/// The embedded default file. It lists every key with its meaning, default and unit.
pub const DEFAULT_YAML: &str = include_str!("default.yaml");

#[cfg(test)]
mod tests;

//! The configuration: read once at start, checked completely, valid from then on.
//!
//! Three layers: the embedded `default.yaml`, which is also the reference for operators, the
//! operator's file, and the environment. The `config` crate merges them. The tree is validated here,
//! because all errors are collected, each with its place and its key, and no value is altered
//! (`auth_id: 0123` is an error with a hint, not the number 123).
//!
//! [`load()`] reads the configuration; [`TokenFile`] reads a token again before each walk.

mod account;
mod error;
mod files;
mod keys;
mod load;
mod pattern;
mod settings;
mod token;
mod values;
mod yaml_toml;

pub use account::{Account, Config, Group, GroupMatch, Watch};
pub use error::{ConfigError, Errors};
pub use load::{Loaded, load, load_without_secrets};
pub use pattern::Pattern;
pub use settings::{Api, DetailMode, Details, Metrics, Optional, Poll, Probe, is_loopback};
pub use token::{ApiToken, TokenFile, TokenFileError};

/// The embedded default file: every key with its meaning, its default and its unit.
pub const DEFAULT_YAML: &str = include_str!("default.yaml");

#[cfg(test)]
mod tests;

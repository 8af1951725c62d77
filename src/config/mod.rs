//! Settings: read once, complete, valid ever after.
//!
//! Three layers lie on one another: the embedded `default.yaml` (which is also the reference that
//! people read), the operator's file, the environment. The `config` crate layers them; the walk over
//! the resulting tree is ours, because it collects **every** mistake with its place and its key's
//! path, and because nothing that somebody wrote may be altered on the way (`auth_id: 0123` is a
//! mistake with a hint, not the number 123).
//!
//! [`load()`] is the way in; [`read_token_file`] is used again before each walk.

mod accounts;
mod authorities;
mod entry;
mod environment;
mod file;
mod groups;
mod layers;
mod load;
mod masked;
mod misspelt;
mod mistake;
mod model;
mod pattern;
mod schema;
mod settings;
mod token;
mod toml;
mod yaml;

pub use load::{Loaded, load, load_without_secrets};
pub use mistake::{Errors, Mistake};
pub use model::{
    Account, Api, ApiToken, Config, DetailMode, Details, Filter, Group, GroupMatch, Metrics,
    Optional, Poll, Probe, Watch,
};
pub use pattern::{Pattern, PatternError};
pub use token::{TokenFileError, read_token_file};

/// The embedded default file: every key with its meaning, its default and its unit.
pub const DEFAULT_YAML: &str = include_str!("default.yaml");

#[cfg(test)]
mod tests;

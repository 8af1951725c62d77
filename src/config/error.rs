//! Collects the errors and warnings of a configuration, and limits what a message quotes.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
};

/// The maximum number of errors that are shown. Of further errors, only the number is shown.
const MAX_SHOWN: usize = 100;
/// Replaces a part of a name that messages do not show.
pub(super) const HIDDEN: &str = "…";
/// The place of a value from the environment begins with this text.
pub(super) const VARIABLE: &str = "environment variable ";
/// Messages show this text instead of a file name that may be a token.
pub(super) const UNNAMED_FILE: &str = "the file that is named here";

/// One error or warning of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigError {
    /// `FILE:LINE`, `FILE`, or `environment variable NAME`; empty for an error without a place.
    pub place: String,
    /// The key's path, such as `accounts[1].groups[0].match.alias`; empty if no single key is wrong.
    pub path: String,
    /// The error on one line, usually with its correction. Holds no secret.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for part in [&self.place, &self.path]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            line.push_str(part);
            line.push_str(": ");
        }
        line.push_str(&self.message);
        // Names of files and variables may contain line breaks, but an error must stay on one line.
        if line.contains(char::is_control) {
            line = line.escape_debug().to_string();
        }
        f.write_str(&line)
    }
}

/// The errors of a configuration, then its warnings. The list is not empty.
///
/// After a hundred errors, one entry gives the number of further errors. `Display` writes one entry per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<ConfigError>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// Collects the errors and warnings of one configuration.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    /// The operator's configuration file. An error without a line or variable has this file as its place.
    pub(super) file: String,
    /// The folder of the operator's configuration file. Relative paths in the file start from this folder.
    pub(super) folder: PathBuf,
    /// True if token files are not read.
    pub(super) without_secrets: bool,
    errors: RefCell<Vec<ConfigError>>,
    pub(super) warnings: RefCell<Vec<String>>,
    /// The places of errors from [`Self::error_in_variable`]. Later errors at these places are dropped.
    silenced: RefCell<BTreeSet<String>>,
}

impl Diagnostics {
    pub(super) fn new(file: Option<&Path>, without_secrets: bool) -> Self {
        let folder = file.and_then(Path::parent).map(Path::to_owned);
        Self {
            file: file.map_or_else(String::new, |file| file.display().to_string()),
            folder: folder.unwrap_or_default(),
            without_secrets,
            ..Self::default()
        }
    }

    /// Reports an error at `place`, unless [`Self::error_in_variable`] has already reported an error there.
    pub(super) fn error(&self, place: String, path: &str, message: impl Into<String>) {
        if !self.silenced.borrow().contains(&place) {
            self.errors.borrow_mut().push(ConfigError {
                place,
                path: path.to_owned(),
                message: message.into(),
            });
        }
    }

    /// Reports an error of the whole file.
    pub(super) fn error_in_file(&self, message: impl Into<String>) {
        self.error(self.file.clone(), "", message);
    }

    /// Reports an error in an environment variable, and drops later errors of the same variable.
    pub(super) fn error_in_variable(&self, name: &str, message: impl Into<String>) {
        let place = variable_place(name);
        self.error(place.clone(), "", message);
        self.silenced.borrow_mut().insert(place);
    }

    pub(super) fn warn(&self, message: String) {
        self.warnings.borrow_mut().push(message);
    }

    /// The number of errors so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Returns the errors of the file by line, then the errors of the environment, then the warnings. Warnings
    /// are included, because a warning may name the reason of an error.
    pub(super) fn into_errors(self) -> Errors {
        let mut errors = self.errors.into_inner();
        // Every account reads the global values that it inherits, and reports the errors of these values again.
        let mut seen = HashSet::new();
        errors.retain(|error| seen.insert(error.clone()));
        errors.sort_by_cached_key(|error| {
            let line = error.place.rsplit_once(':');
            let line = line.and_then(|(_, line)| line.parse().ok());
            (error.place.starts_with(VARIABLE), line.unwrap_or(0_u32))
        });
        let of = |place, message| ConfigError {
            place,
            path: String::new(),
            message,
        };
        let further = errors.len().saturating_sub(MAX_SHOWN);
        if further > 0 {
            errors.truncate(MAX_SHOWN);
            errors.push(of(self.file, format!("and {further} more errors")));
        }
        let warnings = self.warnings.into_inner().into_iter();
        errors.extend(warnings.map(|warning| of(String::new(), format!("warning: {warning}"))));
        Errors(errors)
    }
}

/// The place of a value that the environment variable `name` sets.
pub(super) fn variable_place(name: &str) -> String {
    format!("{VARIABLE}{}", shown_variable(name))
}

/// The name of a file for a message: `path`, or [`UNNAMED_FILE`] if the `written` path looks like a token.
pub(super) fn shown_file(written: &str, path: &Path) -> String {
    if written.contains(['/', '.']) {
        path.display().to_string()
    } else {
        UNNAMED_FILE.to_owned()
    }
}

/// The letters, digits and `_` with which a key or variable begins. A message quotes at most this part, because
/// a token may follow, as in `VOBIZ_AUTH_TOKEN:TOKEN`.
pub(super) fn plain_part(name: &str) -> &str {
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    end.map_or(name, |end| &name[..end])
}

/// The name of a variable for a message, which shows only the [`plain_part`] of the name.
pub(super) fn shown_variable(name: &str) -> String {
    let plain = plain_part(name);
    let rest = if plain == name { "" } else { HIDDEN };
    format!("{plain}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = ConfigError {
            place: "a\nb.yaml".to_owned(),
            path: "x".to_owned(),
            message: "c\rd".to_owned(),
        };
        assert_eq!(error.to_string(), r"a\nb.yaml: x: c\rd");
    }
}

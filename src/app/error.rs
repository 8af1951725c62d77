//! Errors that end the process, with their exit codes.

use std::{fmt::Display, io};

use crate::{config, web_config};

/// An error with an exit code.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// A failure at run time.
    #[error("{0}")]
    RunTime(String),
    /// An invalid configuration. The message has one error per line.
    #[error("{0}")]
    Configuration(String),
    /// An error of standard output. For any other I/O error, a [`Self::RunTime`] names the file or address.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl ExitError {
    /// Returns a converter to [`Self::RunTime`]. The message begins with `action`, such as "cannot write FILE".
    pub(super) fn context<E: Display>(action: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::RunTime(format!("{action}: {error}"))
    }

    /// The exit code: 2 for an invalid configuration, 1 for any other error.
    pub fn code(&self) -> u8 {
        match self {
            Self::RunTime(_) | Self::Output(_) => 1,
            Self::Configuration(_) => 2,
        }
    }

    /// True if standard output is a closed pipe. This is normal, as with `| head`, and needs no message.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<config::Errors> for ExitError {
    fn from(errors: config::Errors) -> Self {
        Self::Configuration(errors.to_string())
    }
}

impl From<web_config::Error> for ExitError {
    fn from(error: web_config::Error) -> Self {
        Self::Configuration(error.to_string())
    }
}

/// An error with the number of failed accounts; `Ok` if no account failed.
pub(super) fn accounts_result(failed: usize, total: usize) -> Result<(), ExitError> {
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} of {total} accounts failed");
    Err(ExitError::RunTime(message))
}

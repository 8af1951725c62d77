//! Why the process exits with a code other than 0.

use std::{fmt::Display, io};

use crate::config;

/// An error with an exit code.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// A failure at run time.
    #[error("{0}")]
    RunTime(String),
    /// An invalid configuration: one error per line.
    #[error("{0}")]
    Configuration(String),
    /// The only I/O error without further context: all others become [`Self::RunTime`], with the
    /// file or address.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl ExitError {
    /// Converts an error into [`Self::RunTime`], with the failed action before its message.
    pub(super) fn context<E: Display>(action: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::RunTime(format!("{action}: {error}"))
    }

    /// 1 for a failure at run time, 2 for an invalid configuration.
    pub fn code(&self) -> u8 {
        match self {
            Self::RunTime(_) | Self::Output(_) => 1,
            Self::Configuration(_) => 2,
        }
    }

    /// True for a closed pipe, which is normal (for example with `| head`) and needs no message.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<config::Errors> for ExitError {
    fn from(errors: config::Errors) -> Self {
        Self::Configuration(errors.to_string())
    }
}

/// The error of `failed` accounts out of `total`, if there are any.
pub(super) fn accounts_result(failed: usize, total: usize) -> Result<(), ExitError> {
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} of {total} accounts failed");
    Err(ExitError::RunTime(message))
}

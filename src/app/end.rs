//! How the process ends when something went wrong.

use std::{fmt, io};

use crate::config;

/// Why the process leaves with another code than 0.
#[derive(Debug)]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Exit code 1: something failed while running.
    pub(super) fn at_run_time(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 1,
        }
    }

    /// Exit code 2: the configuration is wrong.
    pub(super) fn of_configuration(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 2,
        }
    }

    /// The code to leave with: 1 for a failure at run time, 2 for a wrong configuration.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<config::Errors> for Failure {
    fn from(errors: config::Errors) -> Self {
        Self::of_configuration(errors.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::at_run_time(error.to_string())
    }
}

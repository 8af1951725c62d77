//! How the process ends when something went wrong.

use std::{fmt, io, io::Write};

use crate::config;

/// Why the process leaves with another code than 0.
#[derive(Debug)]
pub struct ExitError {
    text: String,
    code: u8,
}

impl ExitError {
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

    /// Is there nothing to tell? A closed pipe ends the process without a word.
    pub fn is_quiet(&self) -> bool {
        self.text.is_empty()
    }

    /// The code to leave with: 1 for a failure at run time, 2 for a wrong configuration.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ExitError {}

impl From<config::Errors> for ExitError {
    fn from(errors: config::Errors) -> Self {
        Self::of_configuration(errors.to_string())
    }
}

/// Standard output, whose errors say that it was standard output.
pub(super) struct Print<'a>(pub(super) &'a mut dyn Write);

impl Print<'_> {
    /// What `write!` and `writeln!` call.
    pub(super) fn write_fmt(&mut self, words: fmt::Arguments<'_>) -> Result<(), ExitError> {
        printed(self.0.write_fmt(words))
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), ExitError> {
        printed(self.0.write_all(bytes))
    }

    pub(super) fn flush(&mut self) -> Result<(), ExitError> {
        printed(self.0.flush())
    }
}

/// A reader who has read enough and closed the pipe is not news.
fn printed(result: io::Result<()>) -> Result<(), ExitError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ExitError::at_run_time(""),
        _ => ExitError::at_run_time(format!("cannot write to standard output: {error}")),
    })
}

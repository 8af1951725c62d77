//! What was asked for, after clap has read it.

use std::{ffi::OsString, path::PathBuf};

use clap::Parser;
use clap_complete::Shell;

use super::{
    Demo, Log, Simulate, Web,
    line::{Command, Line},
};

/// Everything the command line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// `--config.file`.
    pub config_file: Option<PathBuf>,
    /// `--web.*`; those of `demo` stand in its own.
    pub web: Web,
    /// `--log.*`, also when given to a command.
    pub log: Log,
    /// What to do.
    pub task: Task,
}

/// What the process is for, this time.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// No command: serve until told to stop.
    Serve,
    /// `--config.check` and its kind.
    Check(Check),
    /// `--once`.
    Once {
        /// `--once.output`; standard output if `None`.
        output: Option<PathBuf>,
    },
    /// `--healthcheck`.
    Healthcheck,
    /// `demo`.
    Demo(Demo),
    /// `simulate`.
    Simulate(Simulate),
    /// `completion SHELL`.
    Completion(Shell),
    /// `man`, or `man COMMAND`.
    Manual(Option<String>),
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// `--config.check`: the configuration and the files that it names.
    Whole,
    /// `--config.check.no-secrets`: the same without the token files.
    WithoutSecrets,
    /// `--config.check.live`: the same, and every account's list.
    Live,
}

impl Arguments {
    /// Reads a command line, the program's name first.
    ///
    /// The error's `exit()` prints it and leaves: with 2 for wrong usage, with 0 where it is not wrong
    /// at all but the text of `--help` or `--version`.
    pub fn read<Word>(words: impl IntoIterator<Item = Word>) -> Result<Self, clap::Error>
    where
        Word: Into<OsString> + Clone,
    {
        Line::try_parse_from(words).map(Self::from)
    }
}

impl From<Line> for Arguments {
    fn from(line: Line) -> Self {
        let log = match &line.command {
            Some(Command::Demo(demo)) => demo.log,
            Some(Command::Simulate(simulate)) => simulate.log,
            _ => line.log,
        };
        let task = match line.command {
            Some(Command::Demo(demo)) => Task::Demo(demo),
            Some(Command::Simulate(simulate)) => Task::Simulate(simulate),
            Some(Command::Completion { shell }) => Task::Completion(shell),
            Some(Command::Man { command }) => Task::Manual(command),
            None if line.healthcheck => Task::Healthcheck,
            None if line.once => Task::Once {
                output: line.once_output,
            },
            None if line.config_check_live => Task::Check(Check::Live),
            None if line.config_check_no_secrets => Task::Check(Check::WithoutSecrets),
            None if line.config_check => Task::Check(Check::Whole),
            None => Task::Serve,
        };
        Self {
            config_file: line.config_file,
            web: line.web,
            log,
            task,
        }
    }
}

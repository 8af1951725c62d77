//! The errors of the state database.

use std::{
    io,
    path::{Path, PathBuf},
};

/// An error of the state database or of its folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A later version of the exporter wrote the file.
    #[error(
        "{}: its schema {found} is newer than the schema {known} of this version: run the newer \
         version again, or restore a backup; docs/state.md describes a downgrade",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program knows.
        known: usize,
    },
    /// Another program wrote the file.
    #[error(
        "{}: the file is a database of another program: set state.directory to a folder of the \
         exporter alone",
        .0.display()
    )]
    Foreign(PathBuf),
    /// The database has lost its content, but there is a log of changes to it.
    #[error("{}: the file is empty, but its write-ahead log is not", .0.display())]
    Emptied(PathBuf),
    /// Another exporter uses the directory.
    #[error(
        "{}: another exporter uses this state directory: stop it, or give each exporter a \
         state.directory of its own",
        .0.display()
    )]
    Locked(PathBuf),
    /// A failure of the operating system.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The failure.
        error: io::Error,
    },
    /// A failure of `SQLite`.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

impl Error {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }

    /// Whether a restart with another configuration or another version of the exporter is needed.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Foreign(_))
    }
}

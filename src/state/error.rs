//! The errors of the state database.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

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
    /// A file has the place of the state directory.
    #[error("{}: state.directory is not a directory: name a folder, which the exporter may create", .0.display())]
    NotADirectory(PathBuf),
    /// There is no database.
    #[error("{}: there is no state database", .0.display())]
    Absent(PathBuf),
    /// A command asks for something that is not possible.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A call of the operating system takes too long.
    #[error("{}: the disk does not answer", .0.display())]
    NoAnswer(PathBuf),
    /// A failure of the operating system.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The failure.
        error: io::Error,
    },
    /// A failure of `SQLite`.
    #[error("{}: {error}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// The failure.
        error: rusqlite::Error,
    },
}

impl Error {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }

    /// A converter of failures of the database at `path`.
    pub(super) fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Database { path, error }
    }

    /// Whether the content of the file is damaged, or is no database at all.
    pub(super) fn is_corrupt(&self) -> bool {
        match self {
            Self::Emptied(_) => true,
            Self::Database { error, .. } => is_damage(error),
            _ => false,
        }
    }

    /// What the user of a command can do, if the message does not say so.
    pub fn advice(&self) -> Option<&'static str> {
        if self.is_corrupt() {
            return Some(
                "the file is damaged: restore a backup, or start the exporter, which begins a new file",
            );
        }
        let code = match self {
            Self::File { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorCode::ReadOnly,
                io::ErrorKind::StorageFull => ErrorCode::DiskFull,
                _ => return None,
            },
            Self::Database { error, .. } => error.sqlite_error_code()?,
            _ => return None,
        };
        match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Some("another program uses the database: try again when it has finished")
            }
            ErrorCode::DiskFull => Some("free some space on the disk"),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                Some("run the command as root or as the user of the exporter")
            }
            ErrorCode::SystemIoFailure => Some("check the disk, which may be full or fail"),
            _ => None,
        }
    }

    /// Whether a restart with another configuration or another version of the exporter is needed.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Foreign(_))
    }
}

/// Whether `SQLite` or the conversion of a value has found a damage.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

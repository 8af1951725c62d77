//! The lock of the state directory: one exporter at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

use super::Error;

/// The name of the lock file in the state directory. The file stays; only the lock on it counts.
const FILE: &str = "state.lock";

/// Creates the state directory if it is absent, with permissions for its owner only.
pub(super) fn create_directory(directory: &Path) -> Result<(), Error> {
    let created = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    created.or_else(|error| {
        check_directory(directory)?;
        Err(Error::file(directory, error))
    })
}

/// Refuses a state directory that exists and is something else. Changes nothing on the disk.
///
/// # Errors
/// [`Error::NotADirectory`].
pub fn check_directory(directory: &Path) -> Result<(), Error> {
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => Err(Error::NotADirectory(directory.to_owned())),
        _ => Ok(()),
    }
}

/// Locks the directory until the returned file is dropped or the process ends, however it ends. `None` if another
/// process holds the lock.
pub(super) fn lock(directory: &Path) -> Result<Option<File>, Error> {
    let path = directory.join(FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Error::file(&path, error))?;
    if let Ok(folder) = fs::metadata(directory) {
        // A command of root may create the file before the exporter, which runs as another user.
        let _ = fchown(&file, Some(folder.uid()), Some(folder.gid()));
    }
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // A file system without locks cannot tell a second process. docs/state.md names such file systems.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Some(file))
        }
        Err(TryLockError::Error(error)) => Err(Error::file(&path, error)),
    }
}

/// Whether a process holds the lock of the directory. False if this cannot be found out.
pub(super) fn is_held(directory: &Path) -> bool {
    let file = File::open(directory.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether `file` is still the lock file of the directory. If somebody has deleted the file, a second exporter could
/// lock another one.
pub(super) fn is_in_place(file: &File, directory: &Path) -> bool {
    match (file.metadata(), fs::metadata(directory.join(FILE))) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        (_, Err(error)) => error.kind() != io::ErrorKind::NotFound,
        (Err(_), Ok(_)) => true,
    }
}

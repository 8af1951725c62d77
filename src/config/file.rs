//! Files that an operator names: read whole, but never without end.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// More is neither a configuration nor a list of authorities.
const MOST_BYTES: u64 = 16 << 20;

/// What the regular file at `path` holds; an error for more than 16 MiB, and for pipes and devices,
/// which may never end or never begin.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        bounded(path)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// The same, and what comes through a descriptor that the process was started with, as a shell's
/// `<(...)` passes it: somebody is at its other end.
pub(super) fn read_or_stream(path: &Path) -> io::Result<Vec<u8>> {
    let is_descriptor = path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd");
    if is_descriptor {
        bounded(path)
    } else {
        read(path)
    }
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

//! Files that an operator names: read whole, but never without end.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The largest list of authorities, in MiB.
const AUTHORITIES: u64 = 16;
/// The largest configuration, in MiB. Parsing takes up to a hundred times as much memory.
const CONFIGURATION: u64 = 1;

/// The authorities that the regular file at `path` holds; an error for more than 16 MiB, and for pipes
/// and devices, which may never end or never begin.
pub(super) fn authorities(path: &Path) -> io::Result<Vec<u8>> {
    regular(path, AUTHORITIES)
}

fn regular(path: &Path, mebibytes: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        bounded(path, mebibytes)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// The configuration in the regular file at `path`, or what comes through a descriptor that the process
/// was started with, as a shell's `<(...)` passes it. An error for more than 1 MiB.
pub(super) fn configuration(path: &Path) -> io::Result<Vec<u8>> {
    let is_descriptor = path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd");
    if is_descriptor {
        bounded(path, CONFIGURATION)
    } else {
        regular(path, CONFIGURATION)
    }
}

fn bounded(path: &Path, mebibytes: u64) -> io::Result<Vec<u8>> {
    let most = mebibytes << 20;
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let wrong = format!("it is larger than {mebibytes} MiB");
        return Err(io::Error::other(wrong));
    }
    Ok(bytes)
}

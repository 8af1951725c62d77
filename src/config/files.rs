//! Files that a configuration names: read with limits, checked, and never quoted.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{error::shown_file, keys::Node};

/// A configuration, in bytes. Parsing takes up to a hundred times as much memory.
const MAX_CONFIGURATION: u64 = 1 << 20;
/// A list of certificate authorities, in bytes.
const MAX_AUTHORITIES: u64 = 16 << 20;

/// The configuration at `path`: a regular file, or a descriptor that the process inherited, as a shell
/// passes for `<(...)`.
pub(super) fn read_configuration(path: &Path) -> io::Result<Vec<u8>> {
    let is_descriptor = path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd");
    if is_descriptor {
        read_bounded(path, MAX_CONFIGURATION)
    } else {
        read_regular(path, MAX_CONFIGURATION)
    }
}

/// Refuses pipes and devices before it opens them: opening a pipe waits for its other end, and reading
/// a device may never end.
pub(super) fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        read_bounded(path, max_bytes)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let message = format!("it is larger than {}", ByteSize(max_bytes));
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

/// Whether `text` can be a header's value without quotes and spaces.
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The path at `node`, if that file has certificates and all can be used. Other content is skipped.
pub(super) fn ca_file(node: &Node<'_>) -> Option<PathBuf> {
    let path = node.file_path()?;
    let name = shown_file(node.text()?, &path);
    let pem = match read_regular(&path, MAX_AUTHORITIES) {
        Ok(pem) => pem,
        Err(error) => return node.reject(format!("{name} cannot be read: {error}")),
    };
    let mut authorities = RootCertStore::empty();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        let fault = match certificate.map(|certificate| authorities.add(certificate)) {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => "it is damaged",
            // The library's error may quote the file.
            Err(_) => "its PEM form is broken",
        };
        return node.reject(format!(
            "certificate {number} of {name} cannot be used: {fault}"
        ));
    }
    if authorities.is_empty() {
        return node.reject(format!("{name} holds no certificate in PEM form"));
    }
    Some(path)
}

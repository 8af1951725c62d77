//! Reads the files that a configuration names. Sizes are limited, and errors do not quote a file.

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
use x509_cert::{Certificate, der::Decode};

use super::{error::shown_file, keys::Node};
use crate::clock::{Clock, UnixMillis};

/// The maximum size of a configuration, in bytes. Parsing uses up to a hundred times as much memory.
const MAX_CONFIGURATION: u64 = 1 << 20;
/// The maximum size of a file of certificate authorities, in bytes.
const MAX_AUTHORITIES: u64 = 16 << 20;

/// Reads the configuration at `path`. `path` is a regular file, or an inherited file descriptor such as a
/// shell passes for `<(...)`.
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

/// Reads a regular file. Does not open pipes and devices: opening a pipe waits for its other end, and reading
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

/// Whether `text` has only printable ASCII characters and no space, so a header can hold it.
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The path at `node`, if its file has certificates and all are usable. Other content is ignored.
pub(super) fn ca_file(node: &Node<'_>) -> Option<PathBuf> {
    let path = node.file_path()?;
    let name = shown_file(node.text()?, &path);
    let pem = match read_regular(&path, MAX_AUTHORITIES) {
        Ok(pem) => pem,
        Err(error) => return node.reject(format!("{name} cannot be read: {error}")),
    };
    let (mut authorities, mut is_usable) = (RootCertStore::empty(), true);
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        let fault = match certificate {
            // The error of the library may quote the file, so the message omits it.
            Err(_) => "its PEM form is broken",
            Ok(certificate) if is_expired(&certificate) => {
                "it has expired; replace it, or remove it"
            }
            Ok(certificate) => match authorities.add(certificate) {
                Ok(()) => continue,
                Err(_) => "it is damaged",
            },
        };
        is_usable = false;
        let message = format!("certificate {number} of {name} cannot be used: {fault}");
        node.error(message);
    }
    if authorities.is_empty() && is_usable {
        return node.reject(format!("{name} holds no certificate in PEM form"));
    }
    is_usable.then_some(path)
}

/// Whether `certificate` has expired. The TLS library does not check this for an authority.
fn is_expired(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate).is_ok_and(|certificate| {
        let end = certificate.tbs_certificate().validity().not_after;
        UnixMillis(0).plus(end.to_unix_duration()) < Clock::system().now()
    })
}

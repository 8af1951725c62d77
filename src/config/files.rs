//! Files that a configuration names: read with limits, checked, and never quoted.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustls::{
    CertificateError, RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use x509_cert::{Certificate, der::Decode};

use super::{
    error::{Diagnostics, shown_file},
    keys::Node,
};
use crate::clock::{Clock, UnixMillis};

/// A configuration, in bytes. Parsing takes up to a hundred times as much memory.
const MAX_CONFIGURATION: u64 = 1 << 20;
/// A list of certificate authorities, in bytes.
const MAX_AUTHORITIES: u64 = 16 << 20;
const NO_CERTIFICATE: &str = "holds no certificate in PEM form";

/// Why a file cannot be read whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
}

/// The configuration at `path`: a regular file, or a descriptor that the process inherited, as a shell
/// passes for `<(...)`.
pub(super) fn read_configuration(path: &Path) -> Result<Vec<u8>, ReadError> {
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
pub(super) fn read_regular(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    if fs::metadata(path)?.is_file() {
        read_bounded(path, max_bytes)
    } else {
        Err(ReadError::NotRegular)
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ReadError::TooLarge(max_bytes));
    }
    Ok(bytes)
}

/// Whether `text` can be a header's value without quotes and spaces.
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The path at `node`, if every certificate in that file can be used now. Other content is skipped.
pub(super) fn ca_file(node: &Node<'_>) -> Option<PathBuf> {
    let path = node.file_path()?;
    let name = shown_file(node.text()?, &path);
    let pem = match read_regular(&path, MAX_AUTHORITIES) {
        Ok(pem) => pem,
        Err(error) => return node.reject(format!("{name} cannot be read: {error}")),
    };
    let results: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.map_err(|error| pem_error(&error)))
        .map(|certificate| certificate.and_then(check_certificate))
        .collect();
    if results.is_empty() {
        return node.reject(format!("{name} {NO_CERTIFICATE}"));
    }
    for (number, result) in (1..).zip(&results) {
        if let Err(error) = result {
            node.error(format!("certificate {number} of {name} {error}"));
        }
    }
    results.iter().all(Result::is_ok).then_some(path)
}

/// Refuses `SSL_CERT_FILE` and `SSL_CERT_DIR` that cannot be read: the client would trust no
/// authority at all.
pub(super) fn check_system_authorities(variables: &[(String, String)], diagnostics: &Diagnostics) {
    for (name, value) in variables {
        match name.as_str() {
            // `/dev/null` is a usual way to trust no authority of the system.
            "SSL_CERT_FILE" if value != "/dev/null" => {
                let path = Path::new(value);
                let message = match read_regular(path, MAX_AUTHORITIES) {
                    Err(error) => format!("cannot be read: {error}"),
                    Ok(pem) if CertificateDer::pem_slice_iter(&pem).next().is_none() => {
                        NO_CERTIFICATE.to_owned()
                    }
                    Ok(_) => continue,
                };
                let file = shown_file(value, path);
                diagnostics.error_in_variable(name, format!("{file} {message}"));
            }
            "SSL_CERT_DIR" => {
                for folder in value.split(':').filter(|folder| !folder.is_empty()) {
                    if let Err(error) = fs::read_dir(folder) {
                        let folder = shown_file(folder, Path::new(folder));
                        let message = format!("{folder} cannot be read: {error}");
                        diagnostics.error_in_variable(name, message);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Fails with the reason why `certificate` cannot be trusted.
fn check_certificate(certificate: CertificateDer<'_>) -> Result<(), String> {
    let expiry = expiry(&certificate);
    let added = RootCertStore::empty().add(certificate);
    added.map_err(|error| match error {
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "cannot be used: it is damaged".to_owned()
        }
        error => format!("cannot be used: {error}"),
    })?;
    match expiry {
        Some((at, text)) if at < Clock::system().now() => {
            Err(format!("expired at {text}; replace it, or take it out"))
        }
        _ => Ok(()),
    }
}

/// The time when a certificate expires, which rustls does not tell; `None` where it is unreadable.
fn expiry(certificate: &CertificateDer<'_>) -> Option<(UnixMillis, String)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    let at = UnixMillis(0).plus(end.to_unix_duration());
    Some((at, end.to_string()))
}

fn pem_error(error: &pem::Error) -> String {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "its END line is missing",
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line is broken",
        pem::Error::Base64Decode(_) => "it is not base64",
        _ => "it is not in PEM form",
    };
    format!("cannot be used: {reason}")
}

//! Files of certificate authorities: the operator's own, and those that the environment names for the
//! system's. A file that adds nothing to what is trusted is a mistake, and not silence.

use std::{
    fs,
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
    entry::Entry,
    file,
    mistake::{Report, shown_file},
};
use crate::clock::{Clock, UnixMillis};

const NONE: &str = "holds no certificate in PEM form";

/// The path at `entry`, if all certificates in that file can be used now. What stands beside them is
/// skipped.
pub(super) fn ca_file(entry: &Entry<'_>, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let path = entry.path(report, folder)?;
    let name = shown_file(entry.text(report)?, &path);
    let pem = match file::authorities(&path) {
        Ok(pem) => pem,
        Err(error) => {
            entry.wrong(report, format!("{name} cannot be read: {error}"));
            return None;
        }
    };
    let checked: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.map_err(|error| broken(&error)).and_then(check))
        .collect();
    if checked.is_empty() {
        entry.wrong(report, format!("{name} {NONE}"));
    }
    for (number, checked) in (1..).zip(&checked) {
        if let Err(wrong) = checked {
            entry.wrong(report, format!("certificate {number} of {name} {wrong}"));
        }
    }
    (!checked.is_empty() && checked.iter().all(Result::is_ok)).then_some(path)
}

/// Refuses files and folders of authorities in the environment that cannot be read: instead of those of
/// the system, none would be trusted.
pub(super) fn check_environment(variables: &[(String, String)], report: &mut Report) {
    for (name, value) in variables {
        let shown = shown_file(value, Path::new(value));
        match name.as_str() {
            // A usual way to trust no authority of the system.
            "SSL_CERT_FILE" if value != "/dev/null" => match file::authorities(Path::new(value)) {
                Err(error) => report.variable(name, format!("{shown} cannot be read: {error}")),
                Ok(pem) if CertificateDer::pem_slice_iter(&pem).next().is_none() => {
                    report.variable(name, format!("{shown} {NONE}"));
                }
                Ok(_) => {}
            },
            "SSL_CERT_DIR" => {
                for folder in value.split(':').filter(|folder| !folder.is_empty()) {
                    if let Err(error) = fs::read_dir(folder) {
                        let shown = shown_file(folder, Path::new(folder));
                        report.variable(name, format!("{shown} cannot be read: {error}"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Why `certificate` cannot be trusted.
fn check(certificate: CertificateDer<'_>) -> Result<(), String> {
    let end = end(&certificate);
    let added = RootCertStore::empty().add(certificate);
    added.map_err(|fault| match fault {
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "cannot be used: it is damaged".to_owned()
        }
        fault => format!("cannot be used: {fault}"),
    })?;
    match end {
        Some((end, text)) if end < Clock::system().now() => {
            Err(format!("expired at {text}; replace it, or take it out"))
        }
        _ => Ok(()),
    }
}

/// When a certificate expires, which rustls does not tell; `None` where that cannot be read.
fn end(certificate: &CertificateDer<'_>) -> Option<(UnixMillis, String)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    let at = UnixMillis(0).plus(end.to_unix_duration());
    Some((at, end.to_string()))
}

fn broken(error: &pem::Error) -> String {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "its END line is missing",
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line is broken",
        pem::Error::Base64Decode(_) => "it is not base64",
        _ => "it is not in PEM form",
    };
    format!("cannot be used: {reason}")
}

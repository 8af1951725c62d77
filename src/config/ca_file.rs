//! Checks the file of certificate authorities (`api.ca_file`). Errors do not quote the file.

use std::path::PathBuf;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use x509_cert::{Certificate, der::Decode};

use super::{error::shown_file, known_keys::Node, values::read_regular};
use crate::clock::{Clock, UnixMillis};

/// The maximum size of a file of certificate authorities, in bytes.
const MAX_AUTHORITIES: u64 = 16 << 20;

/// The path at `node`, if its file has certificates and all are usable. Text outside certificates is ignored.
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
            // The error of the library may quote the file, so the message omits that error.
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

/// Whether `certificate` has expired. The TLS library does not check the expiry of certificate authorities.
fn is_expired(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate).is_ok_and(|certificate| {
        let end = certificate.tbs_certificate().validity().not_after;
        UnixMillis(0).plus(end.to_unix_duration()) < Clock::system().now()
    })
}

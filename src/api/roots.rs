//! The authorities that are trusted: Mozilla's, the system's where it has some, the operator's.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, pem::PemObject},
};

use super::ClientError;

/// Mozilla's authorities, which are part of the program, and those of the system. A container
/// without any is no fault.
pub(super) fn built_in() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let mut system = RootCertStore::empty();
    system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // Most systems hold Mozilla's list; kept twice it would only cost memory.
    for anchor in system.roots {
        add(&mut roots.roots, anchor);
    }
    roots.roots.shrink_to_fit();
    Arc::new(roots)
}

/// `roots` and the certificates of a PEM file.
pub(super) fn with_file(
    roots: &RootCertStore,
    path: &Path,
) -> Result<Arc<RootCertStore>, ClientError> {
    let unusable = |reason: String| ClientError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let pem = fs::read(path).map_err(|fault| unusable(fault.to_string()))?;
    let mut roots = roots.clone();
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|fault| unusable(fault.to_string()))?;
        roots
            .add(certificate)
            .map_err(|fault| unusable(fault.to_string()))?;
        found = true;
    }
    if !found {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    Ok(Arc::new(roots))
}

fn add(anchors: &mut Vec<TrustAnchor<'static>>, anchor: TrustAnchor<'static>) {
    if !anchors.contains(&anchor) {
        anchors.push(anchor);
    }
}

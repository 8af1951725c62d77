//! The TLS identity of the simulated vendor.

use std::sync::Arc;

use tokio_rustls::rustls::{
    self, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Builds TLS settings for [`Options::tls`](super::Options::tls) from PEM texts: a certificate
/// chain with the server certificate first, and its key.
///
/// # Errors
/// One of the texts is invalid, or the key does not match the certificate. The message names the
/// text without its content.
pub fn identity(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let certificates = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the key cannot be read: {error}"))?;
    let unusable = |error: rustls::Error| format!("the certificate cannot be used: {error}");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

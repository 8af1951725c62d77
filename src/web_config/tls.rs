//! Builds the TLS settings of the server (`tls_server_config`) for rustls.
//!
//! rustls has no TLS 1.0 and 1.1, no CBC suites, no key exchange by RSA and no curve P-521. A setting that lists
//! one of them among others gets a warning. A setting with no other choice is an error.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error as TlsError, InconsistentKeys, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion,
    crypto::{
        CryptoProvider,
        ring::{self, cipher_suite as suite, kx_group},
    },
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{
    client_certificates,
    document::{Error, TlsSection, Warnings, flag, shown, text},
};

const CIPHERS: &str = "tls_server_config.cipher_suites";
const CURVES: &str = "tls_server_config.curve_preferences";

/// Go's names of cipher suites. `None`: rustls does not have the suite.
const SUITES: [(&str, Option<SupportedCipherSuite>); 17] = [
    (
        "TLS_AES_128_GCM_SHA256",
        Some(suite::TLS13_AES_128_GCM_SHA256),
    ),
    (
        "TLS_AES_256_GCM_SHA384",
        Some(suite::TLS13_AES_256_GCM_SHA384),
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS13_CHACHA20_POLY1305_SHA256),
    ),
    (
        HTTP2_SUITES[0],
        Some(suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        HTTP2_SUITES[1],
        Some(suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Some(suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        Some(suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", None),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", None),
];

/// RFC 9113 requires one of these suites for HTTP/2 over TLS 1.2.
const HTTP2_SUITES: [&str; 2] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
];

/// The content of `KEY` or of the file that `KEY_file` names.
pub(super) struct Pem {
    /// The key that has the content or the file name.
    pub(super) key: String,
    /// The file of the content.
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Pem {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::new(&self.file, &self.key, message)
    }

    /// The certificates of the text, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates =
            CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        // The error of the library may quote the file, so the message omits that error.
        let certificates = certificates.map_err(|_| self.error("has damaged PEM text"))?;
        if certificates.is_empty() {
            return Err(self.error("holds no certificate in PEM form"));
        }
        Ok(certificates)
    }
}

/// The certificates and keys of the section.
#[derive(Default)]
pub(super) struct Pems {
    pub(super) cert: Option<Pem>,
    pub(super) key: Option<Pem>,
    pub(super) client_ca: Option<Pem>,
}

/// The settings of the TLS server; `None` if the section configures no TLS.
///
/// # Errors
/// A value is invalid, a part is missing, or the settings would allow no connection.
pub(super) fn server_config(
    file: &Path,
    section: &TlsSection,
    pems: &Pems,
    http2: bool,
    warnings: &mut Warnings,
) -> Result<Option<Arc<ServerConfig>>, Error> {
    // These values are checked even if the section configures no TLS.
    let (versions, provider) = parameters(file, section, http2, warnings)?;
    let has_client_auth = text(section.client_auth_type.as_ref()).is_some();
    let has_pem = pems.cert.is_some() || pems.key.is_some() || pems.client_ca.is_some();
    if !has_pem && !has_client_auth {
        return Ok(None);
    }
    let missing = |key: &str| {
        let message = format!("needs {key} or {key}_file");
        Error::new(file, "tls_server_config", message)
    };
    let cert = pems.cert.as_ref().ok_or_else(|| missing("cert"))?;
    let key = pems.key.as_ref().ok_or_else(|| missing("key"))?;
    let chain = cert.certificates()?;
    let private = PrivateKeyDer::from_pem_slice(&key.bytes)
        .map_err(|_| key.error("holds no private key in PEM form without a passphrase"))?;
    let authorities = pems.client_ca.as_ref().map(Pem::certificates).transpose()?;
    let verifier = client_certificates::verifier(file, section, authorities, &provider, warnings)?;
    let unusable = |error: TlsError| match error {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            key.error("does not belong to the certificate")
        }
        TlsError::InvalidCertificate(_) => cert.error("holds a damaged certificate"),
        TlsError::General(_) => key.error("holds a kind of key that is not supported"),
        error => key.error(format!("cannot be used: {error}")),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| Error::new(file, "tls_server_config", error.to_string()))?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(chain, private).map_err(unusable)?;
    let prefers = section.prefer_server_cipher_suites.as_ref();
    let key = "tls_server_config.prefer_server_cipher_suites";
    config.ignore_client_order = flag(file, key, prefers, true)?;
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Some(Arc::new(config)))
}

type Versions = Vec<&'static SupportedProtocolVersion>;

/// The protocol versions, and the provider with the cipher suites and the key exchange groups of the section.
fn parameters(
    file: &Path,
    section: &TlsSection,
    http2: bool,
    warnings: &mut Warnings,
) -> Result<(Versions, Arc<CryptoProvider>), Error> {
    let versions = versions(file, section, warnings)?;
    let mut provider = ring::default_provider();
    if let Some(curves) = section
        .curve_preferences
        .as_ref()
        .filter(|all| !all.is_empty())
    {
        let groups = supported(file, CURVES, curves, warnings, |name| match name {
            "X25519" => Some(Some(kx_group::X25519)),
            "CurveP256" => Some(Some(kx_group::SECP256R1)),
            "CurveP384" => Some(Some(kx_group::SECP384R1)),
            "CurveP521" => Some(None),
            _ => None,
        })?;
        provider.kx_groups = groups;
    }
    if let Some(names) = section.cipher_suites.as_ref().filter(|all| !all.is_empty()) {
        let listed = supported(file, CIPHERS, names, warnings, |name| {
            let found = SUITES.iter().find(|(known, _)| *known == name);
            found.map(|(_, suite)| *suite)
        })?;
        let has_http2_suite = names.iter().any(|one| HTTP2_SUITES.contains(&one.as_str()));
        if http2 && versions.contains(&&TLS12) && !has_http2_suite {
            let [first, second] = HTTP2_SUITES;
            let message = format!(
                "must list {first} or {second}, because HTTP/2 needs one of them; or set http2: false"
            );
            return Err(Error::new(file, CIPHERS, message));
        }
        // As in Go, the list has no effect on TLS 1.3.
        let is_tls12 = |suite: &SupportedCipherSuite| suite.version() == &TLS12;
        provider.cipher_suites.retain(|suite| !is_tls12(suite));
        provider
            .cipher_suites
            .extend(listed.into_iter().filter(is_tls12));
        if versions == [&TLS12] && !provider.cipher_suites.iter().any(is_tls12) {
            let message = "lists no suite of TLS 1.2, but max_version is TLS12";
            return Err(Error::new(file, CIPHERS, message));
        }
    }
    Ok((versions, Arc::new(provider)))
}

/// The protocol versions from `min_version` to `max_version`.
fn versions(file: &Path, section: &TlsSection, warnings: &mut Warnings) -> Result<Versions, Error> {
    const NAMES: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];
    let (min_key, max_key) = (
        "tls_server_config.min_version",
        "tls_server_config.max_version",
    );
    let position = |key, value: Option<&String>, default| match value {
        None => Ok(default),
        Some(name) => NAMES
            .iter()
            .position(|one| one == name)
            .ok_or_else(|| Error::new(file, key, "must be TLS12 or TLS13")),
    };
    let min = position(min_key, section.min_version.as_ref(), 2)?;
    let max = position(max_key, section.max_version.as_ref(), 3)?;
    if max < 2 {
        let message = "allows only TLS 1.0 or 1.1, which are not supported; use TLS12 or TLS13";
        return Err(Error::new(file, max_key, message));
    }
    if min > max {
        let message = "is above max_version, so no connection would be possible";
        return Err(Error::new(file, min_key, message));
    }
    if min < 2 {
        let message = "works as TLS12, because TLS 1.0 and 1.1 are not supported";
        warnings.add(file, min_key, message);
    }
    let all = [(2, &TLS12), (3, &TLS13)];
    let allowed = all.into_iter().filter(|(at, _)| (min..=max).contains(at));
    Ok(allowed.map(|(_, version)| version).collect())
}

/// The supported items of the list `names`. `find` returns `None` for an unknown name, and `Some(None)` for a
/// name that rustls does not support.
///
/// # Errors
/// A name is unknown, or no name is supported.
fn supported<T>(
    file: &Path,
    key: &str,
    names: &[String],
    warnings: &mut Warnings,
    find: impl Fn(&str) -> Option<Option<T>>,
) -> Result<Vec<T>, Error> {
    let (mut found, mut without_support) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Some(Some(item)) => found.push(item),
            Some(None) => without_support.push(name.as_str()),
            None => {
                let message = format!("lists the unknown name {}", shown(name));
                return Err(Error::new(file, key, message));
            }
        }
    }
    let without_support = without_support.join(", ");
    if found.is_empty() {
        let message = format!("lists only names that are not supported: {without_support}");
        return Err(Error::new(file, key, message));
    }
    if !without_support.is_empty() {
        let message = format!("lists names that are not supported and ignored: {without_support}");
        warnings.add(file, key, message);
    }
    Ok(found)
}

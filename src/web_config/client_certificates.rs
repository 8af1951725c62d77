//! Checks the certificates of clients (`client_auth_type`, `client_ca`, `client_allowed_sans`).
//!
//! The verifier of rustls is not enough. It cannot accept a certificate without a check of its issuer, and it
//! refuses a certificate that is itself in the file of certificate authorities. Go accepts both.

use std::{collections::BTreeSet, fmt, net::IpAddr, path::Path, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_cert::{
    Certificate,
    der::{Decode, oid::ObjectIdentifier},
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName},
};

use super::document::{Error, TlsSection, Warnings, text};

const AUTH_TYPE: &str = "tls_server_config.client_auth_type";
const ALLOWED_SANS: &str = "tls_server_config.client_allowed_sans";
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The values of `client_auth_type`, with the meaning of Go's `tls.ClientAuthType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthType {
    /// The server requests no certificate.
    None,
    /// The server accepts any certificate, or none.
    Request,
    /// The client must have a certificate, with any issuer.
    RequireAny,
    /// A certificate authority must have issued the certificate, if the client has one.
    VerifyIfGiven,
    /// The client must have a certificate of a certificate authority.
    RequireAndVerify,
}

impl AuthType {
    fn new(file: &Path, section: &TlsSection) -> Result<Self, Error> {
        Ok(match text(section.client_auth_type.as_ref()) {
            None | Some("NoClientCert") => Self::None,
            Some("RequestClientCert") => Self::Request,
            // The second name is an old name of the exporter-toolkit.
            Some("RequireAnyClientCert" | "RequireClientCert") => Self::RequireAny,
            Some("VerifyClientCertIfGiven") => Self::VerifyIfGiven,
            Some("RequireAndVerifyClientCert") => Self::RequireAndVerify,
            Some(_) => {
                let message = "must be NoClientCert, RequestClientCert, RequireAnyClientCert, \
                    VerifyClientCertIfGiven or RequireAndVerifyClientCert";
                return Err(Error::new(file, AUTH_TYPE, message));
            }
        })
    }

    fn is_required(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    fn is_verified(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// Whether every client must have a certificate of a configured authority.
pub(super) fn are_verified(file: &Path, section: &TlsSection) -> Result<bool, Error> {
    Ok(AuthType::new(file, section)? == AuthType::RequireAndVerify)
}

/// The verifier of client certificates; `None` if the server requests none. `authorities` are the certificates
/// of `client_ca` or `client_ca_file`.
///
/// # Errors
/// The keys about client certificates contradict each other, or no authority is usable.
pub(super) fn verifier(
    file: &Path,
    section: &TlsSection,
    authorities: Option<Vec<CertificateDer<'static>>>,
    provider: &Arc<CryptoProvider>,
    warnings: &mut Warnings,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    let auth_type = AuthType::new(file, section)?;
    if auth_type == AuthType::None && authorities.is_some() {
        let message = "must not be NoClientCert, because the file names authorities of client \
            certificates; RequireAndVerifyClientCert checks them";
        return Err(Error::new(file, AUTH_TYPE, message));
    }
    let allowed_sans = section.client_allowed_sans.as_ref();
    if allowed_sans.is_some() && !auth_type.is_required() {
        let message = "needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert, \
            because other types accept a client without a certificate";
        return Err(Error::new(file, ALLOWED_SANS, message));
    }
    if allowed_sans.is_some_and(Vec::is_empty) {
        let message = "lists no name, so no client could connect; list names or remove the key";
        return Err(Error::new(file, ALLOWED_SANS, message));
    }
    if auth_type == AuthType::None {
        return Ok(None);
    }
    if auth_type.is_verified() && authorities.is_none() {
        let message = "checks the issuer, but neither client_ca nor client_ca_file is set, so no \
            client certificate is accepted";
        warnings.add(file, AUTH_TYPE, message);
    }
    let authorities = authorities.unwrap_or_default();
    let mut roots = RootCertStore::empty();
    let (usable, damaged) = roots.add_parsable_certificates(authorities.iter().cloned());
    if damaged > 0 {
        let message = format!("{damaged} of {} certificates are damaged", usable + damaged);
        warnings.add(file, "tls_server_config.client_ca", message);
    }
    if usable == 0 && damaged > 0 {
        let message = "has no usable certificate of an authority";
        return Err(Error::new(file, "tls_server_config.client_ca", message));
    }
    let hints = roots.subjects();
    let issuers = if auth_type.is_verified() && !roots.is_empty() {
        let roots = Arc::new(roots);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let built = builder.build();
        Some(built.map_err(|error| Error::new(file, AUTH_TYPE, error.to_string()))?)
    } else {
        None
    };
    Ok(Some(Arc::new(Verifier {
        auth_type,
        issuers,
        authorities,
        hints,
        allowed_sans: allowed_sans.map(|names| names.iter().cloned().collect()),
        algorithms: provider.signature_verification_algorithms,
    })))
}

/// Decides whether a client may connect.
struct Verifier {
    auth_type: AuthType,
    /// Checks the issuer; `None` if the issuer has no meaning or no authority is known.
    issuers: Option<Arc<dyn ClientCertVerifier>>,
    authorities: Vec<CertificateDer<'static>>,
    hints: Vec<DistinguishedName>,
    allowed_sans: Option<BTreeSet<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verifier").field(&self.auth_type).finish()
    }
}

impl Verifier {
    /// Checks that an authority has issued the certificate.
    fn verify_issuer(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        if self.authorities.iter().any(|one| one == der) {
            return verify_listed(certificate, now);
        }
        let issuers = self.issuers.as_ref();
        let issuers = issuers.ok_or(CertificateError::UnknownIssuer)?;
        issuers.verify_client_cert(der, intermediates, now)?;
        Ok(())
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.auth_type.is_required()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let certificate =
            Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.auth_type.is_verified() {
            self.verify_issuer(end_entity, &certificate, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed_sans
            && !alternative_names(&certificate)?
                .iter()
                .any(|name| allowed.contains(name))
        {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the validity and the usage of a certificate that the file of authorities contains. Such a certificate
/// needs no issuer. It is often self-signed.
fn verify_listed(certificate: &Certificate, now: UnixTime) -> Result<(), TlsError> {
    let validity = certificate.tbs_certificate().validity();
    let now = now.as_secs();
    if now < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    let usage = certificate
        .tbs_certificate()
        .get_extension::<ExtendedKeyUsage>()
        .map_err(|_| CertificateError::BadEncoding)?;
    match usage {
        Some((_, usage)) if !usage.0.contains(&CLIENT_AUTH) && !usage.0.contains(&ANY_USAGE) => {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

/// The DNS names, email addresses, IP addresses and URIs of the certificate's subject.
fn alternative_names(certificate: &Certificate) -> Result<Vec<String>, TlsError> {
    let names = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .map_err(|_| CertificateError::BadEncoding)?;
    let names = names.into_iter().flat_map(|(_, names)| names.0);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DnsName(name)
            | GeneralName::Rfc822Name(name)
            | GeneralName::UniformResourceIdentifier(name) => Some(name.as_str().to_owned()),
            GeneralName::IpAddress(address) => {
                let bytes = address.as_bytes();
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
                Some(address.ok()?.to_canonical().to_string())
            }
            _ => None,
        })
        .collect())
}

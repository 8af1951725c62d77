//! Why a connection failed, in a closed set of words.
//!
//! An error of a library may quote the peer: a certificate names hosts, a decoder names what it read.
//! Only its type is looked at, the system's own error text excepted.

use std::{error::Error as StdError, io};

use rustls::CertificateError;

/// The cause of a failed connection, without a word of the peer's.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return "the host's name cannot be resolved".to_owned();
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(fault) = next {
        if let Some(tls) = fault.downcast_ref() {
            return self::tls(tls);
        }
        next = match fault.downcast_ref::<io::Error>() {
            // The text of a number that the system gave.
            Some(io) if io.raw_os_error().is_some() => return io.to_string(),
            // Its `source` is that of the inner error, and passes the inner error itself over.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => fault.source(),
        };
    }
    if error.is_connect() {
        return "no connection to the server or through the proxy".to_owned();
    }
    "the answer breaks off or is not valid HTTP".to_owned()
}

fn tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error).to_owned(),
        rustls::Error::AlertReceived(alert) => format!("the server ended TLS with {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        _ => "TLS failed".to_owned(),
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => {
            "the server's certificate is from an unknown authority; api.ca_file adds one"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check the clock of this machine"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host name than that of api.base_url"
        }
        // The type behind it is not public here; its name is a constant.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the server's certificate is that of an authority (CA:TRUE); give the server one of its own, \
             issued by that authority"
        }
        _ => "the server's certificate is not valid",
    }
}

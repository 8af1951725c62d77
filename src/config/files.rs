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
use secrecy::{ExposeSecret, SecretString};
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
/// A token file, in bytes. A token is a header value.
const MAX_TOKEN: u64 = 16 << 10;
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
fn read_regular(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
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

/// Why a token file gives no token. The text names the file, never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token file {} {reason}", path.display())]
pub struct TokenFileError {
    path: PathBuf,
    reason: String,
}

impl TokenFileError {
    /// `reason` follows the name of the file in a sentence.
    pub fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// The part of the text after the name of the file.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// The token in the regular file at `path`, without surrounding white space. Follows symbolic links.
///
/// Blocks while it reads at most 16 KiB. On a network share, that may take unlimited time.
pub fn read_token_file(path: &Path) -> Result<SecretString, TokenFileError> {
    let token = match read_regular(path, MAX_TOKEN) {
        Err(ReadError::Io(source)) => {
            return Err(TokenFileError::new(
                path,
                format!("cannot be read: {source}"),
            ));
        }
        Err(ReadError::NotRegular) => {
            return Err(TokenFileError::new(path, "is not a regular file"));
        }
        Err(ReadError::TooLarge(_)) => Err(TokenFault::Unfit),
        Ok(bytes) => std::str::from_utf8(&bytes).map_or(Err(TokenFault::Unfit), parse_token),
    };
    token.map_err(|fault| {
        let reason = match fault {
            TokenFault::Empty => "is empty",
            TokenFault::Unfit => {
                "holds something that is not a token (one line of printable ASCII without spaces)"
            }
        };
        TokenFileError::new(path, reason)
    })
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFault {
    Empty,
    Unfit,
}

/// The token in `text`, without surrounding white space.
pub(super) fn parse_token(text: &str) -> Result<SecretString, TokenFault> {
    match text.trim() {
        "" => Err(TokenFault::Empty),
        token if is_header_word(token) => Ok(SecretString::from(token)),
        _ => Err(TokenFault::Unfit),
    }
}

/// A form that a token should not have, such as JSON. The token is used in any case.
pub(super) fn suspicious_form(token: &SecretString) -> Option<&'static str> {
    let token = token.expose_secret();
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
    if token.contains("${") {
        Some("a placeholder")
    } else if token.starts_with(['{', '[']) {
        Some("JSON")
    } else if token.starts_with(is_quote) || token.ends_with(is_quote) {
        Some("a text in quotes")
    } else {
        is_assignment(token).then_some("KEY=value")
    }
}

/// Whether `text` has the form `KEY=value`. The padding of base64 does not make it one.
fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, value)| {
        key.starts_with(|c: char| !c.is_ascii_digit())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !value.trim_start_matches('=').is_empty()
    })
}

/// Whether `text` can be a header's value without quotes and spaces.
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The path at `node`, if every certificate in that file can be used now. Other content is skipped.
pub(super) fn ca_file(node: &Node<'_>, folder: &Path) -> Option<PathBuf> {
    let path = node.path(folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn white_space_around_a_token_is_trimmed() {
        let file = file(b"  s3cret-token\r\n\n");
        assert_eq!(
            read_token_file(file.path()).unwrap().expose_secret(),
            "s3cret-token"
        );
    }

    #[test]
    fn every_error_names_the_file_and_none_shows_its_content() {
        let missing = Path::new("/nowhere/at/all");
        let missing = read_token_file(missing).unwrap_err().to_string();
        assert!(
            missing.starts_with("token file /nowhere/at/all cannot be read: "),
            "{missing}"
        );

        let empty = file(b" \n");
        let error = read_token_file(empty.path()).unwrap_err();
        assert_eq!(error.reason(), "is empty");

        let long = vec![b'x'; 20_000];
        for content in [
            &b"s3cret\ntoken"[..],
            b"s3cret\x00",
            "s3cret\u{e9}".as_bytes(),
            b"s3cret\xff",
            &long,
        ] {
            let unfit = file(content);
            let error = read_token_file(unfit.path()).unwrap_err();
            assert!(error.reason().contains("is not a token"), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(&unfit.path().display().to_string()),
                "{shown}"
            );
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn folders_pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [folder.path(), &pipe, Path::new("/dev/zero")] {
            let error = read_token_file(path).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("token file {} is not a regular file", path.display())
            );
        }
    }

    #[test]
    fn links_to_a_file_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("..2024")).unwrap();
        std::fs::write(at("..2024").join("token"), "s3cret").unwrap();
        // As Kubernetes mounts a secret: a link to a file below a linked folder.
        std::os::unix::fs::symlink("..2024", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
        let token = read_token_file(&at("token")).unwrap();
        assert_eq!(token.expose_secret(), "s3cret");
    }
}

//! Tests of the web configuration, with files and certificates in a folder of their own.

mod documents;
mod handshakes;
mod passwords;
mod reload;

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use tempfile::TempDir;

use super::{Error, WebConfig};

/// The bcrypt hash of `correct horse`, at the lowest cost.
fn hash() -> String {
    bcrypt::hash("correct horse", 4).unwrap()
}

/// A folder with a server certificate, two certificate authorities and client certificates.
struct Folder {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Folder {
    /// The folder contains `server.crt` and `server.key` for `localhost`, and `ca.crt`.
    fn new() -> Self {
        let folder = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: authority("clients"),
        };
        let (certificate, key) = self_signed();
        folder.write("server.crt", &certificate);
        folder.write("server.key", &key);
        folder.write("ca.crt", &folder.authority.pem());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Replaces the file as a rename does.
    fn replace(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// Loads the web configuration `text`.
    fn load(&self, text: &str) -> Result<(WebConfig, Vec<String>), Error> {
        self.write("web.yml", text);
        WebConfig::load(&self.path("web.yml"))
    }

    /// Loads a web configuration with the server certificate. `section` continues `tls_server_config`.
    fn load_tls(&self, section: &str) -> Result<(WebConfig, Vec<String>), Error> {
        self.load(&with_tls(section))
    }

    /// The message of the error about `text`, without the name of the folder.
    fn error(&self, text: &str) -> String {
        let error = self.load(text).expect_err(text).to_string();
        let folder = format!("{}/", self.folder.path().display());
        error.replace(&folder, "")
    }
}

/// A web configuration with the server certificate. `section` continues `tls_server_config`.
fn with_tls(section: &str) -> String {
    let section = format!("cert_file: server.crt\nkey_file: server.key\n{section}");
    format!(
        "tls_server_config:\n  {}\n",
        section.trim_end().replace('\n', "\n  ")
    )
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A self-signed certificate for `localhost` and its key, in PEM form.
fn self_signed() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}

/// The parameters of a client certificate with these alternative names.
fn client_params(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

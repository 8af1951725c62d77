//! The web configuration (`--web.config.file`): the program gives the verdicts of the programs that use Prometheus'
//! exporter-toolkit, and its server behaves as theirs.
//!
//! The files in `files/` have the names of the cases of the exporter-toolkit. In a file, `@NAME@` is replaced by the
//! content of the file `NAME`, and `@hash@` by a bcrypt hash of the password.

mod lifecycle;
mod serving;
mod verdicts;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tempfile::TempDir;

/// The password of the user `prometheus`.
const PASSWORD: &str = "correct horse";

/// The text of a file in `files/`.
fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/web_config/files");
    fs::read_to_string(folder.join(format!("{name}.yml"))).unwrap()
}

/// A folder with a server certificate for `localhost`, an authority of clients, and two client certificates. The
/// authority has issued `client.crt`, for `prometheus.test`. `stranger.crt` is self-signed.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let server = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.write("server.crt", &server.cert.pem());
        folder.write("server.key", &server.signing_key.serialize_pem());
        let mut params = CertificateParams::new(["authority.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of clients");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        folder.write("ca.crt", &authority.pem());
        let client = |name: &str| {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            (params, KeyPair::generate().unwrap())
        };
        let (params, key) = client("prometheus.test");
        folder.write(
            "client.crt",
            &params.signed_by(&key, &authority).unwrap().pem(),
        );
        folder.write("client.key", &key.serialize_pem());
        let (params, key) = client("prometheus.test");
        folder.write("stranger.crt", &params.self_signed(&key).unwrap().pem());
        folder.write("stranger.key", &key.serialize_pem());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a web configuration, and returns its path.
    fn web_config(&self, text: &str) -> String {
        let mut text = text.replace("@hash@", &bcrypt::hash(PASSWORD, 4).unwrap());
        for name in ["server.crt", "server.key", "ca.crt"] {
            let content = fs::read_to_string(self.path(name)).unwrap();
            text = text.replace(&format!("@{name}@"), &content.replace('\n', "\\n"));
        }
        self.write("web.yml", &text);
        self.path("web.yml").to_str().unwrap().to_owned()
    }
}

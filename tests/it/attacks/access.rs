//! How good clients reach the exporter: over plain TCP, or over TLS with a certificate and a password.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};

/// The password of the only user.
const PASSWORD: &str = "correct horse";

/// bcrypt hashes of the password, with the costs 4 and 10.
const HASHES: [&str; 2] = [
    "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
    "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu",
];

/// A connection with or without TLS.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// How to reach the exporter.
#[derive(Clone)]
pub enum Access {
    /// HTTP without TLS and without a password.
    Plain,
    /// HTTPS with the certificates and the password of a web configuration.
    Encrypted(Arc<Credentials>),
}

/// A web configuration, and the credentials of its clients.
pub struct Credentials {
    folder: tempfile::TempDir,
    /// TLS of a client with a valid certificate, for HTTP/1.1.
    good: Arc<ClientConfig>,
    /// TLS of a client with a certificate of another authority, for HTTP/1.1.
    pub stranger: Arc<ClientConfig>,
    /// TLS of a client without a certificate, for HTTP/1.1.
    pub anonymous: Arc<ClientConfig>,
    /// TLS of a client without a certificate, for HTTP/2.
    pub http2: Arc<ClientConfig>,
}

impl Access {
    /// Opens a connection.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        self.secure(TcpStream::connect(address).await?).await
    }

    /// Sets up TLS on a new connection, if the exporter uses TLS.
    pub async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn Connection>> {
        stream.set_nodelay(true)?;
        match self {
            Self::Plain => Ok(Box::new(stream)),
            Self::Encrypted(credentials) => {
                let stream = handshake(stream, &credentials.good).await?;
                Ok(Box::new(stream))
            }
        }
    }

    /// A `GET` request with further header lines, each with its line end.
    pub fn request(&self, path: &str, headers: &str) -> String {
        let authorization = match self {
            Self::Plain => String::new(),
            Self::Encrypted(_) => format!("Authorization: {}\r\n", authorization(PASSWORD)),
        };
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}{headers}\r\n")
    }

    /// Requests a path on a new connection, and returns the body of the response.
    pub async fn get(&self, address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
        let mut connection = self.connect(address).await?;
        exchange(&mut connection, &self.request(path, "")).await
    }
}

/// Sends a request and reads the body of the response. A status other than 200 is an error.
pub async fn exchange(connection: &mut Box<dyn Connection>, request: &str) -> io::Result<Vec<u8>> {
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let mut received = Vec::with_capacity(4096);
    let head = loop {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            break received.drain(..end + 4).collect::<Vec<_>>();
        }
        if connection.read_buf(&mut received).await? == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
    };
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let (status, headers) = head.split_once("\r\n").unwrap_or_default();
    if !status.starts_with("http/1.1 200 ") {
        return Err(io::Error::other(status.to_owned()));
    }
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| io::Error::other("the response has no length"))?;
    let begun = received.len();
    received.resize(length, 0);
    connection.read_exact(&mut received[begun..]).await?;
    Ok(received)
}

/// Sets up TLS on a connection.
pub async fn handshake(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a host name");
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// The value of the header `Authorization` for the only user with this password.
pub fn authorization(password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("prometheus:{password}"));
    format!("Basic {pair}")
}

/// The value of the header `Authorization` of a good client.
pub fn valid_authorization() -> String {
    authorization(PASSWORD)
}

impl Credentials {
    /// Generates certificates, and writes a web configuration. Clients without a certificate are allowed, so that
    /// attackers reach the check of the password. With `fast`, the hash of the password has the lowest cost, because a
    /// debug build takes a second for the usual cost of 10.
    pub fn generate(fast: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = authority();
        let (server, server_key) = leaf(&authority);
        let (client, client_key) = leaf(&authority);
        let (stranger, stranger_key) = leaf(&self::authority());
        let hash = HASHES[usize::from(!fast)];
        let text = format!(
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: authority.pem\n  \
             client_auth_type: VerifyClientCertIfGiven\nbasic_auth_users:\n  prometheus: {hash}\n"
        );
        for (name, text) in [
            ("web.yml", text),
            ("server.pem", server.pem()),
            ("server.key", server_key.serialize_pem()),
            ("authority.pem", authority.pem()),
        ] {
            std::fs::write(folder.path().join(name), text).expect("the file can be written");
        }
        let config = |identity: Option<(&rcgen::Certificate, &KeyPair)>, protocol: &[u8]| {
            let identity = identity.map(|(one, key)| (one.der().clone(), key));
            client_config(authority.der(), identity, protocol)
        };
        Self {
            folder,
            good: config(Some((&client, &client_key)), b"http/1.1"),
            stranger: config(Some((&stranger, &stranger_key)), b"http/1.1"),
            anonymous: config(None, b"http/1.1"),
            http2: config(None, b"h2"),
        }
    }

    /// The path of the web configuration.
    pub fn web_config(&self) -> PathBuf {
        self.folder.path().join("web.yml")
    }
}

/// A certificate authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::new(vec!["authority.test".to_owned()]).expect("a name");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(authority, key).expect("a certificate")
}

/// A certificate for `localhost`.
fn leaf(authority: &CertifiedIssuer<'static, KeyPair>) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    (leaf.signed_by(&key, authority).expect("a certificate"), key)
}

fn client_config(
    authority: &CertificateDer<'static>,
    identity: Option<(CertificateDer<'static>, &KeyPair)>,
    protocol: &[u8],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has these versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
            let config = config.with_client_auth_cert(vec![certificate], key);
            config.expect("the key is that of the certificate")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

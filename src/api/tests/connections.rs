//! Tests of TLS, proxies, shared connections, and idle or broken connections.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;

/// A certificate authority as PEM, and a TLS acceptor with a certificate for `localhost` from this authority.
fn authority() -> (String, TlsAcceptor) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

fn client_error(account: &Account) -> String {
    let counted = Instruments::new().account("main");
    Transports::default()
        .client(account, counted, Clock::system())
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_with_its_file() {
    let (pem, tls) = authority();
    let server = TestServer::start_tls(tls, |_| page()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let mut account = account(&format!(
        "https://localhost:{}/api/v1",
        server.address.port()
    ));

    let without_file = subject(&account);
    let error = without_file.client.list_page(0, 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.message.contains("unknown authority"), "{error}");
    assert_no_credentials(&without_file.client, &error);
    assert!(server.seen().is_empty(), "no header was sent");

    account.api.ca_file = Some(file.path().to_owned());
    let subject = subject(&account);
    for _ in 0..2 {
        assert_eq!(
            subject.client.list_page(0, 100).await.unwrap().total,
            Some(1)
        );
    }
    let seen = server.seen();
    assert_eq!(seen[0].connection, seen[1].connection, "TLS is set up once");
}

#[test]
fn an_unusable_file_of_authorities_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for path in [
        folder.path().join("missing.pem"),
        folder.path().to_owned(),
        write("empty.pem", ""),
        write("text.pem", "no certificate at all"),
        write("broken.pem", broken),
    ] {
        let mut account = account("https://vendor.invalid/api/v1");
        account.api.ca_file = Some(path.clone());
        let message = client_error(&account);
        assert!(message.contains(&*path.to_string_lossy()), "{message}");
        assert!(message.starts_with("api.ca_file"), "{message}");
    }
}

#[test]
fn the_authorities_do_not_depend_on_the_operating_system() {
    let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
    let built_in = client::built_in_authorities();
    assert!(bundled > 100 && built_in.len() >= bundled);
}

#[test]
fn accounts_with_equal_settings_share_their_connections() {
    let mut transports = Transports::default();
    let mut made = |account: &Account| {
        let counted = Instruments::new().account("main");
        transports
            .client(account, counted, Clock::system())
            .unwrap();
        transports.made.len()
    };
    let mut account = account("https://vendor.invalid/api/v1");
    assert_eq!(made(&account), 1);
    account.auth_id = "MA_OTHER".to_owned();
    account.api.request_timeout = Duration::from_secs(1);
    assert_eq!(made(&account), 1);
    account.api.connect_timeout = Duration::from_secs(1);
    assert_eq!(made(&account), 2);
    account.api.proxy_url = Some(Url::parse("http://proxy.invalid").unwrap());
    assert_eq!(made(&account), 3);
}

#[tokio::test]
async fn the_configured_proxy_is_used_except_for_this_machine() {
    let proxy = TestServer::start(|_| page()).await;
    let server = TestServer::start(|_| page()).await;
    let proxy_url = Url::parse(&format!("http://user:secret@{}", proxy.address)).unwrap();

    let mut far = account("http://vendor.invalid/api/v1");
    far.api.proxy_url = Some(proxy_url.clone());
    let far = subject(&far);
    far.client.list_page(0, 100).await.unwrap();
    let seen = proxy.seen();
    assert!(
        seen[0]
            .line
            .starts_with("GET http://vendor.invalid/api/v1/Account/"),
        "{seen:?}"
    );
    assert_eq!(
        seen[0].header("proxy-authorization"),
        Some("Basic dXNlcjpzZWNyZXQ=")
    );
    assert!(!format!("{:?}", far.client).contains("secret"));

    let mut near = account(&server.base_url());
    near.api.proxy_url = Some(proxy_url);
    subject(&near).client.list_page(0, 100).await.unwrap();
    assert_eq!((proxy.seen().len(), server.seen().len()), (1, 1));
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
    let mut account = account("https://vendor.invalid/api/v1");
    account.api.proxy_url = Some(Url::parse("socks5://user:secret@proxy.invalid").unwrap());
    let message = client_error(&account);
    assert!(
        message.starts_with("api.proxy_url") && !message.contains("secret"),
        "{message}"
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_not_used_again() {
    let server = TestServer::start(|_| page()).await;
    let idle = Duration::from_millis(100);
    let counted = Instruments::new().account("main");
    let mut transports = Transports::default();
    transports.idle_timeout = Some(idle);
    let client = transports
        .client(&account(&server.base_url()), counted, Clock::system())
        .unwrap();
    client.list_page(0, 100).await.unwrap();
    tokio::time::sleep(2 * idle).await;
    client.list_page(0, 100).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].connection, seen[1].connection), (0, 1));
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_fails_no_request() {
    // The server closes each connection after one response and sends no `Connection: close`.
    let server = TestServer::start(|_| match page() {
        Reply::Bytes(bytes) => Reply::Last(bytes),
        other => other,
    })
    .await;
    let subject = subject(&account(&server.base_url()));
    for _ in 0..5 {
        let four = (0..4).map(|_| subject.client.list_page(0, 100));
        for answer in futures_util::future::join_all(four).await {
            answer.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.seen().len(), 20);
}

#[tokio::test]
async fn idle_connections_that_are_lost_without_a_notice_fail_no_request() {
    // Each of the first eight connections is reset at the second request of that connection.
    let counts = std::sync::Mutex::new(std::collections::HashMap::<usize, usize>::new());
    let server = TestServer::start(move |request| {
        let mut counts = counts.lock().unwrap();
        let received = counts.entry(request.connection).or_default();
        *received += 1;
        if request.connection < 8 && *received > 1 {
            Reply::Reset
        } else {
            page()
        }
    })
    .await;
    let subject = subject(&account(&server.base_url()));
    for _ in 0..2 {
        let eight = (0..8).map(|_| subject.client.list_page(0, 100));
        for answer in futures_util::future::join_all(eight).await {
            answer.unwrap();
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_during_a_request_is_a_network_error() {
    let server = TestServer::start(|_| Reply::Reset).await;
    let subject = subject(&account(&server.base_url()));
    let error = subject.client.list_page(0, 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert_eq!(server.seen().len(), 2, "once more on a new connection");
}

//! Which TLS connections a web configuration allows. Client and server exchange their bytes in memory.

use std::sync::Arc;

use rcgen::SanType;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, SupportedCipherSuite,
    SupportedProtocolVersion,
    crypto::ring::{cipher_suite, default_provider, kx_group},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::*;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A client that trusts the server certificate of the folder.
struct Client {
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: rustls::crypto::CryptoProvider,
    protocols: Vec<Vec<u8>>,
    identity: Option<Identity>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            versions: vec![&TLS12, &TLS13],
            provider: default_provider(),
            protocols: Vec::new(),
            identity: None,
        }
    }
}

impl Client {
    /// Connects to a server with these settings. Returns the connection or the server's error.
    fn connect(
        self,
        folder: &Folder,
        config: &WebConfig,
    ) -> Result<ServerConnection, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let trusted = std::fs::read(folder.path("server.crt")).unwrap();
        roots
            .add(CertificateDer::from_pem_slice(&trusted).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut client = match self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        };
        client.alpn_protocols = self.protocols;
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(config.current().tls().unwrap()).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets()?;
            }
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!server.is_handshaking() && !client.is_handshaking());
        Ok(server)
    }
}

fn is_allowed(folder: &Folder, config: &WebConfig, identity: Option<&Identity>) -> bool {
    let identity = identity.map(|(chain, key)| (chain.clone(), key.clone_key()));
    // TLS 1.2 and 1.3 check client certificates in different ways, so both must agree.
    let [first, second] = [&TLS12, &TLS13].map(|version| {
        let client = Client {
            versions: vec![version],
            identity: identity
                .as_ref()
                .map(|(chain, key)| (chain.clone(), key.clone_key())),
            ..Client::default()
        };
        client.connect(folder, config).is_ok()
    });
    assert_eq!(first, second);
    first
}

/// A client certificate with these names. The authority of the folder issued it.
fn issued(folder: &Folder, names: Vec<SanType>) -> Identity {
    issued_with(folder, &client_params(names))
}

fn issued_with(folder: &Folder, params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &folder.authority).unwrap();
    (
        vec![certificate.der().clone()],
        PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
}

fn dns(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// A self-signed certificate that no authority of the folder has issued, and its text in PEM form.
fn stranger(is_ca: bool) -> (Identity, String) {
    let mut params = client_params(dns("stranger"));
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ((vec![certificate.der().clone()], key), pem)
}

#[test]
fn each_client_auth_type_accepts_the_clients_that_go_accepts() {
    let folder = Folder::new();
    let known = issued(&folder, dns("a"));
    let (stranger, _) = stranger(false);
    for (auth_type, none, any, verified) in [
        ("NoClientCert", true, true, true),
        ("RequestClientCert", true, true, true),
        ("RequireAnyClientCert", false, true, true),
        ("RequireClientCert", false, true, true),
        ("VerifyClientCertIfGiven", true, false, true),
        ("RequireAndVerifyClientCert", false, false, true),
    ] {
        let authority = if auth_type == "NoClientCert" {
            ""
        } else {
            "client_ca_file: ca.crt"
        };
        let section = format!("client_auth_type: {auth_type}\n{authority}");
        let (config, warnings) = folder.load_tls(&section).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let accepted = |identity| is_allowed(&folder, &config, identity);
        assert_eq!(accepted(None), none, "{auth_type}");
        assert_eq!(accepted(Some(&stranger)), any, "{auth_type}");
        assert_eq!(accepted(Some(&known)), verified, "{auth_type}");
    }
}

#[test]
fn without_authorities_no_checked_certificate_is_accepted_and_a_warning_says_so() {
    let folder = Folder::new();
    let known = issued(&folder, dns("a"));
    for (auth_type, without) in [
        ("VerifyClientCertIfGiven", true),
        ("RequireAndVerifyClientCert", false),
    ] {
        let (config, warnings) = folder
            .load_tls(&format!("client_auth_type: {auth_type}"))
            .unwrap();
        assert!(
            warnings[0].ends_with("no client certificate is accepted"),
            "{warnings:?}"
        );
        assert!(!is_allowed(&folder, &config, Some(&known)));
        assert_eq!(is_allowed(&folder, &config, None), without);
    }
}

#[test]
fn a_client_certificate_may_itself_be_in_the_file_of_authorities() {
    let folder = Folder::new();
    for is_ca in [false, true] {
        let (stranger, pem) = stranger(is_ca);
        folder.write("ca.crt", &pem);
        let section = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt";
        let (config, _) = folder.load_tls(section).unwrap();
        assert!(is_allowed(&folder, &config, Some(&stranger)));
        assert!(!is_allowed(
            &folder,
            &config,
            Some(&issued(&folder, dns("a")))
        ));
    }
}

#[test]
fn an_expired_certificate_and_one_for_another_use_are_refused() {
    let folder = Folder::new();
    let section = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt";
    let expired = || {
        let mut params = client_params(dns("a"));
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        params
    };
    let early = || {
        let mut params = client_params(dns("a"));
        params.not_before = rcgen::date_time_ymd(2120, 1, 1);
        params
    };
    let for_servers = || {
        let mut params = client_params(dns("a"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    };
    for params in [expired(), early(), for_servers()] {
        let (config, _) = folder.load_tls(section).unwrap();
        assert!(!is_allowed(
            &folder,
            &config,
            Some(&issued_with(&folder, &params))
        ));
    }
    for params in [expired(), early(), for_servers()] {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let listed = Folder::new();
        listed.write("ca.crt", &certificate.pem());
        let (config, _) = listed.load_tls(section).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        assert!(!is_allowed(
            &listed,
            &config,
            Some(&(vec![certificate.der().clone()], key))
        ));
    }
}

#[test]
fn an_alternative_name_of_each_kind_can_allow_a_client() {
    let folder = Folder::new();
    let section = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt\n\
        client_allowed_sans: [prometheus.test, 'ops@example.org', 192.0.2.7, '2001:db8::7', 'spiffe://test/prometheus']";
    let (config, _) = folder.load_tls(section).unwrap();
    let text = |name: &str| name.try_into().unwrap();
    for (name, is_accepted) in [
        (SanType::DnsName(text("prometheus.test")), true),
        (SanType::Rfc822Name(text("ops@example.org")), true),
        (SanType::IpAddress("192.0.2.7".parse().unwrap()), true),
        (SanType::IpAddress("2001:db8::7".parse().unwrap()), true),
        (SanType::URI(text("spiffe://test/prometheus")), true),
        (SanType::DnsName(text("Prometheus.test")), false),
        (SanType::DnsName(text("other.test")), false),
        (SanType::IpAddress("192.0.2.8".parse().unwrap()), false),
    ] {
        let shown = format!("{name:?}");
        let client = issued(&folder, vec![name]);
        assert_eq!(
            is_allowed(&folder, &config, Some(&client)),
            is_accepted,
            "{shown}"
        );
    }
    let mut both = dns("other.test");
    both.extend(dns("prometheus.test"));
    assert!(is_allowed(&folder, &config, Some(&issued(&folder, both))));
    assert!(!is_allowed(
        &folder,
        &config,
        Some(&issued(&folder, Vec::new()))
    ));
    assert!(!is_allowed(&folder, &config, Some(&stranger(false).0)));
}

#[test]
fn names_are_checked_without_an_authority_too() {
    let folder = Folder::new();
    let section = "client_auth_type: RequireAnyClientCert\nclient_allowed_sans: [stranger]";
    let (config, _) = folder.load_tls(section).unwrap();
    assert!(is_allowed(&folder, &config, Some(&stranger(false).0)));
    assert!(!is_allowed(
        &folder,
        &config,
        Some(&issued(&folder, dns("a")))
    ));
    assert!(!is_allowed(&folder, &config, None));
}

#[test]
fn the_protocol_is_http2_if_the_client_offers_it_and_the_file_allows_it() {
    let folder = Folder::new();
    let chosen = |text: &str, offered: &[&[u8]]| {
        let (config, _) = folder.load(text).unwrap();
        let client = Client {
            protocols: offered.iter().map(|one| one.to_vec()).collect(),
            ..Client::default()
        };
        let server = client.connect(&folder, &config).unwrap();
        server
            .alpn_protocol()
            .map(|name| String::from_utf8(name.to_vec()).unwrap())
    };
    let both: &[&[u8]] = &[b"http/1.1", b"h2"];
    assert_eq!(chosen(&with_tls(""), both).as_deref(), Some("h2"));
    assert_eq!(
        chosen(&with_tls(""), &both[..1]).as_deref(),
        Some("http/1.1")
    );
    assert_eq!(chosen(&with_tls(""), &[]), None);
    let without = format!("{}http_server_config:\n  http2: false\n", with_tls(""));
    assert_eq!(chosen(&without, both).as_deref(), Some("http/1.1"));
}

#[test]
fn versions_suites_and_curves_of_the_file_limit_the_connection() {
    let folder = Folder::new();
    let only = |suite: SupportedCipherSuite| {
        let mut provider = default_provider();
        provider.cipher_suites = vec![suite];
        provider
    };
    let aes_256 = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    let listed = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]";
    let mut p256 = default_provider();
    p256.kx_groups = vec![kx_group::SECP256R1];
    let tls12 = || vec![&TLS12];
    let tls13 = || vec![&TLS13];
    let client = |versions, provider| Client {
        versions,
        provider,
        ..Client::default()
    };
    for (section, client, is_allowed) in [
        ("", client(tls12(), default_provider()), true),
        (
            "min_version: TLS13",
            client(tls12(), default_provider()),
            false,
        ),
        (
            "max_version: TLS12",
            client(tls13(), default_provider()),
            false,
        ),
        (
            "max_version: TLS12",
            client(tls12(), default_provider()),
            true,
        ),
        ("", client(tls12(), only(aes_256)), true),
        (listed, client(tls12(), only(aes_256)), false),
        (listed, client(tls12(), default_provider()), true),
        (listed, client(tls13(), default_provider()), true),
        ("", client(tls13(), p256.clone()), true),
        ("curve_preferences: [X25519]", client(tls13(), p256), false),
    ] {
        let (config, _) = folder.load_tls(section).unwrap();
        assert_eq!(
            client.connect(&folder, &config).is_ok(),
            is_allowed,
            "{section}"
        );
    }
}

#[test]
fn the_order_of_the_file_decides_unless_the_client_may_choose() {
    let folder = Folder::new();
    let aes_128 = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let aes_256 = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    let listed = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    for (prefers_server, expected) in [(true, aes_128), (false, aes_256)] {
        let section = format!("{listed}\nprefer_server_cipher_suites: {prefers_server}");
        let (config, _) = folder.load_tls(&section).unwrap();
        let mut provider = default_provider();
        provider.cipher_suites = vec![aes_256, aes_128];
        let client = Client {
            versions: vec![&TLS12],
            provider,
            ..Client::default()
        };
        let server = client.connect(&folder, &config).unwrap();
        assert_eq!(server.negotiated_cipher_suite(), Some(expected));
    }
}

//! TLS: a certificate must have the host name of the vendor, and a trusted authority must sign it.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use vobiz_simulator::{Options, Vendor, World};

use crate::harness::{Exporter, Program, configuration, run};

/// The parameters of a certificate authority.
fn authority(name: &str) -> CertificateParams {
    let mut ca = CertificateParams::new(vec![name.to_owned()]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca
}

/// Returns a vendor with 45 endpoints and a certificate for `name`. Also returns the PEM certificate
/// of the private authority that signed the certificate of the vendor.
async fn private_vendor(name: &str) -> (Vendor, String) {
    let ca = authority("authority.test");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    (vendor(&leaf, &key).await, ca.pem())
}

/// A vendor with 45 endpoints and this certificate.
async fn vendor(certificate: &Certificate, key: &KeyPair) -> Vendor {
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let options = Options {
        tls: Some(Arc::new(tls)),
        ..Options::default()
    };
    Vendor::start(World::still(45, 7), options).await.unwrap()
}

/// The configuration for `vendor` with this absolute or relative path as `ca_file`.
fn trusting(vendor: &Vendor, ca_file: &str) -> String {
    configuration(vendor, "").replace(
        "requests_per_second: 0",
        &format!("requests_per_second: 0, retries: 0, ca_file: \"{ca_file}\""),
    )
}

#[tokio::test]
async fn a_private_authority_is_trusted_through_its_file() {
    let (vendor, pem) = private_vendor("localhost").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, pem).unwrap();
    assert_eq!(vendor.base_url().scheme(), "https");

    let exporter = Exporter::start(&trusting(&vendor, file.to_str().unwrap())).await;
    let scrape = exporter
        .until("the first walk", |scrape| scrape.up("main").is_some())
        .await;
    assert_eq!(scrape.up("main"), Some(1.0));
    assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);
    assert_eq!(vendor.counts().connections, 1, "TLS is set up once");
}

#[tokio::test]
async fn without_the_ca_file_nothing_is_sent_and_the_log_names_the_certificate() {
    let (vendor, _) = private_vendor("localhost").await;
    let exporter = Exporter::start(&configuration(&vendor, "")).await;
    let scrape = exporter
        .until("the first walk", |scrape| scrape.up("main").is_some())
        .await;
    assert_eq!(scrape.up("main"), Some(0.0));
    let failures = |reason: &str| {
        let reason = format!("reason=\"{reason}\"");
        scrape.value("vobiz_walk_failures_total", &[&reason])
    };
    assert_eq!(failures("network"), Some(1.0));
    assert_eq!(failures("timeout"), Some(0.0));
    let line = exporter.log_line("walk failed").await;
    assert!(line.contains("reason=network"), "{line}");
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(vendor.counts().requests, 0, "no header was sent");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (vendor, pem) = private_vendor("elsewhere.test").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, pem).unwrap();
    let checked = Program::configured(
        &trusting(&vendor, file.to_str().unwrap()),
        &["--config.check.live"],
    )
    .run()
    .await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains("certificate"), "{checked:?}");
    assert_eq!(vendor.counts().requests, 0);
}

#[tokio::test]
async fn an_authority_used_as_a_server_certificate_is_explained() {
    let key = KeyPair::generate().unwrap();
    let certificate = authority("localhost").self_signed(&key).unwrap();
    let vendor = vendor(&certificate, &key).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let text = trusting(&vendor, file.to_str().unwrap());
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    let advice = "the server's certificate is that of an authority (CA:TRUE); give the server one of its \
                  own, issued by that authority";
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains(advice), "{checked:?}");
    assert_eq!(vendor.counts().requests, 0);
}

#[tokio::test]
async fn a_file_of_authorities_that_holds_none_is_an_error_of_the_configuration() {
    let (vendor, _) = private_vendor("localhost").await;
    for arguments in [&[][..], &["--config.check"], &["--once"]] {
        let ended = Program::configured(&trusting(&vendor, "absent.pem"), arguments)
            .run()
            .await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("api.ca_file"), "{ended:?}");
        assert!(ended.err.contains("absent.pem"), "{ended:?}");
    }
}

#[tokio::test]
async fn plain_http_is_for_this_machine_only_unless_it_is_allowed() {
    let with = |base_url: &str, more: &str| {
        format!(
            "api: {{base_url: \"{base_url}\"{more}}}\n\
             accounts: [{{name: main, auth_id: MA_1, auth_token: abc}}]\n"
        )
    };
    for (base_url, more, code) in [
        ("http://api.vobiz.test/api/v1", "", 2),
        ("http://192.0.2.1/api/v1", "", 2),
        ("http://localhost.vobiz.test/api/v1", "", 2),
        (
            "http://api.vobiz.test/api/v1",
            ", allow_insecure_http: true",
            0,
        ),
        ("http://127.0.0.1:8080/api/v1", "", 0),
        ("http://[::1]:8080/api/v1", "", 0),
        ("http://localhost:8080/api/v1", "", 0),
        ("https://api.vobiz.test/api/v1", "", 0),
    ] {
        let checked = run(&with(base_url, more), &["--config.check"]).await;
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(code), "{base_url}: {said}");
        let refused = said.contains("plain http") && said.contains("api.base_url");
        assert_eq!(refused, code == 2, "{said}");
    }
}

//! Which clients of a protected port may reload the configuration, and see it.

use super::{PASSWORD, case, serving::Both};

#[tokio::test]
async fn a_password_or_a_verified_certificate_allows_a_reload() {
    let both = Both::new().await;
    let user = format!("prometheus:{PASSWORD}");
    let certificate = ["--cert", "client.crt", "--key", "client.key"];
    let cases: [(&str, &[&str], u16); 3] = [
        ("web_config_users_noTLS.good", &["--user", &user], 200),
        (
            "tls_config_noAuth.requireandverifyclientcert.good",
            &certificate,
            200,
        ),
        // The server accepts a certificate of any issuer, so it proves nothing.
        (
            "tls_config_noAuth.requireanyclientcert.good",
            &certificate,
            403,
        ),
    ];
    for (name, known, expected) in cases {
        let server = both.exporter(&case(name)).await;
        // Without the host name of this host, only a known client may reload.
        let foreign = ["--header", "Host: exporter.example"];
        let reload = [&foreign[..], &["--request", "POST"], known].concat();
        let status = server.status(&both.folder, &reload, "/-/reload").await;
        assert_eq!(status, expected, "{name}");
        let read = [&foreign[..], known].concat();
        let status = server.status(&both.folder, &read, "/-/config").await;
        assert_eq!(status, expected, "{name}");
        let page = ["--header", "Origin: https://other.example"];
        let status = server
            .status(&both.folder, &[&reload[..], &page].concat(), "/-/reload")
            .await;
        assert_eq!(status, 403, "{name}");
    }
    let server = both.exporter(&case("web_config_users_noTLS.good")).await;
    let status = server
        .status(&both.folder, &["--request", "POST"], "/-/reload")
        .await;
    assert_eq!(status, 401, "with passwords, this host needs one, too");
}

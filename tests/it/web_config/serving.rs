//! What clients see: the exporter and `blackbox_exporter` serve with the same files and answer the same.

use std::{path::Path, process::Stdio};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};
use vobiz_simulator::Vendor;

use super::{Folder, PASSWORD, case};
use crate::harness::{
    Generation, Prometheus, Scrape, Written, accounts_config, blackbox_exporter, until, vendor,
};

/// A running exporter. Dropping this struct kills the process.
pub(super) struct Server {
    _process: Child,
    log: Written,
    /// `http` or `https`.
    scheme: &'static str,
    port: String,
}

/// What curl received: status and version of HTTP, and the head; `None` if the server refused the connection.
#[derive(Debug)]
struct Reply(Option<(u16, String, String)>);

impl Server {
    async fn start(program: &Path, config: &Path, web_config: &str, scheme: &'static str) -> Self {
        let mut process = Command::new(program)
            .arg("--config.file")
            .arg(config)
            .args([
                "--web.config.file",
                web_config,
                "--web.listen-address=127.0.0.1:0",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Written::by(process.stderr.take().unwrap());
        let address = until("it listens", || async {
            let text = log.text();
            let line = text
                .lines()
                .find(|line| line.to_lowercase().contains("listening"))?;
            let address = line.split("address=").nth(1)?;
            Some(address.split_whitespace().next()?.to_owned())
        })
        .await;
        Self {
            _process: process,
            log,
            scheme,
            port: address.rsplit(':').next().unwrap().to_owned(),
        }
    }

    /// The URL of a path. The certificate of the folder is for `localhost`.
    fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    /// Runs curl with these arguments and the path. curl trusts `server.crt`.
    async fn curl(&self, folder: &Folder, arguments: &[&str], path: &str) -> (Reply, String) {
        let (trusted, body) = (folder.path("server.crt"), folder.path("body"));
        let output = Command::new("curl")
            .args([
                "--silent",
                "--ipv4",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--dump-header",
                "-",
            ])
            .args(["--write-out", "%{http_code} %{http_version}", "--cacert"])
            .arg(trusted)
            .arg("--output")
            .arg(&body)
            .args(arguments)
            .arg(self.url(path))
            .current_dir(folder.0.path())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, last) = text.rsplit_once('\n').unwrap_or(("", &text));
        let (status, version) = last.split_once(' ').unwrap();
        let status: u16 = status.parse().unwrap();
        if status == 0 {
            return (Reply(None), String::new());
        }
        let body = std::fs::read_to_string(body).unwrap_or_default();
        (
            Reply(Some((status, version.to_owned(), head.to_lowercase()))),
            body,
        )
    }

    /// The status of a response; 0 if the server refused the connection.
    pub(super) async fn status(&self, folder: &Folder, arguments: &[&str], path: &str) -> u16 {
        let (reply, _) = self.curl(folder, arguments, path).await;
        reply.0.map_or(0, |(status, ..)| status)
    }

    /// The version of HTTP and the head of a response with status 200.
    async fn head(&self, folder: &Folder, arguments: &[&str], path: &str) -> (String, String) {
        let (reply, body) = self.curl(folder, arguments, path).await;
        let (status, version, head) = reply.0.expect("the server answers");
        assert_eq!(status, 200, "{head} {body}");
        (version, head)
    }
}

/// Both exporters and the files that they need.
pub(super) struct Both {
    pub(super) folder: Folder,
    _vendor: Vendor,
}

impl Both {
    pub(super) async fn new() -> Self {
        let (folder, vendor) = (Folder::new(), vendor([("main", 3)]).await);
        folder.write("blackbox.yml", "modules: {}\n");
        folder.write(
            "exporter.yaml",
            &accounts_config(&vendor, "", [("main", "")]),
        );
        Self {
            folder,
            _vendor: vendor,
        }
    }

    /// Starts this exporter with the web configuration `text`.
    pub(super) async fn exporter(&self, text: &str) -> Server {
        let program = Path::new(env!("CARGO_BIN_EXE_vobiz-exporter"));
        self.start(program, "exporter.yaml", text).await
    }

    /// Starts `blackbox_exporter` and this exporter with the web configuration `text`.
    async fn start_both(&self, text: &str) -> [Server; 2] {
        let blackbox = self.start(&blackbox_exporter(), "blackbox.yml", text).await;
        [blackbox, self.exporter(text).await]
    }

    async fn start(&self, program: &Path, config: &str, text: &str) -> Server {
        let scheme = if text.contains("tls_server_config") {
            "https"
        } else {
            "http"
        };
        let file = self.folder.web_config(text);
        let server = Server::start(program, &self.folder.path(config), &file, scheme).await;
        // A server that cannot answer yet refuses the connection or sends 503.
        if !text.contains("client_auth_type") && !text.contains("rate_limit") {
            until("it serves", || async {
                let status = server.status(&self.folder, &[], "/metrics").await;
                (status != 0 && status != 503).then_some(())
            })
            .await;
        }
        server
    }
}

#[tokio::test]
async fn only_the_name_and_password_of_a_user_are_answered() {
    let both = Both::new().await;
    let correct = format!("prometheus:{PASSWORD}");
    let unknown = format!("ann:{PASSWORD}");
    for name in ["web_config_users.good", "web_config_users_noTLS.good"] {
        for server in both.start_both(&case(name)).await {
            let url = server.url("");
            for path in ["/metrics", "/", "/-/healthy", "/absent"] {
                for user in [
                    &[][..],
                    &["--user", "prometheus:wrong"],
                    &["--user", &unknown],
                ] {
                    let (reply, body) = server.curl(&both.folder, user, path).await;
                    let (status, _, head) = reply.0.unwrap();
                    assert_eq!(status, 401, "{url}{path} {user:?}");
                    assert!(head.contains("\nwww-authenticate: basic"), "{head}");
                    assert!(!body.contains("process_start_time_seconds"), "{body}");
                }
            }
            let user = ["--user", &*correct];
            for path in ["/metrics", "/-/healthy"] {
                let status = server.status(&both.folder, &user, path).await;
                assert_eq!(status, 200, "{url}{path}");
            }
        }
    }
}

#[tokio::test]
async fn every_response_has_the_headers_of_the_file() {
    let both = Both::new().await;
    for server in both.start_both(&case("web_config_headers.good")).await {
        for path in ["/metrics", "/-/healthy", "/absent"] {
            let (reply, _) = server.curl(&both.folder, &[], path).await;
            let (_, _, head) = reply.0.unwrap();
            for header in [
                "strict-transport-security: max-age=600",
                "x-content-type-options: nosniff",
                "x-frame-options: sameorigin",
                "x-xss-protection: 0",
                "content-security-policy: default-src 'self'",
            ] {
                let values = head.lines().filter(|line| line.trim() == header).count();
                assert_eq!(values, 1, "{header} in {head}");
                let name = &header[..=header.find(':').unwrap()];
                let names = head.lines().filter(|line| line.starts_with(name)).count();
                assert_eq!(names, 1, "{header} in {head}");
            }
        }
    }
}

#[tokio::test]
async fn clients_are_accepted_by_their_certificates() {
    let both = Both::new().await;
    let known = ["--cert", "client.crt", "--key", "client.key"];
    let stranger = ["--cert", "stranger.crt", "--key", "stranger.key"];
    // The expected statuses without a certificate, with another certificate, and with one of the authority.
    for (name, expected) in [
        ("web_config_noAuth.good", [200, 0, 200]),
        ("web_config_noAuth.good.blocking", [0, 0, 200]),
        ("web_config_noAuth_tlsInline.good", [200, 0, 200]),
        (
            "tls_config_noAuth.requireandverifyclientcert.good",
            [0, 0, 200],
        ),
        ("tls_config_noAuth.requireanyclientcert.good", [0, 200, 200]),
        (
            "tls_config_noAuth.requireanyclientcertkeyinline.good",
            [0, 200, 200],
        ),
        ("web_config_auth_clientCAs_missing.bad", [0, 0, 0]),
        ("web_config_auth_client_san.bad", [0, 0, 0]),
        ("web_config_auth_client_san.good", [0, 0, 200]),
    ] {
        for server in both.start_both(&case(name)).await {
            for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
                for (client, expected) in [&[][..], &stranger, &known].into_iter().zip(expected) {
                    let arguments = [version, client].concat();
                    let status = server.status(&both.folder, &arguments, "/-/healthy").await;
                    let url = server.url("");
                    assert_eq!(
                        status,
                        expected,
                        "{name} {url} {arguments:?}: {}",
                        server.log.text()
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn clients_use_http2_if_the_file_and_the_client_allow_it() {
    let both = Both::new().await;
    let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    let without = format!("{tls}http_server_config:\n  http2: false\n");
    // blackbox_exporter of Debian 14 offers no HTTP/2, although its log says so.
    for (text, version) in [(tls, "2"), (&without, "1.1")] {
        let server = both.exporter(text).await;
        for path in ["/metrics", "/-/healthy"] {
            let (used, _) = server.head(&both.folder, &[], path).await;
            assert_eq!(used, version, "{path}");
            let (used, _) = server.head(&both.folder, &["--http1.1"], path).await;
            assert_eq!(used, "1.1", "{path}");
        }
    }
    let server = both.exporter(tls).await;
    let (plain, _) = server.head(&both.folder, &[], "/metrics").await;
    let compressed = ["--header", "accept-encoding: gzip"];
    let (_, head) = server.head(&both.folder, &compressed, "/metrics").await;
    assert!(
        plain == "2" && head.contains("content-encoding: gzip"),
        "{head}"
    );
}

#[tokio::test]
async fn versions_and_suites_of_the_file_limit_the_connections() {
    let both = Both::new().await;
    let aes_256 = [
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ];
    let chacha = [
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ];
    for (name, arguments, expected) in [
        ("web_config_noAuth_someCiphers.good", &["--tlsv1.3"][..], 0),
        ("web_config_noAuth_someCiphers.good", &aes_256, 200),
        ("web_config_noAuth_someCiphers.good", &chacha, 0),
        ("web_config_noAuth_allCiphers.good", &chacha, 200),
        ("web_config_noAuth_allCiphers.good", &["--tlsv1.3"], 200),
        (
            "web_config_noAuth_someCurves.good",
            &["--tls-max", "1.2"],
            0,
        ),
        (
            "web_config_noAuth_someCurves.good",
            &["--curves", "P-256"],
            200,
        ),
        (
            "web_config_noAuth_someCurves.good",
            &["--curves", "X25519"],
            0,
        ),
        ("web_config_noAuth_noHTTP2.good", &aes_256, 200),
    ] {
        for server in both.start_both(&case(name)).await {
            let status = server.status(&both.folder, arguments, "/-/healthy").await;
            assert_eq!(status, expected, "{name} {} {arguments:?}", server.url(""));
        }
    }
}

#[tokio::test]
async fn requests_above_the_rate_limit_receive_429() {
    let both = Both::new().await;
    let limit = |burst: u32| format!("rate_limit:\n  interval: 1h\n  burst: {burst}\n");
    for (burst, expected) in [(2, [200, 200, 429]), (0, [429, 429, 429])] {
        for server in both.start_both(&limit(burst)).await {
            for status in expected {
                assert_eq!(
                    server.status(&both.folder, &[], "/").await,
                    status,
                    "{}",
                    server.url("")
                );
            }
        }
    }
    // Unlike the exporter-toolkit, the limit does not concern health checks.
    let exporter = both.exporter(&limit(0)).await;
    for (path, expected) in [("/metrics", 429), ("/-/healthy", 200)] {
        assert_eq!(
            exporter.status(&both.folder, &[], path).await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_limited_client_gets_429_also_with_a_wrong_password() {
    let both = Both::new().await;
    let text = format!(
        "{}rate_limit:\n  interval: 1h\n  burst: 0\n",
        case("web_config_users_noTLS.good")
    );
    for server in both.start_both(&text).await {
        assert_eq!(server.status(&both.folder, &[], "/metrics").await, 429);
    }
}

#[tokio::test]
async fn a_renewed_certificate_and_a_new_password_are_used_without_a_restart() {
    let text = case("web_config_users.good");
    let correct = format!("prometheus:{PASSWORD}");
    let (old, new) = (["--user", &*correct], ["--user", "prometheus:new password"]);
    for is_blackbox in [true, false] {
        let both = Both::new().await;
        let server = if is_blackbox {
            both.start(&blackbox_exporter(), "blackbox.yml", &text)
                .await
        } else {
            both.exporter(&text).await
        };
        assert_eq!(server.status(&both.folder, &old, "/metrics").await, 200);
        // curl trusts the file `server.crt`, so it refuses the old certificate from here.
        let renewed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        both.folder.write("server.crt", &renewed.cert.pem());
        both.folder
            .write("server.key", &renewed.signing_key.serialize_pem());
        let hash = bcrypt::hash("new password", 4).unwrap();
        both.folder.web_config(&text.replace("@hash@", &hash));
        until("the new files are used", || async {
            let status = server.status(&both.folder, &new, "/metrics").await;
            (status == 200).then_some(())
        })
        .await;
        assert_eq!(server.status(&both.folder, &old, "/metrics").await, 401);
    }
}

#[tokio::test]
async fn an_invalid_file_changes_only_a_metric_and_the_log() {
    let both = Both::new().await;
    let server = both.exporter(&case("web_config_users.good")).await;
    let user = format!("prometheus:{PASSWORD}");
    let user = ["--user", &*user];
    let reload = |value: f64| {
        let (server, folder) = (&server, &both.folder);
        until(
            "the metric shows the state of the file",
            move || async move {
                let (reply, body) = server.curl(folder, &user, "/metrics").await;
                assert_eq!(reply.0.unwrap().0, 200);
                let scrape = Scrape::read(&body);
                let name = "vobiz_exporter_web_config_last_reload_successful";
                (scrape.value(name, &[]) == Some(value)).then_some(())
            },
        )
    };
    reload(1.0).await;
    let key = std::fs::read_to_string(both.folder.path("server.key")).unwrap();
    both.folder.write("server.key", "damaged");
    reload(0.0).await;
    until("the error is logged", || async {
        let log = server.log.text();
        log.contains("server.key: tls_server_config.key_file: holds no private key")
            .then_some(())
    })
    .await;
    both.folder.write("server.key", &key);
    reload(1.0).await;
}

#[tokio::test]
async fn clients_without_a_handshake_do_not_stop_other_clients() {
    let both = Both::new().await;
    let server = both.exporter(&case("web_config_users.good")).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let address = format!("127.0.0.1:{}", server.port);
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let user = format!("prometheus:{PASSWORD}");
    let status = server
        .status(&both.folder, &["--user", &user], "/metrics")
        .await;
    assert_eq!(status, 200);
    assert_eq!(idle.len(), 100);
}

#[tokio::test]
async fn prometheus_scrapes_with_a_certificate_and_a_password_also_while_the_server_renews_its_own()
{
    let both = Both::new().await;
    let text = format!(
        "{}basic_auth_users:\n  prometheus: '@hash@'\n",
        case("tls_config_noAuth.requireandverifyclientcert.good")
    );
    let server = both.exporter(&text).await;
    let user = format!("prometheus:{PASSWORD}");
    let access = [
        "--cert",
        "client.crt",
        "--key",
        "client.key",
        "--user",
        &user,
    ];
    // curl trusts the file `server.crt`, so it is answered only with the present certificate.
    let answers = || async {
        let status = server.status(&both.folder, &access, "/metrics").await;
        (status == 200).then_some(())
    };
    until("the exporter answers", answers).await;
    let renewed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let first = std::fs::read_to_string(both.folder.path("server.crt")).unwrap();
    let mut servers = Vec::new();
    for generation in Generation::ALL {
        let folder = tempfile::tempdir().unwrap();
        for name in ["client.crt", "client.key"] {
            std::fs::copy(both.folder.path(name), folder.path().join(name)).unwrap();
        }
        let trusted = format!("{first}{}", renewed.cert.pem());
        std::fs::write(folder.path().join("servers.crt"), trusted).unwrap();
        let port = &server.port;
        let scrape = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: vobiz\n    scheme: https\n    \
             tls_config: {{ca_file: servers.crt, cert_file: client.crt, key_file: client.key, \
             server_name: localhost}}\n    \
             basic_auth: {{username: prometheus, password: {PASSWORD}}}\n    \
             static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]\n"
        );
        let prometheus = Prometheus::of(generation, folder, &scrape).await;
        prometheus.until_is("up", 1.0).await;
        servers.push(prometheus);
    }

    // Between the two writes, the key is not that of the certificate.
    both.folder.write("server.crt", &renewed.cert.pem());
    let is_refused = "vobiz_exporter_web_config_last_reload_successful == 0";
    for prometheus in &servers {
        until("the mismatch is seen", || async {
            (!prometheus.query(is_refused).await.is_empty()).then_some(())
        })
        .await;
    }
    both.folder
        .write("server.key", &renewed.signing_key.serialize_pem());
    until("the new certificate is served", answers).await;
    for prometheus in &servers {
        let is_reloaded =
            "changes(vobiz_exporter_web_config_last_reload_success_timestamp_seconds[10m]) == 1";
        until("the reload is scraped", || async {
            (!prometheus.query(is_reloaded).await.is_empty()).then_some(())
        })
        .await;
        prometheus.until_is("min_over_time(up[10m])", 1.0).await;

        // The kept connection has the old certificate. A changed scrape job needs a new connection, and now trusts the
        // new certificate alone.
        let folder = prometheus.folder();
        std::fs::write(folder.join("servers.crt"), renewed.cert.pem()).unwrap();
        let job = std::fs::read_to_string(folder.join("prometheus.yml")).unwrap();
        let job = job.replace("job_name: vobiz", "job_name: renewed");
        std::fs::write(folder.join("prometheus.yml"), job).unwrap();
        prometheus.reload().await;
        prometheus.until_is("up{job=\"renewed\"}", 1.0).await;
    }
}

#[tokio::test]
async fn a_head_request_over_http2_is_answered_without_a_body() {
    let both = Both::new().await;
    let server = both.exporter(&case("web_config_noAuth.good")).await;
    for path in ["/metrics", "/", "/-/healthy"] {
        let arguments = ["--head", "--http2"];
        let (version, head) = server.head(&both.folder, &arguments, path).await;
        assert_eq!(version, "2", "{head}");
        assert!(head.contains("content-length: "), "{head}");
    }
}

#[tokio::test]
async fn the_health_check_uses_the_web_configuration() {
    let both = Both::new().await;
    let program = Path::new(env!("CARGO_BIN_EXE_vobiz-exporter"));
    for (name, code) in [
        ("web_config_noAuth.good", 0),
        ("web_config_users.good", 0),
        ("web_config_users_noTLS.good", 0),
        ("tls_config_noAuth.requireandverifyclientcert.good", 1),
    ] {
        let server = both.exporter(&case(name)).await;
        let listen = format!("--web.listen-address=127.0.0.1:{}", server.port);
        let check = Command::new(program)
            .args(["--healthcheck", &listen, "--web.config.file"])
            .arg(both.folder.path("web.yml"))
            .output()
            .await
            .unwrap();
        let error = String::from_utf8(check.stderr).unwrap();
        assert_eq!(check.status.code(), Some(code), "{name}: {error}");
        let names_the_flag = error.contains("--web.probe-listen-address");
        assert_eq!(names_the_flag, code == 1, "{name}: {error}");
    }
}

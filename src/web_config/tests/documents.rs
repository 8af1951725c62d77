//! Which files are valid, and what the errors say.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

#[test]
fn a_blank_file_configures_nothing() {
    let folder = Folder::new();
    for text in [
        "",
        "\n",
        "# nothing\n",
        "---\n",
        "{}",
        "tls_server_config:\nrate_limit:\n",
    ] {
        let (config, warnings) = folder.load(text).expect(text);
        let settings = config.current();
        assert!(
            settings.tls().is_none() && settings.headers().is_empty(),
            "{text}"
        );
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(config.allows_request(), "{text}");
    }
}

#[test]
fn an_unknown_key_is_an_error_with_line_and_known_keys() {
    let folder = Folder::new();
    let error = folder.error("rate_limit:\n  interval: 1s\n  bursts: 3\n");
    let expected =
        "web.yml:3: rate_limit: has the unknown key \"bursts\"; known are interval, burst";
    assert_eq!(error, expected);
    let error = folder.error("tls_config: {}\n");
    assert!(
        error.starts_with(
            "web.yml:1: has the unknown key \"tls_config\"; known are tls_server_config, "
        ),
        "{error}"
    );
}

#[test]
fn a_repeated_key_is_an_error() {
    let folder = Folder::new();
    for text in [
        "rate_limit: {}\nrate_limit: {}\n",
        "rate_limit:\n  burst: 1\n  burst: 1\n",
        "basic_auth_users:\n  ann: x\n  ann: y\n",
    ] {
        let error = folder.error(text);
        assert!(error.contains("appears twice; keep one"), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_form_is_an_error_with_its_key() {
    let folder = Folder::new();
    for (text, expected) in [
        (
            "- a\n",
            "web.yml:1: must hold sections such as `tls_server_config:`",
        ),
        (
            "junk\n",
            "web.yml:1: must hold sections such as `tls_server_config:`",
        ),
        (
            "rate_limit: 5\n",
            "web.yml:1: rate_limit: must be a table of keys and values",
        ),
        (
            "rate_limit:\n  burst: [1]\n",
            "web.yml:2: rate_limit.burst: must be one value",
        ),
        (
            "http_server_config:\n  headers: [a]\n",
            "web.yml:2: http_server_config.headers: must be a table",
        ),
        (
            "basic_auth_users: [ann]\n",
            "web.yml:1: basic_auth_users: must be a table of user names",
        ),
        (
            "basic_auth_users:\n  ann: [x]\n",
            "web.yml:2: basic_auth_users.\"ann\": must be one value",
        ),
        (
            "tls_server_config:\n  cipher_suites: TLS_AES_128_GCM_SHA256\n",
            "web.yml:2: tls_server_config.cipher_suites: must be a list",
        ),
        (
            "tls_server_config:\n  client_allowed_sans: [{a: b}]\n",
            "web.yml:2: tls_server_config.client_allowed_sans[0]: must be a list",
        ),
        (
            "http_server_config:\n  http2: perhaps\n",
            "web.yml: http_server_config.http2: must be true or false",
        ),
        ("rate_limit: [\n", "web.yml:"),
    ] {
        let error = folder.error(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn no_error_quotes_a_hash_or_a_password() {
    let folder = Folder::new();
    // The key of an error is a path with dots, so a hash with dots must not confuse it.
    let dots = "$2b$04$5DLmDHMqq5btZTombji5DO.WhEC38.jhUjtmOZj.cIy7OwzkMaJ0.";
    for hash in [dots.to_owned(), hash()] {
        let secret = &hash[10..20];
        for text in [
            format!("basic_auth_users:\n  ann: '{hash}x'\n"),
            format!("basic_auth_users:\n  ann: {hash}\n  {hash}: ann\n"),
            format!("basic_auth_users:\n  {hash}: [ann]\n"),
            format!("basic_auth_users:\n  {hash}: a\n  {hash}: a\n"),
            format!("basic_auth_users:\n  {hash}\n"),
            format!("basic_auth_users:\n  ann: [{hash}]\n"),
            format!("basic_auth_users:\n  ann: *{hash}\n"),
            format!("basic_auth_users:\n  ann: !{hash}\n"),
            format!("basic_auth_users:\n  ann: \"{hash}\\q\"\n"),
            format!("{hash}: ann\n"),
            format!("?.{hash}: ann\n"),
            format!("rate_limit:\n  {hash}: ann\n"),
            format!("http_server_config:\n  headers:\n    {hash}: [ann]\n"),
            format!("http_server_config:\n  headers:\n    {hash}: ann\n"),
            format!("basic_auth_users: {{ann: '{hash}'\n"),
            format!("rate_limit:\n  interval: {hash}\n"),
            format!("tls_server_config:\n  cipher_suites: ['{hash}']\n"),
        ] {
            let error = folder.load(&text).expect_err(&text);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(secret), "{shown}");
        }
        let text = format!("basic_auth_users:\n  ann: {hash}\n");
        let (config, _) = folder.load(&text).unwrap();
        let debug = format!("{config:?} {:?}", config.current());
        assert!(!debug.contains(secret), "{debug}");
    }
}

#[test]
fn a_key_or_a_hash_in_the_place_of_a_file_is_not_shown() {
    let folder = Folder::new();
    let key = self_signed().1;
    let line = key.lines().nth(1).unwrap();
    let place = "web.yml: tls_server_config.key_file: the file that is named here cannot be read: ";
    for text in [&key.replace('\n', "\n    "), line, &hash()] {
        let text =
            format!("tls_server_config:\n  cert_file: server.crt\n  key_file: |-\n    {text}\n");
        let error = folder.error(&text);
        assert!(error.starts_with(place), "{error}");
    }
    let folded = format!(
        "cert_file: server.crt\n  key_file: {}",
        key.trim_end().replace('\n', "\n    ")
    );
    let error = folder.error(&format!("tls_server_config:\n  {folded}\n"));
    assert!(error.starts_with(place), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_key() {
    let folder = Folder::new();
    let missing = WebConfig::load(&folder.path("missing.yml"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("missing.yml: cannot be read: No such file"),
        "{missing}"
    );
    let error =
        folder.error("tls_server_config:\n  cert_file: absent.crt\n  key_file: server.key\n");
    assert!(
        error.starts_with(
            "web.yml: tls_server_config.cert_file: absent.crt cannot be read: No such"
        ),
        "{error}"
    );
    let error =
        folder.error("tls_server_config:\n  cert_file: server.crt\n  key_file: /dev/zero\n");
    assert!(
        error.ends_with("/dev/zero cannot be read: it is not a regular file"),
        "{error}"
    );
}

#[test]
fn certificate_and_key_are_both_necessary_and_belong_together() {
    let folder = Folder::new();
    folder.write("other.key", &self_signed().1);
    folder.write("empty", "");
    for (section, expected) in [
        (
            "cert_file: server.crt",
            "web.yml: tls_server_config: needs key or key_file",
        ),
        (
            "key_file: server.key",
            "web.yml: tls_server_config: needs cert or cert_file",
        ),
        (
            "client_auth_type: RequireAnyClientCert",
            "web.yml: tls_server_config: needs cert or cert_file",
        ),
        (
            "{cert_file: server.crt, key_file: other.key}",
            "other.key: tls_server_config.key_file: does not belong to the certificate",
        ),
        (
            "{cert_file: empty, key_file: server.key}",
            "empty: tls_server_config.cert_file: holds no certificate",
        ),
        (
            "{cert_file: server.crt, key_file: empty}",
            "empty: tls_server_config.key_file: holds no private key",
        ),
        (
            "{cert: x, key_file: server.key}",
            "web.yml: tls_server_config.cert: holds no certificate",
        ),
    ] {
        let error = folder.error(&format!("tls_server_config:\n  {section}\n"));
        assert!(error.starts_with(expected), "{section}: {error}");
    }
}

#[test]
fn certificate_and_key_may_be_part_of_the_file() {
    let folder = Folder::new();
    let (certificate, key) = self_signed();
    let indented = |pem: &str| pem.replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        indented(&certificate),
        indented(&key)
    );
    assert!(folder.load(&text).unwrap().0.current().tls().is_some());
    let (_, warnings) = folder
        .load(&format!(
            "{text}  cert_file: server.crt\n  key_file: server.key\n"
        ))
        .unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].ends_with("cert: is ignored, because tls_server_config.cert_file is set"),
        "{warnings:?}"
    );
}

#[test]
fn a_section_without_certificate_is_warned_about() {
    let folder = Folder::new();
    let (config, warnings) = folder
        .load("tls_server_config:\n  min_version: TLS13\n")
        .unwrap();
    assert!(config.current().tls().is_none());
    assert!(
        warnings[0].ends_with("has no certificate, so the server uses no TLS"),
        "{warnings:?}"
    );
}

#[test]
fn what_rustls_lacks_is_a_warning_beside_other_choices_and_an_error_alone() {
    let folder = Folder::new();
    let gcm = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    for (section, names) in [
        (
            format!(
                "cipher_suites: [{gcm}, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_128_GCM_SHA256]"
            ),
            "ignored: TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            "curve_preferences: [CurveP521, X25519]".to_owned(),
            "ignored: CurveP521",
        ),
        (
            "min_version: TLS10".to_owned(),
            "min_version: works as TLS12, because TLS 1.0 and 1.1 are not supported",
        ),
    ] {
        let (_, warnings) = folder.load_tls(&section).expect(&section);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].ends_with(names), "{warnings:?}");
    }
    for section in [
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]",
        "curve_preferences: [CurveP521]",
        "{max_version: TLS11, min_version: TLS10}",
    ] {
        let text = with_tls(&section.replace(['{', '}'], "").replace(", min", "\nmin"));
        let error = folder.error(&text);
        assert!(error.contains("only"), "{error}");
    }
}

#[test]
fn settings_that_allow_no_connection_are_errors() {
    let folder = Folder::new();
    for (section, key) in [
        ("min_version: TLS13\nmax_version: TLS12", "min_version"),
        (
            "max_version: TLS12\ncipher_suites: [TLS_AES_128_GCM_SHA256]",
            "cipher_suites",
        ),
        (
            "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
            "cipher_suites",
        ),
        (
            "client_auth_type: RequireAnyClientCert\nclient_allowed_sans: []",
            "client_allowed_sans",
        ),
        (
            "client_auth_type: VerifyClientCertIfGiven\nclient_allowed_sans: [a]",
            "client_allowed_sans",
        ),
        ("client_allowed_sans: [a]", "client_allowed_sans"),
        ("client_ca_file: ca.crt", "client_auth_type"),
        (
            "client_auth_type: NoClientCert\nclient_ca_file: ca.crt",
            "client_auth_type",
        ),
        ("client_auth_type: Sometimes", "client_auth_type"),
        ("min_version: TLS14", "min_version"),
        ("min_version: ''", "min_version"),
        ("curve_preferences: [CurveP999]", "curve_preferences"),
        ("cipher_suites: [RC4]", "cipher_suites"),
    ] {
        let error = folder.error(&with_tls(section));
        let expected = format!("web.yml: tls_server_config.{key}: ");
        assert!(error.starts_with(&expected), "{section}: {error}");
    }
    let without = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    let text = format!("{}http_server_config:\n  http2: no\n", with_tls(without));
    folder.load(&text).unwrap();
}

#[test]
fn only_the_five_headers_with_valid_values_are_accepted() {
    let folder = Folder::new();
    let headers = |lines: &str| format!("http_server_config:\n  headers:\n    {lines}\n");
    let text = headers(
        "{Strict-Transport-Security: max-age=1, X-Frame-Options: deny, X-Content-Type-Options: nosniff, X-XSS-Protection: 0, Content-Security-Policy: ''}",
    );
    let (config, warnings) = folder.load(&text).unwrap();
    let settings = config.current();
    let found: Vec<_> = settings
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            "strict-transport-security: max-age=1",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "x-xss-protection: 0"
        ]
    );
    assert!(warnings.is_empty());
    for (line, expected) in [
        (
            "Server: x",
            "http_server_config.headers: has the unknown key \"Server\"; known are Strict-Transport-Security, ",
        ),
        (
            "x-frame-options: deny",
            "http_server_config.headers: has the unknown key",
        ),
        (
            "X-Frame-Options: DENY",
            "http_server_config.headers.X-Frame-Options: must be deny or sameorigin",
        ),
        (
            "X-Content-Type-Options:",
            "http_server_config.headers.X-Content-Type-Options: must be nosniff",
        ),
        (
            "Content-Security-Policy: \"a\\0b\"",
            "http_server_config.headers.Content-Security-Policy: contains a control character",
        ),
    ] {
        let error = folder.error(&headers(line));
        assert!(
            error.starts_with(&format!("web.yml: {expected}")),
            "{line}: {error}"
        );
    }
}

#[test]
fn users_need_bcrypt_hashes() {
    let folder = Folder::new();
    for value in [
        "",
        "secret",
        "$2y$03$abc",
        "$1$abc",
        "$2y$32$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi",
    ] {
        let error = folder.error(&format!("basic_auth_users:\n  ann: '{value}'\n"));
        assert!(
            error.starts_with("web.yml: basic_auth_users.\"ann\": must be a bcrypt hash"),
            "{error}"
        );
    }
    let error = folder.error(&format!("basic_auth_users:\n  'a:b': {}\n", hash()));
    assert!(error.contains("colon"), "{error}");
    let costly = "$2y$20$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    let (_, warnings) = folder
        .load(&format!("basic_auth_users:\n  123: {costly}\n"))
        .unwrap();
    assert!(
        warnings[0].contains("basic_auth_users.\"123\": has the cost 20"),
        "{warnings:?}"
    );
}

#[test]
fn a_second_document_is_an_error() {
    let error = Folder::new().error("--- {}\n--- {}\n");
    assert!(
        error.ends_with("holds more than one YAML document; keep one"),
        "{error}"
    );
}

#[test]
fn deep_nesting_and_repeated_aliases_are_errors() {
    let folder = Folder::new();
    folder.error(&"[".repeat(100_000));
    folder.error(&"a: ".repeat(100_000));
    folder.error(&format!("basic_auth_users: {}", "{a: ".repeat(10_000)));
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        writeln!(bomb, "a{level}: &a{level} [{before}]").unwrap();
    }
    folder.error(&bomb);
    folder.error("basic_auth_users: &a {ann: *a}\n");
}

proptest! {
    #[test]
    fn any_file_is_loaded_or_refused(parts in prop::collection::vec(
        prop::sample::select(vec![
            "tls_server_config:", "http_server_config:", "basic_auth_users:", "rate_limit:", "headers:", "cert_file:",
            "key_file: server.key", "client_auth_type: RequireAnyClientCert", "client_allowed_sans:", "cipher_suites:",
            "interval: 1s", "burst: ", "http2: ", "min_version: TLS13", "\n", "\n", "\n  ", "\n    ", " - ", " [", "]", "{", "}",
            "server.crt", "a", ": ", "&a ", "*a", "<<: ", "!!binary ", "|", ">", "'", "\"", "#", "---", "\u{0}", "\t", "é", "1e9",
        ]),
        0..24,
    )) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yml");
        fs::write(&file, parts.concat()).unwrap();
        if let Err(error) = WebConfig::load(&file) {
            let error = error.to_string();
            prop_assert!(error.contains("web.yml") && !error.contains('\n'), "{error}");
        }
    }
}

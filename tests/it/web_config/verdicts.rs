//! Which files are valid: the verdicts of `promtool check web-config`, of a start of `blackbox_exporter`, and of this
//! program.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use super::{Folder, case};
use crate::harness::{
    Ended, Exporter, Generation, Program, Written, accounts_config, blackbox_exporter, until,
    vendor,
};

/// What a program of the exporter-toolkit does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It starts.
    Valid,
    /// promtool and the start of an exporter refuse the file.
    Invalid,
    /// promtool accepts the file, but an exporter does not start. `--web.config.check` refuses the file.
    Unstartable,
}

use Verdict::{Invalid, Unstartable, Valid};

const CASES: [(&str, Verdict); 41] = [
    ("tls_config_noAuth.requireandverifyclientcert.good", Valid),
    ("tls_config_noAuth.requireanyclientcert.good", Valid),
    (
        "tls_config_noAuth.requireanyclientcertkeyinline.good",
        Valid,
    ),
    ("web_config_auth_clientCAs_invalid.bad", Invalid),
    // No client can connect.
    ("web_config_auth_clientCAs_missing.bad", Valid),
    // No client of this authority can connect.
    ("web_config_auth_client_san.bad", Valid),
    ("web_config_auth_client_san.good", Valid),
    ("web_config_auth_user_list_invalid.bad", Invalid),
    ("web_config_empty", Valid),
    ("web_config_headers.good", Valid),
    ("web_config_headers_content_type_options.bad", Invalid),
    ("web_config_headers_extra_header.bad", Invalid),
    ("web_config_headers_frame_options.bad", Invalid),
    ("web_config_junk", Invalid),
    ("web_config_junk_key", Invalid),
    ("web_config_noAuth.bad", Invalid),
    ("web_config_noAuth.good", Valid),
    ("web_config_noAuth.good.blocking", Valid),
    ("web_config_noAuth_allCiphers.good", Valid),
    ("web_config_noAuth_allCurves.good", Valid),
    ("web_config_noAuth_certPath_empty.bad", Invalid),
    ("web_config_noAuth_certPath_invalid.bad", Invalid),
    ("web_config_noAuth_certPath_keyPath_empty.bad", Invalid),
    ("web_config_noAuth_certPath_keyPath_invalid.bad", Invalid),
    ("web_config_noAuth_cert_empty.bad", Invalid),
    ("web_config_noAuth_inventedCiphers.bad", Invalid),
    ("web_config_noAuth_inventedCurves.bad", Invalid),
    ("web_config_noAuth_keyPath_empty.bad", Invalid),
    ("web_config_noAuth_keyPath_invalid.bad", Invalid),
    ("web_config_noAuth_key_empty.bad", Invalid),
    ("web_config_noAuth_noHTTP2.good", Valid),
    ("web_config_noAuth_noHTTP2Cipher.bad", Unstartable),
    ("web_config_noAuth_someCiphers.good", Valid),
    ("web_config_noAuth_someCiphers_noOrder.good", Valid),
    ("web_config_noAuth_someCurves.good", Valid),
    ("web_config_noAuth_tlsInline.good", Valid),
    ("web_config_noAuth_wrongTLSVersion.bad", Invalid),
    ("web_config_rate_limiter_nonblocking", Valid),
    ("web_config_rate_limiter_one_second", Valid),
    ("web_config_users.good", Valid),
    ("web_config_users_noTLS.good", Valid),
];

async fn check(file: &str) -> Ended {
    let arguments = ["--web.config.check", "--web.config.file", file];
    Program::new(&arguments).run().await
}

#[tokio::test]
async fn the_check_has_the_verdict_of_promtool_unless_an_exporter_could_not_start() {
    let (folder, promtool) = (Folder::new(), Generation::Three.promtool());
    for (name, verdict) in CASES {
        let file = folder.web_config(&case(name));
        let judged = Command::new(&promtool)
            .args(["check", "web-config", &file])
            .output()
            .await
            .unwrap();
        assert_eq!(
            judged.status.success(),
            verdict != Invalid,
            "{name}: {judged:?}"
        );
        let checked = check(&file).await;
        if verdict == Valid {
            assert_eq!(checked.code, Some(0), "{name}: {checked:?}");
            assert_eq!(
                checked.out.lines().next(),
                Some(&*format!("{file}: ok")),
                "{name}"
            );
        } else {
            assert_eq!(
                (checked.code, &*checked.out),
                (Some(2), ""),
                "{name}: {checked:?}"
            );
            // An error of a file that the web configuration names begins with that file.
            let folder = folder.0.path().to_str().unwrap();
            assert!(checked.err.contains(folder), "{name}: {}", checked.err);
        }
    }
}

#[tokio::test]
async fn every_case_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/web_config/files");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut cases: Vec<_> = CASES
        .iter()
        .map(|(name, _)| format!("{name}.yml"))
        .collect();
    cases.sort();
    assert_eq!(files, cases);
}

/// Starts a program on a free port, and waits until it ends (false) or serves (true).
async fn serves(program: &Path, arguments: &[&str]) -> bool {
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--web.listen-address=127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = Written::by(child.stderr.take().unwrap());
    let address = || async {
        let text = log.text();
        let line = text
            .lines()
            .find(|line| line.to_lowercase().contains("listening"))?;
        let address = line.split("address=").nth(1)?;
        Some(address.split_whitespace().next()?.to_owned())
    };
    let is_serving = async {
        let address = until("it listens", address).await;
        // blackbox_exporter listens, and then uses the file. A server with TLS answers a plain request, too.
        until("it answers", || async {
            let mut stream = TcpStream::connect(&address).await.ok()?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
            (stream.read(&mut [0; 1]).await.ok()? > 0).then_some(())
        })
        .await;
    };
    tokio::select! {
        _ = child.wait() => false,
        () = is_serving => true,
    }
}

#[tokio::test]
async fn the_exporter_starts_with_the_files_with_which_blackbox_exporter_starts() {
    let folder = Folder::new();
    let vendor = vendor([("main", 3)]).await;
    folder.write("blackbox.yml", "modules: {}\n");
    folder.write(
        "exporter.yaml",
        &accounts_config(&vendor, "", [("main", "")]),
    );
    for (name, verdict) in CASES {
        let file = folder.web_config(&case(name));
        for (program, config) in [
            (blackbox_exporter(), "blackbox.yml"),
            (env!("CARGO_BIN_EXE_vobiz-exporter").into(), "exporter.yaml"),
        ] {
            let config = folder.path(config);
            let config = config.to_str().unwrap();
            let arguments = ["--config.file", config, "--web.config.file", &file];
            let does_serve = serves(&program, &arguments).await;
            assert_eq!(
                does_serve,
                verdict == Valid,
                "{name}: {}",
                program.display()
            );
        }
    }
}

#[tokio::test]
async fn warnings_of_the_check_follow_the_verdict_and_warnings_of_the_start_are_logged() {
    let folder = Folder::new();
    let file = folder.web_config(&case("web_config_noAuth_allCiphers.good"));
    let checked = check(&file).await;
    let warning = "cipher_suites: lists names that are not supported and ignored: \
        TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, ";
    let lines: Vec<_> = checked.out.lines().collect();
    assert!(
        lines.len() == 2 && lines[1].starts_with("warning: "),
        "{checked:?}"
    );
    assert!(lines[1].contains(warning), "{checked:?}");
    let vendor = vendor([("main", 3)]).await;
    let arguments = ["--web.config.file", &file];
    let exporter =
        Exporter::start_with(&accounts_config(&vendor, "", [("main", "")]), &arguments).await;
    let line = exporter.log_line(warning).await;
    assert!(line.contains("level=warn"), "{line}");
}

#[tokio::test]
async fn the_check_needs_a_file_and_the_start_names_an_invalid_one() {
    let without = Program::new(&["--web.config.check"]).run().await;
    assert_eq!(without.code, Some(2));
    assert!(without.err.contains("--web.config.file"), "{without:?}");
    let missing = check("/nowhere.yml").await;
    assert_eq!(missing.code, Some(2));
    assert!(
        missing
            .err
            .contains("/nowhere.yml: cannot be read: No such file"),
        "{missing:?}"
    );
    let vendor = vendor([("main", 3)]).await;
    let text = accounts_config(&vendor, "", [("main", "")]);
    let started = Program::configured(&text, &["--web.config.file=/nowhere.yml"])
        .run()
        .await;
    assert_eq!(started.code, Some(2));
    assert!(
        started
            .err
            .contains("/nowhere.yml: cannot be read: No such file"),
        "{started:?}"
    );
}

//! A token is only in a header of requests to the vendor, and never in any other output.

use std::{collections::BTreeMap, fmt::Write as _};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use vobiz_simulator::{
    AccountPlan, Effect, ErrorBody, Fault, Options, Reply, START, Vendor, World,
};

use vobiz_exporter::config;

use crate::harness::{Program, Scrape, ask, until};

/// The token begins with `XYZZY`, for which the tests search. So they also find a truncated token.
const TOKEN: &str = "XYZZY-token-0123456789abcdef";
/// Other forms of the token that a response can contain: name, changed token, searched text.
const SPELLINGS: [(&str, &str, &str); 6] = [
    ("percent", "%58%59%5A%5A%59%2Dtoken-0123456789", "%58%59"),
    (
        "base64",
        "WFlaWlktdG9rZW4tMDEyMzQ1Njc4OWFiY2RlZg==",
        "WFlaWlkt",
    ),
    ("lower-case", "xyzzy-token-0123456789abcdef", "xyzzy"),
    ("html", "&#88;&#89;&#90;&#90;&#89;&#45;token", "&#88;"),
    ("cut", "token-0123456789abc", "token-0123"),
    ("apart", "X Y Z Z Y - t o k e n", "X Y Z"),
];
const PASSWORD: &str = "XYZZY-password";
/// The first characters of `user:XYZZY-password` in Base64, as in the header `Proxy-Authorization`.
const ENCODED: &str = "dXNlcjpYWVpaWS";

/// Status lines with which proxies refuse requests. The status 403 can also come from a vendor.
const PROXY_STATUSES: [&str; 2] = ["407 Proxy Authentication Required", "403 Forbidden"];

/// Fails if the text contains any part of a secret.
fn assert_discreet(what: &str, text: &str) {
    let spelled = SPELLINGS.map(|(_, _, part)| part);
    for secret in ["XYZZY", ENCODED].into_iter().chain(spelled) {
        assert!(!text.contains(secret), "{what} tells a secret: {text}");
    }
}

/// Maps an account name to a fault, in which the vendor's response contains the received token.
fn echoed_secrets() -> BTreeMap<&'static str, Fault> {
    let raw = |status: u16, body: String| Fault::error(status, ErrorBody::Raw(body));
    let reply = |status: u16, content_type: &str, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter();
        Fault::new(Effect::Reply(Reply {
            status,
            content_type: Some(content_type.to_owned()),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.as_bytes().to_vec(),
        }))
    };
    let escaped = TOKEN.replace('X', "\\u0058");
    BTreeMap::from([
        (
            "refused",
            raw(
                401,
                format!(
                    "{{\"error\":{{\"code\":\"{TOKEN}\",\"message\":\"no such token {TOKEN}, \
                     {TOKEN}\"}},\"requestId\":\"{TOKEN}\"}}"
                ),
            ),
        ),
        (
            "refused-and-cut",
            raw(401, format!("{{\"error\":\"{}{TOKEN}\"}}", "x".repeat(180))),
        ),
        (
            "refused-escaped",
            raw(403, format!("{{\"error\":\"{escaped}\"}}")),
        ),
        (
            "plain",
            reply(404, "text/plain", &[], &format!("X-Auth-Token: {TOKEN}")),
        ),
        (
            "html",
            reply(500, "text/html", &[], &format!("<p>{TOKEN}</p>")),
        ),
        (
            "request-id",
            reply(429, "application/json", &[("x-request-id", TOKEN)], "{}"),
        ),
        (
            "cut-json",
            Fault::body(format!("{{\"objects\": [{{\"alias\": {TOKEN}")),
        ),
        (
            "no-objects",
            Fault::body(format!("{{\"{TOKEN}\": \"{TOKEN}\"}}")),
        ),
        (
            "error-as-success",
            Fault::body(format!("{{\"error\":\"bad {TOKEN}\"}}")),
        ),
        ("not-json", Fault::body(TOKEN)),
        (
            "redirect",
            Fault::new(Effect::Redirect {
                status: 302,
                location: format!(
                    "https://user:{TOKEN}@elsewhere.test/{TOKEN}?token={TOKEN}#{TOKEN}"
                ),
            }),
        ),
        (
            "odd-redirect",
            reply(307, "text/plain", &[("location", TOKEN)], TOKEN),
        ),
        (
            "odd-encoding",
            reply(
                200,
                "application/json",
                &[("content-encoding", TOKEN)],
                "{}",
            ),
        ),
    ])
}

/// A proxy whose response has this status and contains the request.
async fn echoing_proxy(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut echoed = vec![0; 4096];
            let read = stream.read(&mut echoed).await.unwrap_or(0);
            let echoed = String::from_utf8_lossy(&echoed[..read]);
            // The exporter truncates messages, so the secrets must come first.
            let (mut secrets, rest): (Vec<_>, Vec<_>) =
                (echoed.lines()).partition(|line| line.contains("XYZZY") || line.contains(ENCODED));
            secrets.extend(rest);
            let mut echoed = secrets.join(" ");
            if status.starts_with("407") {
                echoed.insert_str(0, PASSWORD);
            }
            let length = echoed.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{echoed}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Maps an account name to a fault, in which the vendor's response contains a form of the token
/// from `SPELLINGS`: in JSON, text, headers or a redirect.
fn misspelled() -> BTreeMap<String, Fault> {
    let mut faults = BTreeMap::new();
    for (name, spelled, _) in SPELLINGS {
        let json = format!(
            "{{\"error\":{{\"code\":\"{spelled}\",\"message\":\"{spelled}\"}},\"api_id\":\"{spelled}\"}}"
        );
        let line = Reply {
            status: 503,
            content_type: Some("text/plain".to_owned()),
            headers: vec![("x-request-id".to_owned(), spelled.to_owned())],
            body: spelled.as_bytes().to_vec(),
        };
        let redirect = Effect::Redirect {
            status: 307,
            location: format!(
                "https://{}.test/",
                spelled.replace(['%', '&', '#', ';', ' '], "-")
            ),
        };
        for (place, fault) in [
            ("refused", Fault::error(401, ErrorBody::Raw(json.clone()))),
            ("success", Fault::body(json)),
            ("line", Fault::new(Effect::Reply(line))),
            ("redirect", Fault::new(redirect)),
        ] {
            faults.insert(format!("{name}-{place}"), fault);
        }
    }
    faults
}

/// Maps an account name to the fault of this account.
fn faults() -> BTreeMap<String, Fault> {
    let plain = echoed_secrets().into_iter();
    plain
        .map(|(name, fault)| (name.to_owned(), fault))
        .chain(misspelled())
        .collect()
}

/// Returns a vendor and a configuration. The vendor's responses contain the token, except for the
/// account `well`. Some accounts use proxies whose responses contain the request.
async fn echoing_vendor() -> (Vendor, String) {
    let mut world = World::new(START, 7);
    let mut accounts = String::new();
    let faults = faults();
    for name in faults.keys().map(String::as_str).chain(["well"]) {
        let auth_id = format!("MA_{}", name.replace('-', "_"));
        world.settle(AccountPlan::new(&auth_id, TOKEN, 3).still());
        writeln!(
            accounts,
            "  - {{name: {name}, auth_id: {auth_id}, auth_token: {TOKEN}}}"
        )
        .unwrap();
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    for (name, fault) in faults {
        vendor.plan(fault.for_account(format!("MA_{}", name.replace('-', "_"))));
    }
    for (number, status) in PROXY_STATUSES.iter().enumerate() {
        let proxy = echoing_proxy(status).await;
        for scheme in ["http", "https"] {
            writeln!(
                accounts,
                "  - {{name: {scheme}-proxy-{number}, auth_id: MA_1, auth_token: {TOKEN}, api: {{\
                 base_url: \"{scheme}://vobiz.invalid/api/v1\", allow_insecure_http: true, \
                 proxy_url: \"http://user:{PASSWORD}@{proxy}\"}}}}"
            )
            .unwrap();
        }
    }
    let configuration = format!(
        "poll: {{interval: 5s, max_age: 14s, deadline: 4s}}\n\
         api: {{base_url: \"{}\", requests_per_second: 0, retries: 0}}\n\
         probe: {{enabled: true, requests_per_second: 100}}\n\
         accounts:\n{accounts}",
        vendor.base_url()
    );
    (vendor, configuration)
}

#[tokio::test]
async fn no_response_of_a_vendor_or_proxy_puts_a_token_into_logs_or_metrics() {
    let (vendor, text) = echoing_vendor().await;
    let failing = faults().len() + 2 * PROXY_STATUSES.len();
    for format in ["logfmt", "json"] {
        let arguments = ["--once", "--log.level=trace", "--log.format", format];
        let ended = Program::configured(&text, &arguments).run().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let failed = ended
            .err
            .lines()
            .filter(|line| line.contains("walk failed"));
        assert_eq!(failed.count(), failing, "{}", ended.err);
        assert_eq!(Scrape::read(&ended.out).up("well"), Some(1.0));
        assert_discreet("the log", &ended.err);
        assert_discreet("the exposition", &ended.out);
    }
    let checked = Program::configured(&text, &["--config.check.live", "--log.level=trace"]);
    let checked = checked.run().await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(
        checked.out.matches("FAILED").count(),
        failing,
        "{checked:?}"
    );
    assert_discreet("a live check", &format!("{checked:?}"));
    let proxied = Program::configured(&text, &["--once", "--log.level=trace"])
        .set("HTTPS_PROXY", format!("http://user:{PASSWORD}@127.0.0.1:1"))
        .set(
            "VOBIZ_EXPORTER__ACCOUNTS__0__API__BASE_URL",
            "https://vobiz.invalid/api/v1",
        );
    assert_discreet(
        "a run with a dead proxy",
        &format!("{:?}", proxied.run().await),
    );
    vendor.heal();
    assert_discreet("the simulated vendor's description", &format!("{vendor:?}"));
}

#[tokio::test]
async fn no_page_shows_a_token() {
    let (_vendor, text) = echoing_vendor().await;
    let arguments = [
        "--web.listen-address=127.0.0.1:0",
        "--log.level=trace",
        "--log.format=json",
    ];
    let process = Program::configured(&text, &arguments).start();
    let address = process.listens(1).await.remove(0);
    until("some failed walks", || async {
        let failed = process.err().matches("walk failed").count();
        (failed > 2).then_some(())
    })
    .await;
    for name in faults().keys() {
        let path = format!("/probe?account={name}&endpoint_id=1&debug=true");
        let echoed = ask(&address, "GET", &path, &[]).await;
        assert_eq!(echoed.status, 200, "{name}");
        assert!(echoed.text().contains("failure, "), "{}", echoed.text());
        assert_discreet(&path, &echoed.text());
    }
    let secret = format!("/{TOKEN}?token={TOKEN}");
    for (method, path, headers, status) in [
        ("GET", "/metrics", vec![], 200),
        ("GET", "/metrics", vec![("accept-encoding", "gzip")], 200),
        (
            "GET",
            "/metrics",
            vec![("accept", "application/openmetrics-text;version=1.0.0")],
            200,
        ),
        ("GET", "/", vec![("authorization", TOKEN)], 200),
        ("GET", "/-/healthy", vec![], 200),
        ("GET", secret.as_str(), vec![], 404),
        ("POST", "/metrics", vec![("x-auth-token", TOKEN)], 405),
    ] {
        let answer = ask(&address, method, path, &headers).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_discreet(path, &answer.head);
        assert_discreet(path, &answer.text());
    }
    process.signal("TERM").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("walk failed"), "{}", ended.err);
    assert_discreet("the log", &ended.err);
}

#[tokio::test]
async fn no_error_of_a_configuration_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("two-lines"),
        format!("{TOKEN}\n{TOKEN}\n"),
    )
    .unwrap();
    let two_lines = folder.path().join("two-lines");
    let account = "accounts: [{name: main, auth_id: MA_1, auth_token: ";
    for (name, text) in [
        ("a.yaml", format!("{account}\"{TOKEN} {TOKEN}\"}}]")),
        ("b.yaml", format!("{account}[{TOKEN}]}}]")),
        ("c.yaml", format!("{account}\"{TOKEN}\u{7f}\"}}]")),
        ("d.yaml", format!("{account}\"{TOKEN}\n")),
        (
            "e.yaml",
            format!("accounts: [{{name: main, auth_id: MA_1, auth_tokn: {TOKEN}}}]"),
        ),
        (
            "f.yaml",
            format!(
                "accounts: [{{name: main, auth_id: MA_1, auth_token_file: {}}}]",
                two_lines.display()
            ),
        ),
        (
            "g.yaml",
            format!(
                "api: {{proxy_url: \"ftp://user:{PASSWORD}@proxy.test\"}}\n{account}{TOKEN}}}]"
            ),
        ),
        (
            "h.yaml",
            format!(
                "api: {{base_url: \"https://user:{PASSWORD}@api.test/?token={TOKEN}\"}}\n{account}{TOKEN}}}]"
            ),
        ),
        ("i.yaml", format!("auth_token: {TOKEN}\n\tx: y\n")),
        (
            "j.toml",
            format!("[[accounts]]\nname = \"main\"\nauth_id = \"MA_1\"\nauth_token = {TOKEN}\n"),
        ),
        (
            "k.toml",
            format!("[[accounts]]\nauth_token = \"{TOKEN}\nname = 1\n"),
        ),
        (
            "l.toml",
            format!("[[accounts]]\nauth_token = \"{TOKEN}\"\nauth_token = \"{TOKEN}\"\n"),
        ),
        ("m.yaml", format!("{account}{{{TOKEN}: {TOKEN}}}}}]")),
        (
            "n.yaml",
            format!("accounts: [{{name: main, auth_id: MA_1, auth_token:{TOKEN}}}]"),
        ),
        (
            "o.yaml",
            format!("accounts: [{{name: main, auth_id: MA_1, auth_token_file: {TOKEN}}}]"),
        ),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let checked = Program::new(&["--config.check", "--config.file", file, "--log.level=trace"]);
        let checked = checked.run().await;
        assert_eq!(checked.code, Some(2), "{name}: {checked:?}");
        assert!(checked.err.contains(name), "{checked:?}");
        assert_discreet(name, &format!("{checked:?}"));
    }
    for (name, value) in [
        ("VOBIZ_AUTH_TOKEN", TOKEN.to_owned()),
        ("VOBIZ_EXPORTER__ACCOUNTS__0__AUTH_TOKEN", TOKEN.to_owned()),
        ("VOBIZ_EXPORTER__API__PROXY_URL", format!("{PASSWORD}@")),
        ("VOBIZ_EXPORTER__POLL", TOKEN.to_owned()),
    ] {
        let checked = Program::new(&["--config.check"])
            .set(name, value)
            .run()
            .await;
        assert_eq!(checked.code, Some(2), "{name}: {checked:?}");
        assert_discreet(name, &format!("{checked:?}"));
    }
    let checked = Program::new(&["--config.check"])
        .set("VOBIZ_AUTH_ID", "MA_1")
        .set("VOBIZ_AUTH_TOKEN_FILE", TOKEN)
        .run()
        .await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert_discreet("a token for its file", &format!("{checked:?}"));
}

#[tokio::test]
async fn no_description_of_a_configuration_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let account = "accounts: [{name: main, auth_id: MA_1, auth_token: ";
    let file = folder.path().join("good.yaml");
    let text = format!(
        "api: {{proxy_url: \"http://user-{TOKEN}:{PASSWORD}@proxy.test:3128/{TOKEN}?key={TOKEN}#{TOKEN}\"}}\n{account}{TOKEN}}}]"
    );
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(Some(&file), &[]).unwrap();
    assert_discreet("a configuration's description", &format!("{loaded:?}"));
    let redacted = loaded.config.redacted();
    assert_discreet("a redacted configuration", &redacted);
    assert!(
        redacted.contains(r#""proxy_url": "http://proxy.test:3128/""#),
        "{redacted}"
    );
}

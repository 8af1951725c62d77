//! Answers that are no success: statuses, bodies, and the wait they ask for.

use super::{vendor::answer, *};

const NOW: &str = "Date: Tue, 28 Oct 2025 11:30:00 GMT";

#[tokio::test]
async fn each_status_has_its_kind_and_is_counted_as_it_is() {
    use ErrorKind::{
        Auth, ClientError, Forbidden, Malformed, NotFound, PaymentRequired, RateLimited, Redirect,
        ServerError, Timeout,
    };
    for (status, kind, retryable) in [
        (400, ClientError, false),
        (401, Auth, false),
        (402, PaymentRequired, false),
        (403, Forbidden, false),
        (404, NotFound, false),
        (405, ClientError, false),
        (408, Timeout, true),
        (409, ClientError, false),
        (422, ClientError, false),
        (429, RateLimited, true),
        (500, ServerError, true),
        (502, ServerError, true),
        (503, ServerError, true),
        (504, ServerError, true),
        (599, ServerError, true),
        (300, Redirect, false),
        (308, Redirect, false),
        (999, Malformed, false),
    ] {
        let (page, subject) = ask(answer(&format!("{status} X"), &[], "")).await;
        let error = page.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, Some(status)));
        assert_eq!(error.kind.is_retryable(), retryable, "{status}");
        assert_eq!(
            (&error.code, &error.request_id, error.retry_after),
            (&None, &None, None)
        );
        assert!(!error.message.is_empty());
        assert_eq!(subject.counted(), [format!("list_endpoints {status}")]);
    }
}

#[tokio::test]
async fn the_vendors_words_code_and_id_are_found_in_every_shape_of_body() {
    for (body, said, code, id) in [
        (
            r#"{"status":"error","error":{"code":"INVALID_CREDENTIALS","message":"Invalid","details":{}},"requestId":"r1"}"#,
            Some("Invalid"),
            Some("INVALID_CREDENTIALS"),
            Some("r1"),
        ),
        (
            r#"{"error":"no such thing","details":{"a":["b"]}}"#,
            Some("no such thing"),
            None,
            None,
        ),
        (
            r#"{"api_id":"r2","error":"gone","message":"less"}"#,
            Some("gone"),
            None,
            Some("r2"),
        ),
        (
            r#"{"status":"fail","message":"suspended","request_id":7}"#,
            Some("suspended"),
            None,
            Some("7"),
        ),
        (r#"{"error":{"code":1042}}"#, None, Some("1042"), None),
        (r#"{"error":null,"code":"X"}"#, None, Some("X"), None),
        ("Unauthorised\n", Some("Unauthorised"), None, None),
        (
            "<html><h1>502</h1></html>",
            Some("an HTML page"),
            None,
            None,
        ),
        (r#"{"error":"cut o"#, None, None, None),
        ("{}", None, None, None),
        ("[]", None, None, None),
        ("null", None, None, None),
        (r#""Unauthorised""#, Some("Unauthorised"), None, None),
        (" ", None, None, None),
    ] {
        let error = error_of(answer("403 Forbidden", &["Content-Type: text/html"], body)).await;
        let expected = match said {
            Some(said) => format!("access is forbidden: {said}"),
            None => "access is forbidden".to_owned(),
        };
        assert_eq!(error.message, expected, "{body}");
        assert_eq!(
            (error.code.as_deref(), error.request_id.as_deref()),
            (code, id),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_id_of_a_request_may_stand_in_a_header() {
    let header = "X-Request-Id: r3";
    let error = error_of(answer("500 X", &[header], "")).await;
    assert_eq!(error.request_id.as_deref(), Some("r3"));
    assert_eq!(
        error.to_string(),
        "the vendor's server failed (status 500, request r3)"
    );
    let error = error_of(answer("500 X", &[header], r#"{"requestId":"r4"}"#)).await;
    assert_eq!(error.request_id.as_deref(), Some("r4"));
}

#[tokio::test]
async fn a_message_is_one_short_line_without_credentials() {
    let long = "é".repeat(300);
    let body = format!(
        "bad\u{7} token {TOKEN}\r\n t0ken-of\u{1}-the-account\u{202e} of {AUTH_ID} {TOKEN}{TOKEN} {long}"
    );
    let error = error_of(answer("403 X", &[], body)).await;
    let start = "access is forbidden: bad token *** *** of *** ****** éé";
    assert!(error.message.starts_with(start), "{error}");
    assert_eq!(error.message.chars().count(), 200);

    // A credential across the cut is masked before it is cut.
    let body = format!(
        r#"{{"error":{{"code":"{TOKEN}","message":"{}{TOKEN}"}},"api_id":"{AUTH_ID}"}}"#,
        "x".repeat(170)
    );
    let error = error_of(answer("403 X", &[], body)).await;
    assert!(!error.message.contains("t0ken"), "{error}");
    assert_eq!(
        (error.code.as_deref(), error.request_id.as_deref()),
        (Some("***"), Some("***"))
    );
}

#[tokio::test]
async fn the_wait_is_read_in_every_form() {
    let details = |wait: &str| {
        format!(r#"{{"error":{{"code":"RATE_LIMIT_EXCEEDED","details":{{"retryAfter":{wait}}}}}}}"#)
    };
    let day = Duration::from_secs(24 * 3600);
    for (headers, body, expected) in [
        (vec!["Retry-After: 120"], String::new(), Some(120.0)),
        (vec!["Retry-After:  1.5 "], String::new(), Some(1.5)),
        (vec!["Retry-After: 0"], String::new(), None),
        (vec!["Retry-After: -5"], String::new(), None),
        (vec!["Retry-After: NaN"], String::new(), None),
        (vec!["Retry-After: soon"], String::new(), None),
        (
            vec!["Retry-After: Tue, 28 Oct 2025 11:31:30 GMT", NOW],
            String::new(),
            Some(90.0),
        ),
        (
            vec!["Retry-After: Tue, 28 Oct 2025 11:29:00 GMT", NOW],
            String::new(),
            None,
        ),
        (vec![], String::new(), None),
        (vec![], details("30"), Some(30.0)),
        (vec![], details(r#""30""#), Some(30.0)),
        (vec![], details("null"), None),
        (vec!["Retry-After: 7"], details("30"), Some(7.0)),
        (vec!["Retry-After: 0"], details("30"), Some(30.0)),
        (vec!["Retry-After: soon"], details("30"), Some(30.0)),
    ] {
        for status in ["429 X", "503 X"] {
            let error = error_of(answer(status, &headers, &body)).await;
            assert_eq!(
                error.retry_after.map(|wait| wait.as_secs_f64()),
                expected,
                "{headers:?} {body}"
            );
        }
    }
    for endless in [
        "99999999999999999999999999",
        "1e308",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let error = error_of(answer("429 X", &[&format!("Retry-After: {endless}")], "")).await;
        let wait = error.retry_after.unwrap();
        assert!(wait > day && wait < 100 * day, "{endless} gave {wait:?}");
    }
}

#[tokio::test]
async fn without_a_date_the_wait_is_measured_by_our_clock() {
    let vendor =
        Vendor::start(|_| answer("429 X", &["Retry-After: Tue, 28 Oct 2025 11:32:00 GMT"], ""))
            .await;
    let now: jiff::Timestamp = "2025-10-28T11:30:00Z".parse().unwrap();
    let clock = Clock::anchored(crate::clock::UnixMillis(now.as_millisecond()));
    let counted = Instruments::new().account("main");
    let client = Client::new(&account(&vendor.base_url()), counted, clock).unwrap();
    let wait = client
        .list_page(0, 100)
        .await
        .unwrap_err()
        .retry_after
        .unwrap();
    assert!((110.0..=120.0).contains(&wait.as_secs_f64()), "{wait:?}");
}

#[tokio::test]
async fn a_redirect_is_never_followed_to_another_host() {
    let other = Vendor::start(|_| page()).await;
    let address = other.address;
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let location =
            format!("Location: http://{address}/api/v1/Account/{AUTH_ID}/Endpoint/?{TOKEN}");
        let error = error_of(answer(status, &[&location], "<html>")).await;
        assert_eq!(error.kind, ErrorKind::Redirect);
        assert_eq!(
            error.message,
            "a redirect, which is never followed, to the host: 127.0.0.1"
        );
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_success_without_a_list_is_malformed() {
    for (body, message) in [
        (
            r#"{"status":"error","error":{"code":"E1","message":"boom"},"requestId":"r"}"#,
            "an error where a list was expected: boom",
        ),
        (
            r#"{"error":"boom","code":"E1","api_id":"r","objects":[]}"#,
            "an error where a list was expected: boom",
        ),
        (
            r#"{"message":"boom","code":"E1","request_id":"r"}"#,
            "no `objects`: boom",
        ),
        (
            r#"{"objects":null,"code":"E1","api_id":"r"}"#,
            "`objects` is not a list",
        ),
    ] {
        let error = error_of(answer("200 OK", &[], body)).await;
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::Malformed, Some(200))
        );
        assert_eq!(error.message, message);
        assert_eq!(
            (error.code.as_deref(), error.request_id.as_deref()),
            (Some("E1"), Some("r"))
        );
    }
    for (status, body) in [
        ("200 OK", ""),
        ("200 OK", "<html>maintenance</html>"),
        ("204 No Content", ""),
        ("200 OK", "[]"),
    ] {
        let (page, subject) = ask(answer(status, &["Content-Type: text/html"], body)).await;
        assert_eq!(page.unwrap_err().kind, ErrorKind::Malformed, "{body}");
        assert_eq!(
            subject.counted(),
            [format!("list_endpoints {}", &status[..3])]
        );
    }
}

#[tokio::test]
async fn our_own_words_stay_whole_whatever_the_token_is() {
    let clumsy = async |reply: Reply| {
        let vendor = Vendor::start(move |_| reply.clone()).await;
        let counted = Instruments::new().account("main");
        let client = Client::new(&account(&vendor.base_url()), counted, Clock::system()).unwrap();
        client.set_token(SecretString::from("a"));
        client.list_page(0, 100).await.unwrap_err().message
    };
    for (reply, expected) in [
        (
            answer("403 X", &[], r#"{"error":"a bad cat"}"#),
            "access is forbidden: *** b***d c***t",
        ),
        (
            answer("502 X", &[], "<html>a</html>"),
            "the vendor's server failed: an HTML page",
        ),
        (
            answer("302 X", &["Location: http://alpha.invalid/"], ""),
            "a redirect, which is never followed, to the host: ***lph***.inv***lid",
        ),
        (
            answer("407 X", &[], "a"),
            "the request was refused by the proxy, which wants other credentials",
        ),
        (
            answer("200 X", &[], "a"),
            "not JSON at line 1, column 1: ***",
        ),
    ] {
        assert_eq!(clumsy(reply).await, expected);
    }
}

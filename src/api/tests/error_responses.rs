//! Tests of error responses: statuses, bodies, and `Retry-After`.

use super::{server::response, *};

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
        let (page, subject) = ask(response(&format!("{status} X"), &[], "")).await;
        let error = page.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, Some(status)));
        assert_eq!(
            retry_and_rate_limit::is_retryable(&error),
            retryable,
            "{status}"
        );
        assert_eq!(error.retry_after, None);
        assert!(!error.message.is_empty());
        assert_eq!(subject.counted(), [format!("list_endpoints {status}")]);
    }
}

#[tokio::test]
async fn no_error_repeats_text_of_a_response_in_any_spelling() {
    let each = |spell: fn(u8) -> String| TOKEN.bytes().map(spell).collect::<Vec<_>>().concat();
    let percent = each(|byte| format!("%{byte:02X}"));
    let html = each(|byte| format!("&#{byte};"));
    for spelled in [
        TOKEN,
        &percent,
        &html,
        "dDBrZW4tb2YtdGhlLWFjY291bnQ=",
        &TOKEN.to_uppercase(),
        &TOKEN[..12],
    ] {
        let id = format!("X-Request-Id: {spelled}");
        let location = format!("Location: https://{spelled}.test/{spelled}");
        for (status, body, expected) in [
            ("403 X", r#"{"error":"$"}"#, "access is forbidden"),
            (
                "403 X",
                r#"{"error":{"code":"$","message":"$"},"requestId":"$"}"#,
                "access is forbidden",
            ),
            ("500 X", "$", "the API's server failed"),
            (
                "302 X",
                "$",
                "a redirect, which is never followed; check api.base_url",
            ),
            (
                "407 X",
                "$",
                "the proxy refused the request; check the credentials in api.proxy_url",
            ),
            ("200 X", "$", "not JSON at line 1, column "),
            (
                "200 X",
                r#"{"error":"$"}"#,
                "an error where a list was expected",
            ),
            (
                "200 X",
                r#"{"$":"$"}"#,
                "not an object with a list `objects`",
            ),
        ] {
            let body = body.replace('$', spelled);
            let error = error_of(response(status, &[&id, &location], &body)).await;
            assert!(error.message.starts_with(expected), "{error}");
            assert!(!error.to_string().contains(spelled), "{error}");
        }
    }
}

#[tokio::test]
async fn an_html_page_is_named_with_its_length() {
    let page = "\n<html><h1>502</h1></html>";
    for (status, expected) in [
        ("502 X", "the API's server failed: an HTML page of 26 bytes"),
        (
            "200 X",
            "not JSON at line 2, column 1: an HTML page of 26 bytes",
        ),
    ] {
        let error = error_of(response(status, &["Content-Type: text/html"], page)).await;
        assert_eq!(error.message, expected);
    }
}

#[tokio::test]
async fn retry_after_is_read_in_every_form() {
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
            let error = error_of(response(status, &headers, &body)).await;
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
        let error = error_of(response("429 X", &[&format!("Retry-After: {endless}")], "")).await;
        let wait = error.retry_after.unwrap();
        assert!(wait > day, "{endless} gave {wait:?}");
    }
}

#[tokio::test]
async fn without_a_date_header_retry_after_is_relative_to_the_local_clock() {
    let server = TestServer::start(|_| {
        response("429 X", &["Retry-After: Tue, 28 Oct 2025 11:32:00 GMT"], "")
    })
    .await;
    let now: jiff::Timestamp = "2025-10-28T11:30:00Z".parse().unwrap();
    let clock = Clock::anchored(crate::clock::UnixMillis(now.as_millisecond()));
    let counted = Instruments::new().account("main");
    let client = Transports::default()
        .client(&account(&server.base_url()), counted, clock)
        .unwrap();
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
    let other = TestServer::start(|_| page()).await;
    let address = other.address;
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let location =
            format!("Location: http://{address}/api/v1/Account/{AUTH_ID}/Endpoint/?{TOKEN}");
        let error = error_of(response(status, &[&location], "<html>")).await;
        assert_eq!(error.kind, ErrorKind::Redirect);
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_success_without_a_list_is_malformed() {
    for (body, message) in [
        (
            r#"{"status":"error","error":{"code":"E1","message":"boom"}}"#,
            "an error where a list was expected",
        ),
        (
            r#"{"error":"boom","objects":[]}"#,
            "an error where a list was expected",
        ),
        (
            r#"{"message":"boom"}"#,
            "not an object with a list `objects`",
        ),
        (r#"{"objects":null}"#, "not an object with a list `objects`"),
    ] {
        let error = error_of(response("200 OK", &[], body)).await;
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::Malformed, Some(200))
        );
        assert_eq!(error.message, message);
    }
    for (status, body) in [
        ("200 OK", ""),
        ("200 OK", "<html>maintenance</html>"),
        ("204 No Content", ""),
        ("200 OK", "[]"),
    ] {
        let (page, subject) = ask(response(status, &["Content-Type: text/html"], body)).await;
        assert_eq!(page.unwrap_err().kind, ErrorKind::Malformed, "{body}");
        assert_eq!(
            subject.counted(),
            [format!("list_endpoints {}", &status[..3])]
        );
    }
}

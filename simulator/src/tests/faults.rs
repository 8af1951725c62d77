//! Tests of faults in the content of responses and in their transfer.

use std::io::Read as _;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Setup, list_path};
use crate::{Effect, ErrorBody, Fault, Reply, RetryAfter, START, TEST_ACCOUNT};

/// If no response arrives within this time, a test assumes that the vendor sends no response.
const TIMEOUT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_error_can_take_every_form() {
    let body = async |body| {
        let setup = Setup::faulty(1, Fault::error(503, body)).await;
        let seen = setup.list("").await;
        assert_eq!(seen.status, 503);
        seen
    };
    let object = body(ErrorBody::Object).await.json();
    assert_eq!(object["error"]["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(object["timestamp"], START.to_string());
    assert!(body(ErrorBody::Text).await.json()["error"].is_string());
    assert!(body(ErrorBody::Generic).await.json()["api_id"].is_string());
    assert!(body(ErrorBody::Message).await.json()["message"].is_string());
    assert_eq!(
        body(ErrorBody::StatusMessage).await.json()["status"],
        "error"
    );
    let retry = body(ErrorBody::RetryInBody(30)).await.json();
    assert_eq!(retry["error"]["details"]["retryAfter"], 30);
    let empty = body(ErrorBody::Empty).await;
    assert_eq!(
        (empty.text().as_str(), empty.header("content-type")),
        ("", None)
    );
    assert_eq!(empty.header("content-length"), Some("0"));
    assert_eq!(body(ErrorBody::EmptyObject).await.text(), "{}");
    assert_eq!(
        body(ErrorBody::Plain).await.text(),
        "Service temporarily unavailable"
    );
    let html = body(ErrorBody::Html).await;
    assert!(html.text().starts_with("<html>"));
    assert_eq!(html.header("content-type"), Some("text/html"));
    assert!(body(ErrorBody::Long(1_000_000)).await.body.len() > 1_000_000);
    assert_eq!(
        body(ErrorBody::Raw("{\"a\"".to_owned())).await.text(),
        "{\"a\""
    );
}

#[tokio::test]
async fn a_throttled_response_has_retry_after() {
    let header = async |retry_after| {
        let setup = Setup::faulty(1, Fault::throttled(retry_after)).await;
        let seen = setup.list("").await;
        assert_eq!(seen.status, 429);
        seen.header("retry-after").map(ToOwned::to_owned)
    };
    assert_eq!(header(RetryAfter::Seconds(0)).await.unwrap(), "0");
    let date = header(RetryAfter::Date(SignedDuration::from_secs(90)))
        .await
        .unwrap();
    assert_eq!(date, "Mon, 02 Mar 2026 04:31:30 GMT");
    assert_eq!(
        header(RetryAfter::Text("soon".to_owned())).await.unwrap(),
        "soon"
    );
    let setup = Setup::faulty(1, Fault::status(429)).await;
    assert_eq!(setup.list("").await.header("retry-after"), None);
}

#[tokio::test]
async fn an_error_body_can_have_a_success_status() {
    let setup = Setup::faulty(1, Fault::error(200, ErrorBody::Object)).await;
    let seen = setup.list("").await;
    assert_eq!(
        (seen.status, &seen.json()["status"]),
        (200, &"error".into())
    );
    setup.vendor.heal();
    setup.vendor.plan(Fault::body("not json"));
    assert_eq!(setup.list("").await.text(), "not json");
    setup.vendor.heal();
    setup.vendor.plan(Fault::new(Effect::Reply(Reply {
        status: 200,
        content_type: None,
        headers: vec![("X-Request-Id".to_owned(), "r1".to_owned())],
        body: Vec::new(),
    })));
    let seen = setup.list("").await;
    assert_eq!(
        (seen.header("content-type"), seen.header("x-request-id")),
        (None, Some("r1"))
    );
}

#[tokio::test]
async fn a_redirect_names_its_target() {
    let location = "http://other.example/steal".to_owned();
    let setup = Setup::faulty(
        1,
        Fault::new(Effect::Redirect {
            status: 302,
            location: location.clone(),
        }),
    )
    .await;
    let seen = setup.list("").await;
    assert_eq!(
        (seen.status, seen.header("location")),
        (302, Some(location.as_str()))
    );
}

#[tokio::test]
async fn a_hanging_request_counts_as_in_flight_until_the_client_disconnects() {
    let setup = Setup::faulty(1, Fault::new(Effect::Hang).once()).await;
    assert!(timeout(TIMEOUT, setup.try_list("")).await.is_err());
    let counts = setup.vendor.until(|counts| counts.in_flight == 0).await;
    assert_eq!((counts.requests, counts.answered), (1, 0));
    assert_eq!(setup.vendor.requests()[0].status, None);
    assert_eq!(setup.list("").await.status, 200);
}

/// Sends a list request over a plain socket. Returns the received text, and an error if the
/// connection does not end normally.
async fn by_hand(setup: &Setup) -> (String, std::io::Result<()>) {
    let mut stream = TcpStream::connect(setup.vendor.address()).await.unwrap();
    let request = format!(
        "GET /api/v1{} HTTP/1.1\r\nHost: vendor\r\nX-Auth-ID: {}\r\nX-Auth-Token: {}\r\n\r\n",
        list_path("limit=1"),
        TEST_ACCOUNT.auth_id,
        TEST_ACCOUNT.token,
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (String::from_utf8(seen).unwrap(), Ok(())),
            Ok(length) => seen.extend_from_slice(&buffer[..length]),
            Err(error) => return (String::from_utf8(seen).unwrap(), Err(error)),
        }
    }
}

#[tokio::test]
async fn a_connection_can_be_reset_before_the_headers() {
    let setup = Setup::faulty(3, Fault::new(Effect::Reset)).await;
    let (seen, end) = by_hand(&setup).await;
    assert_eq!(seen, "");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_can_be_reset_within_the_body() {
    let setup = Setup::faulty(3, Fault::new(Effect::ResetAfter(10))).await;
    let (seen, end) = by_hand(&setup).await;
    assert!(seen.starts_with("HTTP/1.1 200 OK"), "{seen}");
    assert_eq!(seen.split("\r\n\r\n").nth(1).unwrap().len(), 10);
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_truncated_body_ends_before_its_announced_length() {
    let setup = Setup::faulty(3, Fault::new(Effect::Truncate(10))).await;
    let (seen, end) = by_hand(&setup).await;
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 10);
    assert!(!head.contains("content-length: 10\r"), "{head}");
    assert!(head.contains("content-length: "), "{head}");
    assert!(end.is_ok());
    assert!(setup.try_list("").await.is_err());
}

#[tokio::test]
async fn a_partial_body_is_a_complete_response_with_half_a_page() {
    let setup = Setup::faulty(3, Fault::new(Effect::Partial(100))).await;
    let seen = setup.list("").await;
    assert_eq!((seen.status, seen.body.len()), (200, 100));
    assert!(serde_json::from_slice::<serde_json::Value>(&seen.body).is_err());
}

#[tokio::test]
async fn a_stalled_body_never_ends() {
    let setup = Setup::faulty(3, Fault::new(Effect::StallAfter(10)).once()).await;
    assert!(timeout(TIMEOUT, setup.try_list("")).await.is_err());
    let counts = setup.vendor.until(|counts| counts.in_flight == 0).await;
    assert_eq!(counts.answered, 1);
}

#[tokio::test]
async fn a_dripping_body_arrives_slowly_and_whole() {
    let drip = Effect::Drip(400, Duration::from_millis(10));
    let setup = Setup::faulty(3, Fault::new(drip)).await;
    let begun = tokio::time::Instant::now();
    let seen = setup.list("").await;
    assert_eq!(seen.rows().len(), 3);
    let pieces = seen.body.len().div_ceil(400);
    assert!(begun.elapsed() >= Duration::from_millis(9) * u32::try_from(pieces).unwrap());
}

#[tokio::test]
async fn an_oversized_body_announces_no_length_and_is_valid() {
    let setup = Setup::faulty(3, Fault::new(Effect::Oversized(3_000_000))).await;
    let seen = setup.list("").await;
    assert_eq!(seen.header("content-length"), None);
    assert!(seen.body.len() > 3_000_000);
    assert_eq!(seen.rows().len(), 3);
}

#[tokio::test]
async fn a_gzip_bomb_is_small_and_valid() {
    let setup = Setup::faulty(3, Fault::new(Effect::GzipBomb(50_000_000))).await;
    let mut seen = setup.list("").await;
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert!(seen.body.len() < 100_000, "{}", seen.body.len());
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&seen.body[..])
        .read_to_end(&mut inflated)
        .unwrap();
    assert!(inflated.len() > 50_000_000);
    seen.body = inflated;
    assert_eq!(seen.rows().len(), 3);
}

#[tokio::test]
async fn clock_content_type_and_delay_faults_apply() {
    let setup = Setup::faulty(3, Fault::new(Effect::ContentType(None))).await;
    assert_eq!(setup.list("").await.header("content-type"), None);
    setup
        .vendor
        .plan(Fault::new(Effect::Clock(SignedDuration::from_hours(1))));
    setup
        .vendor
        .set(|options| options.clock_skew = SignedDuration::from_secs(5));
    let date = setup.list("").await;
    assert_eq!(date.header("date"), Some("Mon, 02 Mar 2026 05:30:05 GMT"));
    setup.vendor.heal();
    setup.vendor.set(|options| options.date = false);
    assert_eq!(setup.list("").await.header("date"), None);
    setup
        .vendor
        .plan(Fault::new(Effect::Delay(Duration::from_secs(3600))));
    assert!(timeout(TIMEOUT, setup.try_list("")).await.is_err());
}

//! Tests of response bodies and connections that fail, stall or never end.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use super::{server::response, *};

const BODY: &str = r#"{"meta":{"total_count":1},"objects":[{"endpoint_id":"1","alias":"a"}]}"#;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(1000) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A page that exceeds the size limit.
fn oversized() -> Vec<u8> {
    format!(r#"{{"objects":[],"padding":"{}"}}"#, "x".repeat(200_000)).into_bytes()
}

#[tokio::test]
async fn a_compressed_page_is_read_like_any_other() {
    let reply = response(
        "200 OK",
        &["Content-Encoding: gzip", "Content-Type: text/plain"],
        gzip(BODY.as_bytes()),
    );
    let page = ask(reply).await.0.unwrap();
    assert_eq!(
        page.rows[0].content.as_ref().unwrap().alias.as_deref(),
        Some("a")
    );
}

#[tokio::test]
async fn invalid_utf_8_is_replaced_and_affects_no_other_row() {
    let mut body = b"\xef\xbb\xbf".to_vec();
    body.extend_from_slice(&BODY.as_bytes()[..BODY.len() - 5]);
    body.extend_from_slice(b"\xff\"}]}");
    let page = ask(response("200 OK", &[], body)).await.0.unwrap();
    assert_eq!(
        page.rows[0].content.as_ref().unwrap().alias.as_deref(),
        Some("\u{fffd}")
    );
}

#[tokio::test]
async fn the_limit_of_a_body_applies_after_decompression() {
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(bomb.len() < 64 * 1024, "packed it is within the limit");
    let mut endless = chunked(&oversized());
    endless.extend_from_slice(b"3e8\r\n");
    for reply in [
        response("200 OK", &["Content-Encoding: gzip"], bomb),
        response("200 OK", &[], oversized()),
        Reply::Silence(endless),
        // The `Content-Length` exceeds the limit, so the client does not wait for the body.
        Reply::Silence(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()),
    ] {
        let (page, subject) = ask(reply).await;
        let error = page.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::TooLarge, Some(200)));
        assert_eq!(error.message, "the body exceeds 65536 bytes");
        assert_eq!(subject.counted(), ["list_endpoints 200"]);
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let body = format!("{BODY}{}", " ".repeat(64 * 1024 - BODY.len()));
    assert!(ask(response("200 OK", &[], &body)).await.0.is_ok());
    assert!(
        ask(response("200 OK", &[], format!("{body} ")))
            .await
            .0
            .is_err()
    );
}

#[tokio::test]
async fn an_error_body_is_not_read_beyond_its_limit() {
    let mut bytes = b"HTTP/1.1 503 X\r\nRetry-After: 9\r\n\r\n".to_vec();
    bytes.extend_from_slice(&oversized());
    let error = error_of(Reply::Silence(bytes)).await;
    assert_eq!(
        (error.kind, error.status),
        (ErrorKind::ServerError, Some(503))
    );
    assert_eq!(error.retry_after, Some(Duration::from_secs(9)));
}

#[tokio::test]
async fn a_broken_connection_is_a_network_error() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY.len());
    let part = |body: &str| [head.as_bytes(), &body.as_bytes()[..20]].concat();
    let packed = gzip(BODY.as_bytes());
    let packed_head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    for (reply, status) in [
        (Reply::Reset, None),
        (Reply::Last(Vec::new()), None),
        (Reply::Last(b"SIP/2.0 200 OK\r\n\r\n".to_vec()), None),
        (Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), None),
        (Reply::Last(part(BODY)), Some(200)),
        (Reply::Last(chunked(BODY.as_bytes())), Some(200)),
        (
            Reply::Last([packed_head.as_bytes(), &packed[..packed.len() / 2]].concat()),
            Some(200),
        ),
        (
            response(
                "200 OK",
                &["Content-Encoding: gzip"],
                &packed[..packed.len() / 2],
            ),
            Some(200),
        ),
    ] {
        let (page, subject) = ask(reply).await;
        let error = page.unwrap_err();
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::Network, status),
            "{error}"
        );
        assert!(retry_and_rate_limit::is_retryable(&error));
        // If a connection breaks without a valid response, the client repeats the request on a new connection.
        let attempts = if status.is_none() { 2 } else { 1 };
        assert_eq!(
            subject.counted(),
            vec!["list_endpoints error"; attempts],
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_a_network_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let subject = subject(&account(&format!("http://{address}/api/v1")));
    let error = subject.client.list_page(0, 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.message.contains("127.0.0.1 failed"), "{error}");
    assert!(error.message.contains("refused"), "{error}");
    assert_no_credentials(&subject.client, &error);
}

#[tokio::test]
async fn a_response_that_stalls_ends_with_the_request_timeout() {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{",
        BODY.len()
    );
    let error = "HTTP/1.1 429 X\r\nContent-Length: 9\r\n\r\n".to_owned();
    for (bytes, kind, counted) in [
        (String::new(), ErrorKind::Timeout, "list_endpoints error"),
        (head, ErrorKind::Timeout, "list_endpoints error"),
        // The status 429 decides the kind of the error, although the body times out.
        (error, ErrorKind::RateLimited, "list_endpoints 429"),
    ] {
        let server = TestServer::start(move |_| Reply::Silence(bytes.clone().into_bytes())).await;
        let mut account = account(&server.base_url());
        account.api.request_timeout = Duration::from_millis(150);
        let subject = subject(&account);
        let error = subject.client.list_page(0, 100).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(subject.counted(), [counted]);
        assert_no_credentials(&subject.client, &error);
    }
}

#[tokio::test]
async fn a_failed_request_is_not_repeated() {
    let server = TestServer::start(|_| response("503 X", &[], "")).await;
    let subject = subject(&account(&server.base_url()));
    subject.client.list_page(0, 100).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

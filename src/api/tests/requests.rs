//! Tests of the client's requests, and of the records in successful responses.

use super::{
    server::{Request, response},
    *,
};

const RECORD: &str = include_str!("../testdata/endpoint_narrative.json");
const NOT_FOUND: &str = include_str!("../testdata/endpoint_not_found.json");

#[tokio::test]
async fn a_list_request_has_the_exact_path_query_and_headers() {
    let server = TestServer::start(|_| page()).await;
    let mut account = account(&server.base_url());
    account.filter = [
        ("sub_account", "SA_1"),
        ("username__startswith", "front desk&co"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let subject = subject(&account);
    let page = subject.client.list_page(40, 20).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (1, Some(1)));

    let [request]: [Request; 1] = server.seen().try_into().unwrap();
    assert_eq!(
        request.line,
        "GET /api/v1/Account/MA_AUTHID01/Endpoint/?limit=20&offset=40&sub_account=SA_1\
         &username__startswith=front+desk%26co HTTP/1.1"
    );
    let host = server.address.to_string();
    let agent = concat!("vobiz-exporter/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("host", host.as_str()),
        ("x-auth-id", AUTH_ID),
        ("x-auth-token", TOKEN),
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("user-agent", agent),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.headers.len(), 6, "nothing else is sent");
    assert_eq!(subject.counted(), ["list_endpoints 200"]);
}

#[tokio::test]
async fn ids_are_encoded_as_one_segment_of_the_path() {
    let id = "a/b?c=#%2e ü";
    let server = TestServer::start(move |_| {
        response(
            "200 OK",
            &[],
            format!(r#"{{"endpoint_id":"{id}","alias":"a"}}"#),
        )
    })
    .await;
    let mut account = account(&format!("{}/", server.base_url()));
    account.auth_id = "MA/../X".to_owned();
    let subject = subject(&account);
    let (endpoint, status) = subject.client.retrieve(id).await.unwrap();
    assert_eq!((endpoint.alias.as_deref(), status), (Some("a"), 200));
    let base = server.base_url();
    assert_eq!(
        subject.client.describe_retrieve(id),
        format!("GET {base}/Account/***/Endpoint/a%2Fb%3Fc%3D%23%252e%20%C3%BC/")
    );
    assert_eq!(
        server.seen()[0].line,
        "GET /api/v1/Account/MA%2F..%2FX/Endpoint/a%2Fb%3Fc%3D%23%252e%20%C3%BC/ HTTP/1.1"
    );
    assert_eq!(subject.counted(), ["retrieve_endpoint 200"]);
}

#[tokio::test]
async fn an_id_that_no_path_can_hold_is_not_requested() {
    let server = TestServer::start(|_| page()).await;
    let subject = subject(&account(&server.base_url()));
    for id in ["", ".", ".."] {
        let error = subject.client.retrieve(id).await.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::ClientError, None));
    }
    assert!(server.seen().is_empty());
    assert!(subject.counted().is_empty());

    let mut dots = account("http://127.0.0.1:1/api/v1");
    dots.auth_id = "..".to_owned();
    let counted = Instruments::new().account("main");
    let refused = Transports::default()
        .client(&dots, counted, Clock::system())
        .unwrap_err();
    assert!(matches!(refused, ClientError::AuthId));
}

#[tokio::test]
async fn one_endpoint_is_retrieved_with_its_registration() {
    let server = TestServer::start(|_| response("200 OK", &[], RECORD)).await;
    let subject = subject(&account(&server.base_url()));
    let (endpoint, _) = subject.client.retrieve("87654321").await.unwrap();
    assert_eq!(endpoint.received.as_deref(), Some("203.0.113.42:5060"));
    assert_eq!(endpoint.registered, Some(true));

    let other = subject.client.retrieve("87654322").await.unwrap_err();
    assert_eq!(
        other.kind,
        ErrorKind::Malformed,
        "it is the record of another endpoint"
    );
}

#[tokio::test]
async fn a_missing_endpoint_is_an_error_with_either_status() {
    for (status, kind) in [
        ("404 Not Found", ErrorKind::NotFound),
        ("200 OK", ErrorKind::Malformed),
    ] {
        let server = TestServer::start(move |_| response(status, &[], NOT_FOUND)).await;
        let subject = subject(&account(&server.base_url()));
        let error = subject.client.retrieve("99999999").await.unwrap_err();
        assert_eq!(error.kind, kind);
    }
}

#[tokio::test]
async fn connections_are_reused_also_after_an_error() {
    let server = TestServer::start(|request| {
        if request.line.contains("offset=1 ") {
            response("503 Service Unavailable", &[], "busy")
        } else {
            page()
        }
    })
    .await;
    let subject = subject(&account(&server.base_url()));
    for offset in 0..4 {
        let page = subject.client.list_page(offset, 100).await;
        assert_eq!(page.is_ok(), offset != 1);
    }
    let seen = server.seen();
    let connections: Vec<_> = seen.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_new_token_is_used_at_once_and_requests_in_flight_keep_theirs() {
    let server = TestServer::start(|request| match request.header("x-auth-token") {
        Some("new") => page(),
        _ => Reply::Silence(Vec::new()),
    })
    .await;
    let subject = subject(&account(&server.base_url()));
    let old = subject.client.list_page(0, 100);
    let new = async {
        server.wait_for(1).await;
        subject.client.set_token(&SecretString::from("new"));
        subject.client.list_page(0, 100).await
    };
    tokio::select! {
        _ = old => panic!("the old token is not answered"),
        page = new => assert_eq!(page.unwrap().total, Some(1)),
    }
    let tokens: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("x-auth-token").map(str::to_owned))
        .collect();
    assert_eq!(tokens, [Some(TOKEN.to_owned()), Some("new".to_owned())]);
    // The first call was cancelled, but its request was sent and must be counted.
    assert_eq!(
        subject.counted(),
        ["list_endpoints 200", "list_endpoints error"]
    );
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_not_sent() {
    let server = TestServer::start(|_| page()).await;
    let subject = subject(&account(&server.base_url()));
    for token in ["", "two\nlines"] {
        subject.client.set_token(&SecretString::from(token));
        let error = subject.client.list_page(0, 100).await.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Auth, None));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn the_date_header_gives_the_offset_of_the_local_clock() {
    let body = r#"{"objects":[]}"#;
    for (header, expected) in [
        ("Date: Tue, 28 Oct 2025 11:30:10 GMT", Some(10.0)),
        ("Date: Tue, 28 Oct 2025 11:29:30 GMT", Some(-30.0)),
        ("Date: yesterday", None),
        ("X-None: 1", None),
    ] {
        let server = TestServer::start(move |_| response("200 OK", &[header], body)).await;
        let now: jiff::Timestamp = "2025-10-28T11:30:00Z".parse().unwrap();
        let clock = Clock::anchored(crate::clock::UnixMillis(now.as_millisecond()));
        let counted = Instruments::new().account("main");
        let client = Transports::default()
            .client(&account(&server.base_url()), counted, clock)
            .unwrap();
        let offset = client.list_page(0, 100).await.unwrap().clock_offset;
        match (offset, expected) {
            (Some(offset), Some(expected)) => {
                // The local clock advances during the request, so the offset is a little smaller.
                assert!((expected - 10.0..=expected).contains(&offset), "{offset}");
            }
            (offset, expected) => assert_eq!(offset, expected, "{header}"),
        }
    }
}

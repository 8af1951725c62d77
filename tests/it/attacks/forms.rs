//! Malformed requests, and requests in which two servers can see different lengths (request smuggling).

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{access::Access, stage::Stage};

/// A malformed request. Some forms are followed by a complete second request, which is part of the first request for
/// another server.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The request. `$` stands for the request line and the host of a good request.
    text: &'static str,
    /// `~` in the request stands for this text, repeated this many times.
    repeated: Option<(&'static str, usize)>,
    /// Maximum number of responses with status 200.
    successes: usize,
}

/// The server refuses this request, and does not serve anything after it on the same connection.
const fn refused(text: &'static str) -> Form {
    Form {
        text,
        repeated: None,
        successes: 0,
    }
}

/// Like [`refused`], but `~` stands for a repeated text.
const fn refused_with(text: &'static str, repeated: &'static str, times: usize) -> Form {
    Form {
        text,
        repeated: Some((repeated, times)),
        successes: 0,
    }
}

/// The server may serve this request, but nothing after it.
const fn served_once(text: &'static str) -> Form {
    Form {
        text,
        repeated: None,
        successes: 1,
    }
}

/// All forms.
pub const FORMS: &[Form] = &[
    // No request line, or a wrong one.
    refused("\r\n\r\n\r\n\r\n"),
    refused("\0\0\0\0\r\n\r\n"),
    refused("GET\r\n\r\n"),
    refused("GET /healthz\r\nHost: a\r\n\r\n"),
    refused("GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /healthz  HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTP/1.1 \r\nHost: a\r\n\r\n"),
    refused("GET /health z HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET\t/healthz\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTP/11\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTP/01.1\r\nHost: a\r\n\r\n"),
    refused("GET /healthz http/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /healthz HTTPS/1.1\r\nHost: a\r\n\r\n"),
    refused("G(T /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused(": /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("get /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /health\0z HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET /..%2fhealthz/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    refused("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("TRACE /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("\x16\x03\x01\x02\0\x01\0\x01\u{1}\x03\x03 a TLS handshake\r\n\r\n"),
    refused("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    refused("EHLO mail\r\n\r\n"),
    // No host, or a wrong one.
    refused("GET /healthz HTTP/1.1\r\n\r\n"),
    refused("$Host: a\r\n\r\n"),
    refused("$Host: b\r\n\r\n"),
    refused("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"),
    refused("GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    refused("GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    // Wrong header lines.
    refused("GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n"),
    refused("GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n"),
    refused("$ X: folded\r\n\r\n"),
    refused("$X\r\n\r\n"),
    refused("$: x\r\n\r\n"),
    refused("$X Y: z\r\n\r\n"),
    refused("$X: y\rZ: z\r\n\r\n"),
    refused("$X: y\0z\r\n\r\n"),
    refused("$X\0: y\r\n\r\n"),
    refused("GET /healthz HTTP/1.1\rHost: a\r\r"),
    refused("$X: y\u{7f}z\r\n\r\n"),
    // Too long, or too many.
    refused_with("GET /~ HTTP/1.1\r\nHost: a\r\n\r\n", "a", 100_000),
    refused_with("~ /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "A", 100_000),
    refused_with("GET /healthz HTTP/1.1\r\nHost: ~\r\n\r\n", "a", 100_000),
    refused_with("$~\r\n", "X: y\r\n", 5_000),
    refused_with("$~: y\r\n\r\n", "X", 100_000),
    refused_with("~$\r\n", "\r\n", 20_000),
    // Two lengths, or a wrong length. The request after it must never have a response.
    refused("$Content-Length: -1\r\n\r\n$\r\n"),
    refused("$Content-Length: +4\r\n\r\n$\r\n"),
    refused("$Content-Length: 0x4\r\n\r\n$\r\n"),
    refused("$Content-Length: 4 4\r\n\r\n$\r\n"),
    refused("$Content-Length: 4, 5\r\n\r\n$\r\n"),
    refused("$Content-Length:\r\n\r\n$\r\n"),
    refused("$Content-Length: 99999999999999999999\r\n\r\nabcd"),
    refused("$Content-Length: 0\r\nContent-Length: 36\r\n\r\n$\r\n"),
    refused("$Content-Length : 0\r\n\r\n$\r\n"),
    refused("$Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    refused("$Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n$\r\n"),
    refused("$Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n$\r\n"),
    refused("$Transfer-Encoding: identity\r\n\r\n$\r\n"),
    refused("$Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n$\r\n"),
    refused("GET /healthz HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$\r\n"),
    served_once("$Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$\r\n"),
    served_once("$Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n$\r\n"),
    served_once("$Transfer-Encoding: chunked\r\n\r\nz\r\n\r\n$\r\n"),
    served_once("$Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n$\r\n"),
    served_once("$Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n$\r\n"),
    served_once("$Transfer-Encoding: chunked\r\n\r\n0\n$\r\n"),
    served_once("$Connection: close\r\n\r\n$\r\n"),
    served_once("GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n$\r\n"),
];

impl Form {
    /// The bytes of the request.
    pub fn bytes(&self) -> Vec<u8> {
        let good = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
        let text = self.text.replace('$', good);
        let text = match self.repeated {
            Some((repeated, times)) => text.replacen('~', &repeated.repeat(times), 1),
            None => text,
        };
        text.into_bytes()
    }
}

/// Sends bytes on a new connection, closes the sending direction, and returns everything that the server sends.
async fn responses(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may reset the connection before it has read a long request.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut bytes = Vec::new();
    let end = timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes)).await;
    let _ = end.expect("the server ends the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_hides_no_second_request() {
    let stage = Stage::start(45, Access::Plain).await;
    let mut wrong = Vec::new();
    for form in FORMS {
        let received = responses(stage.address(), &form.bytes()).await;
        let successes =
            received.matches("HTTP/1.1 200").count() + received.matches("HTTP/1.0 200").count();
        if successes > form.successes {
            wrong.push((form.text, received));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        FORMS.len()
    );
    let good = responses(stage.address(), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(good.await.starts_with("HTTP/1.1 200 OK"));
}

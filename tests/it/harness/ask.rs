//! An HTTP client that gives access to the raw bytes of a response.

use std::{
    fmt::Write,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
};

use flate2::read::GzDecoder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// A received response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body as received, which may be compressed.
    pub body: Vec<u8>,
}

/// A client that reads the beginning of a response, and the rest only in [`Self::finish`].
pub struct SlowReader {
    stream: TcpStream,
    begun: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("an answer has a head"));
        let head = String::from_utf8(head.to_vec()).expect("a head is text");
        let status = head.split_whitespace().nth(1);
        let status = status.and_then(|code| code.parse().ok());
        Self {
            status: status.expect("an answer has a status"),
            head,
            body: body[4..].to_vec(),
        }
    }

    /// The value of a header. Fails if the header occurs twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = headers.filter_map(|(has, value)| (has == name).then_some(value));
        let value = values.next();
        assert!(
            values.next().is_none(),
            "{name} stands twice: {}",
            self.head
        );
        value
    }

    /// The body, decompressed if necessary.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self.header("content-encoding") {
            None => text.push_str(std::str::from_utf8(&self.body).expect("text")),
            Some("gzip") => {
                let mut unpacked = GzDecoder::new(&self.body[..]);
                unpacked.read_to_string(&mut text).expect("gzip of text");
                assert_eq!(
                    unpacked.into_inner(),
                    b"",
                    "one member and nothing behind it"
                );
            }
            Some(other) => panic!("unexpected encoding {other}"),
        }
        text
    }
}

/// Sends a request and reads the complete response.
pub async fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    send(&mut stream, method, path, headers).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    Answer::read(&answer)
}

/// Sends a `GET` request without further headers.
pub async fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, &[]).await
}

/// Whether the port is closed.
pub async fn is_closed(address: &str) -> bool {
    TcpStream::connect(address).await.is_err()
}

async fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &[(&str, &str)]) {
    // With HTTP/1.0, the response is not chunked, and the server closes the connection after it.
    let mut request = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += "Host: exporter\r\n";
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("a string takes every write");
    }
    request.push_str("\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it reads");
}

impl SlowReader {
    /// Requests a response, which must be larger than the socket buffers, and reads its beginning.
    pub async fn ask(address: &str, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(any).expect("a port");
        let address = address.parse().expect("an address");
        let mut stream = socket.connect(address).await.expect("it listens");
        send(&mut stream, "GET", path, &[]).await;
        let mut begun = vec![0; 256];
        let read = stream.read_exact(&mut begun).await;
        read.expect("it begins to answer");
        Self { stream, begun }
    }

    /// Reads the response to its end.
    pub async fn finish(mut self) -> Answer {
        let rest = self.stream.read_to_end(&mut self.begun).await;
        rest.expect("it goes on");
        Answer::read(&self.begun)
    }
}

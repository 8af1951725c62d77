//! An HTTP client that sends raw bytes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// The time limit for every wait. A wait reaches this limit only if the server hangs.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// Waits for a future. The test fails if the wait is longer than [`LONG`].
pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("no timeout")
}

#[derive(Debug)]
pub(super) struct Client<S = TcpStream>(BufReader<S>);

#[derive(Debug, PartialEq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The headers in the order of arrival. The names are in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(
            soon(TcpStream::connect(address)).await.unwrap(),
        ))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client on a connection without sockets.
    pub(super) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a request. `headers` has the header lines after `Host`, each with its line end.
    pub(super) async fn request(&mut self, method: &str, target: &str, headers: &str) {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: exporter\r\n{headers}\r\n"
        ))
        .await;
    }

    pub(super) async fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "").await;
        self.response().await
    }

    pub(super) async fn head(&mut self, target: &str, headers: &str) -> Response {
        self.request("HEAD", target, headers).await;
        soon(self.read_head()).await.unwrap()
    }

    /// Reads the next complete response.
    pub(super) async fn response(&mut self) -> Response {
        soon(self.read_response()).await.unwrap()
    }

    /// Reads the head of the next response and leaves its body unread.
    pub(super) async fn response_head(&mut self) -> Response {
        soon(self.read_head()).await.unwrap()
    }

    /// Reads `count` bytes of a body.
    pub(super) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        soon(self.0.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Closes the sending direction of the connection.
    pub(super) async fn half_close(&mut self) {
        self.0.get_mut().shutdown().await.unwrap();
    }

    /// Reads until the connection ends and returns the bytes. A reset counts as an end.
    pub(super) async fn ended(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }

    async fn read_response(&mut self) -> io::Result<Response> {
        let mut response = self.read_head().await?;
        let length = response.header("content-length").expect("a known length");
        response.body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut response.body).await?;
        Ok(response)
    }

    async fn read_head(&mut self) -> io::Result<Response> {
        let status = self.line().await?;
        let status = status.strip_prefix("HTTP/1.1 ").expect("a status line");
        let mut response = Response {
            status: status[..3].parse().unwrap(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                return Ok(response);
            };
            let name = name.to_ascii_lowercase();
            response.headers.push((name, value.to_owned()));
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

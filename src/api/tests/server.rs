//! A server that sends bytes over a real socket. Each test chooses the bytes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// The reaction of the server to a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Sends these bytes and waits for the next request on the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Last(Vec<u8>),
    /// Sends these bytes, keeps the connection open, and sends nothing more.
    Silence(Vec<u8>),
    /// Resets the connection. With TLS, only closes the connection.
    Reset,
}

/// A received request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The request line, for example `GET / HTTP/1.1`.
    pub line: String,
    /// The headers. Their names are in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

type Respond = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A running server. Dropping this struct ends its tasks and stops the server.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    arrivals: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl TestServer {
    pub(super) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(answer), None).await
    }

    pub(super) async fn start_tls(
        tls: TlsAcceptor,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Arc::new(answer), Some(tls)).await
    }

    async fn listen(answer: Respond, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (arrived, arrivals) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let requests = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, tls) = (Arc::clone(&answer), tls.clone());
                let (requests, arrived) = (Arc::clone(&requests), arrived.clone());
                let decide = move |mut request: Request| {
                    request.connection = connection;
                    let reply = answer(&request);
                    requests.lock().unwrap().push(request);
                    arrived.send_modify(|count| *count += 1);
                    reply
                };
                connections.spawn(async move {
                    match tls {
                        None => plain(stream, decide).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, decide).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            arrivals,
            _tasks: tasks,
        }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until the server has received `count` requests.
    pub(super) async fn wait_for(&self, count: usize) {
        let mut arrivals = self.arrivals.clone();
        arrivals.wait_for(|seen| *seen >= count).await.unwrap();
    }
}

async fn plain(stream: TcpStream, decide: impl FnMut(Request) -> Reply) {
    if let Some(stream) = converse(stream, decide).await {
        socket2::SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }
}

/// Responds to requests until one side ends the connection. Returns the stream if the caller must reset it.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    mut decide: impl FnMut(Request) -> Reply,
) -> Option<S> {
    loop {
        let request = head(&mut stream).await?;
        match decide(request) {
            // If a test closes the connection early, the write fails and this function ends.
            Reply::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
            Reply::Last(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Reply::Silence(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                std::future::pending::<()>().await;
            }
            Reply::Reset => return Some(stream),
        }
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    Some(Request {
        connection: 0,
        line: lines.next()?.to_owned(),
        headers: lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    })
}

/// A complete response: status line, header lines, `Content-Length` and body.
pub(super) fn response(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        bytes.push_str(header);
        bytes.push_str("\r\n");
    }
    bytes.push_str("\r\n");
    Reply::Bytes([bytes.as_bytes(), body].concat())
}

/// A reply with a page of one endpoint.
pub(super) fn page() -> Reply {
    response(
        "200 OK",
        &[],
        r#"{"meta":{"total_count":1},"objects":[{"endpoint_id":"1"}]}"#,
    )
}

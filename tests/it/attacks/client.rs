//! Good clients: a Prometheus that opens a connection for each scrape, a Prometheus that keeps its connection, and a
//! health check. They measure each response.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Time limit for a response. It is the default scrape timeout of Prometheus.
const TIMEOUT: Duration = Duration::from_secs(10);

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: exporter\r\nUser-Agent: Prometheus/3.5.0\r\nAccept-Encoding: gzip\r\n\
                      X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

const HEALTH: &str = "GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n";

/// The times of one kind of request.
#[derive(Debug, Default, Clone)]
pub struct Series {
    /// The durations of the successful requests, from the connection to the last byte, in ascending order.
    pub durations: Vec<Duration>,
    /// The reasons of the failed requests.
    pub failures: Vec<String>,
}

/// The times of all good clients in one phase.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Scrapes, each on a new connection.
    pub scrapes: Series,
    /// Scrapes on one connection. A closed connection is a failure.
    pub kept: Series,
    /// Health checks, each on a new connection.
    pub health: Series,
}

impl Series {
    /// The duration that this share of the successful requests does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let count = self.durations.len();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a phase has a few thousand requests, and a share is between 0 and 1"
        )]
        let rank = (count as f64 * share).ceil() as usize;
        let duration = self.durations.get(rank.saturating_sub(1));
        duration.copied().unwrap_or(TIMEOUT)
    }

    /// The number of all requests.
    pub fn count(&self) -> usize {
        self.durations.len() + self.failures.len()
    }
}

impl Measured {
    /// The series with their names.
    pub fn all(&self) -> [(&'static str, &Series); 3] {
        [
            ("scrapes", &self.scrapes),
            ("kept connection", &self.kept),
            ("health", &self.health),
        ]
    }
}

/// Runs all good clients on this thread for `duration`. First opens the kept connection and scrapes once, and then
/// sends `ready`. A scrape fails if its text has fewer than `text_bytes` bytes.
pub fn measure(
    address: SocketAddr,
    text_bytes: usize,
    duration: Duration,
    ready: oneshot::Sender<()>,
) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let mut kept = TcpStream::connect(address).await.ok();
        scrape(kept.as_mut().expect("it listens"), text_bytes)
            .await
            .expect("a scrape without an attack succeeds");
        let _ = ready.send(());
        let end = Instant::now() + duration;
        let on_new = async || scrape(&mut TcpStream::connect(address).await?, text_bytes).await;
        let on_kept = async || {
            if kept.is_none() {
                kept = Some(TcpStream::connect(address).await?);
            }
            let mut stream = kept.take().expect("it was just opened");
            scrape(&mut stream, text_bytes).await?;
            kept = Some(stream);
            Ok(())
        };
        let health = async || {
            let response = request(&mut TcpStream::connect(address).await?, HEALTH).await?;
            if response == b"healthy\n" {
                return Ok(());
            }
            Err(io::Error::other("a wrong text"))
        };
        let (scrapes, kept, health) = tokio::join!(
            repeat(Duration::from_millis(50), end, on_new),
            repeat(Duration::from_millis(250), end, on_kept),
            repeat(Duration::from_millis(20), end, health),
        );
        Measured {
            scrapes,
            kept,
            health,
        }
    })
}

/// Sends a request in each `period` until `end`.
async fn repeat(
    period: Duration,
    end: Instant,
    mut request: impl AsyncFnMut() -> io::Result<()>,
) -> Series {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut series = Series::default();
    while Instant::now() < end {
        ticks.tick().await;
        let begin = Instant::now();
        match timeout(TIMEOUT, request()).await {
            Ok(Ok(())) => series.durations.push(begin.elapsed()),
            Ok(Err(error)) => series.failures.push(error.to_string()),
            Err(_) => series.failures.push("no response in time".to_owned()),
        }
    }
    series.durations.sort();
    series
}

/// Scrapes, and checks that the response is complete.
async fn scrape(stream: &mut TcpStream, text_bytes: usize) -> io::Result<()> {
    let body = request(stream, SCRAPE).await?;
    // A gzip stream ends with the length of the text in four bytes.
    let length = body.last_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if body.starts_with(&[0x1f, 0x8b]) && length.is_some_and(|length| length as usize >= text_bytes)
    {
        return Ok(());
    }
    Err(io::Error::other("the response is incomplete"))
}

/// Sends a request and reads the body of the response. A status other than 200 is an error.
async fn request(stream: &mut TcpStream, request: &str) -> io::Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::with_capacity(4096);
    let head = loop {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            break received.drain(..end + 4).collect::<Vec<_>>();
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
    };
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let (status, headers) = head.split_once("\r\n").unwrap_or_default();
    if !status.starts_with("http/1.1 200 ") {
        return Err(io::Error::other(status.to_owned()));
    }
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| io::Error::other("the response has no length"))?;
    let begun = received.len();
    received.resize(length, 0);
    stream.read_exact(&mut received[begun..]).await?;
    Ok(received)
}

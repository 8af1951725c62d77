//! Good clients: a Prometheus that opens a connection for each scrape, a Prometheus that keeps its connection, and a
//! health check. They measure each response.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::access::{Access, Connection, exchange};

/// Time limit for a response. It is the default scrape timeout of Prometheus.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The headers of a scrape.
const PROMETHEUS: &str = "User-Agent: Prometheus/3.5.0\r\nAccept-Encoding: gzip\r\n\
                          X-Prometheus-Scrape-Timeout-Seconds: 10\r\n";

/// The times of one kind of request.
#[derive(Debug, Default, Clone)]
pub struct Series {
    /// The durations of the successful requests, from their turn to the last byte, in ascending order.
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
    fn new(results: Vec<Result<Duration, String>>) -> Self {
        let mut series = Self::default();
        for result in results {
            match result {
                Ok(duration) => series.durations.push(duration),
                Err(reason) => series.failures.push(reason),
            }
        }
        series.durations.sort();
        series
    }

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
    access: &Access,
    text_bytes: usize,
    duration: Duration,
    ready: oneshot::Sender<()>,
) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let first = access.connect(address).await;
        let mut first = first.expect("it accepts a connection without an attack");
        let scraped = scrape(&mut first, access, text_bytes).await;
        scraped.expect("a scrape without an attack succeeds");
        let mut kept = Some(first);
        let _ = ready.send(());
        let end = Instant::now() + duration;
        let on_new = async || {
            let mut connection = access.connect(address).await?;
            scrape(&mut connection, access, text_bytes).await
        };
        let on_kept = async || {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => access.connect(address).await?,
            };
            scrape(&mut connection, access, text_bytes).await?;
            kept = Some(connection);
            Ok(())
        };
        let health = async || {
            let body = access.get(address, "/-/healthy").await?;
            if body == b"healthy\n" {
                return Ok(());
            }
            Err(io::Error::other("a wrong text"))
        };
        let (scrapes, kept, health) = tokio::join!(
            repeat(Duration::from_millis(50), end, on_new),
            repeat_in_turn(Duration::from_millis(250), end, on_kept),
            repeat(Duration::from_millis(20), end, health),
        );
        Measured {
            scrapes,
            kept,
            health,
        }
    })
}

/// Sends a request in each `period` until `end`, also if earlier requests still wait. So a wait is in the time of every
/// request that it delays.
async fn repeat(
    period: Duration,
    end: Instant,
    request: impl AsyncFn() -> io::Result<()>,
) -> Series {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut results = Vec::new();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            turn = ticks.tick(), if Instant::now() < end => running.push(timed(turn, request())),
            Some(result) = running.next() => results.push(result),
            else => return Series::new(results),
        }
    }
}

/// Like [`repeat`] for requests on one connection. A request waits for the previous one, and this wait is in its time.
async fn repeat_in_turn(
    period: Duration,
    end: Instant,
    mut request: impl AsyncFnMut() -> io::Result<()>,
) -> Series {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut results = Vec::new();
    while Instant::now() < end {
        let turn = ticks.tick().await;
        results.push(timed(turn, request()).await);
    }
    Series::new(results)
}

/// The time from `turn` to the end of the request, or the reason of its failure.
async fn timed(
    turn: Instant,
    request: impl Future<Output = io::Result<()>>,
) -> Result<Duration, String> {
    match timeout(TIMEOUT, request).await {
        Ok(Ok(())) => Ok(turn.elapsed()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no response in time".to_owned()),
    }
}

/// Scrapes, and checks that the response is complete.
async fn scrape(
    connection: &mut Box<dyn Connection>,
    access: &Access,
    text_bytes: usize,
) -> io::Result<()> {
    let body = exchange(connection, &access.request("/metrics", PROMETHEUS)).await?;
    // A gzip stream ends with the length of the text in four bytes.
    let length = body.last_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let is_complete = length.is_some_and(|length| length as usize >= text_bytes);
    if body.starts_with(&[0x1f, 0x8b]) && is_complete {
        return Ok(());
    }
    Err(io::Error::other("the response is incomplete"))
}

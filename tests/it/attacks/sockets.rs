//! The attacks over plain TCP connections.

use std::{io, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    attack::{Attack, Target, boxed},
    forms::FORMS,
};

/// A scrape without compression, so that its response is large.
const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n";

/// A request with a small response.
const HEALTH: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\n\r\n";

/// A request for the start page.
const PAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: exporter\r\n\r\n";

/// Time between two bytes of a client that sends slowly, and between two checks for a cut connection.
const STEP: Duration = Duration::from_millis(200);

/// The size of the attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As few clients as reach the limits of the server.
    Small,
    /// As many clients as in the observed attacks.
    Full,
}

impl Size {
    fn pick(self, small: usize, full: usize) -> usize {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}

/// All attacks over plain TCP connections.
pub fn attacks(size: Size) -> Vec<Attack> {
    let attack = |name, clients, pause, client| Attack {
        name,
        clients,
        pause: Duration::from_millis(pause),
        client,
    };
    vec![
        attack("scrapes without reading", 45, 10, |target| {
            boxed(scrape_without_reading(target))
        }),
        attack("pipelined requests without reading", 520, 10, |target| {
            boxed(pipeline_without_reading(target))
        }),
        attack("slow readers", 200, 10, |target| boxed(read_slowly(target))),
        attack("one request per connection", 600, 250, |target| {
            boxed(request_once(target))
        }),
        attack("busy connections", 700, 10, |target| {
            boxed(request_often(target))
        }),
        attack("searches for endpoints", 40, 10, |target| {
            boxed(search(target))
        }),
        attack("lists as CSV and JSON", 300, 10, |target| {
            boxed(read_lists(target))
        }),
        attack("idle connections", size.pick(700, 2000), 100, |target| {
            boxed(stay_idle(target))
        }),
        attack("dripping heads", 500, 10, |target| boxed(drip_head(target))),
        attack("endless request bodies", 100, 10, |target| {
            boxed(send_endless_body(target))
        }),
        attack("opening and closing", size.pick(8, 20), 0, |target| {
            boxed(open_and_close(target))
        }),
        attack("aborted scrapes", 10, 50, |target| {
            boxed(abort_scrape(target))
        }),
        attack("malformed requests", 10, 1, |target| {
            boxed(send_malformed(target))
        }),
    ]
}

async fn scrape_without_reading(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    stream.write_all(SCRAPE).await?;
    until_cut(&stream).await
}

/// Waits until the server has ended the connection, without reading from it. The kernel reports the end of a
/// connection after the unread bytes. So this function sometimes sends a byte, to which the kernel of the server
/// responds with a reset.
async fn until_cut(stream: &TcpStream) -> io::Result<()> {
    for byte in SCRAPE.iter().cycle() {
        sleep(STEP).await;
        let ready = stream
            .ready(Interest::READABLE | Interest::WRITABLE)
            .await?;
        if ready.is_read_closed() {
            break;
        }
        match stream.try_write(&[*byte]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Sends requests as long as the server takes them, and reads no response.
async fn pipeline_without_reading(target: Arc<Target>) -> io::Result<()> {
    let stream = target.connect().await?;
    let requests = PAGE.repeat(100);
    let mut rest = &requests[..];
    loop {
        let ready = stream
            .ready(Interest::READABLE | Interest::WRITABLE)
            .await?;
        if ready.is_read_closed() {
            return Ok(());
        }
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(STEP).await,
            Err(error) => return Err(error),
        }
        if rest.is_empty() {
            rest = &requests;
            tokio::task::yield_now().await;
        }
    }
}

/// Reads 1 KiB of a scrape every 200 ms, so the response takes many minutes.
async fn read_slowly(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    stream.write_all(SCRAPE).await?;
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {
        sleep(STEP).await;
    }
    Ok(())
}

/// Makes one request, and then waits until the server ends the connection.
async fn request_once(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    stream.write_all(HEALTH).await?;
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Requests the start page twice a second. So the connection moves bytes as long as it lives.
async fn request_often(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    loop {
        stream.write_all(PAGE).await?;
        if stream.read(&mut [0; 8192]).await? == 0 {
            return Ok(());
        }
        sleep(2 * STEP).await;
    }
}

/// Asks for the list of endpoints again and again, each time with another search and order.
async fn search(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    for number in 0_u32.. {
        let sort = ["alias", "group", "registration", "expiry"][number as usize % 4];
        let path = format!("/endpoints?q={number}&sort={sort}&order=desc");
        let head = format!("GET {path} HTTP/1.1\r\nHost: exporter\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        if stream.read(&mut [0; 16_384]).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Asks for lists as CSV and as JSON, and reads a third of the answers to their ends, a third slowly, and a third never.
async fn read_lists(target: Arc<Target>) -> io::Result<()> {
    const CSV: &str = "/api/v1/endpoints?format=csv";
    const JSON: &str = "/api/v1/endpoints?limit=1000";
    let number = target.number();
    let path = if number.is_multiple_of(2) { CSV } else { JSON };
    let mut stream = target.connect().await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: exporter\r\n\r\n");
    let mut buffer = [0; 16_384];
    loop {
        stream.write_all(head.as_bytes()).await?;
        match number % 3 {
            0 => sleep(STEP).await,
            1 => {
                sleep(STEP).await;
                if stream.read(&mut buffer[..1024]).await? == 0 {
                    return Ok(());
                }
            }
            _ => {
                if stream.read(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

async fn stay_idle(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    stream.read(&mut [0; 1]).await.map(drop)
}

/// Sends one byte of a request head at a time.
async fn drip_head(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    for byte in SCRAPE.split_last_chunk::<4>().expect("a head").0 {
        stream.write_all(&[*byte]).await?;
        sleep(STEP).await;
    }
    loop {
        stream.write_all(b"\r\nX: y").await?;
        sleep(STEP).await;
    }
}

/// Sends a request body without an end.
async fn send_endless_body(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    let (head, piece) = if target.number().is_multiple_of(2) {
        let head =
            "GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nTransfer-Encoding: chunked\r\n\r\n";
        (head, format!("400\r\n{}\r\n", "x".repeat(0x400)))
    } else {
        let head = "POST / HTTP/1.1\r\nHost: exporter\r\nContent-Length: 1000000000000\r\n\r\n";
        (head, "x".repeat(0x400))
    };
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(piece.as_bytes()).await?;
        sleep(STEP / 10).await;
    }
}

/// Opens a connection and closes it in one of four ways: at once, or with a reset at once, after a request or after a
/// response.
async fn open_and_close(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    match target.number() % 8 {
        0 => return Ok(()),
        1 | 2 => {
            stream.write_all(HEALTH).await?;
            stream.read_exact(&mut [0; 12]).await?;
        }
        3 | 4 => stream.write_all(HEALTH).await?,
        _ => {}
    }
    // Without the reset, each closed connection would keep its local port for a minute.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// Requests a scrape without compression, and resets the connection after the first bytes of the response.
async fn abort_scrape(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    stream.write_all(SCRAPE).await?;
    stream.read_exact(&mut [0; 12]).await?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// Sends the next malformed request and waits for the end of the connection.
async fn send_malformed(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    let form = &FORMS[target.number() % FORMS.len()];
    stream.write_all(&form.bytes()).await?;
    let mut response = Vec::new();
    let ended = timeout(STEP, stream.read_to_end(&mut response)).await;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    ended?.map(drop)
}

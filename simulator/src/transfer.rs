//! Converts a response body into the steps in which it is sent, and applies faults.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

use super::body::Step;
use super::fault::Effect;

/// The steps and the encoding of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) steps: Vec<Step>,
    /// The `Content-Length`.
    pub(super) length: Option<u64>,
    /// Whether the response has `Content-Encoding: gzip`.
    pub(super) gzip: bool,
}

const PIECE: usize = 64 * 1024;
const BOMB_PIECE: usize = 1024 * 1024;
/// The time for sending the previous bytes. An error in the body discards all unsent bytes.
const FLUSH: Duration = Duration::from_millis(5);

impl Transfer {
    /// Builds the steps of a body. `gzip` is true if the client and the server accept gzip.
    pub(super) fn of(body: Vec<u8>, gzip: bool, effect: Option<&Effect>) -> Self {
        match effect {
            Some(Effect::Oversized(size)) => return Self::oversized(body, *size),
            Some(Effect::GzipBomb(size)) => return Self::bomb(&body, *size),
            _ => {}
        }
        let gzip = gzip && !body.is_empty();
        let mut body = body;
        if let Some(Effect::Partial(bytes)) = effect {
            body.truncate(*bytes);
        }
        let body = Bytes::from(if gzip { compressed(&body) } else { body });
        let length = Some(body.len() as u64);
        let head = |bytes: usize| body.slice(..bytes.min(body.len()));
        let steps = match effect {
            Some(Effect::Drip(piece, every)) => body
                .chunks((*piece).max(1))
                .flat_map(|part| [Step::Wait(*every), Step::Data(body.slice_ref(part))])
                .collect(),
            Some(Effect::StallAfter(bytes)) => vec![Step::Data(head(*bytes)), Step::Stall],
            Some(Effect::Truncate(bytes)) => {
                vec![Step::Data(head(*bytes)), Step::Wait(FLUSH), Step::Close]
            }
            Some(Effect::ResetAfter(bytes)) => {
                vec![Step::Data(head(*bytes)), Step::Wait(FLUSH), Step::Reset]
            }
            _ if body.is_empty() => Vec::new(),
            _ => vec![Step::Data(body)],
        };
        Self {
            steps,
            length,
            gzip,
        }
    }

    fn oversized(body: Vec<u8>, size: u64) -> Self {
        let spaces = Bytes::from(vec![b' '; PIECE]);
        let times = size.div_ceil(PIECE as u64);
        let steps = vec![Step::Repeat(spaces, times), Step::Data(body.into())];
        Self {
            steps,
            length: None,
            gzip: false,
        }
    }

    /// Builds a valid gzip stream: one compressed megabyte of white space many times, then the
    /// body.
    fn bomb(body: &[u8], size: u64) -> Self {
        let spaces = vec![b' '; BOMB_PIECE];
        let times = size.div_ceil(BOMB_PIECE as u64);
        let piece = Bytes::from(fragment(&spaces));
        let mut piece_crc = Crc::new();
        piece_crc.update(&spaces);
        let mut crc = Crc::new();
        for _ in 0..times {
            crc.combine(&piece_crc);
        }
        crc.update(body);
        let mut end = deflated(body);
        end.extend_from_slice(&crc.sum().to_le_bytes());
        end.extend_from_slice(&crc.amount().to_le_bytes());
        let head = Bytes::from_static(&GZIP_HEAD);
        let length = head.len() as u64 + times * piece.len() as u64 + end.len() as u64;
        let steps = vec![
            Step::Data(head),
            Step::Repeat(piece, times),
            Step::Data(end.into()),
        ];
        Self {
            steps,
            length: Some(length),
            gzip: true,
        }
    }
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(body);
    let mut out = GZIP_HEAD.to_vec();
    out.extend_from_slice(&deflated(body));
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

fn deflated(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("memory takes all that is written")
}

/// Compresses data as a part of a deflate stream. The part has no references to earlier data and
/// ends at a byte boundary.
fn fragment(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 100 + 1024);
    let mut compress = Compress::new(Compression::best(), false);
    compress
        .compress_vec(data, &mut out, FlushCompress::Full)
        .expect("compressing memory into memory");
    out
}

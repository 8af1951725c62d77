//! Makes chunks from text, joins chunks into gzip members, and makes the bodies of responses from members.
//!
//! The exporter compresses a long chunk once, when its data changes. To join long chunks, it only copies bytes
//! and combines checksums. It compresses short chunks, metadata lines and its own metrics for each exposition.

use std::{iter, mem, sync::Arc};

use bytes::{Buf, Bytes};
use crc32fast::Hasher;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Text is compressed in portions of about this size, so that a large family is never in memory as one text.
const TEXT_PORTION: usize = 64 * 1024;

/// A chunk of at most this many bytes stays text until it is joined with other text. Many short texts
/// compress faster together than one by one, and the output is smaller.
const PLAIN_UP_TO: usize = 1024;

/// A chunk of at least this many bytes becomes a piece of the body without a copy. Smaller chunks are copied
/// into one piece, because the server sends a body of ten pieces four times as fast as a body of 3,000 pieces.
const SHARED_FROM: usize = 16 * 1024;

/// Level 6 takes three times as long as level 2, but its output is only 5 % smaller.
const LEVEL: Compression = Compression::new(2);

/// The header of a gzip member: method deflate, no file name, no time, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A deflate block that is final and empty.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// For a client that does not accept gzip, the member is inflated in portions of this size. If the client does not
/// read, the server keeps 16 portions of its response.
const IDENTITY_PORTION: usize = 4 * 1024;

/// Consecutive sample lines of one family. [`GzipWriter`] can join chunks. A clone copies no sample lines.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Short text, or longer text as complete deflate blocks. No block is final. The blocks start and end
    /// at a byte boundary and do not refer to bytes before the chunk.
    pub(super) bytes: Bytes,
    text_length: u64,
    /// CRC-32 of the text; `None` if `bytes` is the text itself.
    crc: Option<Hasher>,
}

/// A complete gzip member.
#[derive(Debug)]
pub(super) struct GzipMember {
    pieces: Arc<[Bytes]>,
    length: u64,
    text_length: u64,
}

/// Builds a chunk or a gzip member from text and chunks.
#[derive(Debug)]
pub(super) struct GzipWriter {
    deflate: Compress,
    /// Text that is not compressed yet. Callers append whole lines.
    pub(super) text: String,
    /// Whether the compressor has received text since its last flush.
    is_open: bool,
    /// Finished pieces of the output. The bytes in `compressed` follow these pieces.
    pieces: Vec<Bytes>,
    compressed: Vec<u8>,
    /// CRC-32 of the text in `pieces`, in `compressed` and inside the compressor.
    crc: Hasher,
    /// Length of the text in `pieces`, in `compressed` and inside the compressor.
    text_length: u64,
}

impl Default for GzipWriter {
    fn default() -> Self {
        Self {
            deflate: Compress::new(LEVEL, false),
            text: String::new(),
            is_open: false,
            pieces: Vec::new(),
            compressed: Vec::new(),
            crc: Hasher::new(),
            text_length: 0,
        }
    }
}

impl GzipWriter {
    /// Compresses the text if it has at least [`TEXT_PORTION`] bytes.
    pub(super) fn compress_portion(&mut self) {
        if self.text.len() >= TEXT_PORTION {
            self.compress(FlushCompress::None);
        }
    }

    /// Appends a chunk. If `may_share` is true, a large chunk becomes a piece without a copy.
    pub(super) fn append(&mut self, chunk: &Chunk, may_share: bool) {
        let Some(crc) = &chunk.crc else {
            let text = std::str::from_utf8(&chunk.bytes);
            self.text
                .push_str(text.expect("a chunk's text was a string"));
            self.compress_portion();
            return;
        };
        self.flush();
        self.crc.combine(crc);
        self.text_length += chunk.text_length;
        if may_share && chunk.bytes.len() >= SHARED_FROM {
            self.end_piece();
            self.pieces.push(chunk.bytes.clone());
        } else {
            self.compressed.extend_from_slice(&chunk.bytes);
        }
    }

    /// Makes one chunk of everything that was appended since the previous call. The writer is empty afterwards.
    pub(super) fn chunk(&mut self) -> Chunk {
        let only_text = !self.is_open && self.compressed.is_empty();
        if only_text && self.text.len() <= PLAIN_UP_TO {
            let bytes = Bytes::copy_from_slice(self.text.as_bytes());
            self.text.clear();
            return Chunk {
                text_length: bytes.len() as u64,
                bytes,
                crc: None,
            };
        }
        self.flush();
        // The chunk gets a copy without unused capacity. The writer keeps its buffer for the next chunk.
        let bytes = Bytes::copy_from_slice(&self.compressed);
        self.compressed.clear();
        Chunk {
            bytes,
            text_length: mem::take(&mut self.text_length),
            crc: Some(mem::take(&mut self.crc)),
        }
    }

    pub(super) fn begin_member(&mut self) {
        self.compressed.extend_from_slice(&HEADER);
    }

    /// Completes and returns the member. The writer is empty afterwards.
    pub(super) fn finish_member(&mut self) -> GzipMember {
        self.flush();
        self.compressed.extend_from_slice(&FINAL_BLOCK);
        let crc = mem::take(&mut self.crc).finalize();
        self.compressed.extend_from_slice(&crc.to_le_bytes());
        let text_length = mem::take(&mut self.text_length);
        // Gzip stores the length of the text modulo 2^32.
        let length = &text_length.to_le_bytes()[..4];
        self.compressed.extend_from_slice(length);
        self.end_piece();
        let pieces: Arc<[_]> = mem::take(&mut self.pieces).into();
        GzipMember {
            length: pieces.iter().map(|piece| piece.len() as u64).sum(),
            text_length,
            pieces,
        }
    }

    fn compress(&mut self, flush: FlushCompress) {
        let mut text = self.text.as_bytes();
        self.crc.update(text);
        self.text_length += text.len() as u64;
        loop {
            self.compressed.reserve(text.len() / 8 + 4096);
            let before = self.deflate.total_in();
            self.deflate
                .compress_vec(text, &mut self.compressed, flush)
                .expect("the stream was never ended");
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(text.len());
            text = &text[taken..];
            // If the buffer still has capacity, the compressor has written all its output.
            if text.is_empty() && self.compressed.len() < self.compressed.capacity() {
                break;
            }
        }
        self.text.clear();
        self.is_open = true;
    }

    /// Compresses the remaining text. The output ends at a byte boundary. Later blocks refer to no older text.
    fn flush(&mut self) {
        if self.is_open || !self.text.is_empty() {
            self.compress(FlushCompress::Sync);
            self.deflate.reset();
            self.is_open = false;
        }
    }

    fn end_piece(&mut self) {
        if !self.compressed.is_empty() {
            let piece = Bytes::copy_from_slice(&self.compressed);
            self.pieces.push(piece);
            self.compressed.clear();
        }
    }
}

/// The content encoding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// No compression.
    Identity,
    /// One gzip member.
    Gzip,
}

/// The body of a response.
pub struct EncodedBody {
    /// The length of all pieces in bytes: the `Content-Length`.
    pub length: u64,
    /// The pieces of the body. For a scrape without compression, the iterator inflates one portion at a time.
    pub pieces: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl From<Bytes> for EncodedBody {
    fn from(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            pieces: Box::new(iter::once(bytes)),
        }
    }
}

impl GzipMember {
    pub(super) fn body(&self, encoding: Encoding) -> EncodedBody {
        let pieces = Arc::clone(&self.pieces);
        let mut pieces = (0..pieces.len()).map(move |at| pieces[at].clone());
        if encoding == Encoding::Gzip {
            return EncodedBody {
                length: self.length,
                pieces: Box::new(pieces),
            };
        }
        let mut current = pieces.next().unwrap_or_default();
        current.advance(HEADER.len());
        let (text_length, mut inflate) = (self.text_length, Decompress::new(false));
        let portions = iter::from_fn(move || {
            let mut text = Vec::with_capacity(IDENTITY_PORTION);
            while text.len() < text.capacity() && inflate.total_out() < text_length {
                if current.is_empty() {
                    current = pieces.next()?;
                }
                let before = inflate.total_in();
                let flush = FlushDecompress::None;
                // Only a bug in this file causes an error. The body is then shorter than `Content-Length`.
                let status = inflate.decompress_vec(&current, &mut text, flush).ok()?;
                let taken = usize::try_from(inflate.total_in() - before).ok()?;
                current.advance(taken);
                if status == Status::StreamEnd {
                    break;
                }
            }
            (!text.is_empty()).then(|| text.into())
        });
        EncodedBody {
            length: self.text_length,
            pieces: Box::new(portions),
        }
    }
}

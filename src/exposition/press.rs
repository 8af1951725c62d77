//! The press: text becomes pieces of a deflate stream that can be joined in any order.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// Text is compressed in portions of this size, so that a large family never lies in memory whole.
const PORTION: usize = 64 * 1024;

/// Text up to this size stays as it is until it is joined with its neighbours: compressed together
/// they take less time and less room than each alone.
const PLAIN_UP_TO: usize = 1024;

/// Compressed pieces from this size on are handed out as they are, smaller ones are copied together.
const WHOLE_FROM: usize = 16 * 1024;

/// More than 2 costs three times the time and wins a twentieth of the size.
const LEVEL: Compression = Compression::new(2);

/// What begins a gzip member: deflate, no name, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A deflate block that is final and empty.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// The sample lines of one family, ready to be joined with others. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Fragment {
    /// How many samples there are.
    pub(super) samples: u64,
    /// Length of the text.
    length: u64,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    /// Text, because it is short.
    Plain(Bytes),
    /// Whole deflate blocks, none of them final: they begin and end at a byte's border and refer to
    /// nothing before them. With the CRC-32 of the text.
    Deflated(Bytes, u32),
}

impl Default for Body {
    fn default() -> Self {
        Self::Plain(Bytes::new())
    }
}

impl Fragment {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes that are kept, to see whether two fragments are one.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &Bytes {
        match &self.body {
            Body::Plain(bytes) | Body::Deflated(bytes, _) => bytes,
        }
    }
}

/// Pieces of a gzip member, and what its end has to say about their text.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    pub(super) list: Vec<Bytes>,
    /// CRC-32 and length of the text so far.
    pub(super) crc: Hasher,
    pub(super) length: u64,
}

/// Takes text and fragments, and gives one fragment or the pieces of a member.
pub(super) struct Press {
    compress: Compress,
    /// Text that the compressor has not seen yet.
    text: String,
    /// Has the compressor seen text since its last flush?
    open: bool,
    packed: Vec<u8>,
    pieces: Vec<Bytes>,
    crc: Hasher,
    length: u64,
    samples: u64,
}

impl Press {
    pub(super) fn new() -> Self {
        Self {
            compress: Compress::new(LEVEL, false),
            text: String::new(),
            open: false,
            packed: Vec::new(),
            pieces: Vec::new(),
            crc: Hasher::new(),
            length: 0,
            samples: 0,
        }
    }

    /// Where text is appended, whole lines at a time.
    pub(super) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Ends the line of a sample.
    pub(super) fn end_sample(&mut self) {
        self.text.push('\n');
        self.samples += 1;
        self.drain_portion();
    }

    /// Begins a gzip member.
    pub(super) fn begin_member(&mut self) {
        self.packed.extend_from_slice(&GZIP_HEADER);
    }

    /// Appends a fragment. A large one is taken over as it is where `whole` allows it.
    pub(super) fn append(&mut self, fragment: &Fragment, whole: bool) {
        self.samples += fragment.samples;
        match &fragment.body {
            Body::Plain(text) => {
                self.text
                    .push_str(std::str::from_utf8(text).expect("was a string"));
                self.drain_portion();
            }
            Body::Deflated(bytes, crc) => {
                self.flush();
                let theirs = Hasher::new_with_initial_len(*crc, fragment.length);
                self.crc.combine(&theirs);
                self.length += fragment.length;
                if whole && bytes.len() >= WHOLE_FROM {
                    self.cut();
                    self.pieces.push(bytes.clone());
                } else {
                    self.packed.extend_from_slice(bytes);
                }
            }
        }
    }

    /// Everything since the last fragment, as one. The press is empty afterwards.
    pub(super) fn fragment(&mut self) -> Fragment {
        let untouched = !self.open && self.packed.is_empty();
        let fragment = if untouched && self.text.len() <= PLAIN_UP_TO {
            Fragment {
                samples: self.samples,
                length: self.text.len() as u64,
                body: Body::Plain(Bytes::copy_from_slice(self.text.as_bytes())),
            }
        } else {
            self.flush();
            let crc = self.crc.clone().finalize();
            // The copy has exactly the size it needs, and the buffer stays for the next family.
            let bytes = Bytes::copy_from_slice(&self.packed);
            Fragment {
                samples: self.samples,
                length: self.length,
                body: Body::Deflated(bytes, crc),
            }
        };
        self.clear();
        fragment
    }

    /// Everything since the last call, as pieces. The press is empty afterwards.
    pub(super) fn pieces(&mut self) -> Pieces {
        self.flush();
        self.cut();
        let pieces = Pieces {
            list: std::mem::take(&mut self.pieces),
            crc: self.crc.clone(),
            length: self.length,
        };
        self.clear();
        pieces
    }

    /// Ends the member that `before` began, and gives all its pieces.
    pub(super) fn end_member(&mut self, before: &Pieces) -> Pieces {
        self.flush();
        let mut crc = before.crc.clone();
        crc.combine(&self.crc);
        let length = before.length + self.length;
        self.packed.extend_from_slice(&FINAL_BLOCK);
        self.packed
            .extend_from_slice(&crc.clone().finalize().to_le_bytes());
        // The format keeps the length modulo 2^32.
        self.packed.extend_from_slice(&length.to_le_bytes()[..4]);
        let mut pieces = before.clone();
        pieces.list.append(&mut self.pieces().list);
        Pieces {
            crc,
            length,
            ..pieces
        }
    }

    fn drain_portion(&mut self) {
        if self.text.len() >= PORTION {
            self.drain(FlushCompress::None);
        }
    }

    fn drain(&mut self, flush: FlushCompress) {
        let text = self.text.as_bytes();
        self.crc.update(text);
        self.length += text.len() as u64;
        deflate(&mut self.compress, text, &mut self.packed, flush);
        self.text.clear();
        self.open = true;
    }

    /// Ends the blocks at a byte's border; what follows will refer to nothing before it.
    fn flush(&mut self) {
        if self.open || !self.text.is_empty() {
            self.drain(FlushCompress::Sync);
            self.compress.reset();
            self.open = false;
        }
    }

    /// Makes a piece of what is packed.
    fn cut(&mut self) {
        if !self.packed.is_empty() {
            self.pieces.push(Bytes::copy_from_slice(&self.packed));
            self.packed.clear();
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.packed.clear();
        self.crc = Hasher::new();
        self.length = 0;
        self.samples = 0;
    }
}

fn deflate(compress: &mut Compress, mut text: &[u8], packed: &mut Vec<u8>, flush: FlushCompress) {
    loop {
        packed.reserve(text.len() / 8 + 4096);
        let before = compress.total_in();
        compress
            .compress_vec(text, packed, flush)
            .expect("the stream was never ended");
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(text.len());
        text = &text[taken..];
        // Room that is left says that nothing waits inside any more.
        if text.is_empty() && packed.len() < packed.capacity() {
            return;
        }
    }
}

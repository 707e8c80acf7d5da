//! Streaming decompression with limits on the output, so that a decompression bomb stops early.

use super::limits::DecodeLimits;
use super::sniff::CompressionFormat;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Output in bytes before the expansion ratio is checked.
const RATIO_CHECKED_FROM_BYTES: u64 = 32 << 20;
const INPUT_BUFFER_BYTES: usize = 128 << 10;

/// The content grew past a limit. Carried inside an [`io::Error`].
#[derive(Debug)]
pub(super) struct LimitExceeded {
    limit: String,
}

impl LimitExceeded {
    /// The error of content that exceeds `limit`.
    pub(super) fn error(limit: String) -> io::Error {
        io::Error::other(Self { limit })
    }

    /// The exceeded limit that `error` carries, if any.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.limit)
    }
}

impl std::error::Error for LimitExceeded {}

/// Whether bytes followed the compressed content. Readable while another owner uses the reader.
#[derive(Clone, Default)]
pub(super) struct TrailingBytes(Arc<AtomicBool>);

impl TrailingBytes {
    pub(super) fn were_seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reader of decompressed content that fails when a limit is exceeded.
pub(super) struct CappedReader<'r> {
    inner: Box<dyn Read + Send + 'r>,
    /// Compressed bytes read.
    taken: Arc<AtomicU64>,
    /// Decompressed bytes returned.
    given: u64,
    content_bytes_max: u64,
    expansion_max: u64,
    trailing_bytes: TrailingBytes,
}

impl CappedReader<'_> {
    /// Whether trailing bytes are seen; complete when the reader has reached its end.
    pub(super) fn trailing_bytes(&self) -> TrailingBytes {
        self.trailing_bytes.clone()
    }
}

/// A reader of the decompressed content of `input`.
pub(super) fn reader<'r>(
    method: CompressionFormat,
    input: impl Read + Send + 'r,
    limits: &DecodeLimits,
) -> CappedReader<'r> {
    let taken = Arc::new(AtomicU64::new(0));
    let trailing_bytes = TrailingBytes::default();
    let counted = CountingReader { inner: input, taken: Arc::clone(&taken) };
    let buffered = BufReader::with_capacity(INPUT_BUFFER_BYTES, counted);
    let inner: Box<dyn Read + Send + 'r> = match method {
        CompressionFormat::Gzip => Box::new(GzipMembers {
            decoder: Some(GzDecoder::new(buffered)),
            trailing_bytes: trailing_bytes.clone(),
        }),
        CompressionFormat::Zstd => match zstd::stream::read::Decoder::with_buffer(buffered) {
            // The command line tool accepts a window of 128 MiB by default.
            Ok(mut decoder) => match decoder.window_log_max(27) {
                Ok(()) => Box::new(decoder),
                Err(error) => Box::new(ErrorReader(Some(error))),
            },
            Err(error) => Box::new(ErrorReader(Some(error))),
        },
        CompressionFormat::SnappyFramed => Box::new(snap::read::FrameDecoder::new(buffered)),
        CompressionFormat::SnappyXerial => Box::new(XerialReader {
            input: buffered,
            block: Vec::new(),
            at: 0,
            started: false,
            block_bytes_max: limits.block_bytes_max,
        }),
    };
    CappedReader {
        inner,
        taken,
        given: 0,
        content_bytes_max: limits.content_bytes_max,
        expansion_max: limits.expansion_max,
        trailing_bytes,
    }
}

impl Read for CappedReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.given += count as u64;
        let limit = if self.given > self.content_bytes_max {
            Some(format!("at most {} bytes of content", self.content_bytes_max))
        } else if self.given > RATIO_CHECKED_FROM_BYTES
            && self.given / self.taken.load(Ordering::Relaxed).max(1) > self.expansion_max
        {
            Some(format!(
                "content that grows at most {} times by decompression",
                self.expansion_max
            ))
        } else {
            None
        };
        match limit {
            Some(limit) => Err(LimitExceeded::error(limit)),
            None => Ok(count),
        }
    }
}

/// Counts the bytes read.
struct CountingReader<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Fails once with its error; then it is at its end.
pub(super) struct ErrorReader(pub(super) Option<io::Error>);

impl Read for ErrorReader {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Reads all members of a gzip file. Bytes behind the last member are noted and not read.
struct GzipMembers<R: BufRead> {
    /// The current member; `None` behind the last one.
    decoder: Option<GzDecoder<R>>,
    trailing_bytes: TrailingBytes,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(out)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(mut input) = self.decoder.take().map(GzDecoder::into_inner) else { break };
            match input.fill_buf()? {
                [] => {}
                [0x1f, ..] => self.decoder = Some(GzDecoder::new(input)),
                _ => self.trailing_bytes.0.store(true, Ordering::Relaxed),
            }
        }
        Ok(0)
    }
}

/// Reads the xerial (Java) Snappy format: magic number, two version numbers, then raw blocks with their lengths.
struct XerialReader<R> {
    input: R,
    block: Vec<u8>,
    at: usize,
    started: bool,
    block_bytes_max: usize,
}

impl<R: Read> Read for XerialReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            let mut header = [0; 16];
            self.input.read_exact(&mut header)?;
            self.started = true;
        }
        while self.at == self.block.len() {
            let mut length = [0; 4];
            match self.input.read(&mut length[..1])? {
                0 => return Ok(0),
                _ => self.input.read_exact(&mut length[1..])?,
            }
            let length = u32::from_be_bytes(length) as usize;
            if length > self.block_bytes_max {
                return Err(io::Error::other(LimitExceeded {
                    limit: format!("Snappy blocks of at most {} bytes", self.block_bytes_max),
                }));
            }
            let mut packed = Vec::new();
            (&mut self.input).take(length as u64).read_to_end(&mut packed)?;
            if packed.len() < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.block = unpack(&packed, self.block_bytes_max)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "bad Snappy block"))?;
            self.at = 0;
        }
        let count = out.len().min(self.block.len() - self.at);
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The content of a raw Snappy block, if it is valid and at most `bytes_max` long.
fn unpack(packed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(packed).ok()?;
    if length > bytes_max {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(packed).ok()
}

/// The content of `packed`, if it is one raw Snappy block within the limits.
pub(super) fn raw_snappy(packed: &[u8], limits: &DecodeLimits) -> Option<Vec<u8>> {
    unpack(packed, limits.block_bytes_max).filter(|_| packed.len() <= limits.block_bytes_max)
}

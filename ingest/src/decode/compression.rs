//! Decompression as a stream, with a cap on what comes out: a small object that grows without end stops early.

use super::Limits;
use super::sniff::Method;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Output below this is never judged by its ratio.
const RATIO_FROM_BYTES: u64 = 32 << 20;
const INPUT_BUFFER_BYTES: usize = 128 << 10;

/// The content grew past a limit.
#[derive(Debug)]
pub(super) struct TooMuch {
    limit: String,
}

impl TooMuch {
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.limit)
    }
}

impl std::error::Error for TooMuch {}

/// What the reader noticed, readable after it was given away.
#[derive(Clone, Default)]
pub(super) struct Notices(Arc<AtomicBool>);

impl Notices {
    pub(super) fn trailing_bytes(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Decompressed content, capped.
pub(super) struct Capped<'r> {
    inner: Box<dyn Read + Send + 'r>,
    taken: Arc<AtomicU64>,
    given: u64,
    content_bytes_max: u64,
    expansion_max: u64,
    notices: Notices,
}

impl Capped<'_> {
    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }
}

/// Decompresses `input`.
pub(super) fn reader<'r>(
    method: Method,
    input: impl Read + Send + 'r,
    limits: &Limits,
) -> Capped<'r> {
    let taken = Arc::new(AtomicU64::new(0));
    let notices = Notices::default();
    let counted = Counted { inner: input, taken: Arc::clone(&taken) };
    let buffered = BufReader::with_capacity(INPUT_BUFFER_BYTES, counted);
    let inner: Box<dyn Read + Send + 'r> = match method {
        Method::Gzip => {
            Box::new(Members { decoder: Some(GzDecoder::new(buffered)), notices: notices.clone() })
        }
        Method::Zstd => match zstd::stream::read::Decoder::with_buffer(buffered) {
            // A window of 128 MiB is what the command line tool accepts unasked.
            Ok(mut decoder) => {
                let _ = decoder.window_log_max(27);
                Box::new(decoder)
            }
            Err(error) => Box::new(Failing(Some(error))),
        },
        Method::SnappyFramed => Box::new(snap::read::FrameDecoder::new(buffered)),
        Method::SnappyXerial => Box::new(Xerial {
            input: buffered,
            block: Vec::new(),
            at: 0,
            started: false,
            block_bytes_max: limits.block_bytes_max,
        }),
    };
    Capped {
        inner,
        taken,
        given: 0,
        content_bytes_max: limits.content_bytes_max,
        expansion_max: limits.expansion_max,
        notices,
    }
}

impl Read for Capped<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.given += count as u64;
        let limit = if self.given > self.content_bytes_max {
            Some(format!("at most {} bytes of content", self.content_bytes_max))
        } else if self.given > RATIO_FROM_BYTES
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
            Some(limit) => Err(io::Error::other(TooMuch { limit })),
            None => Ok(count),
        }
    }
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Gives its error once, then nothing.
pub(super) struct Failing(pub(super) Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// All members of a gzip file, one after the other; bytes behind the last that start no member are noticed and left.
struct Members<R: BufRead> {
    /// The member being read; `None` behind the last.
    decoder: Option<GzDecoder<R>>,
    notices: Notices,
}

impl<R: BufRead> Read for Members<R> {
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
                _ => self.notices.0.store(true, Ordering::Relaxed),
            }
        }
        Ok(0)
    }
}

/// Blocks of the xerial (Java) Snappy stream: magic, two version numbers, then length-prefixed raw blocks.
struct Xerial<R> {
    input: R,
    block: Vec<u8>,
    at: usize,
    started: bool,
    block_bytes_max: usize,
}

impl<R: Read> Read for Xerial<R> {
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
                return Err(io::Error::other(TooMuch {
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

fn unpack(packed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(packed).ok()?;
    if length > bytes_max {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(packed).ok()
}

/// The content of `packed` if all of it is one raw Snappy block within the limits.
pub(super) fn raw_snappy(packed: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    unpack(packed, limits.block_bytes_max).filter(|_| packed.len() <= limits.block_bytes_max)
}

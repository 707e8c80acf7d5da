//! A sliding window over a byte stream, which holds no more bytes than the record being read needs.

use std::io::{self, Read};

/// Bytes read at a time. The record that the end of a chunk cuts is scanned twice, which is negligible at this size.
const CHUNK_BYTES: usize = 1 << 20;

/// A window over the stream `input`.
pub(super) struct ByteWindow<R> {
    input: R,
    buffer: Vec<u8>,
    /// Start of the unconsumed bytes in `buffer`.
    from: usize,
    /// End of the bytes read into `buffer`.
    to: usize,
    /// Offset in the stream of `buffer[0]`.
    base: u64,
    ended: bool,
    /// Error of the stream behind the bytes in `buffer`, to be reported when they have been returned.
    failed: Option<io::Error>,
}

impl<R: Read> ByteWindow<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK_BYTES],
            from: 0,
            to: 0,
            base: 0,
            ended: false,
            failed: None,
        }
    }

    /// The unconsumed bytes.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Offset in the stream of the first byte of [`ByteWindow::rest`].
    pub(super) fn offset(&self) -> u64 {
        self.base + self.from as u64
    }

    /// Consumes the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.from += count;
        debug_assert!(self.from <= self.to);
    }

    /// Reads more bytes behind the unconsumed ones. False at the end of the stream.
    ///
    /// # Errors
    /// The error of the stream, after all bytes before it have been returned.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            self.ended = true;
            return Err(error);
        }
        if self.ended {
            return Ok(false);
        }
        self.make_room();
        let before = self.to;
        while self.to < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.to..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => self.to += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if self.to > before => {
                    self.failed = Some(e);
                    break;
                }
                Err(e) => {
                    self.ended = true;
                    return Err(e);
                }
            }
        }
        Ok(self.to > before)
    }

    fn make_room(&mut self) {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            self.base += self.from as u64;
            self.to -= self.from;
            self.from = 0;
        }
        if self.buffer.len() > CHUNK_BYTES && self.to < CHUNK_BYTES / 2 {
            // The buffer grew for one large record and shrinks again.
            self.buffer.truncate(CHUNK_BYTES);
            self.buffer.shrink_to_fit();
        } else if self.buffer.len() - self.to < CHUNK_BYTES / 4 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

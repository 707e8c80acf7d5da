//! A sliding window over a byte stream: holds what is being looked at, and no more than it must.

use std::io::{self, Read};

/// Bytes asked for at a time. Big enough that the one record cut at its end is read twice at no cost worth naming.
const CHUNK_BYTES: usize = 1 << 20;

pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    /// First byte not yet consumed.
    from: usize,
    /// End of the bytes read.
    to: usize,
    /// Offset in the stream of `buffer[0]`.
    base: u64,
    ended: bool,
    /// The stream failed after giving the bytes in the buffer; told once those are used up.
    failed: Option<io::Error>,
}

impl<R: Read> Window<R> {
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

    /// The bytes read and not yet consumed.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Offset in the stream of the first byte of [`Window::rest`].
    pub(super) fn offset(&self) -> u64 {
        self.base + self.from as u64
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.from += count;
        debug_assert!(self.from <= self.to);
    }

    /// Reads more behind the rest, making room first. False at the end of the stream.
    ///
    /// # Errors
    /// What the stream said, once everything it gave before has been offered.
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
            // One large record grew the window; do not stay that big for ever.
            self.buffer.truncate(CHUNK_BYTES);
            self.buffer.shrink_to_fit();
        } else if self.buffer.len() - self.to < CHUNK_BYTES / 4 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

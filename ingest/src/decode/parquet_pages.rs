//! Reads the headers of a Parquet file's pages before the pages are read, so that a small file cannot ask for much memory. The
//! Parquet library allocates what a header says, and what a header says is input.
//!
//! A header is a struct in Thrift's compact encoding. Three of its fields matter: the size of the page after and before
//! decompression, and the encoding of its values.

use super::compression::LimitExceeded;
use super::limits::DecodeLimits;
use parquet::file::metadata::ParquetMetaData;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Output in bytes before the expansion ratio is checked.
const RATIO_CHECKED_FROM_BYTES: u64 = 32 << 20;
/// Memory that one batch of rows may take where values are built from the values before them, in bytes.
const DELTA_BATCH_BYTES_MAX: u64 = 64 << 20;
/// Number of the encoding DELTA_BYTE_ARRAY, whose values repeat the beginning of the value before.
const DELTA_BYTE_ARRAY: u64 = 7;
/// Bytes of a header that are read at first, and where that is not enough.
const HEADER_BYTES: [usize; 2] = [512, 64 << 10];
/// Structs inside structs in a page header.
const HEADER_DEPTH_MAX: usize = 8;

/// What the page headers of a file say.
#[derive(Debug, Default)]
struct PageTotals {
    uncompressed: u64,
    largest: u64,
    has_delta: bool,
}

/// Checks the pages of `file` against `limits`. Returns the number of rows that may be read at a time.
///
/// # Errors
/// [`LimitExceeded`] for pages that are too large, else a description of the damage.
pub(super) fn checked_batch_rows(
    file: &File,
    metadata: &ParquetMetaData,
    limits: &DecodeLimits,
    rows_max: usize,
) -> io::Result<usize> {
    let file_bytes = file.metadata()?.len();
    let mut totals = PageTotals::default();
    let mut widest_group = 0u64;
    let page_max = limits.block_bytes_max as u64;
    for group in metadata.row_groups() {
        let mut held = 0u64;
        for column in group.columns() {
            let (start, length) = column.byte_range();
            let mut pages = PageTotals::default();
            let end = start
                .checked_add(length)
                .filter(|&end| end <= file_bytes)
                .ok_or_else(|| damaged("a column lies outside the file"))?;
            read_headers(file, start, end, &mut pages)?;
            // A dictionary and a page are held at a time.
            held += pages.largest.saturating_mul(2).min(pages.uncompressed);
            totals.uncompressed += pages.uncompressed;
            totals.largest = totals.largest.max(pages.largest);
            totals.has_delta |= pages.has_delta;
        }
        widest_group = widest_group.max(held);
    }
    let ratio_max = file_bytes.saturating_mul(limits.expansion_max);
    if totals.uncompressed > limits.content_bytes_max {
        return Err(LimitExceeded::error(format!(
            "pages of at most {} bytes together",
            limits.content_bytes_max
        )));
    }
    if totals.uncompressed > RATIO_CHECKED_FROM_BYTES.max(ratio_max) {
        return Err(LimitExceeded::error(format!(
            "pages that decompress to at most {} times the file",
            limits.expansion_max
        )));
    }
    if totals.largest > page_max || widest_group > page_max.saturating_mul(2) {
        return Err(LimitExceeded::error(format!(
            "pages of at most {page_max} bytes, of all columns together at most twice that"
        )));
    }
    if !totals.has_delta {
        return Ok(rows_max);
    }
    let rows = DELTA_BATCH_BYTES_MAX / widest_group.max(1);
    Ok(usize::try_from(rows).unwrap_or(rows_max).clamp(1, rows_max))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged Parquet: {what}"))
}

/// Adds the headers of the pages between the offsets `at` and `end`.
fn read_headers(file: &File, mut at: u64, end: u64, totals: &mut PageTotals) -> io::Result<()> {
    let mut buffer = Vec::new();
    while at < end {
        let (header, length) = read_header(file, at, end, &mut buffer)?;
        totals.uncompressed = totals.uncompressed.saturating_add(header.uncompressed);
        totals.largest = totals.largest.max(header.uncompressed);
        totals.has_delta |= header.encoding == Some(DELTA_BYTE_ARRAY);
        at = (at + length)
            .checked_add(header.compressed)
            .filter(|&next| next <= end)
            .ok_or_else(|| damaged("a page lies outside its column"))?;
    }
    Ok(())
}

/// The page header at the offset `at`, and its length.
fn read_header(
    file: &File,
    at: u64,
    end: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<(PageHeader, u64)> {
    for bytes in HEADER_BYTES {
        let length = bytes.min(usize::try_from(end - at).unwrap_or(bytes));
        buffer.resize(length, 0);
        file.read_exact_at(buffer, at)?;
        let mut reader = CompactReader { bytes: buffer, at: 0 };
        if let Some(header) = reader.page_header() {
            return Ok((header, reader.at as u64));
        }
    }
    Err(damaged("a page header"))
}

/// The fields of a page header that matter.
#[derive(Default)]
struct PageHeader {
    uncompressed: u64,
    compressed: u64,
    encoding: Option<u64>,
}

/// A reader of Thrift's compact encoding. Each method gives `None` at the end of the bytes and for invalid bytes.
struct CompactReader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl CompactReader<'_> {
    fn page_header(&mut self) -> Option<PageHeader> {
        let mut header = PageHeader::default();
        let mut field = 0;
        while let Some(kind) = self.next_field(&mut field)? {
            match field {
                2 => header.uncompressed = self.size()?,
                3 => header.compressed = self.size()?,
                // The header of a data page of version 1 or 2 names the encoding as its field 2 or 4.
                5 => header.encoding = self.encoding(2)?,
                8 => header.encoding = self.encoding(4)?,
                _ => self.skip(kind, 0)?,
            }
        }
        Some(header)
    }

    fn encoding(&mut self, number: i64) -> Option<Option<u64>> {
        let mut encoding = None;
        let mut field = 0;
        while let Some(kind) = self.next_field(&mut field)? {
            if field == number {
                encoding = Some(self.size()?);
            } else {
                self.skip(kind, 1)?;
            }
        }
        Some(encoding)
    }

    /// The type of the next field, whose number becomes `field`; `Some(None)` at the end of the struct.
    fn next_field(&mut self, field: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *field = match head >> 4 {
            0 => self.signed()?,
            step => field.checked_add(i64::from(step))?,
        };
        Some(Some(head & 0x0f))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Option<u64> {
        u64::try_from(self.signed()?).ok()
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > HEADER_DEPTH_MAX {
            return None;
        }
        match kind {
            1 | 2 => {}
            3 => self.at = self.at.checked_add(1)?,
            4..=6 => {
                self.unsigned()?;
            }
            7 => self.at = self.at.checked_add(8)?,
            8 => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.unsigned()?,
                    count => u64::from(count),
                };
                // Booleans in a list take a byte each.
                let kind = if matches!(head & 0x0f, 1 | 2) { 3 } else { head & 0x0f };
                for _ in 0..count {
                    self.skip(kind, depth + 1)?;
                    if self.at > self.bytes.len() {
                        return None;
                    }
                }
            }
            12 => {
                let mut field = 0;
                while let Some(kind) = self.next_field(&mut field)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}

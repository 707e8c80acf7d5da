//! The ZIP archive of a workbook: files that are compressed while they are written, then put behind
//! each other with a directory at the end.

use crate::workbook::cell::WorkbookError;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

/// Version of the format that readers must support: compressed files.
const VERSION: u16 = 20;
/// The names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// Compressed by deflate.
const METHOD: u16 = 8;
/// Midnight of 1980-01-01: the archive is the same whenever it is written.
const TIME_AND_DATE: [u16; 2] = [0, 0x21];

/// A file of the archive: compressed into a temporary file while it is written, so that its memory
/// does not depend on its length.
pub(super) struct ArchiveFile {
    name: String,
    encoder: DeflateEncoder<BufWriter<File>>,
    checksum: Crc,
    bytes: u64,
}

/// A file of the archive that is written to its end.
struct FinishedFile {
    name: String,
    compressed: File,
    checksum: u32,
    compressed_bytes: u32,
    bytes: u32,
}

impl ArchiveFile {
    /// Begins the file `name`.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile()?);
        Ok(Self {
            name: name.to_owned(),
            encoder: DeflateEncoder::new(file, Compression::default()),
            checksum: Crc::new(),
            bytes: 0,
        })
    }

    /// Appends `text`.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.checksum.update(text.as_bytes());
        self.bytes += text.len() as u64;
        self.encoder.write_all(text.as_bytes())
    }

    fn finish(self) -> Result<FinishedFile, WorkbookError> {
        let file = self.encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        let compressed_bytes = file.metadata()?.len();
        Ok(FinishedFile {
            name: self.name,
            compressed: file,
            checksum: self.checksum.sum(),
            compressed_bytes: size(compressed_bytes)?,
            bytes: size(self.bytes)?,
        })
    }
}

/// A size or position in the archive.
fn size(bytes: u64) -> Result<u32, WorkbookError> {
    u32::try_from(bytes).map_err(|_| WorkbookError::TooLarge)
}

/// Writes the archive of `files` to `out`. The file `name` is the name in it.
pub(super) fn write_archive(
    files: Vec<ArchiveFile>,
    out: &mut dyn Write,
) -> Result<(), WorkbookError> {
    let mut directory = Vec::new();
    let mut position: u64 = 0;
    let count = u16::try_from(files.len()).map_err(|_| WorkbookError::TooLarge)?;
    for file in files {
        let mut file = file.finish()?;
        let mut header = Vec::new();
        for field in [VERSION, FLAGS, METHOD].into_iter().chain(TIME_AND_DATE) {
            header.extend_from_slice(&field.to_le_bytes());
        }
        for field in [file.checksum, file.compressed_bytes, file.bytes] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        let name_bytes = u16::try_from(file.name.len()).map_err(|_| WorkbookError::TooLarge)?;
        header.extend_from_slice(&name_bytes.to_le_bytes());
        // No extra fields.
        header.extend_from_slice(&[0; 2]);
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&header);
        // Length of the comment, number of the disk, attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&size(position)?.to_le_bytes());
        directory.extend_from_slice(file.name.as_bytes());
        out.write_all(b"PK\x03\x04")?;
        out.write_all(&header)?;
        out.write_all(file.name.as_bytes())?;
        file.compressed.rewind()?;
        let copied = io::copy(&mut file.compressed, out)?;
        position += 4 + header.len() as u64 + file.name.len() as u64 + copied;
    }
    out.write_all(&directory)?;
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend_from_slice(&count.to_le_bytes());
    end.extend_from_slice(&count.to_le_bytes());
    end.extend_from_slice(&size(directory.len() as u64)?.to_le_bytes());
    end.extend_from_slice(&size(position)?.to_le_bytes());
    end.extend_from_slice(&[0; 2]);
    out.write_all(&end)?;
    Ok(out.flush()?)
}

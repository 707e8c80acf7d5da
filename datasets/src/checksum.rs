//! The checksum of a data file, which the catalog records beside its size: XXH3 with 128 bits, in hex.

use std::io::{self, Read};
use xxhash_rust::xxh3::Xxh3;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Size and checksum of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Bytes.
    pub bytes: u64,
    /// XXH3, 128 bits, as 32 hex digits.
    pub xxh3: String,
}

impl FileDigest {
    /// Reads `content` to its end.
    ///
    /// # Errors
    /// The first error of `content`.
    pub fn of(mut content: impl Read) -> io::Result<Self> {
        let mut hash = Xxh3::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            match content.read(&mut buffer) {
                Ok(0) => return Ok(Self { bytes, xxh3: format!("{:032x}", hash.digest128()) }),
                Ok(count) => {
                    hash.update(&buffer[..count]);
                    bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How this differs from what the catalog records; `None` where it does not. A file without a recorded checksum is
    /// compared by its size.
    #[must_use]
    pub fn difference(&self, bytes: u64, xxh3: Option<&str>) -> Option<String> {
        if self.bytes != bytes {
            return Some(format!("{} bytes, expected {bytes}", self.bytes));
        }
        let expected = xxh3.filter(|expected| *expected != self.xxh3)?;
        Some(format!("checksum {}, expected {expected}", self.xxh3))
    }
}

#[cfg(test)]
mod tests {
    use super::FileDigest;

    #[test]
    fn one_changed_bit_or_byte_less_is_a_difference() {
        let content = vec![7; 600_000];
        let digest = FileDigest::of(content.as_slice()).expect("memory");
        let (bytes, xxh3) = (digest.bytes, Some(digest.xxh3.as_str()));
        assert_eq!((bytes, digest.difference(bytes, xxh3)), (600_000, None));
        let mut flipped = content.clone();
        flipped[300_000] ^= 1;
        let flipped = FileDigest::of(flipped.as_slice()).expect("memory");
        assert!(flipped.difference(bytes, xxh3).expect("told").contains("checksum"));
        assert_eq!(flipped.difference(bytes, None), None, "unknown stays unknown");
        let shorter = FileDigest::of(&content[1..]).expect("memory");
        assert_eq!(
            shorter.difference(bytes, None),
            Some("599999 bytes, expected 600000".to_owned())
        );
    }
}

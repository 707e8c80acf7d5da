//! Limits of the decoder.

/// Limits for the memory and work that the decoding of one object may take.
#[derive(Debug, Clone)]
pub struct DecodeLimits {
    /// Largest event, in bytes of JSON text.
    pub event_bytes_max: usize,
    /// Largest content of one object after decompression, in bytes.
    pub content_bytes_max: u64,
    /// Largest ratio of decompressed to compressed bytes; checked after 32 MiB of output.
    pub expansion_max: u64,
    /// Most bytes of a reject that the quarantine keeps.
    pub quarantine_raw_bytes_max: usize,
    /// Most rejects of one object or message that are kept one by one. One more sums up the others.
    pub rejects_max: usize,
    /// Most bytes of these rejects that the quarantine keeps.
    pub reject_bytes_max: usize,
    /// Largest block or page held in memory, in bytes, compressed or not, for formats that are read
    /// block by block: Snappy, Parquet.
    pub block_bytes_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            event_bytes_max: 16 << 20,
            content_bytes_max: 64 << 30,
            // JSON of one repeated call shrinks to a hundredth. Only filler shrinks further.
            expansion_max: 250,
            quarantine_raw_bytes_max: 1 << 20,
            rejects_max: 10_000,
            reject_bytes_max: 64 << 20,
            block_bytes_max: 128 << 20,
        }
    }
}

//! Damaged and hostile Parquet files: an error, never a panic, and no more memory than the limits allow.

use crate::support::{Decoded, decode, decode_within, event};
use arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use trailhound_ingest::decode::DecodeLimits;

/// A Parquet file with `columns`, written with `properties`.
fn file(columns: Vec<(String, ArrayRef)>, properties: Option<WriterProperties>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut content = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut content, batch.schema(), properties).expect("memory");
    writer.write(&batch).expect("memory");
    writer.close().expect("memory");
    content
}

fn events_file() -> Vec<u8> {
    let texts = StringArray::from(vec![event("a"), event("b")]);
    file(vec![("event".to_owned(), Arc::new(texts))], None)
}

/// Every record is stored or rejected, and rejects say why.
fn is_told(decoded: &Decoded) -> bool {
    (decoded.events.len() == 2 || !decoded.rejects.is_empty())
        && decoded.rejects.iter().all(|reject| !reject.expected.is_empty())
}

#[test]
fn a_file_with_one_changed_byte_gives_its_rows_or_an_error() {
    let intact = events_file();
    assert_eq!(decode(&intact).ids(), ["a", "b"]);
    for at in 4..intact.len() {
        let change = if at % 2 == 0 { 0x01 } else { 0xff };
        let mut damaged = intact.clone();
        damaged[at] ^= change;
        assert!(is_told(&decode(&damaged)), "byte {at} ^ {change:#x}");
    }
}

#[test]
fn a_file_cut_short_gives_an_error() {
    let intact = events_file();
    for length in (4..intact.len()).step_by(7) {
        let decoded = decode(&intact[..length]);
        assert_eq!((decoded.events.len(), decoded.rejects.len()), (0, 1), "{length} bytes");
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    let zstd = |dictionary: bool| {
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("a level")))
            .set_dictionary_enabled(dictionary)
    };
    let huge = "x".repeat(4 << 20);
    let same = |rows: usize| -> ArrayRef { Arc::new(StringArray::from(vec![huge.as_str(); rows])) };
    // One text in a dictionary, which each of 500 rows and 8 columns refers to: 16 GB if it were copied.
    let limit = zstd(true).set_dictionary_page_size_limit(16 << 20).build();
    let one = Arc::new(StringArray::from(vec![huge.as_str()]));
    let shared: ArrayRef =
        Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; 500]), one));
    let columns = (0..8).map(|n| (format!("c{n}"), Arc::clone(&shared))).collect();
    let decoded = decode(&file(columns, Some(limit)));
    assert!(decoded.codes().iter().all(|code| matches!(*code, "event_too_large" | "too_large")));
    assert!(!decoded.codes().is_empty());
    // Pages that decompress to a thousand times the file.
    let columns = vec![("event".to_owned(), same(10))];
    assert_eq!(decode(&file(columns, Some(zstd(false).build()))).codes(), ["too_large"]);
    // Values that repeat the value before.
    let delta = zstd(false).set_encoding(Encoding::DELTA_BYTE_ARRAY).build();
    let decoded = decode(&file(vec![("event".to_owned(), same(10))], Some(delta)));
    assert_eq!(decoded.codes().last(), Some(&"too_large"));
    // A page larger than the limit.
    let limits = DecodeLimits { block_bytes_max: 1 << 20, ..DecodeLimits::default() };
    let columns = vec![("event".to_owned(), same(1))];
    assert_eq!(decode_within(&file(columns, None), &limits).codes(), ["too_large"]);
}

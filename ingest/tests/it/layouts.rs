//! Every layout gives the same rows for the same events.

use crate::support::{decode, rows};
use arrow::array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use trailhound_datasets::samples;

/// The two events of the container samples, compact.
fn events() -> Vec<String> {
    ["ram_sign_in_no_mfa", "ram_console_stop"].map(compact).to_vec()
}

fn compact(name: &str) -> String {
    serde_json::from_str::<Value>(samples::event(name).expect("a sample"))
        .expect("JSON")
        .to_string()
}

fn same_rows(name: &str, content: &[u8]) {
    // A record that was not in the vendor's encoding is kept beside its columns.
    let columns = |content: &[u8]| {
        let mut rows = rows(content);
        for row in &mut rows {
            row.remove("raw");
            row.remove("flags");
        }
        rows
    };
    let expected = columns(format!("[{}]", events().join(",")).as_bytes());
    let found = columns(content);
    assert_eq!(found.len(), 2, "{name}");
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found, "{name}");
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn every_json_layout_decodes() {
    let [a, b] = &events()[..] else { panic!("two events") };
    let row = |event: &str| {
        json!({ "__time__": 1, "__topic__": "actiontrail_audit_event", "event": event }).to_string()
    };
    let double = serde_json::to_string(&Value::from(a.as_str())).expect("text");
    for (name, content) in [
        ("array", format!("[{a},{b}]")),
        ("array with space", format!(" [\n {a} ,\r\n\t{b} ] \n")),
        ("lines", format!("{a}\n{b}\n")),
        ("lines without the last break", format!("{a}\n{b}")),
        ("objects in a row", format!("{a}{b}")),
        ("concatenated arrays", format!("[{a}][{b}]")),
        ("byte order mark", format!("\u{feff}[{a},{b}]")),
        ("Events", format!(r#"{{"Events":[{a},{b}],"RequestId":"x"}}"#)),
        (
            "Events behind other members",
            format!(r#"{{"EndTime":"x","Deep":{{"y":[1,2]}},"Events":[{a},{b}],"StartTime":"z"}}"#),
        ),
        ("events", format!(r#"{{"events":[{a},{b}]}}"#)),
        (
            "SDK wrapper",
            format!(
                r#"{{"headers":{{"a":"b"}},"statusCode":200,"body":{{"Events":[{a},{b}],"NextToken":"t"}}}}"#
            ),
        ),
        (
            "GetLogs",
            format!(r#"{{"progress":"Complete","count":2,"logs":[{},{}]}}"#, row(a), row(b)),
        ),
        ("rows, event as text", format!("{}\n{}", row(a), row(b))),
        ("rows, event as object", format!(r#"[{{"event":{a}}},{{"event":{b}}}]"#)),
        ("rows, event as text in text", format!("[{},{}]", row(&double), row(b))),
        (
            "SDK rows",
            format!(
                "[{},{}]",
                json!({ "timestamp": 1, "contents": { "event": a } }),
                json!({ "contents": { "event": b } })
            ),
        ),
        (
            "contents.event",
            format!("{}\n{}", json!({ "contents.event": a }), json!({ "contents.event": b })),
        ),
        ("connector rows", format!(r#"[{{"contents_event_s":{a}}},{{"contents_event_s":{b}}}]"#)),
        ("EventBridge", format!(r#"[{{"id":"1","specversion":"1.0","data":{a}}},{{"data":{b}}}]"#)),
        ("mixed", format!("{}\n{b}", row(a))),
    ] {
        same_rows(name, content.as_bytes());
    }
}

#[test]
fn every_container_sample_decodes() {
    for (name, content) in samples::containers() {
        same_rows(name, content);
    }
}

#[test]
fn every_compression_is_recognised() {
    let [a, b] = &events()[..] else { panic!("two events") };
    let plain = format!("[{a},{b}]").into_bytes();
    let members =
        [gzip(format!("[{a},").as_bytes()), gzip(b""), gzip(format!("{b}]").as_bytes())].concat();
    let framed = {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&plain).expect("memory");
        encoder.into_inner().expect("memory")
    };
    let block = snap::raw::Encoder::new().compress_vec(&plain).expect("memory");
    let mut xerial = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01".to_vec();
    for part in [&plain[..100], &plain[100..]] {
        let packed = snap::raw::Encoder::new().compress_vec(part).expect("memory");
        xerial.extend_from_slice(&u32::try_from(packed.len()).expect("small").to_be_bytes());
        xerial.extend_from_slice(&packed);
    }
    for (name, content) in [
        ("gzip", gzip(&plain)),
        ("gzip in three members, one empty", members),
        ("gzip in gzip", gzip(&gzip(&plain))),
        ("zstd", zstd::encode_all(&plain[..], 1).expect("memory")),
        ("snappy framed", framed),
        ("snappy raw block", block),
        ("snappy xerial", xerial),
    ] {
        same_rows(name, &content);
    }
}

#[test]
fn csv_with_any_separator_with_and_without_header() {
    let events = events();
    for separator in [',', '|', '\t', ' ', ';'] {
        for header in [true, false] {
            let mut writer =
                csv::WriterBuilder::new().delimiter(separator as u8).from_writer(Vec::new());
            if header {
                writer.write_record(["__time__", "event", "__topic__"]).expect("memory");
            }
            for event in &events {
                writer
                    .write_record(["1790000045", event, "actiontrail_audit_event"])
                    .expect("memory");
            }
            let content = writer.into_inner().expect("memory");
            same_rows(&format!("separator {separator:?}, header {header}"), &content);
        }
    }
}

#[test]
fn parquet_with_text_and_with_bytes_decodes() {
    let events = events();
    let texts: Vec<&str> = events.iter().map(String::as_str).collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("text", Arc::new(StringArray::from(texts.clone()))),
        (
            "bytes without a UTF-8 mark",
            Arc::new(BinaryArray::from_iter_values(texts.iter().map(|text| text.as_bytes()))),
        ),
    ];
    for (name, column) in columns {
        let time: ArrayRef = Arc::new(Int32Array::from(vec![1_790_000_045, 1_790_000_046]));
        let batch = RecordBatch::try_from_iter([("__time__", time), ("event", column)])
            .expect("two columns");
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).expect("memory");
        writer.write(&batch).expect("memory");
        writer.close().expect("memory");
        same_rows(name, &content);
    }
}

#[test]
fn two_deliveries_of_one_event_have_one_key() {
    let a = compact("root_key_read");
    let value: Value = serde_json::from_str(&a).expect("JSON");
    let mut without_json = value.clone();
    without_json.as_object_mut().expect("an object").remove("requestParameterJson");
    let mut turned = serde_json::Map::new();
    for (key, value) in value.as_object().expect("an object").iter().rev() {
        turned.insert(key.clone(), value.clone());
    }
    let number = {
        let mut v = value.clone();
        v["eventVersion"] = json!(1);
        v
    };
    let key = |content: &str| decode(content.as_bytes()).keys[0];
    for (name, other) in [
        ("key order", Value::Object(turned).to_string()),
        ("white space", format!("{value:#}")),
        ("no requestParameterJson", without_json.to_string()),
        ("version as number", number.to_string()),
        (
            "row of the log service",
            json!({ "event": a, "owner_id": "1000000000000001" }).to_string(),
        ),
        ("escapes", a.replace("ListProject", "\\u004cistProject")),
    ] {
        assert_eq!(key(&a), key(&other), "{name}");
    }
    for (name, other) in [
        ("another id", a.replace("68D1A0C58AE90FECFD550001", "68D1A0C58AE90FECFD55FFFF")),
        ("another parameter", a.replace("\"500\"", "\"501\"")),
        ("another caller", a.replace("198.51.100.60", "198.51.100.61")),
        ("another time", a.replace("02:14:05", "02:14:06")),
    ] {
        assert_ne!(key(&a), key(&other), "{name}");
    }
}

#[test]
fn parquet_bytes_that_are_not_text_are_kept() {
    let bad: &[u8] = b"{\"eventId\":\"\xff\"}";
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([bad]));
    let batch = RecordBatch::try_from_iter([("event", column)]).expect("a column");
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).expect("memory");
    writer.write(&batch).expect("memory");
    writer.close().expect("memory");
    let decoded = decode(&content);
    assert_eq!((decoded.codes(), decoded.rejects[0].raw.as_slice()), (vec!["bad_utf8"], bad));
}

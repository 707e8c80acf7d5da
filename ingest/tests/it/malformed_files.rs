//! Tests malformed files: the reject has a clear reason and the bytes, valid records beside it are
//! stored, and memory stays bounded.

use crate::support::{Decoded, decode, decode_within, event};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use trailhound_ingest::decode::{self, DecodeLimits, DecodeStopped, FaultPlace};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

fn array(ids: &[&str]) -> String {
    format!("[{}]", ids.iter().map(|id| event(id)).collect::<Vec<_>>().join(","))
}

#[test]
fn empty_documents_hold_no_events_and_scalars_are_refused() {
    for content in ["", " \n\t ", "[]", " [ ] "] {
        let decoded = decode(content.as_bytes());
        assert!(
            decoded.events.is_empty() && decoded.rejects.is_empty(),
            "{content:?}: {:?}",
            decoded.rejects
        );
    }
    for content in ["null", "{}", "7", "-1.5e3 ", "true", "\"text\""] {
        assert_eq!(decode(content.as_bytes()).codes(), ["not_an_event_list"], "{content}");
    }
}

#[test]
fn array_elements_that_are_not_objects_are_quarantined_alone() {
    let content = format!("[{},7,\"x\",[1],null,{{}},{}]", event("a"), event("b"));
    let decoded = decode(content.as_bytes());
    assert_eq!(decoded.ids(), ["a", "b"]);
    assert_eq!(
        decoded.codes(),
        ["not_an_object", "not_an_object", "not_an_object", "not_an_object", "unknown_layout"]
    );
    assert_eq!(decoded.rejects[1].raw, b"\"x\"");
    assert_eq!(decoded.rejects[0].byte_offset as usize, 2 + event("a").len());
}

#[test]
fn a_broken_array_element_quarantines_the_rest_of_its_array() {
    let (a, b) = (event("a"), event("b"));
    for (broken, expected) in [
        (r#"{"eventId":"\q"}"#, "one of"),
        (r#"{"eventId":bare}"#, "a JSON value"),
        (r#"{"eventId":"x" "eventName":"y"}"#, "`,` or `}`"),
        (r#"{"eventId":01}"#, "no leading zero"),
        (r#"{"eventId":NaN}"#, "a JSON value"),
        (r#"{"eventId":"x",}"#, "a key in double quotes"),
        ("{\"eventId\":\"a\u{1}\"}", "no control character"),
    ] {
        let content = format!("[{a},{broken},{b}]");
        let decoded = decode(content.as_bytes());
        assert_eq!(decoded.ids(), ["a"], "{broken}");
        assert_eq!(decoded.codes(), ["bad_json"], "{broken}");
        let reject = &decoded.rejects[0];
        assert!(reject.expected.contains(expected), "{broken}: {}", reject.expected);
        assert_eq!(
            reject.raw,
            format!("{broken},{b}]").into_bytes(),
            "everything from the broken element on is kept"
        );
        assert_eq!(reject.raw_length, Some(reject.raw.len() as u64));
    }
    let decoded = decode(format!("[{a} {b}]").as_bytes());
    assert_eq!((decoded.ids(), decoded.codes()), (vec!["a"], vec!["bad_json"]), "a missing comma");
}

#[test]
fn a_broken_line_is_quarantined_alone() {
    let content = format!(
        "{}\n{{\"eventId\":oops}}\n{}\n{{\"cut\":\n{}\n{{\"eventId\":last broken",
        event("a"),
        event("b"),
        event("c")
    );
    let decoded = decode(content.as_bytes());
    assert_eq!(decoded.ids(), ["a", "b", "c"]);
    assert_eq!(decoded.rejects[0].raw, b"{\"eventId\":oops}");
    assert_eq!(decoded.rejects.len(), 3, "{:?}", decoded.codes());
}

#[test]
fn truncated_gzip_keeps_the_events_before_the_cut() {
    let ids: Vec<String> = (0..200).map(|n| format!("id-{n}")).collect();
    let content = gzip(array(&ids.iter().map(String::as_str).collect::<Vec<_>>()).as_bytes());
    for cut in (1..content.len()).step_by(7) {
        let decoded = decode(&content[..cut]);
        assert!(decoded.events.len() < 200 || decoded.partial, "cut at {cut}");
        assert!(!decoded.rejects.is_empty(), "cut at {cut} is told");
        assert!(
            decoded.ids().iter().zip(&ids).all(|(found, id)| found == id),
            "cut at {cut} gives a beginning"
        );
    }
}

#[test]
fn a_flipped_bit_in_gzip_is_detected() {
    let content = gzip(array(&["a", "b"]).as_bytes());
    // The last byte before the eight of the trailer ends in bits that mean nothing.
    for index in (10..content.len()).filter(|index| *index != content.len() - 9) {
        let mut damaged = content.clone();
        damaged[index] ^= 0x10;
        let decoded = decode(&damaged);
        let intact = decoded.ids() == ["a", "b"] && decoded.rejects.is_empty() && !decoded.partial;
        assert!(!intact, "a flipped bit at {index} went unnoticed");
    }
}

#[test]
fn bytes_after_the_last_gzip_member_are_reported() {
    for junk in [&b"\0\0\0\0"[..], b"junk"] {
        let decoded = decode(&[gzip(array(&["a"]).as_bytes()), junk.to_vec()].concat());
        assert_eq!((decoded.ids(), &decoded.notices), (vec!["a"], &vec!["trailing_bytes"]));
    }
    let members: Vec<u8> =
        (0..100).flat_map(|n| gzip(format!("{}\n", event(&format!("m{n}"))).as_bytes())).collect();
    assert_eq!(decode(&members).events.len(), 100);
}

#[test]
fn decompression_bombs_stop_at_the_size_limit() {
    let spaces = gzip(&vec![b' '; 64 << 20]);
    let decoded = decode(&spaces);
    assert_eq!((decoded.codes(), decoded.partial), (vec!["too_large"], true));
    let nested = gzip(&gzip(&gzip(&vec![b' '; 1 << 20])));
    assert_eq!(decode(&nested).codes(), ["unknown_encoding"]);
    let limits = DecodeLimits { content_bytes_max: 10_000, ..DecodeLimits::default() };
    let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let decoded = decode_within(
        &gzip(array(&ids.iter().map(String::as_str).collect::<Vec<_>>()).as_bytes()),
        &limits,
    );
    assert_eq!(decoded.codes(), ["too_large"]);
}

#[test]
fn an_oversized_event_is_quarantined_and_its_neighbours_are_decoded() {
    let limits = DecodeLimits {
        event_bytes_max: 100_000,
        quarantine_raw_bytes_max: 1_000,
        ..DecodeLimits::default()
    };
    let huge = format!(r#"{{"eventId":"huge","text":"{}","x":[{{}}]}}"#, "y\\\"".repeat(2_000_000));
    let content = format!("[{},{huge},{}]", event("a"), event("b"));
    let decoded = decode_within(content.as_bytes(), &limits);
    assert_eq!((decoded.ids(), decoded.codes()), (vec!["a", "b"], vec!["event_too_large"]));
    assert_eq!(decoded.rejects[0].raw.len(), 1_000);
    assert_eq!(decoded.rejects[0].raw_length, Some(huge.len() as u64));
}

/// Content that is made while it is read.
struct Endless {
    left: usize,
    event: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let count = out.len().min(self.event.len() - self.at);
        out[..count].copy_from_slice(&self.event[self.at..self.at + count]);
        self.at += count;
        if self.at == self.event.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(count)
    }
}

#[test]
fn long_arrays_are_streamed() {
    struct Count(u64);
    impl decode::RecordSink for Count {
        fn event(
            &mut self,
            _: &trailhound_datasets::event::Event<'_>,
        ) -> Result<(), decode::SinkStopped> {
            self.0 += 1;
            Ok(())
        }
        fn reject(
            &mut self,
            reject: trailhound_datasets::reject::Reject,
        ) -> Result<(), decode::SinkStopped> {
            assert_eq!(reject.code.name(), "truncated");
            Ok(())
        }
        fn notice(&mut self, _: &'static str) {}
    }
    let mut count = Count(0);
    let body = Endless { left: 500_000, event: format!("{},", event("x")).into_bytes(), at: 0 };
    let input = std::io::Cursor::new(b"[".to_vec()).chain(body);
    decode::object(input, None, &DecodeLimits::default(), &mut count)
        .expect("the sink never stops");
    assert_eq!(count.0, 500_000);
}

#[test]
fn nesting_beyond_the_depth_limit_is_quarantined_alone() {
    for depth in [127, 128, 129, 10_000, 100_000] {
        let deep = event("deep")
            .replace("}}", &format!("}},\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
        let decoded = decode(format!("[{},{deep},{}]", event("a"), event("b")).as_bytes());
        if depth < 128 {
            assert_eq!(decoded.ids(), ["a", "deep", "b"], "{depth}");
        } else {
            assert_eq!(
                (decoded.ids(), decoded.codes()),
                (vec!["a", "b"], vec!["too_deep"]),
                "{depth}"
            );
        }
    }
    for open in ["[", "{\"a\":"] {
        let decoded = decode(open.repeat(100_000).as_bytes());
        assert!(decoded.events.is_empty() && !decoded.rejects.is_empty(), "{open}");
    }
}

#[test]
fn invalid_text_encodings_are_quarantined_with_the_encoding_named() {
    let text = array(&["a", "b"]);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [vec![0xff, 0xfe], utf16.clone()].concat();
    for (name, content) in [("UTF-16 with a mark", marked), ("UTF-16", utf16)] {
        let decoded = decode(&content);
        assert_eq!(decoded.codes(), ["bad_utf8"], "{name}");
        assert!(decoded.rejects[0].expected.contains("UTF-16"), "{name}");
    }
    // One event in Latin-1, one with an overlong form, one with a cut sequence: each costs itself.
    for bad in [&b"caf\xe9"[..], b"\xc0\xaf", b"\xe4\xb8", b"\xed\xa0\x80"] {
        let broken = [b"{\"eventId\":\"x\",\"userAgent\":\"", bad, b"\"}"].concat();
        let content =
            [b"[", event("a").as_bytes(), b",", &broken, b",", event("b").as_bytes(), b"]"]
                .concat();
        let decoded = decode(&content);
        assert_eq!((decoded.ids(), decoded.codes()), (vec!["a", "b"], vec!["bad_utf8"]), "{bad:?}");
        assert_eq!(decoded.rejects[0].raw, broken);
    }
}

#[test]
fn foreign_file_formats_are_named() {
    for (content, expected) in [
        (&b"<!DOCTYPE html><html><body>log in</body></html>"[..], "HTML"),
        (b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b"PK\x03\x04rest of a zip", "zip"),
        (b"ORC rest", "ORC"),
        (b"\x00\x01\x02\x03\x04", "JSON, CSV or Parquet"),
    ] {
        let decoded = decode(content);
        assert_eq!(decoded.codes(), ["unknown_encoding"], "{expected}");
        assert!(decoded.rejects[0].expected.contains(expected), "{}", decoded.rejects[0].expected);
    }
    let long: Vec<u8> = [&b"PK\x03\x04"[..], &[7; 10_000]].concat();
    let binary: Vec<u8> = [&b"\x00\x01"[..], &[9; 10_000]].concat();
    for content in [long, binary] {
        let decoded = decode(&content);
        assert_eq!(
            (&decoded.rejects[0].raw, decoded.rejects[0].raw_length),
            (&content, Some(content.len() as u64))
        );
    }
    assert_eq!(decode(b"just some words\nand more\n").codes(), ["unknown_layout"]);
    assert_eq!(decode(b"PAR1 and then nothing of a Parquet file").codes(), ["corrupt_compression"]);
    assert_eq!(decode(br#"[{"foo":1}]"#).codes(), ["unknown_layout"]);
}

#[test]
fn a_csv_row_wider_than_its_header_is_quarantined_whole() {
    let good = event("a").replace('"', "\"\"");
    let content = format!("time,event\n1,\"{good}\"\n2,\"{good}\",,\n3,{},x\n", event("b"));
    let decoded = decode(content.as_bytes());
    assert_eq!((decoded.ids(), decoded.codes()), (vec!["a", "a"], vec!["unknown_layout"]));
    assert!(decoded.rejects[0].raw.ends_with(b",x"), "{:?}", decoded.rejects[0]);
}

/// Content, and then an error of the input.
struct Breaks(std::io::Cursor<Vec<u8>>);

impl Read for Breaks {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(std::io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_read_error_is_a_fault_and_no_verdict_on_the_content() {
    let events = format!("{}\n{}\n", event("a"), event("b"));
    let csv = format!("event\n\"{}\"\n", event("a").replace('"', "\"\""));
    let whole = gzip(events.as_bytes());
    for (content, ids) in [
        (events.clone().into_bytes(), vec!["a", "b"]),
        (events.as_bytes()[..events.len() - 20].to_vec(), vec!["a"]),
        (whole[..whole.len() - 12].to_vec(), vec![]),
        (csv.into_bytes(), vec!["a"]),
        (b"PAR1".to_vec(), vec![]),
        (b"\0\x01\x02".to_vec(), vec![]),
        (b"<html>".to_vec(), vec![]),
        (b"plain text".to_vec(), vec![]),
        (b"[{\"eventId\":bare}".to_vec(), vec![]),
        (Vec::new(), vec![]),
    ] {
        let shown = String::from_utf8_lossy(&content).into_owned();
        let mut decoded = Decoded::default();
        let input = Breaks(std::io::Cursor::new(content));
        match decode::object(input, None, &DecodeLimits::default(), &mut decoded) {
            Err(DecodeStopped::Fault(fault)) => {
                assert_eq!(fault.place, FaultPlace::Input, "{shown}");
                assert!(fault.to_string().contains("the disk is gone"), "{shown}: {fault}");
            }
            other => panic!("{shown}: {other:?}"),
        }
        assert!(decoded.rejects.is_empty(), "{shown}: {:?}", decoded.codes());
        if !shown.starts_with('\u{1f}') {
            assert_eq!(decoded.ids(), ids, "{shown}");
        }
    }
}

#[test]
fn very_many_rejects_of_one_object_are_summed_up() {
    let limits = DecodeLimits { rejects_max: 3, ..DecodeLimits::default() };
    let content = format!("[{},1,2,3,4,\"x\",{}]", event("a"), event("b"));
    let decoded = decode_within(content.as_bytes(), &limits);
    assert_eq!(decoded.ids(), ["a", "b"]);
    let kept = ["not_an_object", "not_an_object", "not_an_object", "too_many_rejects"];
    assert_eq!(decoded.codes(), kept);
    let last = &decoded.rejects[3];
    assert_eq!(last.found, "2 more, of which the first is `not_an_object`");
    assert_eq!(last.byte_offset as usize, content.find(",4,").expect("the fourth") + 1);
    // What is kept of them is bounded too.
    let limits = DecodeLimits { reject_bytes_max: 8, ..DecodeLimits::default() };
    let decoded = decode_within(br#"["123456","123456"]"#, &limits);
    assert_eq!(decoded.codes(), ["not_an_object", "too_many_rejects"]);
}

#[test]
fn a_csv_row_without_an_end_stops_at_the_size_limit() {
    let limits = DecodeLimits { event_bytes_max: 64 << 10, ..DecodeLimits::default() };
    let content = format!("event,owner_id\n\"{}", "x".repeat(4 << 20));
    let decoded = decode_within(content.as_bytes(), &limits);
    assert_eq!((decoded.codes(), decoded.partial), (vec!["too_large"], true));
}

#[test]
fn csv_rows_that_repeat_a_huge_header_stop_at_the_ratio() {
    let names: Vec<String> = (0..10).map(|n| format!("n{n}{}", "x".repeat(50_000))).collect();
    let row = format!("e,StartInstance,2026-09-21T02:14:05Z,{}\n", ["1"; 10].join(","));
    let content = format!("eventId,eventName,eventTime,{}\n{}", names.join(","), row.repeat(600));
    let decoded = decode(content.as_bytes());
    // The rows are no events; what counts is that not all of them were put together.
    let codes = decoded.codes();
    assert!(decoded.partial && codes.len() < 300, "{}", codes.len());
    assert_eq!(codes.last(), Some(&"too_large"));
}

#[test]
fn very_many_unknown_members_take_no_longer_than_their_bytes() {
    let members: String = (0..200_000).map(|n| format!(",\"member{n}\":1")).collect();
    let record = format!("{}{members}}}", &event("a")[..event("a").len() - 1]);
    let decoded = decode(record.as_bytes());
    assert_eq!((decoded.events.len(), decoded.rejects.len()), (1, 0));
}

#[test]
fn keys_without_end_and_very_many_prefixes_take_no_longer_than_their_bytes() {
    let whole = event("a");
    let open = &whole[..whole.len() - 1];
    let long = format!(",\"{}\":1", "_a".repeat(150_000));
    let prefixed: String = (0..60_000).map(|n| format!(",\"a{n}.eventName\":\"x\"")).collect();
    for members in [long, prefixed] {
        let decoded = decode(format!("{open}{members}}}").as_bytes());
        assert_eq!((decoded.events.len(), decoded.rejects.len()), (1, 0));
    }
}

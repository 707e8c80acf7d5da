//! Messages of a topic: every layout of an event, and invalid messages.

use crate::support::{Decoded, decode, event};
use trailhound_ingest::decode::{DecodeLimits, MessageDecoder};

fn messages(values: &[Option<&[u8]>]) -> Vec<Decoded> {
    let mut messages = MessageDecoder::new(DecodeLimits::default());
    values
        .iter()
        .map(|value| {
            let mut decoded = Decoded::default();
            messages.decode(*value, &mut decoded).expect("the sink never stops");
            decoded
        })
        .collect()
}

#[test]
fn every_message_layout_gives_the_same_event() {
    let plain = event("a");
    let text = serde_json::Value::from(plain.as_str()).to_string();
    let twice = serde_json::Value::from(text.as_str()).to_string();
    let layouts = [
        plain.clone(),
        format!(" {plain}\n"),
        format!(r#"{{"event":{text}}}"#),
        format!(r#"{{"event":{plain}}}"#),
        format!(r#"{{"event":{twice}}}"#),
        format!(
            r#"{{"__time__":"1790000045","__topic__":"actiontrail_audit_event","__source__":"actiontrail_internal","event":{text}}}"#
        ),
        format!(
            r#"{{"timestamp":1790000045,"source":"s","contents":{{"event":{text},"__topic__":"t"}}}}"#
        ),
        format!("[{plain}]"),
    ];
    let values: Vec<Option<&[u8]>> = layouts.iter().map(|layout| Some(layout.as_bytes())).collect();
    let expected = decode(plain.as_bytes());
    for (layout, decoded) in layouts.iter().zip(messages(&values)) {
        assert_eq!(
            (&decoded.events, &decoded.keys),
            (&expected.events, &expected.keys),
            "{layout}"
        );
        assert!(decoded.rejects.is_empty(), "{layout}");
    }
}

#[test]
fn each_invalid_message_is_quarantined_with_its_reason() {
    for (value, code) in [
        (None, "empty"),
        (Some(&b""[..]), "empty"),
        (Some(b" \n"), "empty"),
        (Some(b"not json"), "unknown_layout"),
        (Some(b"{\"eventId\":"), "truncated"),
        (Some(b"{\"eventId\":\"x\",}"), "bad_json"),
        (Some(b"[1]"), "not_an_object"),
        (Some(b"7"), "not_an_event_list"),
        (Some(b"{\"event\":\"{\\\"eventId\\\":\"}"), "truncated"),
        (Some(b"{\"event\":\"text\"}"), "unknown_layout"),
        (Some(b"{\"foo\":1}"), "unknown_layout"),
        (Some(b"\0"), "unknown_encoding"),
        (Some(b"{\"eventId\":\"\xff\"}"), "bad_utf8"),
    ] {
        let decoded = messages(&[value]).remove(0);
        assert_eq!((decoded.codes(), decoded.events.len()), (vec![code], 0), "{value:?}");
        if value != Some(b"[1]") {
            assert_eq!(decoded.rejects[0].raw, value.unwrap_or_default(), "{value:?}");
        }
    }
}

#[test]
fn a_message_with_very_many_rejects_is_kept_whole() {
    let limits = DecodeLimits { rejects_max: 2, ..DecodeLimits::default() };
    let mut decoded = Decoded::default();
    let message = b"[1,2,3,4]";
    let mut decoder = MessageDecoder::new(limits);
    decoder.decode(Some(message), &mut decoded).expect("the sink never stops");
    assert_eq!(decoded.codes(), ["not_an_object", "not_an_object", "too_many_rejects"]);
    assert_eq!(decoded.rejects[2].raw, message);
}

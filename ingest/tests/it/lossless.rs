//! Every event can be rebuilt as an equal JSON value from columns, details and `extra` (or `raw`).

use crate::support::decode;
use serde_json::Value;
use std::io::Read;
use trailhound_datasets::generate::{Spec, Traffic};
use trailhound_datasets::samples;

#[test]
fn every_sample_is_rebuilt() {
    for name in samples::event_names() {
        let text = samples::event(name).expect("a sample");
        let decoded = decode(text.as_bytes());
        assert_eq!(decoded.events, [serde_json::from_str::<Value>(text).expect("JSON")], "{name}");
    }
}

#[test]
fn a_million_generated_events_are_rebuilt() {
    let spec = Spec {
        events: 1_000_000,
        seed: 11,
        company: None,
        stories: Vec::new(),
        end_micros: crate::support::NOW,
        days: 30,
    };
    let mut rebuilt = 0;
    let mut raw_kept = 0;
    for file in Traffic::new(spec).expect("all stories").files() {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&file.content[..]).read_to_end(&mut text).expect("gzip");
        let expected = trailhound_ingest::decode::oracle::events(&text).expect("JSON");
        let decoded = decode(&text);
        assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects.first());
        assert_eq!(decoded.events.len(), expected.len());
        for (found, expected) in decoded.events.iter().zip(&expected) {
            assert!(found == expected, "found {found}\nexpected {expected}");
        }
        raw_kept += decoded.flags.iter().filter(|flags| flags.contains(&"type_mismatch")).count();
        rebuilt += expected.len();
    }
    assert_eq!((rebuilt, raw_kept), (1_000_000, 0));
}

#[test]
fn odd_events_are_rebuilt() {
    for text in [
        r#"{"eventId":"1","eventVersion":1,"isGlobal":"true","errorCode":null,"userIdentity":{"accountId":7,"type":"x","arn":""}}"#,
        r#"{"eventId":"1","userIdentity":{}}"#,
        r#"{"eventId":"1","userIdentity":null}"#,
        r#"{"eventId":"1","userIdentity":{"accountId":"","sessionContext":null}}"#,
        r#"{"eventId":"1","userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true,"creationDate":"soon","x":1},"y":2}}}"#,
        r#"{"eventId":"1","userIdentity":{"sessionContext":"{\"attributes\":{\"mfaAuthenticated\":\"true\"}}"}}"#,
        r#"{"eventId":"1","eventTime":"2020-12-01T11:54:59.366+0000","errorMessage":"a\u0000b\n\"","Unknown.Key":[1,{"a":[]}]}"#,
        r#"{"eventId":7,"eventName":["x"],"requestParameters":"text","responseElements":[1],"referencedResources":[{"resourceType":"a"}]}"#,
        r#"{"eventId":"1","requestParameters":{},"requestParameterJson":"{}"}"#,
        r#"{"eventId":"1","requestParameters":{"a":1},"requestParameterJson":"{\"a\": 1}"}"#,
        r#"{"eventId":"1","requestParameterJson":{"a":1e400}}"#,
        r#"{"EventId":"1","UserIdentity":{"Type":"ram-user","SessionContext":{"Attributes":{"MfaAuthenticated":"false"}}}}"#,
    ] {
        let decoded = decode(text.as_bytes());
        assert_eq!(decoded.events, [serde_json::from_str::<Value>(text).expect("JSON")], "{text}");
    }
}

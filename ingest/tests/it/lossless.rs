//! Every event can be rebuilt as an equal JSON value from columns, details and `extra` (or `raw`).

use crate::support::{decode, scaled};
use serde_json::Value;
use std::io::Read;
use std::sync::Mutex;
use trailhound_datasets::generate::{GeneratedFile, Traffic, TrafficSpec};
use trailhound_datasets::samples;

#[test]
fn every_sample_is_rebuilt() {
    for name in samples::event_names() {
        let text = samples::event(name).expect("a sample");
        let decoded = decode(text.as_bytes());
        assert_eq!(decoded.events, [serde_json::from_str::<Value>(text).expect("JSON")], "{name}");
    }
}

/// Rebuilds every event of a generated file; gives the number of events and of those whose raw text was kept.
fn rebuild_all(file: &GeneratedFile) -> (usize, usize) {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&file.content[..]).read_to_end(&mut text).expect("gzip");
    let expected = trailhound_ingest::decode::oracle::events(&text).expect("JSON");
    let decoded = decode(&text);
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects.first());
    assert_eq!(decoded.events.len(), expected.len());
    for (found, expected) in decoded.events.iter().zip(&expected) {
        assert!(found == expected, "found {found}\nexpected {expected}");
    }
    let raw_kept = decoded.flags.iter().filter(|flags| flags.contains(&"type_mismatch")).count();
    (expected.len(), raw_kept)
}

#[test]
fn a_million_generated_events_are_rebuilt() {
    let events = scaled(1_000_000);
    let spec = TrafficSpec {
        events,
        seed: 11,
        company: None,
        stories: Vec::new(),
        end_micros: crate::support::NOW,
        days: 30,
    };
    let files = Mutex::new(Traffic::new(spec).expect("all stories").files());
    let next = || files.lock().expect("no worker panicked").next();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let work = || {
            let mut counts = Vec::new();
            while let Some(file) = next() {
                counts.push(rebuild_all(&file));
            }
            counts
        };
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().expect("every event is equal"))
            .collect()
    });
    let (rebuilt, raw_kept) =
        counts.iter().fold((0, 0), |(events, raw), count| (events + count.0, raw + count.1));
    assert_eq!((rebuilt as u64, raw_kept), (events, 0));
}

#[test]
fn odd_events_are_rebuilt() {
    for members in [
        r#""eventVersion":1,"isGlobal":"true","errorCode":null,"userIdentity":{"accountId":7,"type":"x","arn":""}"#,
        r#""eventType":"ApiCall","userIdentity":{}"#,
        r#""eventType":"ApiCall","userIdentity":null"#,
        r#""userIdentity":{"type":"system","accountId":"","sessionContext":null}"#,
        r#""userIdentity":{"type":"system","sessionContext":{"attributes":{"mfaAuthenticated":true,"creationDate":"soon","x":1},"y":2}}"#,
        r#""userIdentity":{"type":"system","sessionContext":"{\"attributes\":{\"mfaAuthenticated\":\"true\"}}"}"#,
        r#""userIdentity":"{\"type\":\"system\"}","eventTime":"2020-12-01T11:54:59.366+0000","errorMessage":"a\u0000b\n\"","Unknown.Key":[1,{"a":[]}]"#,
        r#""userIdentity":{"type":"system"},"eventId":7,"requestParameters":"text","responseElements":[1],"referencedResources":[{"resourceType":"a"}]"#,
        r#""userIdentity":{"type":"system"},"requestParameters":{},"requestParameterJson":"{}""#,
        r#""userIdentity":{"type":"system"},"requestParameters":{"a":1},"requestParameterJson":"{\"a\": 1}""#,
        r#""userIdentity":{"type":"system"},"requestParameterJson":{"a":1e400}"#,
        r#""UserIdentity":{"Type":"ram-user","SessionContext":{"Attributes":{"MfaAuthenticated":"false"}}}"#,
    ] {
        let text = &format!(r#"{{"eventName":"x","acsRegion":"cn-hangzhou",{members}}}"#);
        let decoded = decode(text.as_bytes());
        assert_eq!(decoded.events, [serde_json::from_str::<Value>(text).expect("JSON")], "{text}");
    }
}

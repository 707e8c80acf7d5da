//! Rows as an older version stored them, read anew.

use super::{RereadSummary, half_understood, reread};
use crate::batch::{CopyBatch, EventBatch, Provenance};
use crate::decode::{self, DecodeLimits, RecordSink, SinkStopped};
use crate::lake::{Commit, Lake, LakeFile, SourceCommit, Table, WriterLock, read_keys};
use crate::ledger::{Ledger, RecordOutcome};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use trailhound_datasets::derive::DerivedFacts;
use trailhound_datasets::event::{Event, Field};
use trailhound_datasets::key::event_key;
use trailhound_datasets::reject::Reject;

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const DAY: &str = "2026-09-30";

/// A sign-in with its identity as an object or as JSON text.
fn sign_in(id: &str, is_text: bool) -> String {
    let identity = json!({
        "type": "root-account", "accountId": "1000000000000001", "principalId": "1000000000000001", "userName": "root",
    });
    let identity = if is_text { json!(identity.to_string()) } else { identity };
    json!({
        "eventId": id, "eventName": "ConsoleSignin", "eventTime": "2026-09-30T10:00:00Z", "serviceName": "AasCustomer",
        "eventType": "ConsoleSignin", "sourceIpAddress": "198.51.100.7", "userIdentity": identity,
    })
    .to_string()
}

/// The event of `text` as a version decoded it that read no identity from JSON text.
fn as_before(text: &str) -> Event<'_> {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let mut event = Event::empty(text);
    for (field, key) in [
        (Field::EventId, "eventId"),
        (Field::EventName, "eventName"),
        (Field::EventTime, "eventTime"),
        (Field::ServiceName, "serviceName"),
        (Field::EventType, "eventType"),
        (Field::SourceIpAddress, "sourceIpAddress"),
    ] {
        event.values[field as usize] = value[key].as_str().map(|text| Cow::Owned(text.to_owned()));
    }
    event.needs_raw = true;
    event
}

fn provenance(source: &str, record: i64) -> Provenance<'_> {
    Provenance { source, object: "o", partition: None, record, ingested_at: NOW }
}

/// Keys of events as this version decodes them.
#[derive(Default)]
struct Keys(Vec<[u8; 16]>);

impl RecordSink for Keys {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        self.0.push(event_key(event, DerivedFacts::of(event).event_time));
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        panic!("{reject:?}");
    }

    fn notice(&mut self, _: &'static str) {}
}

fn key_now(text: &str) -> [u8; 16] {
    let mut keys = Keys::default();
    let content = std::io::Cursor::new(text.as_bytes().to_vec());
    assert!(decode::object(content, None, &DecodeLimits::default(), &mut keys).is_ok());
    keys.0[0]
}

/// A lake that an older version made: two half understood sign-ins by `a`, of which `b` has a copy
/// of the first; the second nested by `b`, well understood; and a record of another cloud.
async fn old_lake(folder: &std::path::Path) -> Lake {
    let lake = Lake::create_or_open(&folder.join("lake"), &[], 0).await.expect("a lake");
    let other_cloud = json!({
        "eventVersion": "1.08", "eventID": "9e9e", "eventName": "DescribeInstances", "eventTime": "2026-09-30T10:00:00Z",
        "eventSource": "ec2.amazonaws.com", "awsRegion": "us-east-1", "recipientAccountId": "123456789012",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/x", "accountId": "123456789012" },
    })
    .to_string();
    let texts = [sign_in("e1", true), sign_in("e2", true), other_cloud];
    let mut batch = EventBatch::new(DAY.to_owned());
    let mut copies = CopyBatch::new(DAY.to_owned());
    for (number, text) in texts.iter().enumerate() {
        let event = as_before(text);
        let derived = DerivedFacts::of(&event);
        let key = event_key(&event, derived.event_time);
        batch.push(&event, &derived, &key, &provenance("a", number as i64));
        if number == 0 {
            copies.push(&event, &derived, &key, &provenance("b", 7));
        }
    }
    let mut files = vec![written(&lake, Table::Events, &batch.take())];
    files.push(written(&lake, Table::EventCopies, &copies.take()));
    let nested = sign_in("e2", false);
    let mut sink = Rows(EventBatch::new(DAY.to_owned()));
    let content = std::io::Cursor::new(nested.into_bytes());
    assert!(decode::object(content, None, &DecodeLimits::default(), &mut sink).is_ok());
    files.push(written(&lake, Table::Events, &sink.0.take()));
    let source = |name: &str, outcomes: &[RecordOutcome]| {
        let mut ledger = Ledger::default();
        outcomes.iter().for_each(|&outcome| ledger.count(outcome));
        SourceCommit { source: name.to_owned(), ledger, ..SourceCommit::default() }
    };
    let sources = vec![
        source("a", &[RecordOutcome::Stored; 3]),
        source("b", &[RecordOutcome::Stored, RecordOutcome::Duplicate]),
    ];
    lake.commit(&Commit { files, sources }, None, NOW).await.expect("committed");
    lake
}

/// Receives events as the ingest stores them.
struct Rows(EventBatch);

impl RecordSink for Rows {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SinkStopped> {
        let derived = DerivedFacts::of(event);
        let key = event_key(event, derived.event_time);
        self.0.push(event, &derived, &key, &provenance("b", 8));
        Ok(())
    }

    fn reject(&mut self, reject: Reject) -> Result<(), SinkStopped> {
        panic!("{reject:?}");
    }

    fn notice(&mut self, _: &'static str) {}
}

fn written(lake: &Lake, table: Table, rows: &arrow::array::RecordBatch) -> crate::lake::NewFile {
    let mut file = LakeFile::create(lake, table, DAY).expect("a file");
    file.write(rows).expect("written");
    file.close().expect("closed")
}

async fn keys(lake: &Lake, table: Table) -> BTreeSet<([u8; 16], String)> {
    let mut keys = BTreeSet::new();
    for path in lake.live_paths(table).await.expect("paths") {
        read_keys(&path, table, None, |row| {
            assert!(keys.insert((row.key, row.source.to_owned())));
        })
        .expect("keys");
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_understood_is_decoded_again_and_the_ledger_stays_exact() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = old_lake(folder.path()).await;
    assert_eq!(half_understood(&lake).await.expect("found").rows, 3);
    let before = lake.snapshot().await.expect("a snapshot");
    let lock = WriterLock::take(&lake).await.expect("a lock");
    let summary = reread(&lake, &lock, NOW).await.expect("read anew");
    lock.release().expect("released");
    let expected = RereadSummary { mended: 1, quarantined: 1, duplicate: 1, files: 1 };
    assert_eq!(summary, expected);
    let (first, second) = (key_now(&sign_in("e1", false)), key_now(&sign_in("e2", false)));
    assert_eq!(first, key_now(&sign_in("e1", true)), "the encoding is no part of the event");
    let of = |key, source: &str| (key, source.to_owned());
    assert_eq!(keys(&lake, Table::Events).await, [of(first, "a"), of(second, "b")].into());
    assert_eq!(keys(&lake, Table::EventCopies).await, [of(first, "b"), of(second, "a")].into());
    assert_eq!(keys(&lake, Table::Quarantine).await.len(), 1);
    let verified = lake.verify().await.expect("verified");
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    let ledger = lake.info().await.expect("figures").ledger;
    assert_eq!((ledger.received, ledger.stored, ledger.quarantined), (5, 2, 1));
    // Rules run over the whole lake: the rows are not new to them.
    let after = lake.snapshot().await.expect("a snapshot");
    assert!(lake.files_since(before, after).await.expect("files").is_empty());
    assert_eq!(half_understood(&lake).await.expect("found").rows, 0);
    let lock = WriterLock::take(&lake).await.expect("a lock");
    let again = reread(&lake, &lock, NOW).await.expect("read anew");
    assert_eq!(again, RereadSummary::default());
    lock.release().expect("released");
}

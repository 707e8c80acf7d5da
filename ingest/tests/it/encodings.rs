//! An event in any encoding and in any format gives the row that it gives in the vendor's encoding.

use crate::support::encodings::{encodings, flatten, text_of};
use crate::support::rows;
use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray};
use arrow::datatypes::Field;
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use trailhound_datasets::samples;

type Row = BTreeMap<String, String>;

/// Samples whose every member has a place in the vendor's structure. The old and the misspelled ones have tests of their own.
fn events() -> Vec<Value> {
    [
        "ram_sign_in_no_mfa",
        "root_sign_in_no_mfa",
        "root_key_read",
        "ram_console_stop",
        "ram_key_stop_batch",
        "role_sts_key",
        "ram_key_call",
    ]
    .iter()
    .map(|name| {
        serde_json::from_str(samples::event(name).expect("a sample")).expect("a sample is JSON")
    })
    .collect()
}

/// A row without what may differ between encodings: the record as it came, the flags, and what stands for nothing.
fn comparable(row: &Row) -> BTreeMap<String, Value> {
    let mut kept: BTreeMap<String, Value> = row
        .iter()
        .filter(|(column, text)| {
            // The vendor itself writes this word where nothing is.
            let is_nothing = text.as_str() == "null" && column.starts_with("error_");
            let differs = matches!(column.as_str(), "raw" | "flags" | "event_key");
            !(text.is_empty() || is_nothing || differs)
        })
        .map(|(column, text)| {
            let value = match serde_json::from_str::<Value>(text) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => as_texts(&value),
                _ => Value::from(text.as_str()),
            };
            (column.clone(), value)
        })
        .collect();
    if kept.get("request_parameter_json") == kept.get("request_parameters") {
        kept.remove("request_parameter_json");
    }
    if let Some(extra) = kept.remove("extra").map(without_known_members)
        && extra.as_object().is_some_and(|members| !members.is_empty())
    {
        kept.insert("extra".to_owned(), extra);
    }
    kept
}

/// `value` with every scalar as text, and text that holds a container as that container: CSV knows text alone.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['[', '{']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| as_texts(&inner))
        }
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), as_texts(value))).collect()
        }
        Value::Array(elements) => elements.iter().map(as_texts).collect(),
        Value::String(_) => value.clone(),
        other => text_of(other),
    }
}

/// `extra` without the members that it keeps because of their spelling alone.
fn without_known_members(extra: Value) -> Value {
    let Value::Object(members) = extra else { return extra };
    members
        .into_iter()
        .filter(|(key, _)| {
            ![
                "eventVersion",
                "accountId",
                "principalId",
                "isGlobal",
                "eventTime",
                "mfaAuthenticated",
            ]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(key))
        })
        .map(|(key, value)| (key, without_known_members(value)))
        .filter(|(_, value)| *value != json!("null"))
        .filter(|(_, value)| value.as_object().is_none_or(|members| !members.is_empty()))
        .collect()
}

fn assert_same(name: &str, expected: &[Row], content: &[u8]) {
    let batch = std::panic::catch_unwind(|| rows(content));
    let found = batch.unwrap_or_else(|_| {
        panic!("{name}: {}", String::from_utf8_lossy(&content[..content.len().min(2_000)]))
    });
    assert_eq!(expected.len(), found.len(), "{name}");
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(comparable(expected), comparable(found), "{name}");
        assert!(!found["flags"].contains("not_understood"), "{name}: {}", found["flags"]);
    }
}

fn control(events: &[Value]) -> Vec<Row> {
    rows(Value::from(events.to_vec()).to_string().as_bytes())
}

fn json_lines(records: &[Value]) -> Vec<u8> {
    records.iter().map(|record| format!("{record}\n")).collect::<String>().into_bytes()
}

/// The columns of `records`: the text of each value, `None` where a record lacks the member.
fn columns(records: &[Value]) -> Vec<(String, Vec<Option<String>>)> {
    let mut names: Vec<&String> = Vec::new();
    for name in records.iter().flat_map(|record| record.as_object().expect("a record").keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let cell = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    names
        .into_iter()
        .map(|name| {
            (name.clone(), records.iter().map(|record| cell(&record[name.as_str()])).collect())
        })
        .collect()
}

fn csv(records: &[Value]) -> Vec<u8> {
    let columns = columns(records);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|(name, _)| name)).expect("memory");
    for row in 0..records.len() {
        let cells = columns.iter().map(|(_, cells)| cells[row].as_deref().unwrap_or(""));
        writer.write_record(cells).expect("memory");
    }
    writer.into_inner().expect("memory")
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).expect("memory");
    writer.write(batch).expect("memory");
    writer.close().expect("memory");
    content
}

fn parquet_texts(records: &[Value]) -> Vec<u8> {
    let arrays = columns(records)
        .into_iter()
        .map(|(name, cells)| (name, Arc::new(StringArray::from(cells)) as ArrayRef));
    parquet(&RecordBatch::try_from_iter(arrays).expect("columns of one length"))
}

#[test]
fn every_encoding_in_every_format_gives_the_same_row() {
    let events = events();
    let expected = control(&events);
    for (name, encode) in encodings() {
        let records: Vec<Value> = events.iter().map(encode).collect();
        let array = Value::from(records.clone()).to_string();
        assert_same(&format!("{name}, JSON"), &expected, array.as_bytes());
        assert_same(&format!("{name}, JSON lines"), &expected, &json_lines(&records));
        assert_same(&format!("{name}, CSV"), &expected, &csv(&records));
        assert_same(&format!("{name}, Parquet"), &expected, &parquet_texts(&records));
    }
}

#[test]
fn an_event_has_one_key_in_every_encoding_that_keeps_its_values() {
    let events = events();
    let expected = control(&events);
    for (name, encode) in encodings() {
        let records: Vec<Value> = events.iter().map(encode).collect();
        for (expected, found) in expected.iter().zip(rows(&json_lines(&records))) {
            assert_eq!(expected["event_key"], found["event_key"], "{name}: {found:?}");
        }
    }
}

#[test]
fn one_file_may_mix_all_encodings() {
    let event = events().remove(3);
    let records: Vec<Value> = encodings().iter().map(|(_, encode)| encode(&event)).collect();
    let expected = vec![control(&[event]).remove(0); records.len()];
    assert_same("mixed lines", &expected, &json_lines(&records));
}

/// What wraps an event: its name, and the record that it makes of the event.
type Wrapper = (&'static str, fn(&Value) -> Value);

const WRAPPERS: [Wrapper; 22] = [
    (
        "AccessKey audit",
        |e| json!({ "Detail": e.to_string(), "EventName": e["eventName"], "Source": "ManagementEvent", "UsedTimestamp": 1_763_607_600_000_i64 }),
    ),
    ("Elasticsearch document", |e| json!({ "_index": "trail", "_id": "1", "_source": e })),
    (
        "Elasticsearch document with text",
        |e| json!({ "_index": "trail", "_source": { "message": e.to_string(), "@timestamp": "x" } }),
    ),
    ("Splunk raw", |e| json!({ "_raw": e.to_string(), "_time": "1", "host": "h" })),
    ("Splunk result", |e| json!({ "preview": false, "result": { "_raw": e.to_string() } })),
    ("Splunk collector", |e| json!({ "time": 1, "host": "h", "event": e })),
    ("Splunk collector with text", |e| json!({ "time": 1, "event": e.to_string() })),
    (
        "Filebeat",
        |e| json!({ "@timestamp": "x", "agent": { "type": "filebeat" }, "message": e.to_string() }),
    ),
    ("Logstash", |e| json!({ "@version": "1", "event": { "original": e.to_string() } })),
    ("Logstash, flattened", |e| json!({ "@version": "1", "event.original": e.to_string() })),
    (
        "Graylog full message",
        |e| json!({ "version": "1.1", "host": "h", "short_message": "ActionTrail", "full_message": e.to_string() }),
    ),
    (
        "Graylog short message",
        |e| json!({ "version": "1.1", "host": "h", "short_message": e.to_string() }),
    ),
    (
        "key and value",
        |e| json!({ "Time": 1, "Contents": [{ "Key": "event", "Value": e.to_string() }] }),
    ),
    (
        "log with contents",
        |e| json!({ "time": 1, "contents": [{ "key": "event", "value": e.to_string() }] }),
    ),
    (
        "CloudEvent",
        |e| json!({ "id": "1", "specversion": "1.0", "source": "acs.actiontrail", "type": "ActionTrail:ApiCall", "data": e }),
    ),
    ("CloudEvent with text", |e| json!({ "id": "1", "specversion": "1.0", "data": e.to_string() })),
    ("container log", |e| json!({ "log": format!("{e}\n"), "stream": "stdout" })),
    (
        "wrapper in wrapper",
        |e| json!({ "message": json!({ "event": json!({ "_source": e }).to_string() }).to_string() }),
    ),
    ("event in a list", |e| json!([e])),
    ("event as text", text_of),
    ("event as text in text", |e| text_of(&text_of(e))),
    ("objects as text in a wrapper", |e| json!({ "event": flatten(e, "", ".", false) })),
];

#[test]
fn every_wrapper_is_opened() {
    let events = events();
    let expected = control(&events);
    for (name, wrap) in WRAPPERS {
        let records: Vec<Value> = events.iter().map(wrap).collect();
        let array = Value::from(records.clone()).to_string();
        assert_same(&format!("{name}, JSON"), &expected, array.as_bytes());
        assert_same(&format!("{name}, JSON lines"), &expected, &json_lines(&records));
        if records[0].is_object() {
            assert_same(&format!("{name}, CSV"), &expected, &csv(&records));
            assert_same(&format!("{name}, Parquet"), &expected, &parquet_texts(&records));
        }
    }
}

#[test]
fn every_answer_with_a_list_is_opened() {
    let events = events();
    let expected = control(&events);
    let logs: Vec<Value> = events
        .iter()
        .map(|e| json!({ "time": 1, "contents": [{ "key": "event", "value": e.to_string() }] }))
        .collect();
    let big_logs: Vec<Value> = events
        .iter()
        .map(|e| json!({ "Time": 1, "Contents": [{ "Key": "event", "Value": e.to_string() }] }))
        .collect();
    let hits: Vec<Value> = events.iter().map(|e| json!({ "_id": "1", "_source": e })).collect();
    let details: Vec<Value> = events
        .iter()
        .map(|e| json!({ "Detail": e.to_string(), "EventName": e["eventName"], "Source": "ManagementEvent" }))
        .collect();
    let list = Value::from(events.clone());
    for (name, content) in [
        ("PullLogs", json!({ "logGroupList": [{ "topic": "t", "source": "s", "logs": logs }] })),
        ("PullLogs of an SDK", json!({ "LogGroups": [{ "Logs": big_logs, "Topic": "t" }] })),
        ("search answer", json!({ "took": 1, "hits": { "total": { "value": 7 }, "hits": hits } })),
        ("AccessKey audit answer", json!({ "RequestId": "R", "NextToken": "", "Events": details })),
        ("LookupEvents with text", json!({ "RequestId": "R", "Events": list.to_string() })),
        ("list as text", text_of(&list)),
        ("records", json!({ "Records": list })),
        ("list in a message", json!({ "@timestamp": "x", "message": list.to_string() })),
    ] {
        assert_same(name, &expected, content.to_string().as_bytes());
    }
}

#[test]
fn the_account_of_a_cloud_event_is_the_account() {
    let mut event = events().remove(1);
    event["userIdentity"] = json!({ "type": "system", "userName": "ecs.aliyuncs.com" });
    event.as_object_mut().expect("an event").remove("recipientAccountId");
    let record =
        json!({ "specversion": "1.0", "aliyunaccountid": "1000000000000009", "data": event });
    let row = rows(record.to_string().as_bytes()).remove(0);
    assert_eq!(row["account_id"], "1000000000000009");
    assert_eq!(row["flags"], "[account_from_owner_id]");
}

/// Members of an event that are columns of text in a file of Spark.
const SPARK_TEXTS: [&str; 15] = [
    "/eventId",
    "/eventName",
    "/eventTime",
    "/eventType",
    "/eventSource",
    "/eventCategory",
    "/eventRW",
    "/eventVersion",
    "/serviceName",
    "/apiVersion",
    "/acsRegion",
    "/requestId",
    "/sourceIpAddress",
    "/userAgent",
    "/recipientAccountId",
];

/// The texts at `path` of the events.
fn text_column(events: &[Value], path: &str) -> ArrayRef {
    let cell = |event: &Value| event.pointer(path).and_then(Value::as_str).map(str::to_owned);
    Arc::new(StringArray::from(events.iter().map(cell).collect::<Vec<_>>()))
}

fn structure(members: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array))
        .collect();
    Arc::new(StructArray::from(members))
}

fn identity_column(events: &[Value]) -> ArrayRef {
    let session = "/userIdentity/sessionContext/attributes";
    let attributes = structure(vec![
        ("mfaAuthenticated", text_column(events, &format!("{session}/mfaAuthenticated"))),
        ("creationDate", text_column(events, &format!("{session}/creationDate"))),
    ]);
    structure(vec![
        ("type", text_column(events, "/userIdentity/type")),
        ("accountId", text_column(events, "/userIdentity/accountId")),
        ("principalId", text_column(events, "/userIdentity/principalId")),
        ("userName", text_column(events, "/userIdentity/userName")),
        ("accessKeyId", text_column(events, "/userIdentity/accessKeyId")),
        ("sessionContext", structure(vec![("attributes", attributes)])),
    ])
}

fn parameters_column(events: &[Value]) -> ArrayRef {
    let mut parameters = arrow::array::MapBuilder::new(
        None,
        arrow::array::StringBuilder::new(),
        arrow::array::StringBuilder::new(),
    );
    for event in events {
        for (key, value) in event["requestParameters"].as_object().unwrap_or(&Map::new()) {
            parameters.keys().append_value(key);
            parameters
                .values()
                .append_value(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        parameters.append(true).expect("as many keys as values");
    }
    Arc::new(parameters.finish())
}

/// The columns of Spark: the identity and its session as structs, the parameters as a map of text.
fn spark_batch(events: &[Value]) -> RecordBatch {
    let column = |path: &str| (path.trim_start_matches('/').to_owned(), text_column(events, path));
    let mut columns: Vec<(String, ArrayRef)> = SPARK_TEXTS.map(column).to_vec();
    columns.push(("userIdentity".to_owned(), identity_column(events)));
    columns.push(("requestParameters".to_owned(), parameters_column(events)));
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn structs_lists_and_maps_of_parquet_are_members() {
    let events: Vec<Value> = ["ram_key_call", "root_key_read", "role_sts_key"]
        .iter()
        .map(|name| serde_json::from_str(samples::event(name).expect("a sample")).expect("JSON"))
        .collect();
    let found = rows(&parquet(&spark_batch(&events)));
    for (expected, found) in control(&events).iter().zip(&found) {
        for column in [
            "event_name",
            "event_time",
            "user_type",
            "account_id",
            "principal_id",
            "user_name",
            "access_key_id",
            "credential_kind",
            "session_mfa",
            "source_ip",
            "service_name",
            "outcome",
            "instance_ids",
        ] {
            assert_eq!(expected.get(column), found.get(column), "{column}");
        }
        let parameters = |row: &Row| {
            row.get("request_parameters")
                .map(|text| as_texts(&serde_json::from_str::<Value>(text).expect("JSON")))
                .filter(|value| value.as_object().is_some_and(|members| !members.is_empty()))
        };
        assert_eq!(parameters(expected), parameters(found));
    }
    assert!(matches!(found[0]["flags"].as_str(), "[]" | "[reencoded]"), "{}", found[0]["flags"]);
}

//! What is accepted is understood, or it is told: facts that cannot be read are flagged, records without identity or action and
//! records of others are quarantined with the reason.

use crate::support::{Decoded, decode, rows};
use serde_json::{Value, json};
use trailhound_datasets::samples;

fn sample(name: &str) -> Value {
    serde_json::from_str(samples::event(name).expect("a sample")).expect("JSON")
}

/// `event` with `value` at `path`, which is created where there is none.
fn with(mut event: Value, path: &str, value: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').expect("a path");
    let parent =
        if parent.is_empty() { &mut event } else { event.pointer_mut(parent).expect("the object") };
    parent[key] = value;
    event
}

fn marks(event: &Value) -> Vec<&'static str> {
    let decoded = decode(event.to_string().as_bytes());
    assert_eq!(decoded.events.len(), 1, "{event}: {:?}", decoded.rejects);
    // The record can be rebuilt, whatever of it was understood.
    assert_eq!(decoded.events[0], *event);
    decoded.flags[0].iter().copied().filter(|flag| flag.ends_with("_not_understood")).collect()
}

#[test]
fn a_fact_that_is_present_and_unreadable_is_flagged() {
    for (path, values, flag) in [
        ("/userIdentity/type", vec![json!({"a": 1}), json!(["a", "b"]), json!(true)], "identity"),
        ("/userIdentity/userName", vec![json!({"a": 1}), json!(false)], "identity"),
        ("/userIdentity/accessKeyId", vec![json!({"a": 1}), json!(["a", "b"])], "identity"),
        (
            "/userIdentity/accountId",
            vec![json!({"a": 1}), json!(true), json!("1.89e15")],
            "account",
        ),
        ("/eventTime", vec![json!("soon"), json!(12), json!({"a": 1}), json!(true)], "time"),
        ("/eventType", vec![json!({"a": 1}), json!(true)], "action"),
        ("/eventRW", vec![json!({"a": 1}), json!(true)], "action"),
        ("/serviceName", vec![json!({"a": 1}), json!(["a", "b"]), json!(true)], "service"),
        (
            "/sourceIpAddress",
            vec![
                json!({"a": 1}),
                json!("198.51.100.7, 203.0.113.9"),
                json!(["198.51.100.7", "203.0.113.9"]),
                json!("192.168.XX.XX"),
                json!(3_405_803_777_u64),
            ],
            "source_address",
        ),
        ("/errorCode", vec![json!({"a": 1}), json!(true), json!(0)], "outcome"),
        ("/errorMessage", vec![json!({"a": 1}), json!(false)], "outcome"),
        (
            "/requestParameters",
            vec![
                json!("text"),
                json!(1),
                json!([1, 2]),
                json!("{\"a\":"),
                json!([{"a": 1}, {"b": 2}]),
            ],
            "request_parameters",
        ),
        (
            "/requestParameterJson",
            vec![json!("not json"), json!("{\"a\":"), json!(7)],
            "request_parameters",
        ),
        (
            "/additionalEventData",
            vec![
                json!("text"),
                json!(1),
                json!("{\"mfaChecked\":"),
                json!({"mfaChecked": "perhaps"}),
            ],
            "mfa",
        ),
        ("/referencedResources", vec![json!("text"), json!(1), json!(["a"])], "resources"),
        ("/resourceName", vec![json!({"a": 1}), json!(true)], "resources"),
        ("/responseElements", vec![json!("text"), json!(1)], "resources"),
    ] {
        for value in values {
            let event = with(sample("ram_sign_in_no_mfa"), path, value.clone());
            assert_eq!(marks(&event), [format!("{flag}_not_understood")], "{path} = {value}");
        }
    }
}

#[test]
fn a_session_that_is_unreadable_is_flagged() {
    let session = with(
        sample("ram_key_call"),
        "/userIdentity/sessionContext",
        json!({"attributes": {"mfaAuthenticated": "perhaps"}}),
    );
    assert_eq!(marks(&session), ["mfa_not_understood"]);
    let session = with(sample("ram_key_call"), "/userIdentity/sessionContext", json!("perhaps"));
    assert_eq!(marks(&session), ["identity_not_understood", "mfa_not_understood"]);
}

#[test]
fn what_stands_for_nothing_is_absent_and_no_mark() {
    for path in [
        "/errorCode",
        "/errorMessage",
        "/requestParameters",
        "/requestParameterJson",
        "/responseElements",
        "/referencedResources",
        "/resourceName",
        "/sourceIpAddress",
        "/userIdentity/accessKeyId",
        "/userIdentity/sessionContext",
    ] {
        for value in [json!(""), json!("-"), json!("null"), json!(null), json!([]), json!(" ")] {
            let event = with(sample("ram_sign_in_no_mfa"), path, value.clone());
            assert!(marks(&event).is_empty(), "{path} = {value}");
            let row = &rows(event.to_string().as_bytes())[0];
            assert_eq!(row["outcome"], "success", "{path} = {value}");
            assert_eq!(row["credential_kind"], "none", "{path} = {value}");
        }
    }
}

#[test]
fn members_that_contradict_each_other_are_not_understood() {
    let event = sample("ram_sign_in_no_mfa").to_string();
    let body = &event[1..event.len() - 1];
    for (more, flag) in [
        (r#""sourceIpAddress":"198.51.100.99""#, "source_address_not_understood"),
        (r#""source_ip_address":"198.51.100.99""#, "source_address_not_understood"),
        (r#""userIdentity.userName":"somebody.else""#, "identity_not_understood"),
        (
            r#""userIdentity":{"type":"ram-user","userName":"somebody.else"}"#,
            "identity_not_understood",
        ),
        (r#""errorCode":"Forbidden","errorCode":"NoPermission""#, "outcome_not_understood"),
        (r#""requestParameters":{"a":1,"a":2}"#, "request_parameters_not_understood"),
    ] {
        let text = format!("{{{body},{more}}}");
        let decoded = decode(text.as_bytes());
        assert!(decoded.flags[0].contains(&flag), "{more}: {:?}", decoded.flags);
        assert!(decoded.flags[0].contains(&"duplicate_key"), "{more}: {:?}", decoded.flags);
        assert_eq!(rows(text.as_bytes())[0]["raw"], text);
    }
    // The same said twice is no contradiction.
    let text = format!(r#"{{{body},"event_name":"ConsoleSignin"}}"#);
    assert!(!decode(text.as_bytes()).flags[0].iter().any(|flag| flag.ends_with("not_understood")));
}

fn refused(record: &str) -> (String, String, String) {
    let Decoded { events, mut rejects, .. } = decode(record.as_bytes());
    assert_eq!((events.len(), rejects.len()), (0, 1), "{record}");
    let reject = rejects.remove(0);
    assert_eq!(reject.raw, record.as_bytes(), "the bytes are kept");
    (reject.code.name().to_owned(), reject.expected, reject.found)
}

#[test]
fn an_event_without_a_readable_identity_or_action_is_quarantined() {
    for (path, values, expected) in [
        (
            "/eventName",
            vec![json!(7), json!({"a": 1}), json!(["a", "b"]), json!(true)],
            "eventName",
        ),
        (
            "/userIdentity",
            vec![
                json!("text"),
                json!(7),
                json!(["a"]),
                json!("{\"type\":"),
                json!({"arn": "x"}),
                json!({"type": {"a": 1}}),
            ],
            "userIdentity",
        ),
    ] {
        for value in values {
            let event = with(sample("ram_key_call"), path, value.clone());
            let (code, wanted, found) = refused(&event.to_string());
            assert_eq!(code, "not_understood", "{path} = {value}");
            assert!(wanted.contains(expected) && found.contains(expected), "{wanted}; {found}");
        }
    }
    for path in ["/eventName", "/eventName"] {
        for value in [json!(""), json!(null), json!("-")] {
            let event = with(sample("ram_key_call"), path, value);
            let (code, _, found) = refused(&event.to_string());
            assert_eq!(
                (code.as_str(), found.contains("no `eventName`")),
                ("unknown_layout", true),
                "{found}"
            );
        }
    }
}

#[test]
fn records_of_others_are_quarantined_by_name() {
    for (record, name) in [
        (
            json!({"eventVersion": "1.09", "userIdentity": {"type": "Root", "arn": "arn:aws:iam::1:root", "accountId": "1"}, "eventTime": "2026-09-21T02:14:05Z", "eventSource": "ec2.amazonaws.com", "eventName": "StopInstances", "awsRegion": "us-east-1", "eventType": "AwsApiCall", "recipientAccountId": "1", "eventCategory": "Management"}),
            "AWS CloudTrail",
        ),
        (
            json!({"eventVersion": "1.08", "userIdentity": {"type": "IAMUser"}, "eventTime": "2026-09-21T02:14:05Z", "eventSource": "s3.amazonaws.com", "eventName": "PutObject"}),
            "AWS CloudTrail",
        ),
        (
            json!({"eventVersion": 3, "userIdentity": {"accountId": "1", "type": "Root"}, "eventTime": 1_790_000_000, "eventName": "ConsoleLogin", "eventSource": "account.cloud.tencent.com", "eventRegion": "ap-guangzhou", "eventType": "ConsoleLogin"}),
            "Tencent CloudAudit",
        ),
        (
            json!({"trace_id": "t", "trace_name": "deleteServer", "service_type": "ECS", "user": {"name": "x"}}),
            "Huawei CTS",
        ),
        (
            json!({"operationName": "Microsoft.Compute/virtualMachines/delete", "resourceId": "/SUBSCRIPTIONS/1", "callerIpAddress": "192.0.2.1"}),
            "the Azure activity log",
        ),
        (
            json!({"protoPayload": {"methodName": "v1.compute.instances.stop"}, "logName": "cloudaudit.googleapis.com", "insertId": "1"}),
            "Google Cloud audit logs",
        ),
        (
            json!({"eventName": "page_view", "user_pseudo_id": "a.b", "event_timestamp": 1}),
            "web analytics events",
        ),
        (
            json!({"kind": "Event", "auditID": "1", "verb": "delete", "requestURI": "/api"}),
            "a Kubernetes audit log",
        ),
    ] {
        let (code, _, found) = refused(&record.to_string());
        assert_eq!(code, "foreign_record", "{record}");
        assert!(found.starts_with(&format!("looks like {name}")), "{found}");
    }
    for record in [
        json!({"eventType": "ORDER_CREATED", "orderId": 77, "ts": 1}),
        json!({"eventName": "login", "eventTime": "2026-09-21T02:14:05Z", "userId": 5}),
        json!({"eventName": "login", "eventId": "1", "eventTime": "2026-09-21T02:14:05Z", "serviceName": "shop", "sourceIpAddress": "192.0.2.1", "requestId": "r", "userId": 5}),
        json!({"eventName": "login", "eventTime": "2026-09-21T02:14:05Z", "userIdentity": {"type": "customer", "userName": "x"}}),
        json!({"eventName": "CreateUser", "eventTime": "2026-09-21T02:14:05Z", "message": "created"}),
        json!({"EventName": "DescribeInstances", "Source": "ManagementEvent", "UsedTimestamp": 1}),
    ] {
        let (code, expected, found) = refused(&record.to_string());
        assert_eq!(code, "unknown_layout", "{record}");
        assert!(
            expected.contains("userIdentity") && found.starts_with("no"),
            "{expected}; {found}"
        );
    }
}

#[test]
fn an_event_cut_down_to_its_core_is_an_event() {
    let core =
        json!({"eventId": "1", "eventName": "StopInstance", "eventTime": "2026-09-21T02:14:05Z"});
    assert!(marks(&core).is_empty());
    assert!(marks(&with(core.clone(), "/serviceName", json!("Ecs"))).is_empty());
    for (path, value) in
        [("/orderId", json!(7)), ("/eventTime", json!("soon")), ("/eventId", json!(""))]
    {
        assert_eq!(
            refused(&with(core.clone(), path, value).to_string()).0,
            "unknown_layout",
            "{path}"
        );
    }
}

#[test]
fn members_that_a_caller_chooses_make_no_event_foreign() {
    for (path, value) in [
        ("/userAgent", json!("aws-cli/2 awsRegion")),
        (
            "/requestParameters",
            json!({"awsRegion": "us-east-1", "eventRegion": "x", "trace_id": "1", "trace_name": "2"}),
        ),
        ("/userIdentity/userName", json!("arn:aws:iam::1:root")),
        ("/eventSource", json!("bucket.s3.amazonaws.com")),
        ("/awsRegion", json!("us-east-1")),
    ] {
        assert!(
            marks(&with(sample("ram_key_call"), path, value.clone())).is_empty(),
            "{path} = {value}"
        );
    }
}

#[test]
fn a_wrapper_that_holds_no_event_is_named() {
    for (record, code, name) in [
        (json!({"@timestamp": "x", "message": "no event"}), "unknown_layout", "`message`"),
        (json!({"_source": {"a": 1}}), "unknown_layout", "`_source` (an Elasticsearch document)"),
        (json!({"_raw": "{\"eventId\":"}), "truncated", "`_raw` (a Splunk event)"),
        (
            json!({"Detail": "{\"a\":1,}", "EventName": "x"}),
            "bad_json",
            "`Detail` (an AccessKey audit answer)",
        ),
        (json!({"full_message": "[1]"}), "unknown_layout", "`full_message` (a GELF message)"),
        (json!({"Contents": [{"Key": "a", "Value": "b"}]}), "unknown_layout", "`Contents`"),
    ] {
        let (found_code, expected, found) = refused(&record.to_string());
        assert_eq!(found_code, code, "{record}");
        assert!(expected.contains(name) || found.contains(name), "{expected}; {found}");
    }
    let aws = json!({"event": {"awsRegion": "us-east-1", "eventName": "StopInstances"}});
    assert_eq!(refused(&aws.to_string()).0, "foreign_record");
}

#[test]
fn elements_of_a_wrapped_list_that_are_no_events_are_quarantined_alone() {
    let event = sample("ram_key_call");
    let record = json!({"message": json!([event, {"a": 1}, sample("root_key_read")]).to_string()});
    let decoded = decode(record.to_string().as_bytes());
    assert_eq!((decoded.events.len(), decoded.codes()), (2, vec!["unknown_layout"]));
    assert_eq!(decoded.rejects[0].raw, br#"{"a":1}"#);
}

#[test]
fn events_of_documented_types_of_maxcompute_are_events() {
    for kind in [
        "JobEvent",
        "TunnelEvent",
        "TableEvent",
        "AdminEvent",
        "ResourceEvent",
        "FunctionEvent",
        "PrivilegeEvent",
        "RoleEvent",
        "UserEvent",
        "SchemaEvent",
    ] {
        let event = with(sample("ram_key_call"), "/eventType", json!(kind));
        assert!(marks(&event).is_empty());
    }
}

#[test]
fn an_event_inside_other_text_is_quarantined() {
    let event = sample("ram_key_call");
    let prefixed: Value = event
        .as_object()
        .expect("an event")
        .iter()
        .map(|(key, value)| (format!("event.{key}"), value.clone()))
        .collect();
    let with_nulls = ["requestParameters", "responseElements", "additionalEventData"]
        .iter()
        .fold(event.clone(), |event, key| with(event, &format!("/{key}"), Value::Null));
    for event in [event, prefixed, with_nulls] {
        let text = format!("2026-09-21T00:00:00Z INFO trail {event}");
        let decoded = decode(text.as_bytes());
        assert_eq!((decoded.events.len(), decoded.rejects.len()), (0, 1), "{text}");
    }
}

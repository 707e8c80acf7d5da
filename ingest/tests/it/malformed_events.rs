//! Malformed events: stored where possible, flagged, and nothing guessed.

use crate::support::{decode, event, rows};
use serde_json::json;

fn flags(text: &str) -> Vec<&'static str> {
    let decoded = decode(text.as_bytes());
    assert_eq!(decoded.events.len(), 1, "{text}: {:?}", decoded.rejects);
    decoded.flags[0].clone()
}

/// An event with the further members `more`.
fn with_members(more: &str) -> String {
    format!(
        r#"{{"eventId":"a","eventName":"x","eventTime":"2026-09-21T02:14:05Z","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","userName":"a"}},{more}}}"#
    )
}

fn changed(path: &str, value: serde_json::Value) -> String {
    let mut event: serde_json::Value = serde_json::from_str(&event("a")).expect("JSON");
    *event.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    event.to_string()
}

#[test]
fn duplicate_keys_are_flagged_and_both_values_kept() {
    for more in [
        r#""userAgent":"first","userAgent":"last""#,
        r#""userAgent":"first","user\u0041gent":"last""#,
    ] {
        let text = with_members(more);
        assert_eq!(flags(&text), ["duplicate_key"]);
        let row = &rows(text.as_bytes())[0];
        assert_eq!((row["user_agent"].as_str(), &row["raw"]), ("last", &text));
    }
    for more in [
        r#""userIdentity":{"type":"ram-user","userName":"a","userName":"b"}"#,
        r#""userIdentity":{"type":"b"}"#,
        r#""requestParameters":{"x":[{"k":1,"\u006b":2}]}"#,
        r#""unknown":1,"unknown":2"#,
    ] {
        let text = with_members(more);
        assert!(flags(&text).contains(&"duplicate_key"), "{text}");
        assert_eq!(rows(text.as_bytes())[0]["raw"], text);
    }
}

#[test]
fn missing_and_odd_event_ids_are_flagged_or_kept() {
    for value in [json!(null), json!(7), json!({"a":1}), json!("")] {
        assert!(flags(&changed("/eventId", value.clone())).contains(&"no_event_id"), "{value}");
    }
    assert!(flags(&event("a").replace("\"eventId\":\"a\",", "")).contains(&"no_event_id"));
    for id in [" spaced ", "UPPER", "中文", &"x".repeat(10_240)] {
        let row = &rows(changed("/eventId", json!(id)).as_bytes())[0];
        assert_eq!(row["event_id"], id);
    }
    // Without an id the content is the key.
    let anonymous =
        |name: &str| event("a").replace("\"eventId\":\"a\",", "").replace("StartInstance", name);
    let key = |text: &str| decode(text.as_bytes()).keys[0];
    assert_eq!(key(&anonymous("x")), key(&anonymous("x")));
    assert_ne!(key(&anonymous("x")), key(&anonymous("y")));
}

#[test]
fn valid_times_are_converted_and_invalid_times_flagged() {
    for text in [
        "",
        "not a date",
        "164975905",
        "2022-02-30T00:00:00Z",
        "2022-04-12T24:00:00Z",
        "2022-04-12T10:24:17",
        "-0001-01-01T00:00:00Z",
    ] {
        let event = changed("/eventTime", json!(text));
        let expected: &[&str] =
            if text.is_empty() { &["bad_time"] } else { &["bad_time", "time_not_understood"] };
        assert_eq!(flags(&event), expected, "{text}");
        let row = &rows(event.as_bytes())[0];
        assert!(
            !row.contains_key("event_time")
                && row["day"] == "out_of_range_2026-10-01"
                && row["raw"] == event,
            "{row:?}"
        );
    }
    for number in [json!(1_789_956_845), json!(1_789_956_845_000_i64), json!("1789956845")] {
        let event = changed("/eventTime", number);
        assert_eq!(rows(event.as_bytes())[0]["event_time"], "2026-09-21T02:14:05Z", "{event}");
    }
    for (text, shown) in [
        ("2026-09-21T10:14:05+08:00", "2026-09-21T02:14:05Z"),
        ("2026-09-21T02:14:05.366+0000", "2026-09-21T02:14:05.366Z"),
        ("2026-09-21T02:14:05.123456789012Z", "2026-09-21T02:14:05.123456Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            rows(changed("/eventTime", json!(text)).as_bytes())[0]["event_time"],
            shown,
            "{text}"
        );
    }
    for (text, day) in [
        ("0001-01-01T00:00:00Z", "out_of_range_2026-10-01"),
        ("1677-09-21T00:12:43Z", "out_of_range_2026-10-01"),
        ("1969-12-31T23:59:59Z", "out_of_range_2026-10-01"),
        ("2262-04-12T00:00:00Z", "out_of_range_2026-10-01"),
        ("9999-12-31T23:59:59Z", "out_of_range_2026-10-01"),
        ("2025-08-27T00:00:00Z", "2025-08-27"),
        ("2025-08-26T23:59:59Z", "out_of_range_2026-10-01"),
        ("2026-10-03T00:00:00Z", "2026-10-03"),
        ("2026-10-03T00:00:01Z", "out_of_range_2026-10-01"),
    ] {
        assert_eq!(rows(changed("/eventTime", json!(text)).as_bytes())[0]["day"], day, "{text}");
    }
}

#[test]
fn an_event_with_wrong_field_types_is_stored_and_flagged() {
    for field in ["serviceName", "sourceIpAddress", "userAgent", "errorCode", "acsRegion"] {
        for value in [json!({"a":1}), json!([{"a":1}]), json!(true)] {
            let mut event: serde_json::Value = serde_json::from_str(&event("a")).expect("JSON");
            event[field] = value;
            let text = event.to_string();
            assert!(flags(&text).contains(&"type_mismatch"), "{text}");
            assert_eq!(rows(text.as_bytes())[0]["raw"], text);
        }
    }
    for (field, value) in [("requestParameters", json!("text")), ("responseElements", json!(1))] {
        let mut event: serde_json::Value = serde_json::from_str(&event("a")).expect("JSON");
        event[field] = value;
        assert!(flags(&event.to_string()).contains(&"type_mismatch"), "{field}");
    }
    let odd_json = format!(
        r#"{},"requestParameterJson":"not json at all"}}"#,
        &event("a")[..event("a").len() - 1]
    );
    assert_eq!(rows(odd_json.as_bytes())[0]["request_parameter_json"], "not json at all");
}

#[test]
fn account_ids_keep_their_spelling() {
    for (sent, kept) in [
        ("1000000000000001", "1000000000000001"),
        ("1e16", "1e16"),
        ("-5", "-5"),
        ("1.000000000000000005", "1.000000000000000005"),
    ] {
        let text = event("a").replace("\"accountId\":\"1\"", &format!("\"accountId\":{sent}"));
        assert_eq!(rows(text.as_bytes())[0]["account_id"], kept);
    }
    assert_eq!(
        rows(event("a").replace("\"accountId\":\"1\"", "\"accountId\":\"007\"").as_bytes())[0]["account_id"],
        "007"
    );
    let long = "9".repeat(400);
    let text = event("a").replace("\"accountId\":\"1\"", &format!("\"accountId\":{long}"));
    assert_eq!(rows(text.as_bytes())[0]["account_id"], long);
}

#[test]
fn lone_surrogates_keep_the_raw_text() {
    let text = &with_members(r#""userAgent":"x\ud800y""#);
    assert_eq!(flags(text), ["lone_surrogate"]);
    let row = &rows(text.as_bytes())[0];
    assert!(!row.contains_key("user_agent") && row["raw"] == *text);
    // Inside details the slice says it all.
    let inside = &with_members(r#""requestParameters":{"n":"\ud800"}"#);
    assert!(flags(inside).is_empty());
    assert_eq!(rows(inside.as_bytes())[0]["request_parameters"], r#"{"n":"\ud800"}"#);
}

#[test]
fn events_encoded_as_json_text_are_unwrapped_at_most_twice() {
    let once = serde_json::to_string(&event("a")).expect("text");
    let twice = serde_json::to_string(&once).expect("text");
    let thrice = serde_json::to_string(&twice).expect("text");
    let row = |event: &str| format!("{{\"event\":{event}}}");
    assert_eq!(decode(row(&once).as_bytes()).ids(), ["a"]);
    assert_eq!(decode(row(&twice).as_bytes()).ids(), ["a"]);
    assert_eq!(decode(row(&thrice).as_bytes()).codes(), ["unknown_layout"]);
}

#[test]
fn events_of_another_product_feed_are_quarantined_by_name() {
    let text = r#"{"EventID":"x","EventProduct":"ecs","EventName":"Reboot","EventType":"ALIYUN_INITIATED_SERVICE","EventTime":"x"}"#;
    assert_eq!(decode(text.as_bytes()).codes(), ["unsupported_event"]);
}

#[test]
fn text_of_every_kind_is_stored_byte_for_byte() {
    for text in [
        "",
        "\0",
        "a\r\nb",
        "\u{1b}[31mred",
        "\u{202e}gnp.exe",
        "\u{200b}",
        "=cmd|' /C calc'!A0",
        "<script>",
        "${jndi:ldap://x}",
        "'; DROP TABLE",
        "中文🎉",
        &"x".repeat(1 << 20),
    ] {
        let row = &rows(changed("/userIdentity/userName", json!(text)).as_bytes())[0];
        assert_eq!(row["user_name"], text);
    }
}

#[test]
fn a_boolean_field_with_any_text_is_rebuilt_unchanged() {
    for value in ["\"lin.chen\"", "\"TRUE\"", "\"\"", "true", "null"] {
        let text = with_members(&format!(r#""isGlobal":{value}"#));
        let decoded = decode(text.as_bytes());
        assert_eq!(
            decoded.events,
            [serde_json::from_str::<serde_json::Value>(&text).expect("JSON")],
            "{value}"
        );
    }
}

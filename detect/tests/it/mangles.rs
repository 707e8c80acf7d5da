//! Ways in which collectors and other programs mangle an event on its way from the trail.

use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

/// What becomes of an event that is mangled in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The findings are the same.
    Same,
    /// The findings are the same, or undetermined, or the record is in quarantine.
    Told,
    /// The mangle destroys what it says, so quarantine is right.
    Destroys(&'static str),
}

/// How a mangle changes an event.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// The event as a JSON value.
    Value(fn(Value, &mut Pcg64) -> Value),
    /// The event as bytes of a document.
    Bytes(fn(Vec<u8>, &mut Pcg64) -> Vec<u8>),
}

/// A way to mangle an event.
pub(crate) struct Mangle {
    pub(crate) name: &'static str,
    pub(crate) promise: Promise,
    pub(crate) change: Change,
}

const fn same(name: &'static str, change: fn(Value, &mut Pcg64) -> Value) -> Mangle {
    Mangle { name, promise: Promise::Same, change: Change::Value(change) }
}

const fn told(name: &'static str, change: fn(Value, &mut Pcg64) -> Value) -> Mangle {
    Mangle { name, promise: Promise::Told, change: Change::Value(change) }
}

const fn destroys(
    name: &'static str,
    what: &'static str,
    change: fn(Value, &mut Pcg64) -> Value,
) -> Mangle {
    Mangle { name, promise: Promise::Destroys(what), change: Change::Value(change) }
}

const fn bytes(
    name: &'static str,
    promise: Promise,
    change: fn(Vec<u8>, &mut Pcg64) -> Vec<u8>,
) -> Mangle {
    Mangle { name, promise, change: Change::Bytes(change) }
}

/// All mangles: first those of an event's members, then what is written around it, then those of the bytes.
pub(crate) const MANGLES: &[Mangle] = &[
    same("objects to text", |event, _| members(event, &|value| text_of(&value, 1))),
    same("objects to text twice", |event, _| members(event, &|value| text_of(&value, 2))),
    same("one object to text", one_object_to_text),
    same("inner objects to text", |event, _| inner(event, &|value| text_of(&value, 1))),
    same("flattened by dots", |event, _| flattened(&event, ".", "")),
    same("flattened by underscores", |event, _| flattened(&event, "_", "")),
    same("flattened by two underscores", |event, _| flattened(&event, "__", "")),
    same("flattened by slashes", |event, _| flattened(&event, "/", "")),
    same("flattened by dots with prefix", |event, _| flattened(&event, ".", "event.")),
    same("flattened by underscores with prefix", |event, _| flattened(&event, "_", "event_")),
    same("flattened with another prefix", |event, _| flattened(&event, ".", "aliyun.trail.")),
    same("flattened with numbered lists", |event, _| with_numbered_lists(&event)),
    same("flattened, with the type behind each name", |event, _| {
        match flattened(&event, "_", "") {
            Value::Object(flat) => Value::Object(flat.into_iter().map(typed).collect()),
            other => other,
        }
    }),
    same("half flattened, half to text", half_flattened),
    same("one object half flattened", one_object_half_flattened),
    same("absent members as empty text", |event, _| with_absent(event, &json!(""))),
    same("absent members as null", |event, _| with_absent(event, &Value::Null)),
    same("absent members as the text null", |event, _| with_absent(event, &json!("null"))),
    same("absent members as a hyphen", |event, _| with_absent(event, &json!("-"))),
    same("absent codes in the words of other languages", |event, rng| {
        const WORDS: [&str; 7] = ["None", "nil", "N/A", "NaN", "undefined", "<null>", "--"];
        absent_error_code(event, WORDS[rng.random_range(0..WORDS.len())])
    }),
    told("an error code for success", |event, rng| {
        const WORDS: [&str; 4] = ["0", "200", "OK", "Success"];
        absent_error_code(event, WORDS[rng.random_range(0..WORDS.len())])
    }),
    same("absent members in the words of other languages", |event, rng| {
        const WORDS: [&str; 7] = ["None", "nil", "N/A", "NaN", "<NA>", "undefined", "<null>"];
        with_absent(event, &json!(WORDS[rng.random_range(0..WORDS.len())]))
    }),
    same("absent members as an empty list", |event, _| with_absent(event, &json!([]))),
    same("absent members as an empty object", |event, _| with_absent(event, &json!({}))),
    same("numbers and booleans to text", |event, _| {
        deep(event, &|value| match value {
            Value::Number(number) => json!(number.to_string()),
            Value::Bool(is) => json!(is.to_string()),
            other => other,
        })
    }),
    same("digits to numbers", |event, _| {
        deep(event, &|value| match &value {
            Value::String(text) => match text.parse::<u64>() {
                Ok(number) if number.to_string() == *text => json!(number),
                _ => value,
            },
            _ => value,
        })
    }),
    same("texts with space around", |event, _| texts(event, &|text| format!(" {text}\n"))),
    same("keys in snake case", |event, _| keys(event, &snake_case)),
    same("keys in lower case", |event, _| keys(event, &str::to_lowercase)),
    same("keys in upper case", |event, _| keys(event, &str::to_uppercase)),
    same("keys in Pascal case", |event, _| keys(event, &pascal_case)),
    same("keys prefixed", |event, _| match event {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(key, value)| (format!("event.{key}"), value)).collect(),
        ),
        other => other,
    }),
    destroys("one key misspelt", "the name of a member", |event, rng| {
        let key = MEMBERS[rng.random_range(0..MEMBERS.len())];
        let at = rng.random_range(1..key.len());
        renamed(event, key, &format!("{}{}", &key[..at], &key[at + 1..]))
    }),
    destroys("identity under an unknown key", "the name of the identity", |event, _| {
        renamed(event, "userIdentity", "actor")
    }),
    same("one member in a list", |event, rng| one_member(event, rng, |value| json!([value]))),
    destroys("one text in an object", "an identity or an action that was text", |event, rng| {
        // Parameters may be an object with any key.
        one_member(event, rng, |value| match value {
            Value::Object(_) => value,
            text => json!({ "value": text }),
        })
    }),
    destroys("one object as a number", "the identity", |event, rng| {
        // A number stands for its digits where a text is due.
        one_member(event, rng, |value| if value.is_object() { json!(7) } else { value })
    }),
    destroys("one member as true", "an identity or an action", |event, rng| {
        one_member(event, rng, |_| json!(true))
    }),
    destroys("one member in another form", "what a fact says", |event, rng| {
        one_member(event, rng, |_| json!([[7], { "form": "unknown" }]))
    }),
    destroys("one object cut inside its text", "the end of an identity", |event, rng| {
        one_member(event, rng, |value| match value {
            Value::Object(ref members) if !members.is_empty() => {
                let text = value.to_string();
                let end = text.floor_char_boundary(text.len() / 2);
                json!(text[..end])
            }
            other => other,
        })
    }),
    destroys("one object as text that is no JSON", "the quotes of an identity", |event, rng| {
        one_member(event, rng, |value| match value {
            Value::Object(_) => json!(value.to_string().replace('"', "'")),
            other => other,
        })
    }),
    same("one object as pairs of key and value", |event, rng| {
        one_member(event, rng, |value| match value {
            Value::Object(members) => pairs(&members, "key", "value"),
            other => other,
        })
    }),
    same("identity in a list", |event, _| member(event, "userIdentity", |value| json!([value]))),
    same("identity under another key", |event, _| renamed(event, "userIdentity", "user_identity")),
    same("identity flattened into the event", identity_into_event),
    same("a member of the identity in the event", |event, rng| {
        let key = IDENTITY[rng.random_range(0..IDENTITY.len())];
        let Value::Object(mut event) = event else { return event };
        let taken = event.get_mut("userIdentity").and_then(Value::as_object_mut);
        if let Some(value) = taken.and_then(|identity| identity.remove(key)) {
            event.insert(key.to_owned(), value);
        }
        Value::Object(event)
    }),
    same("the access key under a shorter name", |event, _| {
        member(event, "userIdentity", |identity| renamed(identity, "accessKeyId", "accessKey"))
    }),
    same("the kind of identity in other case", |event, _| {
        member(event, "userIdentity", |identity| {
            member(identity, "type", |kind| match kind.as_str() {
                Some("root-account") => json!("RootAccount"),
                Some("ram-user") => json!("ram_user"),
                Some("assumed-role") => json!("ASSUMED_ROLE"),
                _ => kind,
            })
        })
    }),
    same("the second factor in the event", second_factor_into_event),
    same("the second factor in snake case", |event, _| {
        member(event, "additionalEventData", |data| match data {
            Value::Object(members) => Value::Object(
                members.into_iter().map(|(key, value)| (snake_case(&key), value)).collect(),
            ),
            other => other,
        })
    }),
    same("the service as an endpoint", |event, _| {
        named(event, "serviceName", |service| format!("{}.aliyuncs.com", service.to_lowercase()))
    }),
    same("the service as a source", |event, _| {
        named(event, "serviceName", |service| format!("acs.{}", service.to_lowercase()))
    }),
    same("the service before the action", |event, _| {
        named(event, "eventName", |action| format!("Ecs:{action}"))
    }),
    same("signs that nobody sees in names", |event, _| {
        let event = named(event, "serviceName", |service| format!("\u{feff}{service}"));
        named(event, "eventName", |action| {
            let (head, rest) = action.split_at(1);
            format!("{head}\u{200b}{rest}\0")
        })
    }),
    destroys("the action in wide letters", "the name of the action", |event, _| {
        named(event, "eventName", |action| {
            let wide = |c: char| char::from_u32(c as u32 + 0xFEE0).unwrap_or(c);
            action.chars().map(wide).collect()
        })
    }),
    told("each parameter by its type", |event, _| {
        parameters(event, &|value| json!({ "stringValue": value }))
    }),
    told("each parameter in a list", |event, _| parameters(event, &|value| json!([value]))),
    told("parameters under one key more", |event, rng| {
        const KEYS: [&str; 6] = ["value", "parameters", "params", "data", "entry", "query"];
        let key = KEYS[rng.random_range(0..KEYS.len())];
        member(event, "requestParameters", |value| json!({ key: value }))
    }),
    told("parameters as a list of keys and one of values", |event, _| {
        member(event, "requestParameters", |value| match value {
            Value::Object(members) => {
                let (keys, values): (Vec<String>, Vec<Value>) = members.into_iter().unzip();
                json!({ "key": keys, "value": values })
            }
            other => other,
        })
    }),
    told("parameters under another name", |event, rng| {
        const NAMES: [&str; 4] = ["parameters", "params", "request_params", "request"];
        renamed(event, "requestParameters", NAMES[rng.random_range(0..NAMES.len())])
    }),
    same("time as seconds", |event, _| time(event, |micros| json!(micros / 1_000_000))),
    same("time as milliseconds", |event, _| time(event, |micros| json!(micros / 1000))),
    same("time as text of milliseconds", |event, _| {
        time(event, |micros| json!((micros / 1000).to_string()))
    }),
    same("time with an offset", |event, _| {
        time(event, |micros| {
            let moment = chrono::DateTime::from_timestamp_micros(micros).expect("a time");
            let zone = chrono::FixedOffset::east_opt(8 * 3600).expect("a zone");
            json!(moment.with_timezone(&zone).to_rfc3339())
        })
    }),
    told("time as an object", |event, _| time(event, |micros| json!({ "$date": micros / 1000 }))),
    same("address in a list", |event, _| member(event, "sourceIpAddress", |value| json!([value]))),
    same("address with a port", |event, _| {
        member(event, "sourceIpAddress", |value| match value.as_str() {
            Some(text) if text.parse::<std::net::Ipv4Addr>().is_ok() => {
                json!(format!("{text}:443"))
            }
            _ => value,
        })
    }),
    destroys("action as an object", "an action that was text", |event, _| {
        member(event, "eventName", |value| json!({ "name": value }))
    }),
    told("outcome as an object", |event, _| {
        member(event, "errorCode", |value| json!({ "code": value }))
    }),
    same("unknown members", |mut event, _| {
        if let Value::Object(members) = &mut event {
            let pipeline = json!({ "host": "collector-1", "tags": ["a", "b"] });
            members.insert("pipeline".to_owned(), pipeline);
        }
        event
    }),
    same("wrapped as event", |event, _| json!({ "event": event })),
    same("wrapped as text of event", |event, _| json!({ "event": event.to_string() })),
    same("wrapped as text in text", |event, _| json!({ "event": text_of(&event, 2) })),
    same("wrapped as Detail", |event, _| json!({ "RequestId": "r", "Detail": event.to_string() })),
    same(
        "wrapped as _source",
        |event, _| json!({ "_index": "trail-2026", "_id": "x", "_score": 1.0, "_source": event }),
    ),
    same("wrapped as hits", |event, _| {
        let hit = json!({ "_index": "trail-2026", "_id": "x", "_score": 1.0, "_source": event });
        json!({ "took": 3, "timed_out": false, "hits": { "total": { "value": 1 }, "hits": [hit] } })
    }),
    same(
        "wrapped as _raw",
        |event, _| json!({ "_raw": event.to_string(), "host": "h", "sourcetype": "aliyun", "_time": "1" }),
    ),
    same(
        "wrapped by a Splunk collector",
        |event, _| json!({ "time": 1.0, "host": "h", "source": "s", "sourcetype": "aliyun", "event": event }),
    ),
    same(
        "wrapped as message",
        |event, _| json!({ "@timestamp": "2026-09-21T00:00:00Z", "@version": "1", "message": event.to_string() }),
    ),
    same("wrapped as message with parsed members beside it", |event, _| {
        let mut row = Map::new();
        for key in ["eventId", "eventName", "eventTime", "eventType", "acsRegion", "eventRW"] {
            if let Some(value) = event.get(key) {
                row.insert(key.to_owned(), value.clone());
            }
        }
        row.insert("message".to_owned(), json!(event.to_string()));
        Value::Object(row)
    }),
    same(
        "wrapped as event.original",
        |event, _| json!({ "@timestamp": "2026-09-21T00:00:00Z", "event": { "original": event.to_string() } }),
    ),
    same(
        "wrapped as GELF",
        |event, _| json!({ "version": "1.1", "host": "h", "short_message": "trail", "full_message": event.to_string() }),
    ),
    same("wrapped as a CloudEvent", |event, _| {
        let account = event["userIdentity"]["accountId"].clone();
        json!({
            "id": "ce", "source": "acs.ecs", "specversion": "1.0", "type": "ecs:ActionTrail:ApiCall",
            "datacontenttype": "application/json;charset=utf-8", "aliyunaccountid": account,
            "aliyunregionid": "cn-hangzhou", "data": event,
        })
    }),
    same(
        "wrapped in contents",
        |event, _| json!({ "Time": 1, "Contents": pairs(&flat_text(&event), "Key", "Value") }),
    ),
    same("wrapped in a log group list", |event, _| {
        let log = json!({ "Time": 1, "Contents": pairs(&flat_text(&event), "Key", "Value") });
        json!({ "logGroupList": [{ "Topic": "", "Source": "s", "Logs": [log] }] })
    }),
    same("in a list", |event, _| json!([event])),
    same(
        "as Events of an answer",
        |event, _| json!({ "RequestId": "r", "StartTime": "", "EndTime": "", "Events": [event] }),
    ),
    same("behind another event in a list", |event, rng| json!([neighbour(rng), event])),
    same(
        "before another event in a message",
        |event, rng| json!({ "@timestamp": "x", "message": json!([event, neighbour(rng)]).to_string() }),
    ),
    same(
        "behind another event in lines of a message",
        |event, rng| json!({ "@timestamp": "x", "message": format!("{}\n{event}", neighbour(rng)) }),
    ),
    same(
        "beside another event in one row",
        |event, rng| json!({ "event": neighbour(rng), "message": event.to_string() }),
    ),
    same(
        "beside the list of an answer",
        |event, rng| json!({ "logs": [neighbour(rng)], "message": event.to_string() }),
    ),
    same(
        "among records of others",
        |event, _| json!([{ "eventName": "StopInstances", "awsRegion": "us-east-1" }, event, 7]),
    ),
    bytes("printed over lines", Promise::Same, |content, _| {
        match serde_json::from_slice::<Value>(&content) {
            Ok(value) => serde_json::to_vec_pretty(&value).expect("JSON"),
            Err(_) => content,
        }
    }),
    bytes("with a byte-order mark", Promise::Same, |content, _| {
        [b"\xEF\xBB\xBF", &content[..]].concat()
    }),
    bytes("with escapes", Promise::Same, |content, _| {
        String::from_utf8(content).map_or_else(
            |error| error.into_bytes(),
            |text| text.replace('/', "\\/").replace("Id\":", "\\u0049d\":").into_bytes(),
        )
    }),
    bytes("a member twice", Promise::Same, |content, _| twice(content, None)),
    bytes("a member twice, contradicting", Promise::Told, |content, _| {
        twice(content, Some("DescribeRegions"))
    }),
    bytes("the document twice", Promise::Same, |content, _| {
        [&content[..], b"\n", &content[..]].concat()
    }),
    bytes("as UTF-16", Promise::Destroys("its encoding, which is UTF-8"), |content, _| {
        match String::from_utf8(content) {
            Ok(text) => {
                let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
                units.flat_map(u16::to_le_bytes).collect()
            }
            Err(error) => error.into_bytes(),
        }
    }),
    bytes("cut off", Promise::Destroys("the end of the document"), |mut content, rng| {
        content.truncate(rng.random_range(1..content.len()));
        content
    }),
    bytes(
        "cut into lines",
        Promise::Destroys("the document: its lines are no JSON"),
        |mut content, rng| {
            let at = rng.random_range(1..content.len());
            content.splice(at..at, *b"\n2026-09-21 collector: ");
            content
        },
    ),
    bytes(
        "as text of a log line",
        Promise::Destroys("the document: it is no JSON"),
        |content, _| [b"2026-09-21T00:00:00Z INFO trail ", &content[..]].concat(),
    ),
    bytes("a byte replaced", Promise::Destroys("the byte"), |mut content, rng| {
        let at = rng.random_range(0..content.len());
        content[at] = 0xFF;
        content
    }),
];

/// Members of an event that rules stand on.
const MEMBERS: [&str; 9] = [
    "userIdentity",
    "eventName",
    "eventType",
    "serviceName",
    "sourceIpAddress",
    "errorCode",
    "requestParameters",
    "additionalEventData",
    "eventTime",
];

/// Members of the identity that rules stand on.
const IDENTITY: [&str; 6] =
    ["type", "principalId", "userName", "accessKeyId", "accountId", "sessionContext"];

/// An event of another account that no rule finds.
fn neighbour(rng: &mut Pcg64) -> Value {
    let number: u64 = rng.random_range(0..1_000_000_000_000);
    json!({
        "eventId": format!("neighbour-{number}"), "eventName": "DescribeRegions", "eventRW": "Read",
        "eventTime": "2026-09-21T02:00:00Z", "eventType": "ApiCall", "acsRegion": "cn-hangzhou",
        "serviceName": "Ecs", "sourceIpAddress": "Internal",
        "userIdentity": { "type": "system", "accountId": format!("2{number:015}"), "userName": "ecs.aliyuncs.com" },
    })
}

/// `event` with `change` applied to each member that is an object.
fn members(event: Value, change: &dyn Fn(Value) -> Value) -> Value {
    let Value::Object(event) = event else { return event };
    let one = |(key, value): (String, Value)| {
        (key, if value.is_object() { change(value) } else { value })
    };
    Value::Object(event.into_iter().map(one).collect())
}

/// `event` with `change` applied to each object within its members.
fn inner(event: Value, change: &dyn Fn(Value) -> Value) -> Value {
    members(event, &|value| members(value, change))
}

/// The JSON text of `value`, encoded `times` times.
fn text_of(value: &Value, times: usize) -> Value {
    (0..times).fold(value.clone(), |value, _| json!(value.to_string()))
}

fn one_object_to_text(event: Value, rng: &mut Pcg64) -> Value {
    let Value::Object(mut event) = event else { return event };
    let objects: Vec<String> =
        event.iter().filter(|(_, value)| value.is_object()).map(|(key, _)| key.clone()).collect();
    if !objects.is_empty() {
        let key = &objects[rng.random_range(0..objects.len())];
        event[key] = text_of(&event[key], 1);
    }
    Value::Object(event)
}

/// `event` as one object without objects in it, but for those very deep.
fn flattened(event: &Value, separator: &str, prefix: &str) -> Value {
    if !event.is_object() {
        return event.clone();
    }
    fn add(into: &mut Map<String, Value>, path: &str, value: &Value, separator: &str, depth: u8) {
        match value {
            Value::Object(members) if depth < 4 && !members.is_empty() => {
                for (key, value) in members {
                    add(into, &format!("{path}{separator}{key}"), value, separator, depth + 1);
                }
            }
            _ => {
                into.insert(path.to_owned(), value.clone());
            }
        }
    }
    let mut flat = Map::new();
    for (key, value) in event.as_object().into_iter().flatten() {
        add(&mut flat, &format!("{prefix}{key}"), value, separator, 0);
    }
    Value::Object(flat)
}

/// `event` flattened, with each list as numbered members.
fn with_numbered_lists(event: &Value) -> Value {
    if !event.is_object() {
        return event.clone();
    }
    let mut flat = Map::new();
    for (key, value) in flattened(event, ".", "").as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if !items.is_empty() && key.starts_with("requestParameters.") => {
                for (number, item) in items.iter().enumerate() {
                    flat.insert(format!("{key}.{number}"), item.clone());
                }
            }
            _ => {
                flat.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(flat)
}

/// `event` with each object in an encoding of its own.
fn half_flattened(event: Value, rng: &mut Pcg64) -> Value {
    let Value::Object(event) = event else { return event };
    let mut mixed = Map::new();
    for (key, value) in event {
        let Value::Object(inner) = &value else {
            mixed.insert(key, value);
            continue;
        };
        let alone = json!({ key.as_str(): value.clone() });
        match rng.random_range(0..5) {
            0 => mixed.extend(flattened(&alone, ".", "").as_object().cloned().unwrap_or_default()),
            1 => mixed.extend(flattened(&alone, "_", "").as_object().cloned().unwrap_or_default()),
            2 if !inner.is_empty() => {
                mixed.insert(key, pairs(inner, "Key", "Value"));
            }
            3 => {
                mixed.insert(key, json!([value]));
            }
            _ => {
                mixed.insert(key, text_of(&value, 1));
            }
        }
    }
    Value::Object(mixed)
}

/// `event` with some members of one object beside it, flattened.
fn one_object_half_flattened(event: Value, rng: &mut Pcg64) -> Value {
    let Value::Object(mut event) = event else { return event };
    let objects: Vec<String> =
        event.iter().filter(|(_, value)| value.is_object()).map(|(key, _)| key.clone()).collect();
    if objects.is_empty() {
        return Value::Object(event);
    }
    let key = &objects[rng.random_range(0..objects.len())];
    let Some(Value::Object(inner)) = event.remove(key) else { return Value::Object(event) };
    let mut kept = Map::new();
    for (name, value) in inner {
        if rng.random_ratio(1, 2) {
            event.insert(format!("{key}.{name}"), value);
        } else {
            kept.insert(name, value);
        }
    }
    event.insert(key.clone(), Value::Object(kept));
    Value::Object(event)
}

/// The members of `event` as texts; objects as JSON text.
fn flat_text(event: &Value) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    };
    match event {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), text(value))).collect()
        }
        other => Map::from_iter([("event".to_owned(), text(other))]),
    }
}

fn pairs(members: &Map<String, Value>, key_name: &str, value_name: &str) -> Value {
    members.iter().map(|(key, value)| json!({ key_name: key, value_name: value })).collect()
}

/// `event` with the documented members that it lacks.
fn with_absent(event: Value, value: &Value) -> Value {
    let Value::Object(mut event) = event else { return event };
    for key in [
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "referencedResources",
        "errorCode",
        "errorMessage",
        "resourceName",
        "resourceType",
        "vpcId",
        "eventAttributes",
        "requestParameterJson",
    ] {
        event.entry(key).or_insert_with(|| value.clone());
    }
    Value::Object(event)
}

/// Adds `code` as error code, where there is none.
fn absent_error_code(mut event: Value, code: &str) -> Value {
    if let Value::Object(event) = &mut event
        && event.get("errorCode").is_none_or(|there| there == "")
    {
        event.insert("errorCode".to_owned(), json!(code));
    }
    event
}

fn deep(value: Value, change: &dyn Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(key, value)| (key, deep(value, change))).collect(),
        ),
        Value::Array(items) => items.into_iter().map(|item| deep(item, change)).collect(),
        scalar => change(scalar),
    }
}

/// `event` with the keys of the documented objects renamed.
fn keys(event: Value, rename: &dyn Fn(&str) -> String) -> Value {
    let Value::Object(event) = event else { return event };
    let of_identity = |value: Value| match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (rename(&key), value)).collect())
        }
        other => other,
    };
    let one = |(key, value): (String, Value)| {
        let free = free_names(&key).unwrap_or(key.len());
        let renamed = format!("{}{}", rename(&key[..free]), &key[free..]);
        (renamed, if key == "userIdentity" { of_identity(value) } else { value })
    };
    Value::Object(event.into_iter().map(one).collect())
}

/// Where the caller's own names start in a flattened key.
fn free_names(key: &str) -> Option<usize> {
    const OBJECTS: [&str; 5] = [
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "addionalEventData",
        "referencedResources",
    ];
    let end = |object: &&str| Some(key.to_lowercase().find(&object.to_lowercase())? + object.len());
    OBJECTS.iter().find_map(end)
}

fn snake_case(key: &str) -> String {
    let mut snake = String::new();
    for c in key.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn pascal_case(key: &str) -> String {
    let mut characters = key.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

/// Changes one of the members that rules read.
fn one_member(event: Value, rng: &mut Pcg64, change: impl Fn(Value) -> Value) -> Value {
    let key = MEMBERS[rng.random_range(0..MEMBERS.len())];
    if key == "userIdentity" && rng.random_ratio(2, 3) {
        let inner = IDENTITY[rng.random_range(0..IDENTITY.len())];
        return member(event, key, |identity| member(identity, inner, &change));
    }
    member(event, key, change)
}

/// Changes the member `key`, where there is one.
fn member(event: Value, key: &str, change: impl Fn(Value) -> Value) -> Value {
    let Value::Object(mut event) = event else { return event };
    if let Some(value) = event.remove(key) {
        event.insert(key.to_owned(), change(value));
    }
    Value::Object(event)
}

fn renamed(event: Value, key: &str, new: &str) -> Value {
    let Value::Object(mut event) = event else { return event };
    if let Some(value) = event.remove(key) {
        event.insert(new.to_owned(), value);
    }
    Value::Object(event)
}

/// `event` with `change` applied to each text of the event and the identity that no caller has chosen.
fn texts(event: Value, change: &dyn Fn(&str) -> String) -> Value {
    let Value::Object(event) = event else { return event };
    let one = |(key, value): (String, Value)| {
        let value = match value {
            Value::String(text)
                if !key.ends_with("userAgent")
                    && !key.ends_with("errorMessage")
                    && free_names(&key).is_none() =>
            {
                json!(change(&text))
            }
            Value::Object(_) if key == "userIdentity" => texts(value, change),
            other => other,
        };
        (key, value)
    };
    Value::Object(event.into_iter().map(one).collect())
}

/// `event` with the text of its member `key` changed, where that is the vendor's own name.
fn named(event: Value, key: &str, change: impl Fn(&str) -> String) -> Value {
    member(event, key, |value| match value.as_str() {
        Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            json!(change(name))
        }
        _ => value,
    })
}

/// `event` with each request parameter changed, of two or more.
fn parameters(event: Value, change: &dyn Fn(Value) -> Value) -> Value {
    member(event, "requestParameters", |value| match value {
        Value::Object(members) if members.len() > 1 => {
            Value::Object(members.into_iter().map(|(key, value)| (key, change(value))).collect())
        }
        other => other,
    })
}

/// The member as a table of Log Analytics has it.
fn typed((key, value): (String, Value)) -> (String, Value) {
    let sign = match value {
        Value::Number(_) => "d",
        Value::Bool(_) => "b",
        _ => "s",
    };
    (format!("{key}_{sign}"), value)
}

fn second_factor_into_event(event: Value, _: &mut Pcg64) -> Value {
    let Value::Object(mut event) = event else { return event };
    let data = event.get_mut("additionalEventData").and_then(Value::as_object_mut);
    let moved: Vec<(&str, Value)> = data
        .into_iter()
        .flat_map(|data| ["mfaChecked", "isMFAChecked"].map(|key| (key, data.remove(key))))
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    for (key, value) in moved {
        event.insert(key.to_owned(), value);
    }
    Value::Object(event)
}

fn identity_into_event(event: Value, _: &mut Pcg64) -> Value {
    let Value::Object(mut event) = event else { return event };
    match event.remove("userIdentity") {
        Some(Value::Object(identity)) => event.extend(identity),
        Some(other) => {
            event.insert("userIdentity".to_owned(), other);
        }
        None => {}
    }
    Value::Object(event)
}

/// Writes the time of the event in another form.
fn time(event: Value, form: impl Fn(i64) -> Value) -> Value {
    member(event, "eventTime", |value| {
        let micros = value.as_str().and_then(trailhound_datasets::derive::time::parse);
        micros.map_or(value, &form)
    })
}

/// The document with the member `eventName` given a second time, first. Its value is the same, or
/// `other`.
fn twice(content: Vec<u8>, other: Option<&str>) -> Vec<u8> {
    let Ok(Value::Object(event)) = serde_json::from_slice::<Value>(&content) else {
        return content;
    };
    let Some(name) = event.get("eventName") else { return content };
    let first = other.map_or_else(|| name.clone(), |other| json!(other));
    let start = content.iter().position(|&byte| byte == b'{').map_or(0, |at| at + 1);
    let mut doubled = content[..start].to_vec();
    doubled.extend(format!("\"eventName\":{first},").into_bytes());
    doubled.extend(&content[start..]);
    doubled
}

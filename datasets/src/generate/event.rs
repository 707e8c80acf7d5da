//! Builds an event's JSON text as producers write it: compact, with members in no fixed order.

use super::names;
use chrono::DateTime;
use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

/// A generated event.
#[derive(Debug, Clone)]
pub(super) struct GeneratedEvent {
    pub(super) event_id: String,
    pub(super) time_micros: i64,
    pub(super) region: &'static str,
    pub(super) text: String,
    /// Rules that must flag the event.
    pub(super) expected: Vec<&'static str>,
}

/// A random upper-case UUID, the request id of most services.
pub(super) fn uuid(rng: &mut Pcg64) -> String {
    let (a, b): (u64, u64) = (rng.random(), rng.random());
    format!(
        "{:08X}-{:04X}-5{:03X}-{:04X}-{:012X}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48 & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}

/// 24 random hex digits, the request id of SLS and OSS.
pub(super) fn hex24(rng: &mut Pcg64) -> String {
    format!("{:08X}{:016X}", rng.random::<u32>(), rng.random::<u64>())
}

/// `length` random lower-case letters and digits.
pub(super) fn token(rng: &mut Pcg64, length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// `micros` (since 1970 UTC) as `2026-09-21T02:14:05Z`.
pub(super) fn time_text(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A random instance id of `region`.
pub(super) fn instance(rng: &mut Pcg64, region: &str) -> String {
    format!("i-{}{}", names::zone_prefix(region), token(rng, 17))
}

/// Builds one event.
pub(super) struct EventBuilder {
    pub(super) members: Map<String, Value>,
    pub(super) event_id: String,
    time_micros: i64,
    region: &'static str,
    expected: Vec<&'static str>,
}

impl EventBuilder {
    /// Starts an event for the API call `name` of `service`.
    pub(super) fn new(
        event_id: String,
        service: &str,
        name: &str,
        region: &'static str,
        time_micros: i64,
    ) -> Self {
        let mut members = Map::new();
        members.insert("eventId".to_owned(), Value::from(event_id.as_str()));
        members.insert("requestId".to_owned(), Value::from(event_id.as_str()));
        members.insert("eventName".to_owned(), Value::from(name));
        members.insert("serviceName".to_owned(), Value::from(service));
        members.insert("eventTime".to_owned(), Value::from(time_text(time_micros)));
        members.insert("eventType".to_owned(), Value::from("ApiCall"));
        members.insert("acsRegion".to_owned(), Value::from(region));
        members.insert("eventVersion".to_owned(), json!("1"));
        Self { members, event_id, time_micros, region, expected: Vec::new() }
    }

    /// Sets the top-level member `key`.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.members.insert(key.to_owned(), value.into());
        self
    }

    /// Declares that a correct detector must flag the event by `rule`.
    pub(super) fn expect_finding(mut self, rule: &'static str) -> Self {
        self.expected.push(rule);
        self
    }

    /// The finished event. Its members are rotated by a random number, because their order has no meaning.
    pub(super) fn build(self, rng: &mut Pcg64) -> GeneratedEvent {
        let rotation = rng.random_range(0..self.members.len());
        let mut text = String::with_capacity(1700);
        let members: Vec<(&String, &Value)> = self.members.iter().collect();
        for index in 0..members.len() {
            let (key, value) = members[(index + rotation) % members.len()];
            text.push(if index == 0 { '{' } else { ',' });
            text.push('"');
            text.push_str(key);
            text.push_str("\":");
            text.push_str(&value.to_string());
        }
        text.push('}');
        GeneratedEvent {
            event_id: self.event_id,
            time_micros: self.time_micros,
            region: self.region,
            text,
            expected: self.expected,
        }
    }
}

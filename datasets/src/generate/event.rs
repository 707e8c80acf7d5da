//! Putting an event's text together the way producers do: compact JSON, members in no fixed order.

use super::names;
use chrono::DateTime;
use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

/// A made event.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) event_id: String,
    pub(super) time_micros: i64,
    pub(super) region: &'static str,
    pub(super) text: String,
    /// Rules that must flag it.
    pub(super) expected: Vec<&'static str>,
}

/// Upper-case UUID, as most services number their requests.
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

/// 24 hex digits, as SLS and OSS number theirs.
pub(super) fn hex24(rng: &mut Pcg64) -> String {
    format!("{:08X}{:016X}", rng.random::<u32>(), rng.random::<u64>())
}

/// `length` characters of lower-case letters and digits.
pub(super) fn token(rng: &mut Pcg64, length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// `2026-09-21T02:14:05Z`.
pub(super) fn time_text(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// An instance id of the region.
pub(super) fn instance(rng: &mut Pcg64, region: &str) -> String {
    format!("i-{}{}", names::zone_prefix(region), token(rng, 17))
}

/// An event being put together.
pub(super) struct Builder {
    pub(super) members: Map<String, Value>,
    pub(super) event_id: String,
    time_micros: i64,
    region: &'static str,
    expected: Vec<&'static str>,
}

impl Builder {
    /// A call of `name` to `service` with the id `event_id`.
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

    /// Sets a top-level member.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.members.insert(key.to_owned(), value.into());
        self
    }

    /// A correct detector must flag the event under `rule`.
    pub(super) fn expect(mut self, rule: &'static str) -> Self {
        self.expected.push(rule);
        self
    }

    /// The event, its members turned around by chance: their order means nothing.
    pub(super) fn make(self, rng: &mut Pcg64) -> Made {
        let turn = rng.random_range(0..self.members.len());
        let mut text = String::with_capacity(1700);
        let members: Vec<(&String, &Value)> = self.members.iter().collect();
        for index in 0..members.len() {
            let (key, value) = members[(index + turn) % members.len()];
            text.push(if index == 0 { '{' } else { ',' });
            text.push('"');
            text.push_str(key);
            text.push_str("\":");
            text.push_str(&value.to_string());
        }
        text.push('}');
        Made {
            event_id: self.event_id,
            time_micros: self.time_micros,
            region: self.region,
            text,
            expected: self.expected,
        }
    }
}

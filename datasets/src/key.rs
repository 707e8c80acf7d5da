//! The identity of an event: one key for every delivery of it, another for anything else.

use crate::event::{Event, Field};
use crate::json::{hash_bytes, hash_text, mix};

/// Facts that make two events with one id the same event. Left out is what deliveries of one event are known to differ in:
/// `requestParameterJson` (the log service adds it), `eventVersion` (text or number), the recipient, `eventCategory`,
/// `eventRW` and `isGlobal` (older copies lack them), and fields outside the model.
const FACTS: [Field; 18] = [
    Field::EventName,
    Field::EventType,
    Field::EventSource,
    Field::ServiceName,
    Field::ApiVersion,
    Field::AcsRegion,
    Field::RequestId,
    Field::SourceIpAddress,
    Field::UserAgent,
    Field::ErrorCode,
    Field::ErrorMessage,
    Field::ResourceType,
    Field::ResourceName,
    Field::VpcId,
    Field::UserType,
    Field::PrincipalId,
    Field::UserName,
    Field::AccessKeyId,
];

/// Hash of an empty JSON object, which counts as absent.
const EMPTY_OBJECT: u64 = 4;

/// `event_key` of `event` whose time was read as `event_time`.
///
/// The upper 64 bits hash account and event id, which the platform issues; a caller who shapes parameters cannot choose
/// them, so it cannot make its call look like a duplicate of another. The lower 64 bits hash the facts. Without an id the
/// upper half hashes the facts too, and the key is the content's.
#[must_use]
pub fn event_key(event: &Event<'_>, event_time: Option<i64>) -> [u8; 16] {
    let mut facts = match event_time {
        Some(micros) => micros as u64,
        None => event.get(Field::EventTime).map_or(1, hash_text),
    };
    for field in FACTS {
        facts = mix(facts, event.non_empty(field).map_or(0, hash_text));
    }
    for hash in event.object_hashes {
        facts = mix(facts, if hash == EMPTY_OBJECT { 0 } else { hash });
    }
    if event.needs_raw && event.object_hashes == [0; 4] && event.get(Field::EventName).is_none() {
        // Nothing of the model was readable: only the bytes tell such events apart.
        facts = mix(facts, hash_bytes(event.text.as_bytes()));
    }
    let account =
        event.non_empty(Field::AccountId).or_else(|| event.non_empty(Field::RecipientAccountId));
    let identity = match event.non_empty(Field::EventId) {
        Some(id) => mix(account.map_or(0, hash_text), hash_text(id)),
        None => mix(facts, account.map_or(2, hash_text)),
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&identity.to_be_bytes());
    key[8..].copy_from_slice(&facts.to_be_bytes());
    key
}

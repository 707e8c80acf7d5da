//! The event key: 128 bits that are equal for all deliveries of one event and different for
//! different events.
//!
//! One event is often delivered several times: by two sources, or twice by one source. The copies
//! differ in details that the delivery adds, so a comparison of their bytes does not detect
//! duplicates. The event key does. It has two halves:
//!
//! - The **identity** half is a hash of the account and the event id, which the platform issues.
//! - The **facts** half is a hash of the content of the event: time, action, caller, address,
//!   result and parameters.
//!
//! Equal keys mean the same event. Equal identities with different facts mean that two events have
//! the same id: both events are stored, and the second gets the flag `id_conflict`. If an event has
//! no id, its identity half is a hash of the facts and the account.
//!
//! ```
//! use std::borrow::Cow;
//! use trailhound_datasets::event::{Event, Field};
//! use trailhound_datasets::key::event_key;
//!
//! let event = |category: Option<&'static str>, code: &'static str| {
//!     let mut event = Event::empty("");
//!     for (field, value) in [
//!         (Field::AccountId, Some("1000000000000001")),
//!         (Field::EventId, Some("E-1")),
//!         (Field::EventName, Some("StopInstance")),
//!         (Field::ErrorCode, Some(code)),
//!         // Not part of the key: the log service adds the category, object storage does not.
//!         (Field::EventCategory, category),
//!     ] {
//!         event.values[field as usize] = value.map(Cow::Borrowed);
//!     }
//!     event_key(&event, Some(1_790_812_800_000_000))
//! };
//! let stored = event(None, "");
//! assert_eq!(stored, event(Some("Management"), ""), "another delivery of the event");
//! let conflict = event(None, "Forbidden");
//! assert_eq!(stored[..8], conflict[..8], "the same account and id");
//! assert_ne!(stored[8..], conflict[8..], "but other facts");
//! ```

use crate::event::{Event, Field};
use crate::json::{HASH_EMPTY_OBJECT, hash_bytes, hash_text, mix};

/// Text fields that the facts half hashes, in addition to the event time and the object fields.
///
/// The list omits fields that can differ between deliveries of one event: `requestParameterJson`
/// (the log service adds it), `eventVersion` (text or number), the recipient account,
/// `eventCategory`, `eventRW` and `isGlobal` (older copies lack them), and unknown fields.
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

/// Returns the event key of `event`: 8 bytes of identity, then 8 bytes of facts. `event_time` is
/// the parsed `eventTime` in microseconds since 1970 UTC; `None` if it is missing or cannot be
/// parsed.
///
/// An API caller can choose the request parameters, but not the account and the event id. So a
/// caller cannot make a call look like a duplicate of another call, even with a hash collision in
/// the facts.
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
        // An empty object counts as absent.
        facts = mix(facts, if hash == HASH_EMPTY_OBJECT { 0 } else { hash });
    }
    if event.needs_raw && event.object_hashes == [0; 4] && event.get(Field::EventName).is_none() {
        // No known field could be read, so the hash of the raw bytes distinguishes such events.
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

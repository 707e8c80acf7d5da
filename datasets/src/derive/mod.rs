//! Facts derived from an event, one file per fact. Every derivation is pure: an event gives the same facts anywhere and at
//! any time. What an event does not say stays unknown; a missing value never counts as "no".
//!
//! ```
//! use std::borrow::Cow;
//! use trailhound_datasets::derive::DerivedFacts;
//! use trailhound_datasets::event::{Event, Field};
//!
//! let mut event = Event::empty("");
//! for (field, value) in [
//!     (Field::EventName, " ConsoleSignin"),
//!     (Field::EventTime, "2026-01-31T08:00:00Z"),
//!     (Field::SourceIpAddress, "203.0.113.9:443"),
//!     (Field::AdditionalEventData, r#"{"mfaChecked":"false"}"#),
//! ] {
//!     event.values[field as usize] = Some(Cow::Borrowed(value));
//! }
//! let facts = DerivedFacts::of(&event);
//! assert_eq!(facts.event_action.as_deref(), Some("consolesignin"));
//! assert_eq!(facts.event_time, Some(1_769_846_400_000_000));
//! assert_eq!(facts.mfa.name(), "no");
//! assert_eq!(facts.session_mfa.name(), "unknown");
//! assert_eq!(facts.client.map(|(ip, _)| ip.to_string()).as_deref(), Some("203.0.113.9"));
//! ```

pub mod address;
pub mod boolean;
pub mod credential;
mod facts;
pub mod mfa;
pub mod outcome;
pub mod parameters;
pub mod principal;
pub mod resources;
pub mod time;

pub use facts::DerivedFacts;

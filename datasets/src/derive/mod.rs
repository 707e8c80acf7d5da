//! Facts worked out from an event, one file per fact. All pure: the same event gives the same facts anywhere.

pub mod address;
pub mod credential;
pub mod mfa;
pub mod outcome;
pub mod parameters;
pub mod principal;
pub mod resources;
pub mod time;

use crate::event::{Event, Field, Flag, Flags};
use std::borrow::Cow;

/// Everything derived from one event.
#[derive(Debug, Clone)]
pub struct Derived<'a> {
    /// `event_action`.
    pub event_action: Option<Cow<'a, str>>,
    /// `event_time`, microseconds since 1970 UTC.
    pub event_time: Option<i64>,
    /// `session_created_at`, likewise.
    pub session_created_at: Option<i64>,
    /// `is_global`.
    pub is_global: Option<bool>,
    /// `account_id`.
    pub account_id: Option<&'a str>,
    /// `role_name` and `session_name`.
    pub role: Option<(&'a str, Option<&'a str>)>,
    /// `credential_kind`.
    pub credential: credential::Credential,
    /// `session_mfa`.
    pub session_mfa: mfa::Mfa,
    /// `mfa`.
    pub mfa: mfa::Mfa,
    /// `login_account`.
    pub login_account: Option<Cow<'a, str>>,
    /// `source_class` and `source_ip`.
    pub source: address::Source,
    /// `client_ip` and where it comes from.
    pub client: Option<(std::net::IpAddr, address::Provenance)>,
    /// `outcome`.
    pub outcome: outcome::Outcome,
    /// `resources`.
    pub resources: Vec<resources::Resource<'a>>,
    /// `instance_ids`.
    pub instance_ids: Vec<Cow<'a, str>>,
    /// The event's flags and those found here.
    pub flags: Flags,
    /// The columns cannot rebuild the event: keep `raw`.
    pub needs_raw: bool,
}

impl<'a> Derived<'a> {
    /// Derives every fact of `event`.
    #[must_use]
    pub fn of(event: &'a Event<'_>) -> Self {
        let mut flags = event.flags;
        let mut needs_raw = event.needs_raw;
        let event_time = event.get(Field::EventTime).and_then(time::parse);
        if event_time.is_none() {
            flags.insert(Flag::BadTime);
            needs_raw |= event.get(Field::EventTime).is_some();
        }
        if event.non_empty(Field::EventId).is_none() {
            flags.insert(Flag::NoEventId);
        }
        let session_created_at = event.get(Field::CreationDate).and_then(time::parse);
        let (account_id, account_flag) = principal::account(event);
        if let Some(flag) = account_flag {
            flags.insert(flag);
        }
        let event_action = event.get(Field::EventName).map(lower_trimmed);
        let is_sign_in = event_action.as_deref().is_some_and(mfa::is_sign_in);
        let additional = event.get(Field::AdditionalEventData).filter(|_| is_sign_in);
        let source = address::Source::parse(event.get(Field::SourceIpAddress));
        let resources = resources::of(event);
        Self {
            event_time,
            session_created_at,
            is_global: event.get(Field::IsGlobal).and_then(truth),
            account_id,
            role: principal::role(event),
            credential: credential::Credential::of(event),
            session_mfa: mfa::Mfa::of_session(event),
            mfa: mfa::Mfa::of(event, event_action.as_deref()),
            login_account: additional.and_then(|data| parameters::find_text(data, "loginAccount")),
            client: address::client(event, &source),
            source,
            outcome: outcome::Outcome::of(event),
            instance_ids: resources::instances(event, &resources),
            resources,
            event_action,
            flags,
            needs_raw,
        }
    }
}

/// `text` in lower case without surrounding white space; borrowed where it already is.
fn lower_trimmed(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// A boolean as events write it: JSON boolean or text of any case. `None` for everything else.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    let text = text.trim().trim_matches('"').trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

//! All facts of one event together.

use super::boolean::parse_bool;
use super::{address, credential, mfa, outcome, parameters, principal, resources, time};
use crate::event::{Event, Field, Flag, Flags};
use crate::fact::{Fact, FactSet};
use std::borrow::Cow;

/// All facts derived from one event; each field names its column.
#[derive(Debug, Clone)]
pub struct DerivedFacts<'a> {
    /// `event_action`: the event name in lower case, without surrounding space.
    pub event_action: Option<Cow<'a, str>>,
    /// `event_time`, microseconds since 1970 UTC.
    pub event_time: Option<i64>,
    /// `session_created_at`, microseconds since 1970 UTC.
    pub session_created_at: Option<i64>,
    /// `is_global`.
    pub is_global: Option<bool>,
    /// `account_id`.
    pub account_id: Option<&'a str>,
    /// `role_name` and `session_name` of an assumed role.
    pub role: Option<(&'a str, Option<&'a str>)>,
    /// `credential_kind`.
    pub credential: credential::CredentialKind,
    /// `session_mfa`.
    pub session_mfa: mfa::Mfa,
    /// `mfa`.
    pub mfa: mfa::Mfa,
    /// `login_account`.
    pub login_account: Option<Cow<'a, str>>,
    /// `source_class` and `source_ip`.
    pub source: address::SourceAddress,
    /// `client_ip` and `client_ip_provenance`.
    pub client: Option<(std::net::IpAddr, address::ClientIpProvenance)>,
    /// `outcome`.
    pub outcome: outcome::Outcome,
    /// `resources`.
    pub resources: Vec<resources::Resource<'a>>,
    /// `instance_ids`.
    pub instance_ids: Vec<Cow<'a, str>>,
    /// `flags`: the flags of the decoder and the flags that the derivation adds.
    pub flags: Flags,
    /// The facts that are present and were not understood. Each has its flag in `flags`.
    pub not_understood: FactSet,
    /// The columns cannot rebuild the event, so its text must be stored in `raw`.
    pub needs_raw: bool,
}

impl<'a> DerivedFacts<'a> {
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
        if event.said(Field::EventId).is_none() {
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
        let source = address::SourceAddress::parse(event.get(Field::SourceIpAddress));
        let resources = resources::collect(event);
        let mut not_understood = event.not_understood;
        for (fact, is_unreadable) in [
            (Fact::Time, event_time.is_none() && event.said(Field::EventTime).is_some()),
            (Fact::Account, account_id.is_some_and(principal::is_rounded_id)),
            (Fact::SourceAddress, source == address::SourceAddress::Unparsable),
            (Fact::Mfa, mfa::is_unreadable(event, event_action.as_deref())),
        ] {
            if is_unreadable {
                not_understood.insert(fact);
            }
        }
        for fact in not_understood.iter() {
            flags.insert(Flag::not_understood(fact));
        }
        Self {
            event_time,
            session_created_at,
            is_global: event.get(Field::IsGlobal).and_then(parse_bool),
            account_id,
            role: principal::role(event),
            credential: credential::CredentialKind::of(event),
            session_mfa: mfa::Mfa::of_session(event),
            mfa: mfa::Mfa::of(event, event_action.as_deref()),
            login_account: additional.and_then(|data| parameters::find_text(data, "loginAccount")),
            client: address::client(event, &source),
            source,
            outcome: outcome::Outcome::of(event),
            instance_ids: resources::ecs_instance_ids(event, &resources),
            resources,
            event_action,
            flags,
            not_understood,
            needs_raw,
        }
    }
}

/// `text` in lower case without surrounding white space; borrowed where it has that form already.
fn lower_trimmed(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

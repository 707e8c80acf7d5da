//! Known exceptions from rules: which principal may do what a rule reports, from where, until when,
//! and why.

use super::cidr::parse_range;
use super::globs::GlobList;
use super::toml_time::deserialize_day;
use chrono::{DateTime, NaiveDate};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error as _;
use std::net::IpAddr;

/// An exception from one rule. Every field that is given must match.
#[derive(Debug, Clone)]
pub struct AllowedPrincipal {
    /// Id of the rule.
    pub rule: String,
    /// Why the exception is granted.
    pub reason: String,
    /// Ticket that records the decision.
    pub ticket: Option<String>,
    /// Last day on which it is valid (UTC), inclusive.
    pub expires: NaiveDate,
    access_key_id: Option<String>,
    source_cidr: Option<IpNet>,
    account_id: Option<String>,
    user_type: Option<String>,
    user_name: GlobList,
    role_name: GlobList,
    session_name: GlobList,
    principal_id: Option<String>,
    service_name: GlobList,
    event_name: GlobList,
    instances: GlobList,
}

/// An entry of `allowed_principals`, before it is validated.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowedPrincipalEntry {
    rule: String,
    reason: String,
    ticket: Option<String>,
    #[serde(default, deserialize_with = "deserialize_day")]
    expires: Option<NaiveDate>,
    access_key_id: Option<String>,
    source_cidr: Option<String>,
    account_id: Option<String>,
    user_type: Option<String>,
    #[serde(default)]
    user_name: OneOrMany,
    #[serde(default)]
    role_name: OneOrMany,
    #[serde(default)]
    session_name: OneOrMany,
    principal_id: Option<String>,
    #[serde(default)]
    service_name: OneOrMany,
    #[serde(default)]
    event_name: OneOrMany,
    #[serde(default)]
    instances: OneOrMany,
}

/// One glob or a list of globs.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_globs(self) -> Result<GlobList, String> {
        let patterns = match self {
            Self::None => Vec::new(),
            Self::One(pattern) => vec![pattern],
            Self::Many(patterns) => patterns,
        };
        GlobList::new(patterns).map_err(|e| e.to_string())
    }
}

/// Attributes of an event's principal and action that exceptions are matched against.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "named as the columns of `events`")]
pub struct PrincipalAttributes<'o> {
    pub event_time: Option<i64>,
    pub access_key_id: Option<&'o str>,
    pub source_ip: Option<IpAddr>,
    pub account_id: Option<&'o str>,
    pub user_type: Option<&'o str>,
    pub user_name: Option<&'o str>,
    pub role_name: Option<&'o str>,
    pub session_name: Option<&'o str>,
    pub principal_id: Option<&'o str>,
    pub service_name: Option<&'o str>,
    pub event_name: Option<&'o str>,
    pub instances: &'o [String],
}

impl AllowedPrincipal {
    /// True where the exception is for `rule`, is valid on the day of the event, and every field it
    /// gives matches `principal`. An event without a time matches no exception, because the expiry
    /// cannot be checked.
    #[must_use]
    pub fn allows(&self, rule: &str, principal: &PrincipalAttributes<'_>) -> bool {
        let exact = |want: &Option<String>, have: Option<&str>| {
            want.as_deref().is_none_or(|want| have == Some(want))
        };
        let glob = |want: &GlobList, have: Option<&str>| {
            want.is_empty() || have.is_some_and(|have| want.matches(have))
        };
        let day = principal
            .event_time
            .and_then(DateTime::from_timestamp_micros)
            .map(|time| time.date_naive());
        self.rule == rule
            && day.is_some_and(|day| day <= self.expires)
            && exact(&self.access_key_id, principal.access_key_id)
            && exact(&self.account_id, principal.account_id)
            && exact(&self.principal_id, principal.principal_id)
            && self.user_type.as_deref().is_none_or(|want| {
                principal.user_type.is_some_and(|have| have.eq_ignore_ascii_case(want))
            })
            && self
                .source_cidr
                .is_none_or(|range| principal.source_ip.is_some_and(|ip| range.contains(&ip)))
            && glob(&self.user_name, principal.user_name)
            && glob(&self.role_name, principal.role_name)
            && glob(&self.session_name, principal.session_name)
            && glob(&self.service_name, principal.service_name)
            && glob(&self.event_name, principal.event_name)
            && (self.instances.is_empty()
                || (!principal.instances.is_empty()
                    && principal.instances.iter().all(|instance| self.instances.matches(instance))))
    }

    /// The text that a suppressed finding shows: reason and ticket.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.ticket {
            Some(ticket) => format!("allowed_principals: {} ({ticket})", self.reason),
            None => format!("allowed_principals: {}", self.reason),
        }
    }

    /// True where the exception gives no field besides the rule: it then matches every principal.
    pub(super) fn matches_everything(&self) -> bool {
        let globs = [
            &self.user_name,
            &self.role_name,
            &self.session_name,
            &self.service_name,
            &self.event_name,
            &self.instances,
        ];
        [&self.access_key_id, &self.account_id, &self.user_type, &self.principal_id]
            .iter()
            .all(|field| field.is_none())
            && self.source_cidr.is_none()
            && globs.iter().all(|globs| globs.is_empty())
    }
}

impl TryFrom<AllowedPrincipalEntry> for AllowedPrincipal {
    type Error = String;

    fn try_from(entry: AllowedPrincipalEntry) -> Result<Self, String> {
        if entry.reason.trim().is_empty() {
            return Err(format!("an exception from rule {} needs a `reason`", entry.rule));
        }
        Ok(Self {
            expires: entry.expires.ok_or(format!(
                "an exception from rule {} needs `expires = \"2026-12-31\"`",
                entry.rule
            ))?,
            source_cidr: entry.source_cidr.as_deref().map(parse_range).transpose()?,
            user_name: entry.user_name.into_globs()?,
            role_name: entry.role_name.into_globs()?,
            session_name: entry.session_name.into_globs()?,
            service_name: entry.service_name.into_globs()?,
            event_name: entry.event_name.into_globs()?,
            instances: entry.instances.into_globs()?,
            rule: entry.rule,
            reason: entry.reason,
            ticket: entry.ticket,
            access_key_id: entry.access_key_id,
            account_id: entry.account_id,
            user_type: entry.user_type,
            principal_id: entry.principal_id,
        })
    }
}

impl<'de> Deserialize<'de> for AllowedPrincipal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(AllowedPrincipalEntry::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

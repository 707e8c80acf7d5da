//! Known exceptions: who may do what a rule flags, from where, until when, and why.

use super::GlobList;
use super::cidr::{day, parse_range};
use chrono::{DateTime, NaiveDate};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error as _;
use std::net::IpAddr;

/// An exception. Every field given must fit.
#[derive(Debug, Clone)]
pub struct AllowedPrincipal {
    /// Id of the rule it concerns.
    pub rule: String,
    /// Why it is allowed.
    pub reason: String,
    /// Where that was decided.
    pub ticket: Option<String>,
    /// Last day it counts (UTC).
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rule: String,
    reason: String,
    ticket: Option<String>,
    #[serde(default, deserialize_with = "day")]
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

/// A pattern or several.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn globs(self) -> Result<GlobList, String> {
        let patterns = match self {
            Self::None => Vec::new(),
            Self::One(pattern) => vec![pattern],
            Self::Many(patterns) => patterns,
        };
        GlobList::new(patterns).map_err(|e| e.to_string())
    }
}

/// Who did something, as exceptions see it.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "named as the columns of `events`")]
pub struct Operator<'o> {
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
    /// True where the exception concerns `rule` and everything it names fits `operator`, on a day it counts. An event
    /// without a time fits no exception: whether it had expired is not known.
    #[must_use]
    pub fn allows(&self, rule: &str, operator: &Operator<'_>) -> bool {
        let exact = |want: &Option<String>, have: Option<&str>| {
            want.as_deref().is_none_or(|want| have == Some(want))
        };
        let glob = |want: &GlobList, have: Option<&str>| {
            want.is_empty() || have.is_some_and(|have| want.matches(have))
        };
        let day = operator
            .event_time
            .and_then(DateTime::from_timestamp_micros)
            .map(|time| time.date_naive());
        self.rule == rule
            && day.is_some_and(|day| day <= self.expires)
            && exact(&self.access_key_id, operator.access_key_id)
            && exact(&self.account_id, operator.account_id)
            && exact(&self.principal_id, operator.principal_id)
            && self.user_type.as_deref().is_none_or(|want| {
                operator.user_type.is_some_and(|have| have.eq_ignore_ascii_case(want))
            })
            && self
                .source_cidr
                .is_none_or(|range| operator.source_ip.is_some_and(|ip| range.contains(&ip)))
            && glob(&self.user_name, operator.user_name)
            && glob(&self.role_name, operator.role_name)
            && glob(&self.session_name, operator.session_name)
            && glob(&self.service_name, operator.service_name)
            && glob(&self.event_name, operator.event_name)
            && (self.instances.is_empty()
                || (!operator.instances.is_empty()
                    && operator.instances.iter().all(|instance| self.instances.matches(instance))))
    }

    /// What a suppressed finding names: reason and ticket.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.ticket {
            Some(ticket) => format!("allowed_principals: {} ({ticket})", self.reason),
            None => format!("allowed_principals: {}", self.reason),
        }
    }

    /// True where nothing but the rule limits the exception.
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

impl TryFrom<Written> for AllowedPrincipal {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.reason.trim().is_empty() {
            return Err(format!("an exception from rule {} needs a `reason`", written.rule));
        }
        Ok(Self {
            expires: written.expires.ok_or(format!(
                "an exception from rule {} needs `expires = \"2026-12-31\"`",
                written.rule
            ))?,
            source_cidr: written.source_cidr.as_deref().map(parse_range).transpose()?,
            user_name: written.user_name.globs()?,
            role_name: written.role_name.globs()?,
            session_name: written.session_name.globs()?,
            service_name: written.service_name.globs()?,
            event_name: written.event_name.globs()?,
            instances: written.instances.globs()?,
            rule: written.rule,
            reason: written.reason,
            ticket: written.ticket,
            access_key_id: written.access_key_id,
            account_id: written.account_id,
            user_type: written.user_type,
            principal_id: written.principal_id,
        })
    }
}

impl<'de> Deserialize<'de> for AllowedPrincipal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Written::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

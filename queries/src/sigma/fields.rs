//! Maps Sigma fields to columns of `events`, for field names of ActionTrail and of AWS CloudTrail.

use super::sql::quoted;
use crate::suggestion::did_you_mean;

/// The log source whose field names and values a rule uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// ActionTrail.
    ActionTrail,
    /// AWS CloudTrail. Field names, event names and values are mapped to ActionTrail's where there
    /// is a counterpart.
    CloudTrail,
}

/// A field as SQL.
#[derive(Debug, Clone)]
pub(super) struct FieldSql {
    /// SQL of the value, as text.
    pub(super) text: String,
    /// SQL of the value in lower case: `event_action` for the event name, else `lower(...)`.
    pub(super) lower: String,
    /// SQL of the list of its values, for a member of a JSON object, which can be a list.
    pub(super) values: Option<String>,
    /// SQL that is true where the event has the field with a value that is not null.
    known: String,
    /// SQL of the list of values that the event has in a form that the column cannot hold, such as null; `None` where only
    /// the column counts.
    pub(super) other_values: Option<String>,
    /// What its values are.
    pub(super) kind: FieldKind,
}

impl FieldSql {
    /// A column. Values of the field `path` that the column cannot hold, such as null or `-`, are in `raw` where the event was
    /// not in the vendor's own encoding, else in `extra`.
    fn column(text: impl Into<String>, path: &str, kind: FieldKind) -> Self {
        let text = text.into();
        Self {
            lower: format!("lower({text})"),
            known: format!("{text} IS NOT NULL"),
            values: None,
            other_values: Some(format!(
                "coalesce(values_at(raw, {0}), values_at(extra, {0}))",
                quoted(path)
            )),
            text,
            kind,
        }
    }

    /// A column whose values are mapped from CloudTrail's.
    fn mapped(text: impl Into<String>, kind: FieldKind) -> Self {
        Self { other_values: None, ..Self::column(text, "", kind) }
    }

    /// The member `path` of the JSON object in `column`.
    fn member(column: &str, path: &str) -> Self {
        let values = format!("values_at({column}, {})", quoted(path));
        let text = format!("param({column}, {})", quoted(path));
        Self {
            lower: format!("lower({text})"),
            known: String::new(),
            other_values: None,
            values: Some(values),
            text,
            kind: FieldKind::Text,
        }
    }

    /// The condition that the event has the field, or has not.
    pub(super) fn exists(&self, name: &str, there: bool) -> Result<String, String> {
        self.check_asked(name)?;
        let known = &self.known;
        Ok(match (self.values.as_ref(), self.other_values.as_ref(), there) {
            (Some(values), _, true) => format!("{values} IS NOT NULL"),
            (Some(values), _, false) => format!("{values} IS NULL"),
            (None, Some(others), true) => format!("({known} OR {others} IS NOT NULL)"),
            (None, Some(others), false) => {
                format!("(NOT coalesce({known}, false) AND {others} IS NULL)")
            }
            (None, None, true) => known.clone(),
            (None, None, false) => format!("NOT coalesce({known}, false)"),
        })
    }

    /// The condition that the field is missing or null.
    pub(super) fn is_null(&self, name: &str) -> Result<String, String> {
        self.check_asked(name)?;
        let is_null = |values: &str| format!("coalesce(any_is({values}, 'null', ''), true)");
        let unknown = format!("NOT coalesce({}, false)", self.known);
        Ok(match (&self.values, &self.other_values) {
            (Some(values), _) => is_null(values),
            (None, Some(others)) => format!("({unknown} AND {})", is_null(others)),
            (None, None) => unknown,
        })
    }

    /// SQL of the texts and lists that hold its values.
    pub(super) fn sources(&self) -> Vec<&String> {
        match &self.values {
            Some(values) => vec![values],
            None => std::iter::once(&self.text).chain(&self.other_values).collect(),
        }
    }

    fn check_asked(&self, name: &str) -> Result<(), String> {
        match self.kind {
            FieldKind::AwsOutcome => Err(format!(
                "`{name}` is a field of CloudTrail; whether an event has it cannot be asked of ActionTrail's"
            )),
            _ => Ok(()),
        }
    }

    /// The condition that at least one value of the field fulfils a comparison of `any_is`.
    pub(super) fn any_is(&self, comparison: &str, value: &str) -> String {
        list_is(self.values.as_ref().unwrap_or(&self.text), comparison, value)
    }

    /// `condition` about the text of a column, where `pattern` is the regular expression that it asks for. The column holds
    /// no value that stands for nothing, such as `-`, and holds others without the quotes and the white space around them:
    /// where the expression may match such a value, the event itself is asked by `comparison`.
    pub(super) fn with_sent_value(
        &self,
        condition: String,
        pattern: &str,
        comparison: &str,
        value: &str,
    ) -> String {
        match &self.other_values {
            Some(others) if may_match_other_spelling(pattern) => {
                format!("({condition} OR {})", list_is(others, comparison, value))
            }
            _ => condition,
        }
    }
}

fn list_is(values: &str, comparison: &str, value: &str) -> String {
    format!("any_is({values}, '{comparison}', {})", quoted(value))
}

/// True where the regular expression may match a text that a column holds in another form or not at all.
fn may_match_other_spelling(pattern: &str) -> bool {
    const PLACEHOLDERS: [&str; 9] = ["", " ", "   ", "-", " - ", "null", "NULL", "(null)", "\\N"];
    pattern.contains(|c: char| matches!(c, '"' | '[' | '{') || c.is_whitespace())
        || regex::Regex::new(pattern)
            .is_ok_and(|pattern| PLACEHOLDERS.iter().any(|text| pattern.is_match(text)))
}

/// The kind of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Text; numbers and booleans are compared as text.
    Text,
    /// The source address, which the lake also stores as an IP address.
    Address,
    /// The time of the event.
    Time,
    /// Whether MFA was used: yes, no or unknown.
    Mfa,
    /// A service name of CloudTrail.
    AwsService,
    /// An event name of CloudTrail.
    AwsEvent,
    /// An identity type of CloudTrail.
    AwsIdentity,
    /// The outcome of a sign-in in CloudTrail.
    AwsOutcome,
    /// An error code of CloudTrail.
    AwsError,
    /// Values that cannot be mapped; only `exists` and null can be tested.
    AwsOpaque,
}

/// Fields of ActionTrail and the columns that hold them.
const COLUMNS: [(&str, &str); 29] = [
    ("eventId", "event_id"),
    ("eventName", "event_name"),
    ("eventType", "event_type"),
    ("eventCategory", "event_category"),
    ("eventRW", "event_rw"),
    ("eventSource", "event_source"),
    ("serviceName", "service_name"),
    ("apiVersion", "api_version"),
    ("requestId", "request_id"),
    ("acsRegion", "acs_region"),
    ("recipientAccountId", "recipient_account_id"),
    ("vpcId", "vpc_id"),
    ("userAgent", "user_agent"),
    ("errorCode", "error_code"),
    ("errorMessage", "error_message"),
    ("resourceType", "resource_type"),
    ("resourceName", "resource_name"),
    ("requestParameters", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_event_data"),
    ("referencedResources", "referenced_resources"),
    ("userIdentity.type", "user_type"),
    ("userIdentity.principalId", "principal_id"),
    ("userIdentity.accountId", "account_id"),
    ("userIdentity.userName", "user_name"),
    ("userIdentity.accessKeyId", "access_key_id"),
    ("sourceIpAddress", "source_ip_address"),
    ("eventVersion", "schema_version"),
    ("requestParameterJson", "request_parameter_json"),
];

/// Fields of CloudTrail with the same meaning as a field of ActionTrail.
const CLOUDTRAIL_FIELDS: [(&str, &str); 5] = [
    ("sourceIPAddress", "sourceIpAddress"),
    ("userAgent", "userAgent"),
    ("userIdentity.accountId", "userIdentity.accountId"),
    ("recipientAccountId", "recipientAccountId"),
    ("userIdentity.userName", "userIdentity.userName"),
];

/// JSON objects of an event. A rule may name any of their members.
const OBJECTS: [(&str, &str); 4] = [
    ("requestParameters.", "request_parameters"),
    ("responseElements.", "response_elements"),
    ("additionalEventData.", "additional_event_data"),
    ("referencedResources.", "referenced_resources"),
];

/// Fields of the event format that no column holds: the lake keeps them in `extra`. A rule may name any member of those
/// that end in a dot.
const EXTRA_FIELDS: [&str; 5] = [
    "eventAttributes.",
    "insightDetails.",
    "sharedEventId",
    "userIdentity.invokedBy",
    "userIdentity.arn",
];

impl Dialect {
    /// The field `name` as SQL.
    ///
    /// # Errors
    /// The reason why the field has no column.
    pub(super) fn field(self, name: &str) -> Result<FieldSql, String> {
        match self {
            Self::ActionTrail => action_trail(name),
            Self::CloudTrail => cloud_trail(name),
        }
    }
}

fn action_trail(name: &str) -> Result<FieldSql, String> {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    if is("eventName") {
        // The lake also stores the event name in lower case, in a column with Bloom filters and
        // statistics.
        return Ok(FieldSql {
            lower: "event_action".to_owned(),
            ..FieldSql::column("event_name", "eventName", FieldKind::Text)
        });
    }
    if is("eventTime") {
        return Ok(FieldSql::column("event_time", "eventTime", FieldKind::Time));
    }
    if is("isGlobal") {
        let text = "CAST(is_global AS VARCHAR)";
        return Ok(FieldSql::column(text, "isGlobal", FieldKind::Text));
    }
    const CREATION: &str = "userIdentity.sessionContext.attributes.creationDate";
    if is(CREATION) {
        return Ok(FieldSql::column("session_created_at", CREATION, FieldKind::Time));
    }
    const SESSION_MFA: &str = "userIdentity.sessionContext.attributes.mfaAuthenticated";
    if is(SESSION_MFA) {
        return Ok(FieldSql {
            known: "session_mfa <> 'unknown'".to_owned(),
            ..FieldSql::column("session_mfa", SESSION_MFA, FieldKind::Mfa)
        });
    }
    if let Some((field, column)) = COLUMNS.iter().find(|(known, _)| is(known)) {
        let kind = if *field == "sourceIpAddress" { FieldKind::Address } else { FieldKind::Text };
        let sql = FieldSql::column(*column, field, kind);
        return Ok(match *column {
            // The column holds another field's account where the identity has none.
            "account_id" => FieldSql {
                known: "(account_id IS NOT NULL AND NOT coalesce(array_has_any(flags, ['account_from_recipient', 'account_from_path', 'account_from_owner_id']), false))".to_owned(),
                ..sql
            },
            _ => sql,
        });
    }
    for (object, column) in OBJECTS {
        if let Some(member) = after(object, name) {
            return Ok(FieldSql::member(column, member));
        }
    }
    let is_extra = EXTRA_FIELDS
        .iter()
        .any(|known| is(known) || known.ends_with('.') && after(known, name).is_some());
    if is_extra {
        return Ok(FieldSql::member("extra", name));
    }
    let suggestion = did_you_mean(name, COLUMNS.iter().map(|(known, _)| *known), "");
    Err(format!("ActionTrail has no field `{name}`{suggestion}"))
}

/// The name behind `start`.
fn after<'n>(start: &str, name: &'n str) -> Option<&'n str> {
    let head = name.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &name[start.len()..]).filter(|rest| !rest.is_empty())
}

fn cloud_trail(name: &str) -> Result<FieldSql, String> {
    if let Some((_, same)) =
        CLOUDTRAIL_FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        return action_trail(same);
    }
    Ok(match name.to_lowercase().as_str() {
        "eventsource" => FieldSql::mapped("service_name", FieldKind::AwsService),
        "eventname" => FieldSql {
            lower: "event_action".to_owned(),
            ..FieldSql::mapped("event_name", FieldKind::AwsEvent)
        },
        "useridentity.type" => FieldSql {
            lower: "lower(trim(user_type))".to_owned(),
            ..FieldSql::mapped("user_type", FieldKind::AwsIdentity)
        },
        // CloudTrail has no error code where ActionTrail can have an empty one.
        "errorcode" => FieldSql {
            known: "error_code <> ''".to_owned(),
            ..FieldSql::mapped("error_code", FieldKind::AwsError)
        },
        "errormessage" => FieldSql {
            known: "error_message <> ''".to_owned(),
            ..FieldSql::mapped("error_message", FieldKind::AwsOpaque)
        },
        "responseelements.consolelogin" => FieldSql::mapped("outcome", FieldKind::AwsOutcome),
        "additionaleventdata.mfaused" => FieldSql {
            known: "mfa <> 'unknown'".to_owned(),
            ..FieldSql::mapped("mfa", FieldKind::Mfa)
        },
        "awsregion" => FieldSql::mapped("acs_region", FieldKind::AwsOpaque),
        "useridentity.accesskeyid" => FieldSql::mapped("access_key_id", FieldKind::AwsOpaque),
        "useridentity.principalid" => FieldSql::mapped("principal_id", FieldKind::AwsOpaque),
        _ => {
            return Err(format!("ActionTrail has no counterpart of CloudTrail's field `{name}`"));
        }
    })
}

//! Findings as a table of SQL: what detection keeps beside the catalogue.

use crate::tables::catalog_table::CatalogTable;
use crate::tables::meanings::Meanings;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use trailhound_datasets::columns::text_item;
use trailhound_datasets::derive::time::parse;

/// Name of the table.
pub(crate) const FINDINGS_TABLE: &str = "findings";

/// How a column's value is found in a finding's JSON.
#[derive(Clone, Copy)]
enum Of {
    /// The text there.
    Text,
    /// The whole number there.
    Int,
    /// The RFC 3339 text there, as an instant.
    Time,
    /// The list of texts there.
    Texts,
    /// The member of that name of each object in the list there.
    Each(&'static str),
    /// How often it was told.
    Revision,
    /// What is to be done with it now.
    Status,
    /// All of it.
    Whole,
}

/// Name, place in the finding's JSON, how it is read, and meaning.
type Column = (&'static str, &'static str, Of, &'static str);

/// The columns of `findings`.
const COLUMNS: [Column; 36] = [
    ("finding_id", "/finding_id", Of::Text, "Stable: the same facts give the same id."),
    ("revision", "", Of::Revision, "How often it has said something new."),
    ("status", "", Of::Status, "`open`, `suppressed` or `withdrawn`."),
    ("rule_id", "/rule_id", Of::Text, "Id of the rule."),
    ("rule_version", "/rule_version", Of::Text, "Version of the rule."),
    ("variant", "/variant", Of::Text, "Which form of the rule; NULL for the main one."),
    ("severity", "/severity", Of::Text, "`info`, `low`, `medium`, `high` or `critical`."),
    ("title", "/title", Of::Text, "Title in English."),
    ("title_zh", "/title_zh", Of::Text, "Title in Chinese."),
    ("attack", "/attack", Of::Texts, "MITRE ATT&CK techniques."),
    ("account_id", "/account_id", Of::Text, "Account."),
    ("account_name", "/account_name", Of::Text, "The account's name from the parameters."),
    ("user_type", "/operator/type", Of::Text, "Kind of identity."),
    ("user_name", "/operator/name", Of::Text, "Name of the operator as sent."),
    ("principal_id", "/operator/principal_id", Of::Text, "Principal of the operator."),
    ("role_name", "/operator/role", Of::Text, "Role of an assumed role."),
    ("session_name", "/operator/session", Of::Text, "Session of an assumed role."),
    ("access_key_id", "/operator/access_key_id", Of::Text, "AccessKey id, masked."),
    ("credential_kind", "/operator/credential_kind", Of::Text, "Kind of credential."),
    ("source_ip_address", "/source_ip", Of::Text, "Where from, as sent."),
    ("source_class", "/source_class", Of::Text, "What kind of source that is."),
    ("client_ip", "/client_ip", Of::Text, "Best known address of the client."),
    ("user_agent", "/user_agent", Of::Text, "The client program, as it named itself."),
    ("first_seen", "/first_seen", Of::Time, "Time of its first event."),
    ("last_seen", "/last_seen", Of::Time, "Time of its last event."),
    ("count", "/count", Of::Int, "Events."),
    ("actions", "/actions", Of::Texts, "What was done, most frequent first."),
    ("regions", "/regions", Of::Texts, "Regions."),
    ("outcomes", "/outcomes", Of::Texts, "Outcomes."),
    ("targets", "/targets", Of::Each("id"), "What it was done to."),
    ("why", "/why", Of::Texts, "The predicates that held, with the values seen."),
    ("unknowns", "/unknowns", Of::Texts, "What could not be known and mattered."),
    (
        "verdict",
        "/verdict",
        Of::Text,
        "Operator, platform or schedule, where the rule judges that.",
    ),
    ("suppressed_by", "/suppressed_by", Of::Text, "What suppressed it."),
    ("event_ids", "/event_ids", Of::Texts, "Ids of all its events."),
    ("finding", "", Of::Whole, "All of it, as JSON."),
];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |&(name, _, of, _): &Column| {
        let data_type = match of {
            Of::Int | Of::Revision => DataType::Int64,
            Of::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Of::Texts | Of::Each(_) => DataType::List(text_item()),
            Of::Text | Of::Status | Of::Whole => DataType::Utf8,
        };
        Field::new(name, data_type, true)
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
});

/// A finding as kept.
struct Kept {
    revision: i64,
    status: String,
    text: String,
    json: Value,
}

/// The findings of the lake.
#[derive(Debug)]
pub(crate) struct Findings;

impl CatalogTable for Findings {
    type Row = (i64, String, String);
    const ALL: &'static str = "SELECT revision, status, finding FROM trailhound_finding";
    const ORDER: &'static str = "first_seen, finding_id";
    const TEXTS: &'static [&'static str] =
        &["finding_id", "rule_id", "rule_version", "status", "severity", "account_id"];
    const TIMES: &'static [&'static str] = &["first_seen"];

    fn schema() -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn columns(rows: Vec<Self::Row>, places: &[usize]) -> Result<Vec<ArrayRef>, DataFusionError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let kept = |(revision, status, text): Self::Row| {
            let json =
                serde_json::from_str(&text).map_err(|e| DataFusionError::External(Box::new(e)))?;
            Ok(Kept { revision, status, text, json })
        };
        let kept = rows.into_iter().map(kept).collect::<Result<Vec<_>, DataFusionError>>()?;
        Ok(places
            .iter()
            .filter_map(|place| COLUMNS.get(*place))
            .map(|&(_, at, of, _)| column(&kept, at, of))
            .collect())
    }
}

fn column(kept: &[Kept], place: &str, of: Of) -> ArrayRef {
    let text = |kept: &'_ Kept| kept.json.pointer(place).and_then(Value::as_str).map(str::to_owned);
    match of {
        Of::Text => Arc::new(kept.iter().map(text).collect::<StringArray>()),
        Of::Int => Arc::new(
            kept.iter()
                .map(|kept| kept.json.pointer(place).and_then(Value::as_i64))
                .collect::<Int64Array>(),
        ),
        Of::Time => {
            let times = kept.iter().map(|kept| text(kept).as_deref().and_then(parse));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Of::Texts | Of::Each(_) => {
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(text_item());
            for kept in kept {
                for entry in
                    kept.json.pointer(place).and_then(Value::as_array).into_iter().flatten()
                {
                    let entry = if let Of::Each(member) = of { &entry[member] } else { entry };
                    lists.values().append_option(entry.as_str());
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        }
        Of::Revision => {
            Arc::new(kept.iter().map(|kept| Some(kept.revision)).collect::<Int64Array>())
        }
        Of::Status => {
            Arc::new(kept.iter().map(|kept| Some(kept.status.as_str())).collect::<StringArray>())
        }
        Of::Whole => {
            Arc::new(kept.iter().map(|kept| Some(kept.text.as_str())).collect::<StringArray>())
        }
    }
}

/// What its columns mean.
pub(crate) fn meanings() -> Meanings {
    COLUMNS
        .iter()
        .map(|(name, _, _, meaning)| ((*name).to_owned(), (*meaning).to_owned()))
        .collect()
}

/// The text of `docs/findings.md`.
#[must_use]
pub fn documentation() -> String {
    let mut out = String::from(
        "# The table `findings`\n\nGenerated; a test compares. What the rules have found and kept, suppressed and withdrawn too. Each query reads it anew.\n\n\
         | column | type | meaning |\n| --- | --- | --- |\n",
    );
    for ((name, _, _, meaning), field) in COLUMNS.iter().zip(SCHEMA.fields()) {
        let data_type = match field.data_type() {
            DataType::Int64 => "whole number",
            DataType::Timestamp(..) => "instant, UTC",
            DataType::List(_) => "list of text",
            _ => "text",
        };
        out.push_str(&format!("| `{name}` | {data_type} | {meaning} |\n"));
    }
    out
}

//! The SQL table `findings`: the findings that detection stores in the catalog database.

use crate::tables::catalog_table::CatalogTable;
use crate::tables::meanings::ColumnMeanings;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use trailhound_datasets::columns::text_item;
use trailhound_datasets::derive::time::parse;

/// Name of the table.
pub(crate) const FINDINGS_TABLE: &str = "findings";

/// How the value of a column is read from a stored finding.
#[derive(Clone, Copy)]
enum FieldSource {
    /// The text at the JSON pointer.
    Text,
    /// The whole number at the pointer.
    Int,
    /// The RFC 3339 text at the pointer, as a timestamp.
    Time,
    /// The list of texts at the pointer.
    TextList,
    /// The member of this name of each object in the list at the pointer.
    MemberOfEach(&'static str),
    /// The revision number.
    Revision,
    /// The status.
    Status,
    /// The whole JSON text.
    Json,
}

/// Name, JSON pointer into the finding, source of the value, and meaning.
type FindingColumn = (&'static str, &'static str, FieldSource, &'static str);

/// The columns of `findings`.
const COLUMNS: [FindingColumn; 36] = [
    ("finding_id", "/finding_id", FieldSource::Text, "Stable: the same facts give the same id."),
    ("revision", "", FieldSource::Revision, "Number of times its content has changed."),
    ("status", "", FieldSource::Status, "`open`, `suppressed` or `withdrawn`."),
    ("rule_id", "/rule_id", FieldSource::Text, "Id of the rule."),
    ("rule_version", "/rule_version", FieldSource::Text, "Version of the rule."),
    ("variant", "/variant", FieldSource::Text, "Variant of the rule; NULL for the main one."),
    ("severity", "/severity", FieldSource::Text, "`info`, `low`, `medium`, `high` or `critical`."),
    ("title", "/title", FieldSource::Text, "Title in English."),
    ("title_zh", "/title_zh", FieldSource::Text, "Title in Chinese."),
    ("attack", "/attack", FieldSource::TextList, "MITRE ATT&CK techniques."),
    ("account_id", "/account_id", FieldSource::Text, "Account."),
    ("account_name", "/account_name", FieldSource::Text, "The account's name from the parameters."),
    ("user_type", "/operator/type", FieldSource::Text, "Kind of identity."),
    ("user_name", "/operator/name", FieldSource::Text, "User name of the operator, as sent."),
    ("principal_id", "/operator/principal_id", FieldSource::Text, "Principal of the operator."),
    ("role_name", "/operator/role", FieldSource::Text, "Role of an assumed role."),
    ("session_name", "/operator/session", FieldSource::Text, "Session of an assumed role."),
    ("access_key_id", "/operator/access_key_id", FieldSource::Text, "AccessKey id, masked."),
    ("credential_kind", "/operator/credential_kind", FieldSource::Text, "Kind of credential."),
    ("source_ip_address", "/source_ip", FieldSource::Text, "Source address, as sent."),
    ("source_class", "/source_class", FieldSource::Text, "Kind of source address."),
    ("client_ip", "/client_ip", FieldSource::Text, "Best known address of the client."),
    ("user_agent", "/user_agent", FieldSource::Text, "The client program, as it names itself."),
    ("first_seen", "/first_seen", FieldSource::Time, "Time of its first event."),
    ("last_seen", "/last_seen", FieldSource::Time, "Time of its last event."),
    ("count", "/count", FieldSource::Int, "Number of its events."),
    ("actions", "/actions", FieldSource::TextList, "Event names, most frequent first."),
    ("regions", "/regions", FieldSource::TextList, "Regions."),
    ("outcomes", "/outcomes", FieldSource::TextList, "Outcomes."),
    ("targets", "/targets", FieldSource::MemberOfEach("id"), "Resources it affects."),
    ("why", "/why", FieldSource::TextList, "The conditions that held, with the values seen."),
    ("unknowns", "/unknowns", FieldSource::TextList, "Relevant facts that are unknown."),
    (
        "verdict",
        "/verdict",
        FieldSource::Text,
        "Who acted: operator, platform or schedule, where the rule decides that.",
    ),
    (
        "suppressed_by",
        "/suppressed_by",
        FieldSource::Text,
        "The exception or change window that suppressed it.",
    ),
    ("event_ids", "/event_ids", FieldSource::TextList, "Ids of all its events."),
    ("finding", "", FieldSource::Json, "The whole finding, as JSON."),
];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |&(name, _, source, _): &FindingColumn| {
        let data_type = match source {
            FieldSource::Int | FieldSource::Revision => DataType::Int64,
            FieldSource::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            FieldSource::TextList | FieldSource::MemberOfEach(_) => DataType::List(text_item()),
            FieldSource::Text | FieldSource::Status | FieldSource::Json => DataType::Utf8,
        };
        Field::new(name, data_type, true)
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
});

/// A row of the table `findings`: a finding as the database stores it, and parsed.
#[derive(Debug)]
pub struct FindingRow {
    /// Number of the revision, from 1.
    pub revision: i64,
    /// `open`, `suppressed` or `withdrawn`.
    pub status: String,
    /// The finding as JSON text.
    pub text: String,
    /// The same JSON, parsed.
    pub json: Value,
}

/// The table `findings`.
#[derive(Debug)]
pub(crate) struct Findings;

impl CatalogTable for Findings {
    type Row = (i64, String, String);
    const SELECT: &'static str = "SELECT revision, status, finding FROM trailhound_latest_finding";
    const ORDER_BY: &'static str = "first_seen, finding_id";
    const TEXT_COLUMNS: &'static [&'static str] =
        &["finding_id", "rule_id", "rule_version", "status", "severity", "account_id"];
    const TIME_COLUMNS: &'static [&'static str] = &["first_seen"];

    fn schema() -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn columns(
        rows: Vec<Self::Row>,
        column_indices: &[usize],
    ) -> Result<Vec<ArrayRef>, DataFusionError> {
        if column_indices.is_empty() {
            return Ok(Vec::new());
        }
        let finding = |(revision, status, text): Self::Row| {
            let json =
                serde_json::from_str(&text).map_err(|e| DataFusionError::External(Box::new(e)))?;
            Ok(FindingRow { revision, status, text, json })
        };
        let findings =
            rows.into_iter().map(finding).collect::<Result<Vec<_>, DataFusionError>>()?;
        Ok(column_indices
            .iter()
            .filter_map(|index| COLUMNS.get(*index))
            .map(|&(_, pointer, source, _)| column(&findings, pointer, source))
            .collect())
    }
}

/// A batch of `findings` with all columns of the table.
///
/// # Errors
/// Errors of the query engine; none is expected, because the columns are made for the schema.
pub(crate) fn findings_batch(findings: &[FindingRow]) -> Result<RecordBatch, DataFusionError> {
    let columns = COLUMNS.iter().map(|&(_, pointer, source, _)| column(findings, pointer, source));
    Ok(RecordBatch::try_new(Findings::schema(), columns.collect())?)
}

fn column(findings: &[FindingRow], pointer: &str, source: FieldSource) -> ArrayRef {
    let text = |finding: &'_ FindingRow| {
        finding.json.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    match source {
        FieldSource::Text => Arc::new(findings.iter().map(text).collect::<StringArray>()),
        FieldSource::Int => Arc::new(
            findings
                .iter()
                .map(|finding| finding.json.pointer(pointer).and_then(Value::as_i64))
                .collect::<Int64Array>(),
        ),
        FieldSource::Time => {
            let times = findings.iter().map(|finding| text(finding).as_deref().and_then(parse));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        FieldSource::TextList | FieldSource::MemberOfEach(_) => {
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(text_item());
            for finding in findings {
                for entry in
                    finding.json.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
                {
                    let entry = if let FieldSource::MemberOfEach(member) = source {
                        &entry[member]
                    } else {
                        entry
                    };
                    lists.values().append_option(entry.as_str());
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        }
        FieldSource::Revision => {
            Arc::new(findings.iter().map(|finding| Some(finding.revision)).collect::<Int64Array>())
        }
        FieldSource::Status => Arc::new(
            findings.iter().map(|finding| Some(finding.status.as_str())).collect::<StringArray>(),
        ),
        FieldSource::Json => Arc::new(
            findings.iter().map(|finding| Some(finding.text.as_str())).collect::<StringArray>(),
        ),
    }
}

/// Meanings of its columns.
pub(crate) fn meanings() -> ColumnMeanings {
    COLUMNS
        .iter()
        .map(|(name, _, _, meaning)| ((*name).to_owned(), (*meaning).to_owned()))
        .collect()
}

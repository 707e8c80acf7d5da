//! Rows of a rule's query as values.

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use std::collections::HashMap;
use trailhound_datasets::derive::address;
use trailhound_queries::catalogue::Severity;
use trailhound_queries::parameters;

/// Columns of `events` that a finding is made of. A rule's query gives them all by selecting `events.*`.
pub(crate) const EVENT_COLUMNS: [&str; 27] = [
    "event_key",
    "event_id",
    "event_time",
    "account_id",
    "acs_region",
    "event_name",
    "service_name",
    "outcome",
    "user_type",
    "principal_id",
    "user_name",
    "role_name",
    "session_name",
    "access_key_id",
    "credential_kind",
    "source_ip_address",
    "source_class",
    "source_ip",
    "client_ip",
    "client_ip_provenance",
    "user_agent",
    "resources",
    "instance_ids",
    "source_object",
    "source_position",
    "flags",
    "event_action",
];

/// What a rule's query may add: its judgement of each row.
pub(crate) const JUDGEMENT_COLUMNS: [&str; 6] = ["severity", "why", "unknowns", "verdict", "variant", "expected_because"];

/// One matching event with the rule's judgement of it.
#[derive(Debug, Clone, Default)]
#[allow(dead_code, reason = "named as the columns")]
pub(crate) struct Match {
    pub(crate) event_key: Vec<u8>,
    pub(crate) event_time: Option<i64>,
    pub(crate) source_position: Option<i64>,
    pub(crate) source_ip: Option<std::net::IpAddr>,
    pub(crate) resources: Vec<(Option<String>, String)>,
    pub(crate) instance_ids: Vec<String>,
    pub(crate) severity: Option<Severity>,
    texts: HashMap<&'static str, String>,
    /// Values of the rule's dedup columns, as text.
    pub(crate) dedup: Vec<String>,
}

impl Match {
    /// A text column, `None` where NULL.
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        self.texts.get(column).map(String::as_str)
    }

    pub(crate) fn owned(&self, column: &str) -> Option<String> {
        self.texts.get(column).cloned()
    }

    /// Reasons, which queries write in one text separated by `; `.
    pub(crate) fn list(&self, column: &str) -> impl Iterator<Item = &str> {
        self.text(column).unwrap_or("").split("; ").filter(|part| !part.is_empty())
    }

    /// The event as exceptions see it.
    pub(crate) fn operator(&self) -> parameters::Operator<'_> {
        parameters::Operator {
            event_time: self.event_time,
            access_key_id: self.text("access_key_id"),
            source_ip: self.source_ip,
            account_id: self.text("account_id"),
            user_type: self.text("user_type"),
            user_name: self.text("user_name"),
            role_name: self.text("role_name"),
            session_name: self.text("session_name"),
            principal_id: self.text("principal_id"),
            service_name: self.text("service_name"),
            event_name: self.text("event_name"),
            instances: &self.instance_ids,
        }
    }
}

/// Reads all rows of `batch`; `dedup` names the columns that group matches.
pub(crate) fn read(batch: &RecordBatch, dedup: &[String]) -> Result<Vec<Match>> {
    let mut rows = vec![Match::default(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        read_column(field.name(), column, &mut rows)?;
    }
    for name in dedup {
        let column = batch
            .column_by_name(name)
            .ok_or_else(|| DataFusionError::Plan(format!("the query gives no column `{name}`, which groups its matches")))?;
        let texts = cast(column, &DataType::Utf8)?;
        for (row, text) in rows.iter_mut().zip(texts.as_string::<i32>()) {
            row.dedup.push(text.unwrap_or("\u{0}").to_owned());
        }
    }
    Ok(rows)
}

fn read_column(name: &str, column: &ArrayRef, rows: &mut [Match]) -> Result<()> {
    match name {
        "event_key" | "source_ip" => {
            let bytes = cast(column, &DataType::Binary)?;
            for (row, value) in rows.iter_mut().zip(bytes.as_binary::<i32>()) {
                if name == "event_key" {
                    row.event_key = value.unwrap_or_default().to_vec();
                } else {
                    row.source_ip = value.and_then(|value| value.try_into().ok()).map(address::from_bytes);
                }
            }
        }
        "event_time" => {
            let micros = cast(&cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?, &DataType::Int64)?;
            for (row, value) in rows.iter_mut().zip(micros.as_primitive::<Int64Type>()) {
                row.event_time = value;
            }
        }
        "source_position" => {
            for (row, value) in rows.iter_mut().zip(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>()) {
                row.source_position = value;
            }
        }
        "instance_ids" => {
            for (row, value) in rows.iter_mut().zip(column.as_list::<i32>().iter()) {
                row.instance_ids = texts(value)?;
            }
        }
        "resources" => {
            for (row, value) in rows.iter_mut().zip(column.as_list::<i32>().iter()) {
                row.resources = pairs(value)?;
            }
        }
        "severity" => {
            let names = cast(column, &DataType::Utf8)?;
            for (row, name) in rows.iter_mut().zip(names.as_string::<i32>()) {
                row.severity = match name {
                    Some(name) => Some(Severity::from_name(name).ok_or_else(|| DataFusionError::Plan(format!("`{name}` is no severity")))?),
                    None => None,
                };
            }
        }
        "flags" => {}
        _ => {
            let Some(known) = EVENT_COLUMNS.into_iter().chain(JUDGEMENT_COLUMNS).find(|known| *known == name) else { return Ok(()) };
            let texts = cast(column, &DataType::Utf8)?;
            for (row, value) in rows.iter_mut().zip(texts.as_string::<i32>()) {
                if let Some(value) = value {
                    row.texts.insert(known, value.to_owned());
                }
            }
        }
    }
    Ok(())
}

fn texts(value: Option<ArrayRef>) -> Result<Vec<String>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let texts = cast(&value, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
}

fn pairs(value: Option<ArrayRef>) -> Result<Vec<(Option<String>, String)>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let pairs = value.as_struct();
    let kinds = cast(pairs.column(0), &DataType::Utf8)?;
    let ids = cast(pairs.column(1), &DataType::Utf8)?;
    let ids = ids.as_string::<i32>();
    Ok(kinds.as_string::<i32>().iter().zip(ids).filter_map(|(kind, id)| Some((kind.map(str::to_owned), id?.to_owned()))).collect())
}

//! The result rows of a rule's query, read from Arrow batches: one row is one matching event with
//! the rule's judgement of it.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use std::collections::HashMap;
use trailhound_datasets::derive::address;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{Rule, Severity};
use trailhound_queries::parameters;
use trailhound_queries::session::Session;

/// The columns of `events` that findings are made of. A rule's query returns all of them by
/// selecting `events.*`.
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

/// Optional columns that a rule's query may add: the rule's judgement of each row.
pub(crate) const JUDGEMENT_COLUMNS: [&str; 6] =
    ["severity", "why", "unknowns", "verdict", "variant", "expected_because"];

/// One batch of a rule's result, as typed columns. Rows are read in place and not copied, so many
/// matches take memory once.
#[derive(Debug, Default)]
pub(crate) struct MatchBatch {
    row_count: usize,
    /// Text columns by name.
    texts: HashMap<&'static str, StringArray>,
    event_key: Option<BinaryArray>,
    event_time: Option<Int64Array>,
    source_position: Option<Int64Array>,
    source_ip: Option<BinaryArray>,
    instance_ids: Option<TextLists>,
    resources: Option<TextLists>,
    severity: Vec<Option<Severity>>,
    /// The rule's dedup columns, as text.
    dedup: Vec<StringArray>,
}

/// A column of lists: of ids, or of pairs of type and id.
#[derive(Debug)]
struct TextLists {
    lists: ListArray,
    /// Types, where the lists hold pairs.
    kinds: Option<StringArray>,
    ids: StringArray,
}

/// One matching event with the rule's judgement of it: a row of a [`MatchBatch`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchRow<'r> {
    batch: &'r MatchBatch,
    row: usize,
}

impl MatchBatch {
    /// Iterates over the rows in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = MatchRow<'_>> {
        (0..self.row_count).map(|row| MatchRow { batch: self, row })
    }
}

impl<'r> MatchRow<'r> {
    /// The value of a text column; `None` for NULL and for a column that the query does not return.
    pub(crate) fn text(self, column: &str) -> Option<&'r str> {
        self.batch
            .texts
            .get(column)
            .filter(|texts| texts.is_valid(self.row))
            .map(|texts| texts.value(self.row))
    }

    /// As [`Self::text`], as an owned `String`.
    pub(crate) fn owned(self, column: &str) -> Option<String> {
        self.text(column).map(str::to_owned)
    }

    /// The parts of a text column whose parts are separated by `; `: `why` and `unknowns`.
    pub(crate) fn list(self, column: &str) -> impl Iterator<Item = &'r str> {
        self.text(column).unwrap_or("").split("; ").filter(|part| !part.is_empty())
    }

    /// The key of the event in the lake.
    pub(crate) fn event_key(self) -> &'r [u8] {
        self.batch.event_key.as_ref().map_or(&[], |keys| keys.value(self.row))
    }

    /// The time of the event, microseconds since 1970 UTC; `None` where it has none.
    pub(crate) fn event_time(self) -> Option<i64> {
        self.batch
            .event_time
            .as_ref()
            .filter(|times| times.is_valid(self.row))
            .map(|times| times.value(self.row))
    }

    /// The number of the event in its source object.
    pub(crate) fn source_position(self) -> Option<i64> {
        self.batch
            .source_position
            .as_ref()
            .filter(|positions| positions.is_valid(self.row))
            .map(|positions| positions.value(self.row))
    }

    /// The severity that the query gives this row; `None` where the rule's own applies.
    pub(crate) fn severity(self) -> Option<Severity> {
        self.batch.severity.get(self.row).copied().flatten()
    }

    /// The values of the rule's dedup columns, as text; NULL is `"\0"`.
    pub(crate) fn dedup(self) -> impl Iterator<Item = &'r str> {
        self.batch.dedup.iter().map(move |texts| {
            if texts.is_valid(self.row) { texts.value(self.row) } else { "\u{0}" }
        })
    }

    /// Ids of the ECS instances the event concerns.
    pub(crate) fn instance_ids(self) -> Vec<String> {
        self.batch
            .instance_ids
            .iter()
            .flat_map(|lists| lists.entries(self.row))
            .map(|(_, id)| id.to_owned())
            .collect()
    }

    /// Type and id of each resource the event concerns.
    pub(crate) fn resources(self) -> impl Iterator<Item = (Option<&'r str>, &'r str)> {
        self.batch.resources.iter().flat_map(move |lists| lists.entries(self.row))
    }

    /// The fields of the event that allowed principals and change windows are compared with.
    pub(crate) fn operator<'o>(self, instances: &'o [String]) -> parameters::PrincipalAttributes<'o>
    where
        'r: 'o,
    {
        let source_ip = self
            .batch
            .source_ip
            .as_ref()
            .filter(|ips| ips.is_valid(self.row))
            .map(|ips| ips.value(self.row));
        parameters::PrincipalAttributes {
            event_time: self.event_time(),
            access_key_id: self.text("access_key_id"),
            source_ip: source_ip.and_then(|value| value.try_into().ok()).map(address::from_bytes),
            account_id: self.text("account_id"),
            user_type: self.text("user_type"),
            user_name: self.text("user_name"),
            role_name: self.text("role_name"),
            session_name: self.text("session_name"),
            principal_id: self.text("principal_id"),
            service_name: self.text("service_name"),
            event_name: self.text("event_name"),
            instances,
        }
    }
}

impl TextLists {
    /// Reads a column of lists of texts.
    fn texts(column: &ArrayRef) -> Result<Self> {
        let lists = column.as_list::<i32>().clone();
        Ok(Self { ids: utf8(lists.values())?, kinds: None, lists })
    }

    /// Reads a column of lists of structs of type and id.
    fn pairs(column: &ArrayRef) -> Result<Self> {
        let lists = column.as_list::<i32>().clone();
        let pairs = lists.values().as_struct();
        Ok(Self { kinds: Some(utf8(pairs.column(0))?), ids: utf8(pairs.column(1))?, lists })
    }

    /// The entries of the list in `row`: type, where there is one, and id. NULL ids are left out.
    fn entries(&self, row: usize) -> impl Iterator<Item = (Option<&str>, &str)> {
        let offsets = self.lists.value_offsets();
        let range = if self.lists.is_valid(row) {
            offsets[row] as usize..offsets[row + 1] as usize
        } else {
            0..0
        };
        range.filter(|&at| self.ids.is_valid(at)).map(|at| {
            let kind =
                self.kinds.as_ref().filter(|kinds| kinds.is_valid(at)).map(|kinds| kinds.value(at));
            (kind, self.ids.value(at))
        })
    }
}

/// Reads the columns of `batch`. `dedup` names the columns that group matches.
///
/// # Errors
/// A column of an unexpected type, a severity that does not exist, or a dedup column that the query
/// does not return.
pub(crate) fn read_matches(batch: &RecordBatch, dedup: &[String]) -> Result<MatchBatch> {
    let mut rows = MatchBatch { row_count: batch.num_rows(), ..MatchBatch::default() };
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        read_column(field.name(), column, &mut rows)?;
    }
    for name in dedup {
        let column = batch.column_by_name(name).ok_or_else(|| {
            DataFusionError::Plan(format!(
                "the query returns no column `{name}`, by which matches are grouped"
            ))
        })?;
        rows.dedup.push(utf8(column)?);
    }
    Ok(rows)
}

fn read_column(name: &str, column: &ArrayRef, rows: &mut MatchBatch) -> Result<()> {
    match name {
        "event_key" => rows.event_key = Some(binary(column)?),
        "source_ip" => rows.source_ip = Some(binary(column)?),
        "event_time" => {
            rows.event_time = Some(utc_micros(column)?);
        }
        "source_position" => rows.source_position = Some(int64(column)?),
        "instance_ids" => rows.instance_ids = Some(TextLists::texts(column)?),
        "resources" => rows.resources = Some(TextLists::pairs(column)?),
        "severity" => {
            let parse = |name| {
                Severity::from_name(name)
                    .ok_or_else(|| DataFusionError::Plan(format!("`{name}` is no severity")))
            };
            rows.severity = utf8(column)?
                .iter()
                .map(|name| name.map(parse).transpose())
                .collect::<Result<_>>()?;
        }
        // No finding holds the flags of an event.
        "flags" => {}
        _ => {
            if let Some(known) =
                EVENT_COLUMNS.into_iter().chain(JUDGEMENT_COLUMNS).find(|known| *known == name)
            {
                rows.texts.insert(known, utf8(column)?);
            }
        }
    }
    Ok(())
}

/// Casts a column to text.
pub(crate) fn utf8(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// Casts a column to bytes.
pub(crate) fn binary(column: &ArrayRef) -> Result<BinaryArray> {
    Ok(cast(column, &DataType::Binary)?.as_binary::<i32>().clone())
}

/// Casts a column of instants to microseconds since 1970 UTC.
pub(crate) fn utc_micros(column: &ArrayRef) -> Result<Int64Array> {
    int64(&cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)
}

/// Casts a column to 64-bit integers.
pub(crate) fn int64(column: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Plans a rule's query `sql`, reduced to the columns that findings are made of, which include those
/// of its dedup key `dedup`.
///
/// # Errors
/// [`SessionError`] where the query cannot be planned or lacks one of these columns.
pub(crate) async fn plan_matches(
    session: &Session,
    sql: &str,
    dedup: &[String],
) -> Result<DataFrame, SessionError> {
    let frame = session.sql(sql).await?;
    let schema = frame.schema().clone();
    let mut columns: Vec<&str> = EVENT_COLUMNS.to_vec();
    columns.extend(
        JUDGEMENT_COLUMNS.into_iter().filter(|name| schema.has_column_with_unqualified_name(name)),
    );
    for name in dedup {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    Ok(frame.select_columns(&columns)?)
}

/// The columns of the rule's dedup key; empty for a rule without one.
pub(crate) fn dedup_columns(rule: &Rule) -> &[String] {
    rule.dedup.as_ref().map_or(&[], |dedup| &dedup.columns)
}

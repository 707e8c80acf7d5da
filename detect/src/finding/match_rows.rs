//! Rows of a rule's query as values.

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
pub(crate) const JUDGEMENT_COLUMNS: [&str; 6] =
    ["severity", "why", "unknowns", "verdict", "variant", "expected_because"];

/// The rows of one batch that a rule's query gave, read where they stand: a flood of them is held once.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    count: usize,
    texts: HashMap<&'static str, StringArray>,
    event_key: Option<BinaryArray>,
    event_time: Option<Int64Array>,
    source_position: Option<Int64Array>,
    source_ip: Option<BinaryArray>,
    instance_ids: Option<Lists>,
    resources: Option<Lists>,
    severity: Vec<Option<Severity>>,
    /// Values of the rule's dedup columns, as text.
    dedup: Vec<StringArray>,
}

/// Lists of texts, or of pairs of texts.
#[derive(Debug)]
struct Lists {
    lists: ListArray,
    kinds: Option<StringArray>,
    ids: StringArray,
}

/// One matching event with the rule's judgement of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchRow<'r> {
    rows: &'r Rows,
    row: usize,
}

impl Rows {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = MatchRow<'_>> {
        (0..self.count).map(|row| MatchRow { rows: self, row })
    }
}

impl<'r> MatchRow<'r> {
    /// A text column, `None` where NULL.
    pub(crate) fn text(self, column: &str) -> Option<&'r str> {
        self.rows
            .texts
            .get(column)
            .filter(|texts| texts.is_valid(self.row))
            .map(|texts| texts.value(self.row))
    }

    pub(crate) fn owned(self, column: &str) -> Option<String> {
        self.text(column).map(str::to_owned)
    }

    /// Reasons, which queries write in one text separated by `; `.
    pub(crate) fn list(self, column: &str) -> impl Iterator<Item = &'r str> {
        self.text(column).unwrap_or("").split("; ").filter(|part| !part.is_empty())
    }

    pub(crate) fn event_key(self) -> &'r [u8] {
        self.rows.event_key.as_ref().map_or(&[], |keys| keys.value(self.row))
    }

    pub(crate) fn event_time(self) -> Option<i64> {
        self.rows
            .event_time
            .as_ref()
            .filter(|times| times.is_valid(self.row))
            .map(|times| times.value(self.row))
    }

    pub(crate) fn source_position(self) -> Option<i64> {
        self.rows
            .source_position
            .as_ref()
            .filter(|positions| positions.is_valid(self.row))
            .map(|positions| positions.value(self.row))
    }

    pub(crate) fn severity(self) -> Option<Severity> {
        self.rows.severity.get(self.row).copied().flatten()
    }

    /// Values of the rule's dedup columns, as text.
    pub(crate) fn dedup(self) -> impl Iterator<Item = &'r str> {
        self.rows.dedup.iter().map(move |texts| {
            if texts.is_valid(self.row) { texts.value(self.row) } else { "\u{0}" }
        })
    }

    pub(crate) fn instance_ids(self) -> Vec<String> {
        self.rows
            .instance_ids
            .iter()
            .flat_map(|lists| lists.of(self.row))
            .map(|(_, id)| id.to_owned())
            .collect()
    }

    /// Type and id of each resource.
    pub(crate) fn resources(self) -> impl Iterator<Item = (Option<&'r str>, &'r str)> {
        self.rows.resources.iter().flat_map(move |lists| lists.of(self.row))
    }

    /// The event as exceptions see it.
    pub(crate) fn operator<'o>(self, instances: &'o [String]) -> parameters::Operator<'o>
    where
        'r: 'o,
    {
        let source_ip = self
            .rows
            .source_ip
            .as_ref()
            .filter(|ips| ips.is_valid(self.row))
            .map(|ips| ips.value(self.row));
        parameters::Operator {
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

impl Lists {
    fn texts(column: &ArrayRef) -> Result<Self> {
        let lists = column.as_list::<i32>().clone();
        Ok(Self { ids: text(lists.values())?, kinds: None, lists })
    }

    fn pairs(column: &ArrayRef) -> Result<Self> {
        let lists = column.as_list::<i32>().clone();
        let pairs = lists.values().as_struct();
        Ok(Self { kinds: Some(text(pairs.column(0))?), ids: text(pairs.column(1))?, lists })
    }

    fn of(&self, row: usize) -> impl Iterator<Item = (Option<&str>, &str)> {
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

/// Reads all rows of `batch`; `dedup` names the columns that group matches.
pub(crate) fn read(batch: &RecordBatch, dedup: &[String]) -> Result<Rows> {
    let mut rows = Rows { count: batch.num_rows(), ..Rows::default() };
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        read_column(field.name(), column, &mut rows)?;
    }
    for name in dedup {
        let column = batch.column_by_name(name).ok_or_else(|| {
            DataFusionError::Plan(format!(
                "the query gives no column `{name}`, which groups its matches"
            ))
        })?;
        rows.dedup.push(text(column)?);
    }
    Ok(rows)
}

fn read_column(name: &str, column: &ArrayRef, rows: &mut Rows) -> Result<()> {
    match name {
        "event_key" => rows.event_key = Some(bytes(column)?),
        "source_ip" => rows.source_ip = Some(bytes(column)?),
        "event_time" => {
            rows.event_time = Some(micros(column)?);
        }
        "source_position" => rows.source_position = Some(whole(column)?),
        "instance_ids" => rows.instance_ids = Some(Lists::texts(column)?),
        "resources" => rows.resources = Some(Lists::pairs(column)?),
        "severity" => {
            let known = |name| {
                Severity::from_name(name)
                    .ok_or_else(|| DataFusionError::Plan(format!("`{name}` is no severity")))
            };
            rows.severity = text(column)?
                .iter()
                .map(|name| name.map(known).transpose())
                .collect::<Result<_>>()?;
        }
        "flags" => {}
        _ => {
            if let Some(known) =
                EVENT_COLUMNS.into_iter().chain(JUDGEMENT_COLUMNS).find(|known| *known == name)
            {
                rows.texts.insert(known, text(column)?);
            }
        }
    }
    Ok(())
}

pub(crate) fn text(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

pub(crate) fn bytes(column: &ArrayRef) -> Result<BinaryArray> {
    Ok(cast(column, &DataType::Binary)?.as_binary::<i32>().clone())
}

/// Instants, as microseconds since 1970.
pub(crate) fn micros(column: &ArrayRef) -> Result<Int64Array> {
    whole(&cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)
}

pub(crate) fn whole(column: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The rule's query with the columns that findings are made of.
pub(crate) async fn judged(session: &Session, rule: &Rule) -> Result<DataFrame, SessionError> {
    let frame = session.sql(&rule.sql).await?;
    let schema = frame.schema().clone();
    let mut wanted: Vec<&str> = EVENT_COLUMNS.to_vec();
    wanted.extend(
        JUDGEMENT_COLUMNS.into_iter().filter(|name| schema.has_column_with_unqualified_name(name)),
    );
    for name in dedup_columns(rule) {
        if !wanted.contains(&name.as_str()) {
            wanted.push(name);
        }
    }
    Ok(frame.select_columns(&wanted)?)
}

/// The columns of the rule's dedup key.
pub(crate) fn dedup_columns(rule: &Rule) -> &[String] {
    rule.dedup.as_ref().map_or(&[], |dedup| &dedup.columns)
}

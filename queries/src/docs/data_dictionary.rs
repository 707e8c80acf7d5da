//! Data dictionary of a session: tables, views, their columns and what they mean. The shell and
//! `docs/vocabulary.md` show it.

use crate::functions::FUNCTIONS;
use crate::limits::SessionError;
use crate::session::Session;
use crate::tables::catalog_table::CatalogTable;
use crate::tables::findings::{self, Findings};
use crate::tables::meanings::ColumnMeanings;
use crate::tables::query_log;
use crate::tables::views::VIEWS;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use trailhound_datasets::columns::{COLUMNS, COPIES_COLUMNS, ColumnType, QUARANTINE_COLUMNS};

/// Prefix of a line that describes a column in the file of a view: `--| name: meaning`.
const COLUMN_PREFIX: &str = "--|";

/// Description of a table or view.
#[derive(Debug, Clone)]
pub struct TableDescription {
    /// Name.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub description: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnDescription>,
}

/// Description of a column.
#[derive(Debug, Clone)]
pub struct ColumnDescription {
    /// Name.
    pub name: String,
    /// Type, in words for people.
    pub type_name: String,
    /// What it means.
    pub meaning: String,
}

/// Describes every table and view of `session`, tables first.
///
/// # Errors
/// [`SessionError::Engine`] where the schema of a view cannot be read.
pub async fn describe_tables(session: &Session) -> Result<Vec<TableDescription>, SessionError> {
    let event_meanings: ColumnMeanings =
        COLUMNS.iter().map(|column| (column.name.to_owned(), column.meaning.to_owned())).collect();
    let tables = [
        ("events", "Every event, once.", event_meanings.clone()),
        (
            "findings",
            "Findings that are stored, with suppressed and withdrawn ones.",
            findings::meanings(),
        ),
        (
            "query_log",
            "Statements that clients of the query server have run, and how they ended.",
            query_log::meanings(),
        ),
        (
            "quarantine",
            "Records that are not valid events, with their bytes and the reason.",
            meanings(QUARANTINE_COLUMNS),
        ),
        (
            "event_copies",
            "Further sources that have delivered an event that is already stored.",
            meanings(COPIES_COLUMNS),
        ),
    ];
    let mut all = Vec::new();
    for (name, description, meanings) in tables {
        all.push(describe_table(session, name, description.to_owned(), &meanings).await?);
    }
    for (name, sql) in VIEWS {
        // A column that a view takes over from `events` keeps its meaning.
        let mut column_meanings =
            if name == "copies" { meanings(COPIES_COLUMNS) } else { event_meanings.clone() };
        let (description, own) = view_description(sql);
        column_meanings.extend(own);
        all.push(describe_table(session, name, description, &column_meanings).await?);
    }
    Ok(all)
}

async fn describe_table(
    session: &Session,
    name: &str,
    description: String,
    meanings: &ColumnMeanings,
) -> Result<TableDescription, SessionError> {
    let schema = session.context().table_provider(name).await?.schema();
    let columns = schema.fields().iter().map(|field| ColumnDescription {
        name: field.name().clone(),
        type_name: type_name(field.data_type()),
        meaning: meanings.get(field.name()).cloned().unwrap_or_default(),
    });
    Ok(TableDescription { name: name.to_owned(), description, columns: columns.collect() })
}

fn meanings(columns: &[(&str, ColumnType, &str)]) -> ColumnMeanings {
    columns.iter().map(|(name, _, meaning)| ((*name).to_owned(), (*meaning).to_owned())).collect()
}

/// The description of a view and the meanings of its columns, from the comment at the top of its
/// file.
fn view_description(sql: &str) -> (String, ColumnMeanings) {
    let lines = sql.lines().take_while(|line| line.starts_with("--"));
    let (column_meanings, of_all): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with(COLUMN_PREFIX));
    let column_meanings =
        column_meanings.iter().filter_map(|line| line.strip_prefix(COLUMN_PREFIX)?.split_once(':'));
    let words: Vec<&str> = of_all.iter().map(|line| line.trim_start_matches('-').trim()).collect();
    (
        words.join(" ").trim().to_owned(),
        column_meanings
            .map(|(name, meaning)| (name.trim().to_owned(), meaning.trim().to_owned()))
            .collect(),
    )
}

/// Name of an Arrow type, in words for people.
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "bytes".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        DataType::List(item) => format!("list of {}", type_name(item.data_type())),
        DataType::Struct(fields) => format!(
            "{{{}}}",
            fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
        ),
        DataType::Decimal128(_, 0) => "whole number".to_owned(),
        DataType::Decimal128(..) => "number".to_owned(),
        DataType::Interval(_) => "interval".to_owned(),
        type_name if type_name.is_integer() => "whole number".to_owned(),
        type_name if type_name.is_floating() => "number".to_owned(),
        other => other.to_string(),
    }
}

/// The text of `docs/vocabulary.md`.
///
/// # Errors
/// [`SessionError`].
pub async fn vocabulary_page(session: &Session) -> Result<String, SessionError> {
    use std::fmt::Write as _;
    let mut out = "# Tables, views and functions\n\nGenerated; a test compares. NULL means \"not known\", never \"no\". The tables:\n\
        [`events`](events.md), [`findings`](findings.md), `quarantine` and `event_copies` (in [events.md](events.md)), and `query_log`, below. `copies` is the former name of `event_copies` until 0.3.0.\n\n## `query_log` and the views\n"
        .to_owned();
    let has_own_columns = |name: &str| {
        VIEWS.iter().all(|(view, sql)| {
            *view != name || sql.lines().any(|line| line.starts_with(COLUMN_PREFIX))
        })
    };
    let elsewhere = ["events", "findings", "quarantine", "event_copies", "copies"];
    for table in describe_tables(session)
        .await?
        .iter()
        .filter(|table| !elsewhere.contains(&table.name.as_str()))
    {
        let _ = writeln!(out, "\n### `{}`\n\n{}\n", table.name, table.description);
        if has_own_columns(&table.name) {
            out.push_str("| column | type | meaning |\n| --- | --- | --- |\n");
            for column in &table.columns {
                let _ = writeln!(
                    out,
                    "| `{}` | {} | {} |",
                    column.name, column.type_name, column.meaning
                );
            }
        } else {
            out.push_str("Its columns are those of [`events`](events.md).\n");
        }
    }
    out.push_str("\n## Functions\n\nFunctions of the product, in addition to those of the engine. All return NULL for unknown input.\n\n| function | returns |\n| --- | --- |\n");
    for (name, arguments, meaning) in FUNCTIONS {
        let _ = writeln!(out, "| `{name}{arguments}` | {meaning} |");
    }
    Ok(out)
}

/// The text of `docs/findings.md`.
#[must_use]
pub fn findings_page() -> String {
    let mut page = String::from(
        "# The table `findings`\n\nGenerated; a test compares. Findings that are stored, with suppressed and withdrawn ones. Each query reads it anew.\n\n\
         | column | type | meaning |\n| --- | --- | --- |\n",
    );
    let meanings = findings::meanings();
    for field in Findings::schema().fields() {
        let data_type = match field.data_type() {
            DataType::Int64 => "whole number",
            DataType::Timestamp(..) => "instant, UTC",
            DataType::List(_) => "list of text",
            _ => "text",
        };
        let meaning = meanings.get(field.name()).map_or("", String::as_str);
        page.push_str(&format!("| `{}` | {data_type} | {meaning} |\n", field.name()));
    }
    page
}

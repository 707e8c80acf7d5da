//! What there is to ask for: tables, views and their columns with what they mean, for the shell and the documentation.

use crate::functions::FUNCTIONS;
use crate::limits::SessionError;
use crate::session::Session;
use crate::tables::findings;
use crate::tables::meanings::Meanings;
use crate::tables::query_log;
use crate::tables::views::VIEWS;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use trailhound_datasets::columns::{COLUMNS, COPIES_COLUMNS, ColumnType, QUARANTINE_COLUMNS};

/// What starts a line about a column in the file of a view.
const OF_COLUMN: &str = "--|";

/// A table or view.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub shows: String,
    /// Its columns in order.
    pub columns: Vec<Described>,
}

/// A column with its meaning.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its type in words.
    pub kind: String,
    /// What it means.
    pub meaning: String,
}

/// Every table and view of `session`, tables first.
///
/// # Errors
/// [`SessionError`].
pub async fn relations(session: &Session) -> Result<Vec<Relation>, SessionError> {
    let of_events: Meanings =
        COLUMNS.iter().map(|column| (column.name.to_owned(), column.meaning.to_owned())).collect();
    let tables = [
        ("events", "Every event, once.", of_events.clone()),
        (
            "findings",
            "What the rules have found and kept, suppressed and withdrawn too.",
            findings::meanings(),
        ),
        (
            "query_log",
            "What was asked by the doors of the service, and how it ended.",
            query_log::meanings(),
        ),
        (
            "quarantine",
            "Records that are no events, with their bytes and the reason.",
            meanings(QUARANTINE_COLUMNS),
        ),
        (
            "copies",
            "Further sources that have brought an event which is stored already.",
            meanings(COPIES_COLUMNS),
        ),
    ];
    let mut all = Vec::new();
    for (name, shows, meanings) in tables {
        all.push(relation(session, name, shows.to_owned(), &meanings).await?);
    }
    for (name, sql) in VIEWS {
        // What a view takes over from `events` means there what it means here.
        let mut of_columns = of_events.clone();
        let (shows, own) = head(sql);
        of_columns.extend(own);
        all.push(relation(session, name, shows, &of_columns).await?);
    }
    Ok(all)
}

async fn relation(
    session: &Session,
    name: &str,
    shows: String,
    meanings: &Meanings,
) -> Result<Relation, SessionError> {
    let schema = session.context().table_provider(name).await?.schema();
    let columns = schema.fields().iter().map(|field| Described {
        name: field.name().clone(),
        kind: kind(field.data_type()),
        meaning: meanings.get(field.name()).cloned().unwrap_or_default(),
    });
    Ok(Relation { name: name.to_owned(), shows, columns: columns.collect() })
}

fn meanings(columns: &[(&str, ColumnType, &str)]) -> Meanings {
    columns.iter().map(|(name, _, meaning)| ((*name).to_owned(), (*meaning).to_owned())).collect()
}

/// The comment at the head of a view's file, and what it says of columns.
fn head(sql: &str) -> (String, Meanings) {
    let lines = sql.lines().take_while(|line| line.starts_with("--"));
    let (of_columns, of_all): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with(OF_COLUMN));
    let of_columns =
        of_columns.iter().filter_map(|line| line.strip_prefix(OF_COLUMN)?.split_once(':'));
    let words: Vec<&str> = of_all.iter().map(|line| line.trim_start_matches('-').trim()).collect();
    (
        words.join(" ").trim().to_owned(),
        of_columns
            .map(|(name, meaning)| (name.trim().to_owned(), meaning.trim().to_owned()))
            .collect(),
    )
}

/// A type in words.
#[must_use]
pub fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "bytes".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        DataType::List(item) => format!("list of {}", kind(item.data_type())),
        DataType::Struct(fields) => format!(
            "{{{}}}",
            fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
        ),
        kind if kind.is_integer() => "whole number".to_owned(),
        kind if kind.is_floating() => "number".to_owned(),
        other => other.to_string(),
    }
}

/// The text of `docs/vocabulary.md`.
///
/// # Errors
/// [`SessionError`].
pub async fn page(session: &Session) -> Result<String, SessionError> {
    use std::fmt::Write as _;
    let mut out = "# What there is to ask for\n\nGenerated; a test compares. NULL means \"not known\", never \"no\". The tables:\n\
        [`events`](events.md), [`findings`](findings.md), `quarantine` and `copies` (in [events.md](events.md)), and `query_log`, below.\n\n## `query_log` and the views\n"
        .to_owned();
    let of_its_own = |name: &str| {
        VIEWS
            .iter()
            .all(|(view, sql)| *view != name || sql.lines().any(|line| line.starts_with(OF_COLUMN)))
    };
    let elsewhere = ["events", "findings", "quarantine", "copies"];
    for relation in relations(session)
        .await?
        .iter()
        .filter(|relation| !elsewhere.contains(&relation.name.as_str()))
    {
        let _ = writeln!(out, "\n### `{}`\n\n{}\n", relation.name, relation.shows);
        if of_its_own(&relation.name) {
            out.push_str("| column | type | meaning |\n| --- | --- | --- |\n");
            for column in &relation.columns {
                let _ =
                    writeln!(out, "| `{}` | {} | {} |", column.name, column.kind, column.meaning);
            }
        } else {
            out.push_str("Its columns are those of [`events`](events.md).\n");
        }
    }
    out.push_str("\n## Functions\n\nBeside those of the engine. All give NULL for unknown input.\n\n| function | gives |\n| --- | --- |\n");
    for (name, arguments, meaning) in FUNCTIONS {
        let _ = writeln!(out, "| `{name}{arguments}` | {meaning} |");
    }
    Ok(out)
}

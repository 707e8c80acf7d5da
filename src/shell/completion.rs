//! Completes names and keywords while a statement is typed, and tells the editor whether the input
//! is complete.

use super::meta_command::META_COMMANDS;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};
use std::sync::Arc;
use trailhound_queries::docs::data_dictionary::TableDescription;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::is_complete;

/// SQL keywords that are completed.
const KEYWORDS: [&str; 52] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Words that only a table name can follow.
const TABLE_KEYWORDS: [&str; 4] = ["FROM", "JOIN", "DESCRIBE", "\\D+"];

/// Completes the names of one session.
pub(super) struct SqlCompleter {
    /// Names of tables and views, and of functions with an opening parenthesis.
    names: Vec<String>,
    relations: Arc<Vec<TableDescription>>,
}

impl SqlCompleter {
    /// Takes the names of tables from `relations`, those of functions from `session`.
    pub(super) fn new(session: &Session, relations: Arc<Vec<TableDescription>>) -> Self {
        let functions = session.functions().iter().map(|name| format!("{name}("));
        let names =
            relations.iter().map(|relation| relation.name.clone()).chain(functions).collect();
        Self { names, relations }
    }

    /// Completions of `word`, which follows `before` in the statement `text`.
    fn candidates(&self, text: &str, before: &str, word: &str) -> Vec<String> {
        if let Some(command) = word.strip_prefix('\\') {
            return META_COMMANDS
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| name[1..].starts_with(command))
                .map(str::to_owned)
                .collect();
        }
        let lower = word.to_lowercase();
        let last = before.split_whitespace().next_back().unwrap_or_default().to_uppercase();
        if TABLE_KEYWORDS.contains(&last.as_str()) {
            return self
                .relations
                .iter()
                .map(|relation| relation.name.clone())
                .filter(|name| name.starts_with(&lower))
                .collect();
        }
        let (table, column) = lower
            .rsplit_once('.')
            .map_or((None, lower.as_str()), |(table, column)| (Some(table), column));
        // Columns of the tables in the statement; of all tables while it names none.
        let named: Vec<&TableDescription> = self
            .relations
            .iter()
            .filter(|relation| text.to_lowercase().contains(&relation.name))
            .collect();
        let candidates = if named.is_empty() { self.relations.iter().collect() } else { named };
        let mut found: Vec<String> = candidates
            .iter()
            .filter(|relation| table.is_none_or(|table| table == relation.name))
            .flat_map(|relation| relation.columns.iter().map(|column| &column.name))
            .filter(|name| name.starts_with(column))
            .map(|name| table.map_or_else(|| name.clone(), |table| format!("{table}.{name}")))
            .collect();
        if table.is_none() {
            found.extend(self.names.iter().filter(|name| name.starts_with(&lower)).cloned());
            let upper = word.to_uppercase();
            let is_lowercase = word.chars().all(|letter| letter.is_lowercase());
            let keywords = KEYWORDS.iter().filter(|keyword| keyword.starts_with(&upper));
            found.extend(keywords.map(|keyword| {
                if is_lowercase { keyword.to_lowercase() } else { (*keyword).to_owned() }
            }));
        }
        found.sort();
        found.dedup();
        found
    }
}

impl Completer for SqlCompleter {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let is_word_part =
            |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '\\');
        let start = line[..pos]
            .char_indices()
            .rev()
            .take_while(|(_, letter)| is_word_part(*letter))
            .last()
            .map_or(pos, |(at, _)| at);
        let word = &line[start..pos];
        if word.is_empty() {
            return Ok((start, Vec::new()));
        }
        let found = self.candidates(line, &line[..start], word);
        Ok((
            start,
            found
                .into_iter()
                .map(|text| Pair { display: text.clone(), replacement: text })
                .collect(),
        ))
    }
}

impl Validator for SqlCompleter {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_complete = matches!(text.trim(), "quit" | "exit")
            || text.trim_start().starts_with('\\')
            || is_complete(text);
        Ok(if is_complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for SqlCompleter {
    type Hint = String;
}

impl Highlighter for SqlCompleter {}

impl Helper for SqlCompleter {}

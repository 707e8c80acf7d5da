//! Prints the rows of statements, to standard output or to a file.

use crate::answer::{AnswerError, answer, refusal_message};
use crate::cli::OutputFormat;
use crate::exit::Failure;
use crate::printer;
use crate::row_writer::RowFormat;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::ParameterValues;

/// Opens the output for rows: the file at `path`, or standard output.
///
/// # Errors
/// [`Failure::Usage`]: the file cannot be created, or a binary format would go to a terminal.
pub(super) fn open_output(
    path: Option<&Path>,
    format: RowFormat,
) -> Result<Box<dyn Write + Send>, Failure> {
    match path {
        Some(path) => {
            let file = File::create(path)
                .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
            Ok(Box::new(BufWriter::new(file)))
        }
        None if format.is_binary() && io::stdout().is_terminal() => Err(Failure::Usage(
            "this format is binary; write it to a file with --output, or into a pipe".to_owned(),
        )),
        None => Ok(Box::new(BufWriter::new(io::stdout()))),
    }
}

/// Runs the statement in `sql` and writes its rows to `out` as they are computed. Returns the
/// number of rows. After a table for people it prints that number to standard error.
pub(super) async fn write_rows(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
    format: RowFormat,
    out: &mut (dyn Write + Send),
) -> Result<usize, Failure> {
    let counts =
        answer(session, sql, values, usize::MAX, format, Box::new(out)).await.map_err(|error| {
            match error {
                AnswerError::Refused(refused) => Failure::Usage(refusal_message(sql, &refused)),
                AnswerError::Failure(failure) => failure,
            }
        })?;
    if matches!(format, RowFormat::Table | RowFormat::Expanded) {
        printer::message(&match counts.hidden {
            0 => format!("{} rows", counts.rows),
            _ => format!(
                "{} rows, the first {} shown; use --format json or csv for all",
                counts.rows,
                counts.shown()
            ),
        });
    }
    Ok(counts.rows)
}

/// Runs a statement of the program's own and prints its rows to standard output. Returns the number
/// of rows.
pub(super) async fn print_rows(
    session: &Session,
    sql: &str,
    format: OutputFormat,
) -> Result<usize, Failure> {
    let format = match format {
        OutputFormat::Table => RowFormat::Table,
        OutputFormat::Json => RowFormat::Json,
        OutputFormat::Csv => RowFormat::Csv,
    };
    write_rows(session, sql, &ParameterValues::new(), format, &mut *open_output(None, format)?)
        .await
}

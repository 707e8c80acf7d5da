//! Prints the rows of statements, to standard output or to a file.

use crate::answer::{AnswerError, answer, refusal_message};
use crate::exit::Failure;
use crate::list_output::{ListOptions, OutputFormat, check_byte_order_mark};
use crate::printer;
use crate::row_writer::{RowFormat, RowLayout};
use chrono_tz::Tz;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use trailhound_datasets::spreadsheet::BYTE_ORDER_MARK;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::ParameterValues;

/// Opens the output for rows: the file at `path`, or standard output. With `bom` it starts with a
/// byte order mark.
///
/// # Errors
/// [`Failure::Usage`]: the file cannot be created, a binary format would go to a terminal, or the
/// format has no byte order mark.
pub(super) fn open_output(
    path: Option<&Path>,
    format: RowFormat,
    bom: bool,
) -> Result<Box<dyn Write + Send>, Failure> {
    check_byte_order_mark(bom, format == RowFormat::Csv)?;
    let mut out: Box<dyn Write + Send> = match path {
        Some(path) => {
            let file = File::create(path)
                .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
            Box::new(BufWriter::new(file))
        }
        None if format.is_binary() && io::stdout().is_terminal() => {
            return Err(Failure::Usage(
                "this format is binary; write it to a file with --output, or into a pipe"
                    .to_owned(),
            ));
        }
        None => Box::new(BufWriter::new(io::stdout())),
    };
    if bom {
        out.write_all(BYTE_ORDER_MARK.as_bytes())?;
    }
    Ok(out)
}

/// Runs the statement in `sql` and writes its rows to `out` as they are computed. Returns the
/// number of rows. After a table for people it prints that number to standard error.
pub(super) async fn write_rows(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
    layout: RowLayout,
    out: &mut (dyn Write + Send),
) -> Result<usize, Failure> {
    let counts =
        answer(session, sql, values, usize::MAX, layout, Box::new(out)).await.map_err(|error| {
            match error {
                AnswerError::Refused(refused) => Failure::Usage(refusal_message(sql, &refused)),
                AnswerError::Failure(failure) => failure,
            }
        })?;
    if matches!(layout.format, RowFormat::Table | RowFormat::Expanded) {
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
    list: ListOptions,
    time_zone: Tz,
) -> Result<usize, Failure> {
    let format = match list.format {
        OutputFormat::Table => RowFormat::Table,
        OutputFormat::Json => RowFormat::Json,
        OutputFormat::Csv => RowFormat::Csv,
        OutputFormat::Xlsx => RowFormat::Xlsx,
    };
    let layout = RowLayout::new(format, time_zone, false);
    let mut out = open_output(None, format, list.bom)?;
    write_rows(session, sql, &ParameterValues::new(), layout, &mut *out).await
}

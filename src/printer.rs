//! Writes to the terminal: data to standard output, messages to standard error.

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Color, ContentArrangement, Table};
use std::io::{self, IsTerminal, Write};
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::local_time::local_time;
use trailhound_queries::packs::rules::Severity;

/// Width of tables where standard output is not a terminal.
const TABLE_WIDTH: u16 = 160;

/// Writes one line of data to standard output.
///
/// # Errors
/// Standard output cannot be written to, for example because its reader has closed the pipe.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")
}

/// Writes one message to standard error.
pub(crate) fn message(text: &str) {
    // A closed standard error leaves no place to report that it is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes one message to standard error as a warning.
pub(crate) fn warning(text: &str) {
    message(&format!("warning: {text}"));
}

/// An empty table with `header`, as wide as the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if !io::stdout().is_terminal() {
        table.set_width(TABLE_WIDTH);
    }
    table
}

/// A cell of a table. Control characters in `text` are escaped, so that data cannot control the
/// terminal.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(sanitize(text.as_ref()))
}

/// A cell with the name of a severity, coloured on a terminal.
pub(crate) fn severity_cell(severity: Severity) -> Cell {
    let colour = match severity {
        Severity::Critical => Color::Red,
        Severity::High => Color::Magenta,
        Severity::Medium => Color::Yellow,
        Severity::Low | Severity::Info => Color::Cyan,
    };
    Cell::new(severity.name()).fg(colour)
}

/// A time for people: RFC 3339 with seconds, in `zone`, with its offset. `micros` are microseconds
/// since 1970 UTC.
pub(crate) fn local_timestamp(micros: i64, zone: Tz) -> String {
    DateTime::from_timestamp(micros.div_euclid(1_000_000), 0)
        .map(|time| local_time(time, zone))
        .unwrap_or_default()
}

/// A time for programs: RFC 3339 UTC with seconds. `micros` are microseconds since 1970 UTC.
pub(crate) fn timestamp(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

//! The one place that writes to the terminal: data to standard output, talk to standard error.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Color, ContentArrangement, Table};
use std::io::{self, IsTerminal, Write};
use trailhound_datasets::sanitize::{csv_field, sanitize};

/// Writes one line of data.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")
}

/// Tells the user something that is no data. A closed standard error is nobody's fault.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A table for people, as wide as the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if !io::stdout().is_terminal() {
        table.set_width(160);
    }
    table
}

/// A cell whose text cannot steer the terminal.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(sanitize(text.as_ref()))
}

/// A severity, coloured on a terminal.
pub(crate) fn severity_cell(severity: trailhound_queries::packs::rules::Severity) -> Cell {
    use trailhound_queries::packs::rules::Severity as S;
    let colour = match severity {
        S::Critical => Color::Red,
        S::High => Color::Magenta,
        S::Medium => Color::Yellow,
        S::Low | S::Info => Color::Cyan,
    };
    Cell::new(severity.name()).fg(colour)
}

/// Writes rows as CSV, every field safe to open in a spreadsheet.
pub(crate) fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(io::stdout().lock());
    let failed = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        other => io::Error::other(format!("{other:?}")),
    };
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(row.iter().map(|field| csv_field(field))).map_err(failed)?;
    }
    writer.flush()
}

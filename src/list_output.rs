//! The formats of lists: tables, JSON, and files for spreadsheets (CSV and workbooks).

use crate::exit::Failure;
use crate::printer;
use clap::{Args, ValueEnum};
use std::io::{self, BufWriter, IsTerminal, Write};
use trailhound_datasets::spreadsheet::{BYTE_ORDER_MARK, csv_field, csv_line};
use trailhound_detect::workbook::{SheetCell, Workbook, WorkbookError};

/// Format of lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
    /// CSV (RFC 4180), safe to open in a spreadsheet. A spreadsheet rounds long ids when it opens
    /// CSV; xlsx keeps them.
    Csv,
    /// An Excel workbook, with ids as text; redirect it to a file.
    Xlsx,
}

/// The options of a list's output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct ListOptions {
    /// Output format.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) format: OutputFormat,
    /// With `--format csv`: start with a byte order mark, so that Excel shows Chinese text when the
    /// file is opened by a double click.
    #[arg(long)]
    pub(crate) bom: bool,
}

/// A list as rows of texts.
pub(crate) struct Sheet<'s> {
    /// Name of the sheet in a workbook.
    pub(crate) name: &'s str,
    pub(crate) header: &'s [&'s str],
    /// The columns that hold numbers; all others are texts in a workbook.
    pub(crate) numbers: &'s [&'s str],
}

impl ListOptions {
    /// The format.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the options contradict each other, or a workbook would be written to a
    /// terminal.
    pub(crate) fn checked_format(&self) -> Result<OutputFormat, Failure> {
        check_byte_order_mark(self.bom, self.format == OutputFormat::Csv)?;
        if self.format == OutputFormat::Xlsx && io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "a workbook is binary; write it to a file with `> FILE.xlsx`".to_owned(),
            ));
        }
        Ok(self.format)
    }

    /// Writes `rows` to standard output: as a workbook if the format is xlsx, else as CSV.
    ///
    /// # Errors
    /// [`Failure`]: standard output cannot be written to, or a workbook cannot hold the rows.
    pub(crate) fn write_sheet(
        &self,
        sheet: &Sheet<'_>,
        rows: impl Iterator<Item = Vec<String>>,
    ) -> Result<(), Failure> {
        if self.format == OutputFormat::Xlsx {
            return write_workbook(sheet, rows);
        }
        let mut out = BufWriter::new(io::stdout().lock());
        if self.bom {
            out.write_all(BYTE_ORDER_MARK.as_bytes())?;
        }
        out.write_all(csv_line(sheet.header.iter().map(|name| csv_field(name))).as_bytes())?;
        for row in rows {
            out.write_all(csv_line(row.iter().map(|field| csv_field(field))).as_bytes())?;
        }
        Ok(out.flush()?)
    }
}

/// Checks that a byte order mark is asked for in CSV only.
///
/// # Errors
/// [`Failure::Usage`]: it is asked for in another format.
pub(crate) fn check_byte_order_mark(bom: bool, is_csv: bool) -> Result<(), Failure> {
    if bom && !is_csv {
        return Err(Failure::Usage(
            "--bom is for --format csv; no other format has a byte order mark".to_owned(),
        ));
    }
    Ok(())
}

fn write_workbook(
    sheet: &Sheet<'_>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), Failure> {
    let header: Vec<String> = sheet.header.iter().map(|&name| name.to_owned()).collect();
    let mut book = Workbook::default();
    book.add_sheet(sheet.name, &header).map_err(workbook_failure)?;
    let cell = |(column, text): (&String, String)| match text {
        text if text.is_empty() => SheetCell::Empty,
        text if sheet.numbers.contains(&column.as_str()) => SheetCell::exact_number(text),
        text => SheetCell::Text(text),
    };
    for row in rows {
        let cells: Vec<SheetCell> = header.iter().zip(row).map(cell).collect();
        book.add_row(&cells).map_err(workbook_failure)?;
    }
    finish_workbook(book, &mut BufWriter::new(io::stdout().lock()))
}

/// Writes `book` to `out`, and says what it does not show as it was given.
///
/// # Errors
/// [`Failure`]: the workbook is too large, or `out` cannot be written to.
pub(crate) fn finish_workbook(book: Workbook, out: &mut dyn Write) -> Result<(), Failure> {
    let notes = book.finish(out).map_err(workbook_failure)?;
    for sentence in notes.sentences() {
        printer::warning(&sentence);
    }
    Ok(())
}

/// Converts an error of a workbook.
pub(crate) fn workbook_failure(error: WorkbookError) -> Failure {
    match error {
        WorkbookError::Io(error) => Failure::Output(error),
        other => Failure::usage(other),
    }
}

//! A report as an Excel workbook: a sheet that lists the sections, and a sheet per section, in one
//! language. Times are in the time zone of the report.

use crate::finding::language::Language;
use crate::report::model::{Report, SectionData};
use crate::report::view::{Labels, local_value};
use crate::workbook::{SheetCell, Workbook, WorkbookError};
use serde_json::Value;
use trailhound_queries::local_time::local_time;

/// Makes the workbook of `report`.
///
/// # Errors
/// A sentence where the labels that come with the product cannot be read, or a temporary file cannot
/// be written.
pub fn workbook(report: &Report, language: Language) -> Result<Workbook, String> {
    let labels = Labels::new(language)?;
    let mut book = Workbook::default();
    add_contents(&mut book, report, language, &labels).map_err(|e| e.to_string())?;
    for section in &report.sections {
        add_section(&mut book, report, section, &labels).map_err(|e| e.to_string())?;
    }
    Ok(book)
}

/// Adds the sheet that says what the report is and lists its sections, with the number of rows that
/// the report leaves out.
fn add_contents(
    book: &mut Workbook,
    report: &Report,
    language: Language,
    labels: &Labels,
) -> Result<(), WorkbookError> {
    let text = |text: &str| SheetCell::Text(text.to_owned());
    let number = |number: u64| SheetCell::exact_number(number.to_string());
    let title = language.pick(&report.title);
    let made_at = local_time(report.made_at, report.period.time_zone);
    let header = match language {
        Language::En => ["section", "explanation", "rows", "rows left out"],
        Language::Zh => ["章节", "说明", "行数", "未列出的行数"],
    };
    book.add_sheet(title, &header.map(str::to_owned))?;
    book.add_row(&[text(title), SheetCell::Text(report.period.label())])?;
    book.add_row(&[SheetCell::Text(labels.page_label("made_at")), SheetCell::Text(made_at)])?;
    for section in &report.sections {
        book.add_row(&[
            text(language.pick(&section.title)),
            text(language.pick(&section.about)),
            number(section.rows.len() as u64),
            number(section.omitted_rows),
        ])?;
    }
    Ok(())
}

/// Adds the sheet of a section.
fn add_section(
    book: &mut Workbook,
    report: &Report,
    section: &SectionData,
    labels: &Labels,
) -> Result<(), WorkbookError> {
    let (indices, header) = labels.columns(section);
    book.add_sheet(labels.pick(&section.title), &header)?;
    for row in &section.rows {
        let cells: Vec<SheetCell> = indices
            .iter()
            .map(|&at| match (section.columns.get(at), row.get(at)) {
                (Some(column), Some(Value::String(text))) => SheetCell::Text(
                    labels
                        .value_text(column, text)
                        .unwrap_or_else(|| local_value(column, text, report.period.time_zone)),
                ),
                (_, None | Some(Value::Null)) => SheetCell::Empty,
                (_, Some(Value::Bool(value))) => SheetCell::Bool(*value),
                (_, Some(Value::Number(number))) if number.is_f64() => {
                    SheetCell::float(number.to_string())
                }
                (_, Some(other)) => SheetCell::exact_number(other.to_string()),
            })
            .collect();
        book.add_row(&cells)?;
    }
    Ok(())
}

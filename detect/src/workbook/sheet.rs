//! One sheet of a workbook: its name, its header and its rows as XML.

use crate::workbook::archive::ArchiveFile;
use crate::workbook::cell::{SheetCell, WorkbookError};
use std::fmt::Write as _;
use std::io;
use trailhound_datasets::sanitize::sanitize;
use trailhound_datasets::spreadsheet::is_formula;

/// The longest text of a cell, in UTF-16 code units.
const TEXT_MAX: usize = 32_767;
/// The longest name of a sheet, in UTF-16 code units.
const NAME_MAX: usize = 31;
/// The end of a text that was cut.
const CUT_MARK: &str = "…[cut]";
/// Narrowest and widest column, in characters.
const WIDTHS: (usize, usize) = (12, 40);

/// A sheet that is being written.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// Number of rows, with the header.
    pub(super) rows: u32,
    file: ArchiveFile,
}

impl Sheet {
    /// Begins sheet number `number`, from 1, with its header.
    pub(super) fn new(name: String, number: usize, columns: &[String]) -> io::Result<Self> {
        let mut file = ArchiveFile::new(&format!("xl/worksheets/sheet{number}.xml"))?;
        file.write(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\">\
             <sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/></sheetView></sheetViews>",
        )?;
        if !columns.is_empty() {
            file.write("<cols>")?;
            for (at, column) in columns.iter().enumerate() {
                let characters = column.chars().map(|c| if c.is_ascii() { 1 } else { 2 });
                let width = (characters.sum::<usize>() + 6).clamp(WIDTHS.0, WIDTHS.1);
                let at = at + 1;
                file.write(&format!(
                    "<col min=\"{at}\" max=\"{at}\" width=\"{width}\" customWidth=\"1\"/>"
                ))?;
            }
            file.write("</cols>")?;
        }
        file.write("<sheetData>")?;
        let mut sheet = Self { name, columns: columns.to_vec(), rows: 0, file };
        let header: Vec<SheetCell> = columns.iter().cloned().map(SheetCell::Text).collect();
        sheet.add_row(&header)?;
        Ok(sheet)
    }

    /// Adds a row. Returns the number of its texts that were cut.
    pub(super) fn add_row(&mut self, cells: &[SheetCell]) -> io::Result<u64> {
        self.rows += 1;
        let (row, is_header) = (self.rows, self.rows == 1);
        let mut xml = format!("<row r=\"{row}\">");
        let mut cut_cells = 0;
        for (at, cell) in cells.iter().enumerate() {
            let place = format!("{}{row}", column_letters(at));
            // Writing to a text does not fail.
            let _ = match cell {
                SheetCell::Empty => Ok(()),
                SheetCell::Number(number) => write!(xml, "<c r=\"{place}\"><v>{number}</v></c>"),
                SheetCell::Bool(value) => {
                    write!(xml, "<c r=\"{place}\" t=\"b\"><v>{}</v></c>", u8::from(*value))
                }
                SheetCell::Text(text) => {
                    let (text, is_cut) = cell_text(text);
                    cut_cells += u64::from(is_cut);
                    let style = match (is_header, is_formula(&text)) {
                        (true, _) => 1,
                        (_, false) => 2,
                        (_, true) => 3,
                    };
                    let text = escape_xml(&text);
                    write!(
                        xml,
                        "<c r=\"{place}\" s=\"{style}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{text}</t></is></c>"
                    )
                }
            };
        }
        xml.push_str("</row>");
        self.file.write(&xml)?;
        Ok(cut_cells)
    }

    /// The range that the filter covers, `A1:C9`, or with `is_absolute` `$A$1:$C$9`; `None` for a
    /// sheet without columns.
    pub(super) fn filter_range(&self, is_absolute: bool) -> Option<String> {
        let last = column_letters(self.columns.len().checked_sub(1)?);
        let rows = self.rows;
        Some(if is_absolute { format!("$A$1:${last}${rows}") } else { format!("A1:{last}{rows}") })
    }

    /// Ends the sheet.
    pub(super) fn finish(mut self) -> Result<ArchiveFile, WorkbookError> {
        self.file.write("</sheetData>")?;
        if let Some(range) = self.filter_range(false) {
            self.file.write(&format!("<autoFilter ref=\"{range}\"/>"))?;
        }
        self.file.write("</worksheet>")?;
        Ok(self.file)
    }
}

/// The letters of column number `at`, from 0: `A`, `Z`, `AA`.
fn column_letters(at: usize) -> String {
    const LETTERS: [char; 26] = [
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R',
        'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
    ];
    let mut letters = Vec::new();
    let mut rest = at + 1;
    while rest > 0 {
        letters.push(LETTERS[(rest - 1) % 26]);
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// The text of a cell, sanitized, and whether it was cut.
fn cell_text(text: &str) -> (String, bool) {
    let text = sanitize(text);
    if text.len() <= TEXT_MAX || text.encode_utf16().count() <= TEXT_MAX {
        return (text, false);
    }
    (shortened(&text, TEXT_MAX, CUT_MARK), true)
}

/// `text` cut so that it has at most `units_max` UTF-16 code units with `mark` at its end.
fn shortened(text: &str, units_max: usize, mark: &str) -> String {
    let mut left = units_max - mark.encode_utf16().count();
    let kept = text.chars().take_while(|c| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    });
    kept.collect::<String>() + mark
}

/// The name of a sheet, made from `text`: without the characters that a workbook does not allow in
/// it, not too long, and different from the names in `taken`, also from those that differ from it
/// in upper and lower case only.
pub(super) fn sheet_name(text: &str, taken: &[&str]) -> String {
    let mut name: String = sanitize(text)
        .chars()
        .map(|c| if matches!(c, '[' | ']' | ':' | '*' | '?' | '/' | '\\') { '_' } else { c })
        .collect();
    name = name.trim().trim_matches('\'').to_owned();
    // Excel keeps this name for itself.
    if name.is_empty() || name.eq_ignore_ascii_case("history") {
        name.push_str("rows");
    }
    if name.encode_utf16().count() > NAME_MAX {
        name = shortened(&name, NAME_MAX, "…");
    }
    let is_taken =
        |name: &str| taken.iter().any(|other| other.to_lowercase() == name.to_lowercase());
    // The number of a sheet that continues another one replaces that one's number.
    let base = name
        .rsplit_once(" (")
        .filter(|(_, end)| end.strip_suffix(')').is_some_and(|n| n.parse::<u32>().is_ok()))
        .map_or(name.as_str(), |(base, _)| base)
        .to_owned();
    let mut number = 1;
    while is_taken(&name) {
        number += 1;
        let end = format!(" ({number})");
        name = if base.encode_utf16().count() + end.len() > NAME_MAX {
            shortened(&base, NAME_MAX - end.len(), "…") + &end
        } else {
            base.clone() + &end
        };
    }
    name
}

/// `text` in XML. Characters that XML cannot hold are escaped, and so is text that Excel would read
/// as an escaped character, such as `_x0041_`.
pub(super) fn escape_xml(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => xml.extend(c.escape_unicode()),
            '_' if is_escaped_character(&text[at..]) => xml.push_str("_x005F_"),
            c => xml.push(c),
        }
    }
    xml
}

/// True if `text` begins like `_x0041_`.
fn is_escaped_character(text: &str) -> bool {
    let Some(code) = text.as_bytes().get(..7) else { return false };
    code[1] == b'x' && code[6] == b'_' && code[2..6].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_letters_of_a_spreadsheet() {
        for (at, letters) in
            [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")]
        {
            assert_eq!(column_letters(at), letters);
        }
    }

    #[test]
    fn sheets_have_names_that_a_workbook_allows() {
        assert_eq!(sheet_name("a/b:[c]*?\\", &[]), "a_b__c____");
        assert_eq!(sheet_name("'quoted'", &[]), "quoted");
        assert_eq!(sheet_name("", &[]), "rows");
        assert_eq!(sheet_name("History", &[]), "Historyrows");
        assert_eq!(sheet_name("数据", &["数据"]), "数据 (2)");
        assert_eq!(sheet_name("A (2)", &["a", "A (2)"]), "A (3)");
        let long = "x".repeat(40);
        let (first, second) =
            (sheet_name(&long, &[]), sheet_name(&long, &[&sheet_name(&long, &[])]));
        assert!(first.chars().count() == 31 && second.chars().count() == 31 && first != second);
    }

    #[test]
    fn text_is_escaped_for_xml_and_cut_between_characters() {
        assert_eq!(escape_xml("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
        assert_eq!(escape_xml("_x0041_ _x00_"), "_x005F_x0041_ _x00_");
        assert_eq!(escape_xml("\u{ffff}"), "\\u{ffff}");
        let (text, is_cut) = cell_text(&"𝄞".repeat(16_384));
        assert!(is_cut && text.ends_with("𝄞…[cut]") && text.encode_utf16().count() <= TEXT_MAX);
        assert_eq!(cell_text(&"x".repeat(TEXT_MAX)), ("x".repeat(TEXT_MAX), false));
        assert_eq!(cell_text("a\u{0}b"), ("a\\u{0}b".to_owned(), false));
    }
}

//! A workbook: its sheets, and the files beside them.

use crate::workbook::archive::{ArchiveFile, write_archive};
use crate::workbook::cell::{COLUMNS_MAX, SheetCell, WorkbookError};
use crate::workbook::sheet::{Sheet, escape_xml, sheet_name};
use std::fmt::Write as _;
use std::io;

/// The most rows of a sheet, with its header.
const ROWS_MAX: u32 = 1_048_576;

/// What a finished workbook does not show as it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkbookNotes {
    /// Number of texts that were longer than a cell holds. Each ends in `…[cut]`.
    pub cut_cells: u64,
    /// Number of sheets that continue the rows of another one.
    pub further_sheets: u64,
}

impl WorkbookNotes {
    /// One sentence for each kind of note; none if the workbook shows everything as it was given.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.cut_cells > 0 {
            sentences.push(format!(
                "{} texts are longer than a cell of a workbook holds (32,767 characters) and end in …[cut]; --format csv has them whole",
                self.cut_cells
            ));
        }
        if self.further_sheets > 0 {
            sentences.push(format!(
                "a sheet of a workbook holds 1,048,576 rows; the others are on {} further sheets",
                self.further_sheets
            ));
        }
        sentences
    }
}

/// A workbook that is being written.
pub struct Workbook {
    sheets: Vec<Sheet>,
    rows_max: u32,
    notes: WorkbookNotes,
}

impl Default for Workbook {
    fn default() -> Self {
        Self { sheets: Vec::new(), rows_max: ROWS_MAX, notes: WorkbookNotes::default() }
    }
}

impl Workbook {
    /// Begins a sheet with a header of `columns`. Its name is `name`, shortened and changed where a
    /// workbook does not allow it.
    ///
    /// # Errors
    /// [`WorkbookError`]: there are too many columns, or no temporary file can be written.
    pub fn add_sheet(&mut self, name: &str, columns: &[String]) -> Result<(), WorkbookError> {
        if columns.len() > COLUMNS_MAX {
            return Err(WorkbookError::Columns(columns.len()));
        }
        let taken: Vec<&str> = self.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        let name = sheet_name(name, &taken);
        let number = self.sheets.len() + 1;
        self.sheets.push(Sheet::new(name, number, columns)?);
        Ok(())
    }

    /// Adds a row to the newest sheet, or to a further one if that is full. A workbook without a
    /// sheet ignores it.
    ///
    /// # Errors
    /// [`WorkbookError`]: a temporary file cannot be written.
    pub fn add_row(&mut self, cells: &[SheetCell]) -> Result<(), WorkbookError> {
        if let Some(full) = self.sheets.last().filter(|sheet| sheet.rows >= self.rows_max) {
            let (name, columns) = (full.name.clone(), full.columns.clone());
            self.add_sheet(&name, &columns)?;
            self.notes.further_sheets += 1;
        }
        if let Some(sheet) = self.sheets.last_mut() {
            self.notes.cut_cells += sheet.add_row(cells)?;
        }
        Ok(())
    }

    /// Writes the workbook to `out`.
    ///
    /// # Errors
    /// [`WorkbookError`]: the workbook is too large, or `out` cannot be written to.
    pub fn finish(mut self, out: &mut dyn io::Write) -> Result<WorkbookNotes, WorkbookError> {
        if self.sheets.is_empty() {
            self.add_sheet("rows", &[])?;
        }
        let (notes, frame) = (self.notes, self.frame());
        let mut files = Vec::new();
        for (name, content) in frame {
            let mut file = ArchiveFile::new(name)?;
            file.write(&content)?;
            files.push(file);
        }
        for sheet in self.sheets {
            files.push(sheet.finish()?);
        }
        write_archive(files, out)?;
        Ok(notes)
    }

    /// Name and content of the files beside the sheets.
    fn frame(&self) -> [(&'static str, String); 5] {
        const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
        const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        const TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
        const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
        let (mut types, mut sheets, mut filters, mut relations) =
            (String::new(), String::new(), String::new(), String::new());
        for (at, sheet) in self.sheets.iter().enumerate() {
            let (number, name) = (at + 1, escape_xml(&sheet.name));
            // Writing to a text does not fail.
            let _ = write!(
                types,
                "<Override PartName=\"/xl/worksheets/sheet{number}.xml\" ContentType=\"{TYPE}.worksheet+xml\"/>"
            );
            let _ = write!(
                sheets,
                "<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>"
            );
            let _ = write!(
                relations,
                "<Relationship Id=\"rId{number}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>"
            );
            if let Some(range) = sheet.filter_range(true) {
                let quoted = escape_xml(&sheet.name.replace('\'', "''"));
                let _ = write!(
                    filters,
                    "<definedName name=\"_xlnm._FilterDatabase\" localSheetId=\"{at}\" hidden=\"1\">'{quoted}'!{range}</definedName>"
                );
            }
        }
        let filters = if filters.is_empty() {
            filters
        } else {
            format!("<definedNames>{filters}</definedNames>")
        };
        let styles_id = self.sheets.len() + 1;
        [
            (
                "[Content_Types].xml",
                format!(
                    "{HEAD}<Types xmlns=\"{PACKAGE}/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                     <Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"{TYPE}.sheet.main+xml\"/>{types}\
                     <Override PartName=\"/xl/styles.xml\" ContentType=\"{TYPE}.styles+xml\"/></Types>"
                ),
            ),
            (
                "_rels/.rels",
                format!(
                    "{HEAD}<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    "{HEAD}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><bookViews><workbookView/></bookViews><sheets>{sheets}</sheets>{filters}</workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    "{HEAD}<Relationships xmlns=\"{PACKAGE}/relationships\">{relations}<Relationship Id=\"rId{styles_id}\" Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/></Relationships>"
                ),
            ),
            ("xl/styles.xml", format!("{HEAD}<styleSheet xmlns=\"{MAIN}\">{STYLES}</styleSheet>")),
        ]
    }
}

/// The styles: 0 for numbers, 1 for the header, 2 for texts, 3 for texts that begin like a formula,
/// which stay texts when somebody edits them.
const STYLES: &str = "<fonts count=\"2\"><font><sz val=\"11\"/><name val=\"Calibri\"/></font><font><b/><sz val=\"11\"/><name val=\"Calibri\"/></font></fonts>\
    <fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill></fills>\
    <borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
    <cellStyleXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs>\
    <cellXfs count=\"4\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\"/>\
    <xf numFmtId=\"49\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\" applyFont=\"1\"/>\
    <xf numFmtId=\"49\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/>\
    <xf numFmtId=\"49\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\" quotePrefix=\"1\"/></cellXfs>\
    <cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SheetCell {
        SheetCell::Text(text.to_owned())
    }

    #[test]
    fn rows_beyond_a_sheet_are_on_a_further_one_and_long_texts_say_that_they_are_cut() {
        let mut book = Workbook { rows_max: 3, ..Workbook::default() };
        book.add_sheet("people", &["name".to_owned()]).expect("a sheet");
        for number in 0..5 {
            book.add_row(&[SheetCell::Text(format!("p{number}"))]).expect("a row");
        }
        book.add_row(&[text(&"𝄞".repeat(20_000))]).expect("a row");
        let names: Vec<&str> = book.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        assert_eq!(names, ["people", "people (2)", "people (3)"]);
        let mut bytes = Vec::new();
        let notes = book.finish(&mut bytes).expect("written");
        assert_eq!(notes, WorkbookNotes { cut_cells: 1, further_sheets: 2 });
        assert_eq!(notes.sentences().len(), 2);
        assert!(bytes.starts_with(b"PK\x03\x04"));
        let wide = vec![String::new(); COLUMNS_MAX + 1];
        assert!(matches!(
            Workbook::default().add_sheet("x", &wide),
            Err(WorkbookError::Columns(_))
        ));
    }
}

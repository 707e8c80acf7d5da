//! The values of a sheet, and why a workbook cannot be written.

use std::io;
use thiserror::Error;

/// The most columns of a sheet.
pub(super) const COLUMNS_MAX: usize = 16_384;
/// The most digits of a number that a spreadsheet keeps.
const DIGITS_MAX: usize = 15;

/// A value of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SheetCell {
    /// No value.
    Empty,
    /// Text. Control characters, and characters without width, are escaped.
    Text(String),
    /// A finite number, as JSON writes it.
    Number(String),
    /// True or false.
    Bool(bool),
}

impl SheetCell {
    /// The cell of a whole or decimal number: a text if it has more digits than a spreadsheet keeps.
    #[must_use]
    pub fn exact_number(text: String) -> Self {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
        let is_number = is_plain && digits <= DIGITS_MAX && text.parse::<f64>().is_ok();
        if is_number { Self::Number(text) } else { Self::Text(text) }
    }

    /// The cell of a floating-point number: a text if it is not finite.
    #[must_use]
    pub fn float(text: String) -> Self {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Number(text),
            _ => Self::Text(text),
        }
    }
}

/// Why a workbook could not be written.
#[derive(Debug, Error)]
pub enum WorkbookError {
    /// A sheet has too many columns.
    #[error(
        "a sheet of a workbook has at most {COLUMNS_MAX} columns, and these are {0}; select fewer, or use --format csv"
    )]
    Columns(usize),
    /// A part of the workbook exceeds 4 GiB.
    #[error(
        "the workbook would be larger than 4 GiB; select fewer rows, or use --format csv or parquet"
    )]
    TooLarge,
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_spreadsheet_would_round_are_texts() {
        let cell = |text: &str| SheetCell::exact_number(text.to_owned());
        assert_eq!(cell("999999999999999"), SheetCell::Number("999999999999999".to_owned()));
        assert_eq!(cell("-12.50"), SheetCell::Number("-12.50".to_owned()));
        for id in ["1890000000004243", "284700000000123457", "0.1234567890123456", "1e5", ""] {
            assert_eq!(cell(id), SheetCell::Text(id.to_owned()));
        }
        assert_eq!(SheetCell::float("NaN".to_owned()), SheetCell::Text("NaN".to_owned()));
        assert_eq!(SheetCell::float("1e300".to_owned()), SheetCell::Number("1e300".to_owned()));
    }
}

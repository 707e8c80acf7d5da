//! Excel workbooks (Office Open XML) of rows: the header is frozen and has a filter, texts are text
//! cells that no spreadsheet evaluates, and numbers that a spreadsheet would round are texts.
//!
//! Rows are compressed into temporary files as they come, so memory does not depend on their
//! number. What a sheet cannot hold is not dropped silently: rows continue on a further sheet, and a
//! text that is cut says so and is counted.

mod archive;
mod book;
mod cell;
mod sheet;

pub use book::{Workbook, WorkbookNotes};
pub use cell::{SheetCell, WorkbookError};

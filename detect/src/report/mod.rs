//! Reports: counts of events and findings over a day, week or month, as HTML, PDF, Markdown, CSV or
//! JSON.
//!
//! A report profile lists sections. A section is the result of a query, or is computed from
//! findings, rules and coverage. Each report records its provenance (snapshot, parameters, rule
//! versions), so that it can be computed again from the lake and compared.

mod build;
mod chart;
mod computed;
mod csv;
mod differences;
pub mod files;
mod html;
mod markdown;
mod model;
mod notice;
mod pdf;
mod period;
mod spreadsheet;
mod view;

pub use self::csv::csv;
pub use build::{build_report, last_stored_at, session_stored_until};
pub use differences::differences;
pub use html::html;
pub use markdown::markdown;
pub use model::{Report, ReportError, ReportInputs, ReportProvenance, SectionData};
pub use notice::report_notice;
pub use pdf::{PdfError, find_browser, print_pdf};
pub use period::{Period, PeriodLength};
pub use spreadsheet::workbook;

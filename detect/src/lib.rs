//! Rules at work: evaluating them over the lake, turning matches into findings, setting aside what is allowed, keeping
//! findings, telling those who want to know. Knows neither sources nor the command line.

pub mod authoring;
mod evaluate;
pub mod finding;
pub mod report;
pub mod scan;
pub mod sinks;
pub mod store;

pub use evaluate::batch::{Detection, EvaluateError, Selection, Skipped, detect};
pub use evaluate::scope::{EvaluatedScope, Range};
pub use evaluate::streaming::{RunScope, StandingQueries};
pub use finding::language::Language;
pub use finding::{Evidence, Finding, Operator, Status, Target};
pub use scan::shared_scan::FileCursor;
pub use store::StoreError;
pub use store::findings::{Keeping, RulesRun, Stored, cursor, kept, kept_since, rules_run, store};

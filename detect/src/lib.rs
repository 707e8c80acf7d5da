//! Detection: evaluates rules over events, groups matches into findings, stores findings with an
//! outbox, delivers them to sinks, and builds reports. It depends on neither the event sources nor
//! the command line.
//!
//! The modules are layered; each imports only modules above it in this list:
//!
//! - [`finding`] (findings, grouping, risk), [`workbook`] (Excel workbooks) and `scan` (reading files once for all rules)
//! - `evaluate` (batch and streaming evaluation)
//! - [`store`] (findings, outbox, routes and report runs in the catalog database)
//! - [`authoring`] (test cases, lint, explanation, backtest, coverage and verification of rules)
//! - [`report`] (periodic reports)
//! - [`sinks`] (delivery to files, topics, HTTP servers, chats, mail and syslog)

pub mod authoring;
mod evaluate;
pub mod finding;
pub mod report;
mod scan;
pub mod sinks;
pub mod store;
pub mod workbook;

pub use evaluate::batch::{Detection, EvaluateError, RuleSelection, SkippedRule, detect};
pub use evaluate::scope::{EvaluatedScope, RunScope, TimeRange};
pub use evaluate::silent_accounts::{AccountDays, SilentAccount, account_days, silent_accounts};
pub use evaluate::streaming::StandingQueries;
pub use finding::language::Language;
pub use finding::{Actor, Evidence, Finding, FindingStatus, TargetResource};
pub use scan::shared_scan::FileCursor;
pub use store::StoreError;
pub use store::findings::{
    RuleCursors, StoreContext, StoreSummary, StoredFinding, all_findings, common_cursor,
    findings_since, rule_cursors, store_findings,
};
pub use store::open_findings::open_finding_ids;

//! Rules at work: evaluating them over the lake, turning matches into findings, setting aside what is allowed, keeping
//! findings, telling those who want to know. Knows neither sources nor the command line.

pub mod backtest;
pub mod cases;
mod condense;
pub mod coverage;
mod evaluate;
pub mod explain;
mod finding;
mod gather;
mod group;
pub mod health;
mod held;
pub mod lint;
mod many;
mod matched;
pub mod outbox;
pub mod report;
pub mod risk;
pub mod routes;
mod sift;
pub mod sinks;
mod standing;
mod store;
pub mod verify;

pub use evaluate::{Decided, Detection, EvaluateError, Range, Selection, Skipped, detect};
pub use finding::{Evidence, Finding, Operator, Status, Target};
pub use sift::Unread;
pub use standing::{Standing, Turn};
pub use store::{
    Keeping, RulesRun, StoreError, Stored, cursor, kept, kept_since, rules_run, store,
};

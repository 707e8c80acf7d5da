//! Tools for rule authors and rule users: test cases, an attacker's changes to them, lint, explanation of matches, backtest, noise,
//! coverage of the data, and verification of stored findings.

pub mod backtest;
mod case_events;
pub mod cases;
pub mod coverage;
pub mod evasion;
pub mod explain;
pub mod lint;
pub mod noise;
pub mod operations_seen;
pub mod verify;

//! Tools for rule authors and rule users: test cases, lint, explanation of matches, backtest,
//! coverage of the data, and verification of stored findings.

pub mod backtest;
pub mod cases;
pub mod coverage;
pub mod explain;
pub mod lint;
pub mod verify;

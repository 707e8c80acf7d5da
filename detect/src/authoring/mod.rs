//! For whoever writes rules and whoever has to trust them: test cases, lint, explanation, backtest, coverage, verification.

pub mod backtest;
pub mod cases;
pub mod coverage;
pub mod explain;
pub mod lint;
pub mod verify;

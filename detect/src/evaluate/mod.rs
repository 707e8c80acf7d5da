//! Evaluates rules: over what the lake holds (`batch.rs`) and after each commit (`streaming/`).
//! Both give the same findings.

pub(crate) mod batch;
pub(crate) mod batch_rows;
mod rule_query;
pub(crate) mod scope;
pub(crate) mod silent_accounts;
pub(crate) mod streaming;
mod undetermined;
mod window_buffer;

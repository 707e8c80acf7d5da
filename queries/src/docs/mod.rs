//! Pages of `docs/` that are generated from code. A test compares them with the files, so they stay
//! up to date.

pub mod data_dictionary;
pub mod rules_page;

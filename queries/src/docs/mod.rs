//! Pages of `docs/` that are generated from the code, so that they cannot disagree with it.

pub mod data_dictionary;
pub mod rules_page;

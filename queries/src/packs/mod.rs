//! Packs: rules, saved investigations, report sections and benchmark profiles, each read from data files inside the
//! binary or in a folder of the user's.

pub mod attack;
mod front_matter;
pub mod investigations;
pub mod profile;
pub mod reports;
mod retired_rules;
mod rule_file;
pub mod rules;
mod test_cases;
mod text_file;

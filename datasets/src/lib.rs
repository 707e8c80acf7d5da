//! The data contract: what an ActionTrail event is, which columns the lake's tables have, and how each derived column is
//! computed.
//!
//! Every function here is pure: its result depends on its arguments alone. The crate does no I/O, runs no async code and
//! knows no SQL engine.

pub mod catalog_schema;
pub mod checksum;
pub mod columns;
pub mod derive;
pub mod event;
pub mod fact;
pub mod generate;
pub mod json;
pub mod key;
pub mod layout;
pub mod rebuild;
pub mod reject;
pub mod samples;
pub mod sanitize;
pub mod spreadsheet;

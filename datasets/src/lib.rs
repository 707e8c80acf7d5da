//! The contract: what an ActionTrail event is, which columns the lake's `events` table has and how each is derived.
//!
//! Everything here is a pure function of its input. This crate knows no files, no network, no SQL engine.

pub mod columns;
pub mod derive;
pub mod event;
pub mod generate;
pub mod json;
pub mod key;
pub mod layout;
pub mod rebuild;
pub mod reject;
pub mod samples;
pub mod sanitize;

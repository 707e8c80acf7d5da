//! Tests of detection as a library.

mod finding_store;
mod late_events;
mod memory_limit;
mod parity;
mod reference_model;
mod streaming;
mod support;

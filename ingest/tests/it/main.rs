//! Tests of the ingest as a library: what goes in, what comes out, what is never lost.

mod bad_events;
mod bad_files;
mod corpora;
mod expiry;
mod fuzzed;
mod golden;
mod lossless;
mod messages;
mod rows;
mod shapes;

//! Tests of the ingest as a library: input formats, stored rows, and that no data is lost.

#![allow(
    clippy::disallowed_methods,
    reason = "tests have clocks, environments and pauses of their own"
)]

mod encodings;
mod fuzz_corpus;
mod golden;
mod layouts;
mod lossless;
mod malformed_events;
mod malformed_files;
mod malformed_parquet;
mod messages;
mod public_corpora;
mod retention;
mod support;
mod understood;

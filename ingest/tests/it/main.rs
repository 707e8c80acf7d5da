//! Tests of the ingest as a library: what goes in, what comes out, what is never lost.

mod fuzz_corpus;
mod golden;
mod layouts;
mod lossless;
mod malformed_events;
mod malformed_files;
mod messages;
mod public_corpora;
mod retention;
mod support;

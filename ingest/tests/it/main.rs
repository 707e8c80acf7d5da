//! Tests of the ingest as a library: what goes in, what comes out, what is never lost.

#![allow(
    clippy::disallowed_methods,
    reason = "tests have clocks, environments and pauses of their own"
)]

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

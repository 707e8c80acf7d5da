//! Tests of detection as a library.

#![allow(
    clippy::disallowed_methods,
    reason = "tests have clocks, environments and pauses of their own"
)]
#![allow(clippy::print_stdout, reason = "tests of random cases print what they counted")]

mod finding_store;
mod late_events;
mod mangler;
mod mangles;
mod memory_limit;
mod parity;
mod reference_model;
mod streaming;
mod support;
mod undetermined;

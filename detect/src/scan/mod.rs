//! The shared scan: reads each file of `events` once for all rules, and finds the rows that each of
//! them reads.

mod events_file;
pub(crate) mod first_last;
mod implied_predicate;
mod match_bitmap;
pub(crate) mod predicate_set;
pub(crate) mod shared_scan;

//! The shared scan: reads each file of `events` once for all rules, and finds the rows that each of them looks at.

pub(crate) mod first_last;
mod implied_predicate;
mod match_bitmap;
pub mod predicate_set;
pub(crate) mod shared_scan;

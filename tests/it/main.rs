//! Tests through the front door: the program itself, its files, its exit status.

mod borders;
mod broker;
mod bucket;
mod cli;
mod compaction;
mod crash;
mod duckdb;
mod faults;
mod faulty;
mod findings;
mod live;
mod machine;
mod memory;
mod messages;
mod metrics;
mod part;
mod postgres;
mod program;
mod reconcile;
mod rules;
mod samples;
mod service;
mod shared;
mod sigma;
mod store;
mod stories;

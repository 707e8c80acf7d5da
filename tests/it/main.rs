//! Tests through the front door: the program itself, its files, its exit status.

mod borders;
mod cli;
mod crash;
mod duckdb;
mod memory;
mod program;
mod samples;
mod stories;

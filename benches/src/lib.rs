//! Shared by all benches: measures the median duration of some work, and prints a result as one
//! JSON line.

use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;

/// The allocator of the program, so that benches measure with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs `work` `times` times and returns the median duration in seconds.
///
/// # Panics
/// If `times` is 0.
pub fn median<R>(times: usize, mut work: impl FnMut() -> R) -> f64 {
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Prints the `result` of `bench` as one JSON line, for the script that collects results.
///
/// # Panics
/// If standard output is closed.
pub fn print_result(bench: &str, result: Value) {
    let line = json!({ "bench": bench, "result": result });
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

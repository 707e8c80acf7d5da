//! What the benches share: how long something takes, as a median, printed as one JSON line.

use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;

/// The program's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs `work` `times` times; the median in seconds.
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

/// Prints a result for the script that gathers them.
///
/// # Panics
/// Where standard output is closed.
pub fn tell(bench: &str, result: Value) {
    let line = json!({ "bench": bench, "result": result });
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

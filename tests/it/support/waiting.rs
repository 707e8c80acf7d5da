//! Waiting for conditions. Waits are bounded by a patience that only a hang meets, never by how long something should take.

use std::time::{Duration, Instant};

/// The longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Pause between two looks at a condition that sends no event: a metric, a row of the catalog, a port, a terminal's screen.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value; after [`PATIENCE`] panics with `otherwise`.
pub(crate) fn wait_for<T>(
    mut condition: impl FnMut() -> Option<T>,
    otherwise: impl Fn() -> String,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(LOOK);
    }
}

/// The share of random cases that is asked for: `TRAILHOUND_TEST_SCALE`, 1 unless set. Never less than one case.
pub(crate) fn scaled(cases: u64) -> u64 {
    let scale = std::env::var("TRAILHOUND_TEST_SCALE")
        .map_or(1.0, |scale| scale.parse::<f64>().expect("TRAILHOUND_TEST_SCALE is a number"));
    ((cases as f64 * scale).ceil() as u64).max(1)
}

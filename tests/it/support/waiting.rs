//! Waiting for conditions. The limit is far above what anything takes, so that only a hang reaches it.

use std::time::{Duration, Instant};

/// The longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Pause between two checks of a condition that sends no event: a metric, a row of the catalog, a port, a terminal's screen.
const LOOK: Duration = Duration::from_millis(20);

/// Checks `condition` until it returns a value. Panics with `otherwise` after [`PATIENCE`].
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

/// The number of random cases to run: `cases` times `TRAILHOUND_TEST_SCALE`, which is 1 unless set; at least one.
pub(crate) fn scaled(cases: u64) -> u64 {
    let scale = std::env::var("TRAILHOUND_TEST_SCALE")
        .map_or(1.0, |scale| scale.parse::<f64>().expect("TRAILHOUND_TEST_SCALE is a number"));
    ((cases as f64 * scale).ceil() as u64).max(1)
}

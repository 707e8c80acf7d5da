//! The clock as an input.

use std::sync::Arc;

/// Returns the present in microseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

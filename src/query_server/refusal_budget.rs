//! How many refused statements and failed logins the query log takes. A client in a loop would fill the catalog.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals that are recorded in one interval. The others are counted.
const RECORDED_MAX: u32 = 60;
/// Length of the interval.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts the refusals of the interval that runs.
pub(super) struct RefusalBudget(Mutex<Counted>);

struct Counted {
    since: Instant,
    refusals: u32,
}

/// What is recorded of a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// The refusal. The number of those before it that were not recorded, where there are some.
    Refusal {
        /// How many.
        left_out: Option<u32>,
    },
    /// Nothing.
    Nothing,
}

impl RefusalBudget {
    /// A budget of which nothing is used at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Counted { since: now, refusals: 0 }))
    }

    /// Takes a refusal at `now` from the budget.
    pub(super) fn take(&self, now: Instant) -> Recorded {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = None;
        if now.saturating_duration_since(counted.since) >= INTERVAL {
            left_out = counted.refusals.checked_sub(RECORDED_MAX).filter(|number| *number > 0);
            *counted = Counted { since: now, refusals: 0 };
        }
        counted.refusals = counted.refusals.saturating_add(1);
        if counted.refusals <= RECORDED_MAX {
            Recorded::Refusal { left_out }
        } else {
            Recorded::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_budget_are_counted_and_told_with_the_next() {
        let start = Instant::now();
        let budget = RefusalBudget::new(start);
        let recorded = (0..1_000).filter(|_| budget.take(start) != Recorded::Nothing).count();
        assert_eq!(recorded, 60);
        let later = start + INTERVAL;
        assert_eq!(budget.take(later), Recorded::Refusal { left_out: Some(940) });
        assert_eq!(budget.take(later), Recorded::Refusal { left_out: None });
        assert_eq!(budget.take(later + INTERVAL), Recorded::Refusal { left_out: None });
    }
}

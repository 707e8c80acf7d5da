//! The days with new events that rules cannot judge. After a commit each such day is evaluated as a
//! whole, from the lake.

use super::lake_fallback::LakeFallback;
use super::planned_rule::pause;
use crate::evaluate::batch::Detection;
use crate::evaluate::scope::RunScope;
use crate::evaluate::undetermined::{MarkedDay, UndeterminedRules, days_of, undetermined_scopes};
use datafusion::arrow::array::RecordBatch;
use std::collections::BTreeSet;
use std::time::Instant;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// The rules, and the days that they have not been evaluated for yet.
pub(super) struct MarkedDays {
    rules: Vec<Rule>,
    /// Prepared when the first such day comes; mostly never.
    prepared: Option<UndeterminedRules>,
    days: BTreeSet<MarkedDay>,
    paused_until: Option<Instant>,
}

impl MarkedDays {
    /// No days yet.
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self { rules, prepared: None, days: BTreeSet::new(), paused_until: None }
    }

    /// Adds the days of new `rows`.
    ///
    /// # Errors
    /// [`SessionError`] where the rows lack a column.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<(), SessionError> {
        Ok(days_of(rows, i64::MIN, &mut self.days)?)
    }

    /// Adds the days of rows that were stored within a day before `now`: a service that ended before
    /// may not have evaluated them. `now` is in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`SessionError`] where the rows lack a column.
    pub(super) fn add_loaded(&mut self, rows: &RecordBatch, now: i64) -> Result<(), SessionError> {
        Ok(days_of(rows, now.saturating_sub(DAY_MICROS), &mut self.days)?)
    }

    /// Forgets all days.
    pub(super) fn clear(&mut self) {
        self.days.clear();
    }

    /// The end of the pause, where there are days to evaluate.
    pub(super) fn pause_end(&self) -> Option<Instant> {
        self.paused_until.filter(|_| !self.days.is_empty())
    }

    /// Evaluates the days, unless `scope` lets slow rules pause and the last evaluation was slow.
    /// `session` is a session over input.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(super) async fn run(
        &mut self,
        scope: RunScope,
        session: &Session,
        lake: &LakeFallback<'_>,
        detection: &mut Detection,
    ) -> Result<(), SessionError> {
        let is_paused = self.paused_until.is_some_and(|until| until > Instant::now());
        if self.days.is_empty() || (scope == RunScope::NotPaused && is_paused) {
            return Ok(());
        }
        let started = Instant::now();
        let prepared = match &mut self.prepared {
            Some(prepared) => prepared,
            none => {
                let rules = UndeterminedRules::new(self.rules.clone(), session.clone()).await?;
                none.insert(rules)
            }
        };
        for &day in &self.days {
            let found = prepared.evaluate_day(lake.session().await?, day).await?;
            detection.findings.extend(found.findings);
            detection.add_failed(found.failed);
            detection.scopes.extend(undetermined_scopes(prepared.ids(), day.range(), false));
        }
        self.days.clear();
        self.paused_until = pause(started.elapsed()).map(|pause| Instant::now() + pause);
        Ok(())
    }
}

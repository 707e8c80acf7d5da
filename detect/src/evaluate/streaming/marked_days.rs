//! The days with new events that rules cannot judge. After a commit each such day is evaluated as a
//! whole, from the lake.

use super::lake_fallback::LakeFallback;
use super::planned_rule::pause;
use crate::evaluate::batch::Detection;
use crate::evaluate::scope::RunScope;
use crate::evaluate::undetermined::{Marks, UndeterminedRules, undetermined_scopes};
use datafusion::arrow::array::RecordBatch;
use std::time::Instant;
use trailhound_datasets::fact::FactSet;
use trailhound_datasets::layout::DAY_MICROS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// The rules, and the days that they have not been evaluated for yet.
pub(super) struct MarkedDays {
    rules: Vec<Rule>,
    /// Prepared when the first such day comes, for the facts that were not understood; mostly never.
    prepared: Option<(FactSet, UndeterminedRules)>,
    marks: Marks,
    paused_until: Option<Instant>,
}

impl MarkedDays {
    /// No days yet.
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self { rules, prepared: None, marks: Marks::default(), paused_until: None }
    }

    /// Adds the days of new `rows`.
    ///
    /// # Errors
    /// [`SessionError`] where the rows lack a column.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<(), SessionError> {
        Ok(self.marks.add(rows, i64::MIN)?)
    }

    /// Adds the days of rows that were stored within a day before `now`: a service that ended before
    /// may not have evaluated them. `now` is in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`SessionError`] where the rows lack a column.
    pub(super) fn add_loaded(&mut self, rows: &RecordBatch, now: i64) -> Result<(), SessionError> {
        Ok(self.marks.add(rows, now.saturating_sub(DAY_MICROS))?)
    }

    /// Forgets all days.
    pub(super) fn clear(&mut self) {
        self.marks.days.clear();
    }

    /// The end of the pause, where there are days to evaluate.
    pub(super) fn pause_end(&self) -> Option<Instant> {
        self.paused_until.filter(|_| !self.marks.days.is_empty())
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
        if self.marks.days.is_empty() || (scope == RunScope::NotPaused && is_paused) {
            return Ok(());
        }
        let started = Instant::now();
        // A fact that was not seen before concerns more rules.
        if !self.prepared.as_ref().is_some_and(|(facts, _)| facts.contains_all(self.marks.facts)) {
            let facts = self.marks.facts;
            let rules = self.rules.clone();
            self.prepared =
                Some((facts, UndeterminedRules::new(rules, session.clone(), facts).await?));
        }
        let Some((_, prepared)) = &self.prepared else { return Ok(()) };
        for &day in &self.marks.days {
            let found = prepared.evaluate_day(lake.session().await?, day).await?;
            detection.findings.extend(found.findings);
            detection.add_failed(found.failed);
            detection.scopes.extend(undetermined_scopes(prepared.ids(), day.range(), false));
        }
        self.marks.days.clear();
        self.paused_until = pause(started.elapsed()).map(|pause| Instant::now() + pause);
        Ok(())
    }
}

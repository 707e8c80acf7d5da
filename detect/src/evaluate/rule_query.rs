//! The query of a rule, planned when it is first needed.
//!
//! One sign-in without MFA concerns three of 85 rules. Planning the other 82 queries would take most
//! of the time of such a run, so a built-in rule is planned when it first has rows to run over.

use crate::finding::match_rows::{EVENT_COLUMNS, dedup_columns, plan_matches};
use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use std::collections::{BTreeSet, HashSet};
use tokio::sync::OnceCell;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;
use trailhound_queries::session::prepared::PreparedQuery;

/// A rule's query over rows of `events` in memory.
pub(crate) struct RuleQuery {
    rule_id: String,
    sql: String,
    dedup: Vec<String>,
    built_in: bool,
    columns: BTreeSet<usize>,
    planned: OnceCell<PreparedQuery>,
}

impl RuleQuery {
    /// Plans a user's rule at once, so that an error in it is reported even if no row concerns the
    /// rule. A built-in rule is planned when it first has rows; its test cases prove that it can be.
    ///
    /// # Errors
    /// [`SessionError`] where the query of a user's rule cannot be planned in `session`.
    pub(crate) async fn new(rule: &Rule, session: &Session) -> Result<Self, SessionError> {
        let mut query = Self {
            rule_id: rule.id.clone(),
            sql: rule.sql.clone(),
            dedup: dedup_columns(rule).to_vec(),
            built_in: rule.built_in,
            columns: columns_named(rule),
            planned: OnceCell::new(),
        };
        if !rule.built_in {
            let planned = query.plan(session).await?;
            query.columns.clone_from(planned.columns());
            query.planned = OnceCell::new_with(Some(planned));
        }
        Ok(query)
    }

    /// Positions of the columns of `events` that the query needs.
    pub(crate) fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Runs the query over `rows`, which have at least its columns. Without rows, a built-in rule has
    /// no matches and is not planned.
    ///
    /// # Errors
    /// [`SessionError`] where the query cannot be planned or run.
    pub(crate) async fn run(
        &self,
        session: &Session,
        rows: Vec<RecordBatch>,
    ) -> Result<Vec<RecordBatch>, SessionError> {
        if self.built_in && rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let planned = self.planned.get_or_try_init(|| self.plan(session)).await?;
        if !planned.columns().is_subset(&self.columns) {
            let message = format!("the query of {} reads columns it does not name", self.rule_id);
            return Err(DataFusionError::Internal(message).into());
        }
        planned.run(rows).await
    }

    async fn plan(&self, session: &Session) -> Result<PreparedQuery, SessionError> {
        PreparedQuery::new(session, plan_matches(session, &self.sql, &self.dedup).await?).await
    }
}

/// Returns the columns of `events` that the query of `rule` may read: the columns that a finding is
/// built from, and the columns named in the SQL text.
fn columns_named(rule: &Rule) -> BTreeSet<usize> {
    let sql = rule.sql.to_lowercase();
    let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let mut names: HashSet<&str> = words.collect();
    names.extend(EVENT_COLUMNS);
    names.extend(dedup_columns(rule).iter().map(String::as_str));
    let is_named = |field: &str| names.contains(field);
    (0..)
        .zip(EVENTS.arrow.fields())
        .filter(|(_, field)| is_named(field.name()))
        .map(|(position, _)| position)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use trailhound_queries::limits::QueryLimits;
    use trailhound_queries::packs::rules::RuleSet;

    #[tokio::test]
    async fn a_built_in_rule_reads_only_columns_that_its_text_names() {
        let session =
            Session::over_input(Arc::default(), &QueryLimits::default()).expect("a session");
        for rule in RuleSet::built_in().expect("rules").rules {
            let query = RuleQuery::new(&rule, &session).await.expect("a query");
            let planned = query.plan(&session).await.expect("planned");
            let missing: Vec<_> = planned.columns().difference(query.columns()).collect();
            assert!(missing.is_empty(), "{}: {missing:?}", rule.id);
        }
    }
}

//! The events that rules cannot judge: an event holds a fact that a rule reads, in a form that was
//! not understood. Nothing takes such an event out of detection: it becomes a finding of the rule
//! in the variant `undetermined`, one for each rule, account, fact and day.
//!
//! What is found about the events of a day depends on the events of that day alone. So batch and
//! streaming evaluation give the same findings: both evaluate whole days, each with
//! [`UndeterminedRules::evaluate_day`]. An event that the rule itself finds is left out.

mod day_findings;
mod doubt;
mod marked_day;
mod marked_events;

use crate::evaluate::rule_query::RuleQuery;
use crate::evaluate::scope::{EvaluatedScope, TimeRange};
use crate::finding::Finding;
use crate::finding::health::NOT_UNDERSTOOD_RULE;
use crate::finding::match_rows::{self, EVENT_COLUMNS};
use crate::scan::predicate_set::PredicateSet;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::take_record_batch;
use datafusion::error::DataFusionError;
use day_findings::{DayFindings, FoundKeys, MarkedRows};
use doubt::RuleDoubt;
pub(super) use marked_day::{MarkedDay, Marks};
use marked_events::{MarkedEvents, positions, totals};
pub(super) use marked_events::{day_request, marks};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use trailhound_datasets::fact::FactSet;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Maximum number of rows that wait until a day is complete, over all rules. A rule with a window
/// is run over its waiting rows, to leave out the events that it finds. On a day with more rows,
/// these rules leave out no event.
const COMPARED_MAX: usize = 10_000;

/// Rules, prepared to find the events that they cannot judge.
pub(super) struct UndeterminedRules {
    parameters: Arc<Parameters>,
    /// Plans the queries.
    session: Session,
    rules: Vec<DoubtfulRule>,
    predicates: PredicateSet,
    /// The columns of `events` that are read.
    columns: BTreeSet<usize>,
    /// Ids of the rules whose condition cannot be planned, and why.
    broken: Vec<(String, String)>,
}

/// A rule and the facts that it reads.
struct DoubtfulRule {
    rule: Rule,
    facts: FactSet,
    query: RuleQuery,
}

/// What was found about the events of a day.
#[derive(Default)]
pub(super) struct EvaluatedDay {
    pub(super) findings: Vec<Finding>,
    /// Ids of the rules that failed, and why. A rule that cannot be planned has no findings. A rule
    /// whose query fails leaves out no event.
    pub(super) failed: Vec<(String, String)>,
}

/// Rows that wait until the day is complete, by the number of their rule.
#[derive(Default)]
struct WaitingRows {
    batches: BTreeMap<usize, Vec<RecordBatch>>,
    count: usize,
}

impl UndeterminedRules {
    /// Prepares those of `rules` that read one of the facts `marked`, in `session`, which was made by [`Session::over_input`].
    /// The others can judge each event of which no other fact was not understood.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where a condition cannot be bound to the columns of `events`.
    pub(super) async fn new(
        rules: impl IntoIterator<Item = Rule>,
        session: Session,
        marked: FactSet,
    ) -> Result<Self, SessionError> {
        let (mut doubtful, mut predicates, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for rule in rules {
            match prepare(&rule, &session, marked).await {
                Ok(None) => {}
                Ok(Some((doubt, query))) => {
                    predicates.push(doubt.predicate);
                    doubtful.push(DoubtfulRule { rule, facts: doubt.facts, query });
                }
                Err(error) => broken.push((rule.id, error.to_string())),
            }
        }
        let predicates = PredicateSet::new(&predicates)?;
        let mut columns = predicates.columns().clone();
        columns.extend(doubtful.iter().flat_map(|rule| rule.query.columns()));
        columns.extend(positions(&EVENT_COLUMNS));
        columns.extend(positions(&["source"]));
        let parameters = Arc::clone(session.parameters());
        Ok(Self { parameters, session, rules: doubtful, predicates, columns, broken })
    }

    /// Makes the findings about the events of `day` in `lake` that the rules cannot judge, and
    /// about the sources with too many events of which a fact was not understood.
    ///
    /// # Errors
    /// [`SessionError`] where the events cannot be read.
    pub(super) async fn evaluate_day(
        &self,
        lake: &Session,
        day: MarkedDay,
    ) -> Result<EvaluatedDay, SessionError> {
        let mut found = DayFindings::new(&self.parameters, day);
        let mut failed = BTreeMap::new();
        let mut waiting = WaitingRows::default();
        let mut rows = MarkedEvents::of_day(lake, &self.session, day, &self.columns).await?;
        while let Some(batch) = rows.next().await? {
            found.add_sources(&batch, &MarkedRows::new(&batch)?)?;
            for (number, candidates) in self.candidates(&batch)? {
                if self.rules[number].must_wait() && waiting.add(number, &candidates) {
                    continue;
                }
                self.judge(number, vec![candidates], true, &mut found, &mut failed).await?;
            }
        }
        let is_compared = waiting.count <= COMPARED_MAX;
        for (number, batches) in waiting.batches {
            self.judge(number, batches, is_compared, &mut found, &mut failed).await?;
        }
        let failed = failed.into_iter().map(|(number, error)| (self.id(number), error));
        let failed = self.broken.iter().cloned().chain(failed).collect();
        let findings = found.finish(&totals(lake, day).await?);
        Ok(EvaluatedDay { findings, failed })
    }

    /// Ids of the rules.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.rule.id.as_str())
    }

    fn id(&self, number: usize) -> String {
        self.rules[number].rule.id.clone()
    }

    /// The rows of `batch` that may concern each rule.
    fn candidates(&self, batch: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>, SessionError> {
        let bitmap = self.predicates.evaluate(batch)?;
        let rows = (0..self.rules.len()).map(|number| (number, bitmap.rows(number)));
        rows.filter(|(_, rows)| !rows.is_empty())
            .map(|(number, rows)| {
                Ok((number, take_record_batch(batch, &rows).map_err(DataFusionError::from)?))
            })
            .collect()
    }

    /// Adds `rows` to the findings of a rule. Where `is_compared`, the events that the rule itself
    /// finds among them are left out. If its query fails, the rule is added to `failed` and leaves
    /// out none.
    async fn judge(
        &self,
        number: usize,
        rows: Vec<RecordBatch>,
        is_compared: bool,
        found: &mut DayFindings<'_>,
        failed: &mut BTreeMap<usize, String>,
    ) -> Result<(), SessionError> {
        let rule = &self.rules[number];
        let matched = if is_compared && rule.judges_alone() {
            rule.matched(&self.session, rows.clone()).await.unwrap_or_else(|error| {
                failed.insert(number, error.to_string());
                FoundKeys::new()
            })
        } else {
            FoundKeys::new()
        };
        for batch in rows {
            found.add(&rule.rule, rule.facts, &MarkedRows::new(&batch)?, &matched);
        }
        Ok(())
    }
}

/// The scopes in which findings are withdrawn that an evaluation of every marked day in `range` has
/// not found again: the findings of the rules `rule_ids` and, `with_sources`, those about sources.
/// Streaming evaluation does not withdraw findings about sources. They also depend on the number of
/// events that are understood, and a day with only such new events is not evaluated again.
pub(super) fn undetermined_scopes<I: AsRef<str>>(
    rule_ids: impl IntoIterator<Item = I>,
    range: TimeRange,
    with_sources: bool,
) -> Vec<EvaluatedScope> {
    let scope = |rule_id: &str, is_undetermined| EvaluatedScope {
        rule_id: rule_id.to_owned(),
        range,
        dependency_micros: 0,
        unchanged_ids: HashSet::new(),
        is_undetermined,
    };
    let of_rules = rule_ids.into_iter().map(|rule_id| scope(rule_id.as_ref(), true));
    let of_sources = with_sources.then(|| scope(NOT_UNDERSTOOD_RULE, false));
    of_rules.chain(of_sources).collect()
}

/// The events that `rule` cannot judge, as a condition, and its query; `None` where it reads none
/// of the facts `marked`.
async fn prepare(
    rule: &Rule,
    session: &Session,
    marked: FactSet,
) -> Result<Option<(RuleDoubt, RuleQuery)>, SessionError> {
    Ok(match RuleDoubt::of(rule, session, marked)? {
        Some(doubt) => Some((doubt, RuleQuery::new(rule, session).await?)),
        None => None,
    })
}

impl DoubtfulRule {
    /// True where the rule can be run over the events of one day to learn which of them it finds. A
    /// rule over `first_last` rows cannot: events of earlier days decide whether it finds an event.
    fn judges_alone(&self) -> bool {
        self.rule.first_last.is_none()
    }

    /// True where other events of the day can change whether the rule finds an event.
    fn must_wait(&self) -> bool {
        let is_about_many = !self.rule.lookback.is_zero() || self.rule.baseline.is_some();
        self.judges_alone() && is_about_many
    }

    /// Keys of the events that the rule finds among `rows`.
    async fn matched(
        &self,
        session: &Session,
        rows: Vec<RecordBatch>,
    ) -> Result<FoundKeys, SessionError> {
        let mut keys = FoundKeys::new();
        for batch in self.query.run(session, rows).await? {
            let matches = match_rows::read_matches(&batch, &[])?;
            keys.extend(matches.iter().map(|row| row.event_key().to_vec()));
        }
        Ok(keys)
    }
}

impl WaitingRows {
    /// Keeps `rows` of a rule and returns true. Once there are more than [`COMPARED_MAX`], returns
    /// false and keeps no more.
    fn add(&mut self, number: usize, rows: &RecordBatch) -> bool {
        self.count += rows.num_rows();
        if self.count > COMPARED_MAX {
            return false;
        }
        self.batches.entry(number).or_default().push(rows.clone());
        true
    }
}

//! One pass over the lake for many rules: the rows that any of them reads are read once, and each rule's query runs over its own.

use crate::evaluate::judged;
use datafusion::arrow::array::RecordBatch;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::catalogue::Rule;
use trailhound_queries::prepared::{Prepared, Rows};
use trailhound_queries::session::{QueryLimits, Session, SessionError};
use trailhound_queries::sieve::Sieve;

/// A rule with its plan.
struct Planned<'r> {
    rule: &'r Rule,
    query: Prepared,
    set: usize,
}

/// Rules that read the same rows, and the rows.
struct Set {
    sieve: Sieve,
    /// Columns of `events` that its rules look at.
    columns: BTreeSet<usize>,
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// There are too many of them to be held.
    overflown: bool,
}

/// The rows that rules read, gathered.
pub(crate) struct Gathered<'r> {
    table: Rows,
    sets: Vec<Set>,
    rules: Vec<Planned<'r>>,
    /// Rules that cannot be planned, and why.
    pub(crate) broken: Vec<(&'r Rule, SessionError)>,
}

impl<'r> Gathered<'r> {
    /// Reads the rows of `session` that `rules` read, each with the predicate that says which. At most half of the memory that `limits`
    /// grants is held: a rule whose rows do not fit is left to [`Gathered::run`]'s caller.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(crate) async fn new(session: &Session, rules: Vec<(&'r Rule, String)>, limits: &QueryLimits) -> Result<Self, SessionError> {
        let (over_rows, table) = Session::over_rows(session.parameters().clone(), limits).await?;
        let mut gathered = Self { table, sets: Vec::new(), rules: Vec::new(), broken: Vec::new() };
        let mut by_predicate: BTreeMap<String, usize> = BTreeMap::new();
        for (rule, predicate) in rules {
            match gathered.plan(&over_rows, rule, &predicate, &by_predicate).await {
                Ok(set) => {
                    by_predicate.insert(predicate, set);
                }
                Err(error) => gathered.broken.push((rule, error)),
            }
        }
        if !by_predicate.is_empty() {
            let any: Vec<String> = by_predicate.keys().map(|predicate| format!("({predicate})")).collect();
            gathered.read(session, &any.join(" OR "), limits.memory_bytes_max / 2).await?;
        }
        Ok(gathered)
    }

    async fn plan(
        &mut self,
        session: &Session,
        rule: &'r Rule,
        predicate: &str,
        known: &BTreeMap<String, usize>,
    ) -> Result<usize, SessionError> {
        let query = Prepared::new(judged(session, rule).await?).await?;
        let set = match known.get(predicate) {
            Some(&set) => set,
            None => {
                let columns = (0..).zip(EVENTS.arrow.fields()).filter(|(_, field)| !field.is_nullable()).map(|(at, _)| at).collect();
                self.sets.push(Set { sieve: Sieve::new(session, predicate)?, columns, rows: Vec::new(), bytes: 0, overflown: false });
                self.sets.len() - 1
            }
        };
        self.sets[set].columns.extend(query.columns());
        self.rules.push(Planned { rule, query, set });
        Ok(set)
    }

    async fn read(&mut self, session: &Session, predicate: &str, bytes_max: usize) -> Result<(), SessionError> {
        let mut columns = BTreeSet::new();
        for set in &self.sets {
            columns.extend(&set.columns);
            columns.extend(set.sieve.columns());
        }
        let mut sieves = Vec::new();
        for set in &self.sets {
            let places: Vec<usize> =
                (0..).zip(&columns).filter(|(_, column)| set.columns.contains(column)).map(|(place, _)| place).collect();
            sieves.push((set.sieve.among(&columns)?, places));
        }
        let mut stream = session.rows_where(predicate, &columns).await?;
        while let Some(batch) = stream.try_next().await? {
            for (set, (sieve, places)) in self.sets.iter_mut().zip(&sieves).filter(|(set, _)| !set.overflown) {
                if let Some(rows) = sieve.pick(&batch, places)? {
                    set.bytes += rows.get_array_memory_size();
                    set.rows.push(rows);
                }
            }
            self.let_go(bytes_max);
        }
        Ok(())
    }

    /// Gives up the largest sets while more than `bytes_max` is held.
    fn let_go(&mut self, bytes_max: usize) {
        while self.sets.iter().map(|set| set.bytes).sum::<usize>() > bytes_max {
            let Some(largest) = self.sets.iter_mut().max_by_key(|set| set.bytes) else { return };
            (largest.rows, largest.bytes, largest.overflown) = (Vec::new(), 0, true);
        }
    }

    /// The rules that could be planned.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().map(|planned| planned.rule)
    }

    /// What the query of `rule` gives; `None` where its rows were too many to be held.
    ///
    /// # Errors
    /// [`SessionError`] where the query breaks.
    pub(crate) async fn run(&self, rule: &Rule) -> Result<Option<Vec<RecordBatch>>, SessionError> {
        let Some(planned) = self.rules.iter().find(|planned| planned.rule.id == rule.id) else { return Ok(None) };
        let set = &self.sets[planned.set];
        if set.overflown {
            return Ok(None);
        }
        self.table.replace(set.rows.clone());
        let batches = planned.query.run(&self.table).await;
        self.table.replace(Vec::new());
        Ok(Some(batches?))
    }
}

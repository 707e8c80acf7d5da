//! One pass over the lake for many rules: the rows that any of them reads are read once, and each rule's query runs over its own.

use crate::condense::Condense;
use crate::evaluate::judged;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::catalogue::{Condensed, Rule};
use trailhound_queries::prepared::{Prepared, Rows};
use trailhound_queries::session::{QueryLimits, Session, SessionError};
use trailhound_queries::sieve::Sieve;

/// The sets there are, by what is read and how it is condensed.
type Known<'r> = BTreeMap<(String, Option<&'r Condensed>), usize>;

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
    /// Where no more is held than the first and the last of each group.
    condense: Option<Condense>,
}

impl Set {
    fn new(session: &Session, predicate: &str, rule: &Rule) -> Result<Self, SessionError> {
        let by = rule.condensed.iter().flat_map(|condensed| &condensed.by);
        let is_needed = |name: &String| by.clone().any(|by| by == name) || name == "event_time";
        let fields = (0..).zip(EVENTS.arrow.fields());
        Ok(Self {
            sieve: Sieve::new(session, predicate)?,
            columns: fields.filter(|(_, field)| !field.is_nullable() || is_needed(field.name())).map(|(at, _)| at).collect(),
            rows: Vec::new(),
            bytes: 0,
            overflown: false,
            condense: rule.condensed.as_ref().map(Condense::new),
        })
    }

    fn add(&mut self, rows: RecordBatch) -> Result<(), SessionError> {
        let rows = match &mut self.condense {
            Some(condense) => filter_record_batch(&rows, &condense.judge(&rows)?.keep).map_err(DataFusionError::from)?,
            None => rows,
        };
        self.bytes += rows.get_array_memory_size();
        self.rows.push(rows);
        self.thin()
    }

    /// Lets go of rows that are neither first nor last any more, where they have become many.
    fn thin(&mut self) -> Result<(), SessionError> {
        let Some(condense) = &mut self.condense else { return Ok(()) };
        if !condense.is_due(self.rows.iter().map(RecordBatch::num_rows).sum()) {
            return Ok(());
        }
        let Some(first) = self.rows.first() else { return Ok(()) };
        let all = concat_batches(&first.schema(), &self.rows).map_err(DataFusionError::from)?;
        let thinned = filter_record_batch(&all, &condense.thin(&all)?).map_err(DataFusionError::from)?;
        condense.thinned(thinned.num_rows());
        self.bytes = thinned.get_array_memory_size();
        self.rows = vec![thinned];
        Ok(())
    }
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
    /// Reads the rows of `session` that `rules` read, each with the predicate that says which; all of them fulfil `times` too, by which
    /// files are skipped. At most half of the memory that `limits`
    /// grants is held: a rule whose rows do not fit is left to [`Gathered::run`]'s caller.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(crate) async fn new(
        session: &Session,
        times: &str,
        rules: Vec<(&'r Rule, String)>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        let (over_rows, table) = Session::over_rows(session.parameters().clone(), limits).await?;
        let mut gathered = Self { table, sets: Vec::new(), rules: Vec::new(), broken: Vec::new() };
        let mut known: Known<'r> = BTreeMap::new();
        for (rule, predicate) in rules {
            match gathered.plan(&over_rows, rule, &predicate, &known).await {
                Ok(set) => {
                    known.insert((predicate, rule.condensed.as_ref()), set);
                }
                Err(error) => gathered.broken.push((rule, error)),
            }
        }
        if !known.is_empty() {
            let any: BTreeSet<String> = known.keys().map(|(predicate, _)| format!("({predicate})")).collect();
            let any: Vec<String> = any.into_iter().collect();
            let any = Sieve::new(&over_rows, &any.join(" OR "))?;
            gathered.read(session, times, any, limits.memory_bytes_max / 2).await?;
        }
        Ok(gathered)
    }

    async fn plan(&mut self, session: &Session, rule: &'r Rule, predicate: &str, known: &Known<'r>) -> Result<usize, SessionError> {
        let query = Prepared::new(judged(session, rule).await?).await?;
        let set = match known.get(&(predicate.to_owned(), rule.condensed.as_ref())) {
            Some(&set) => set,
            None => {
                self.sets.push(Set::new(session, predicate, rule)?);
                self.sets.len() - 1
            }
        };
        self.sets[set].columns.extend(query.columns());
        self.rules.push(Planned { rule, query, set });
        Ok(set)
    }

    async fn read(&mut self, session: &Session, times: &str, any: Sieve, bytes_max: usize) -> Result<(), SessionError> {
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
        let mut stream = session.rows_where_any(times, any, &columns).await?;
        while let Some(batch) = stream.try_next().await? {
            for (set, (sieve, places)) in self.sets.iter_mut().zip(&sieves).filter(|(set, _)| !set.overflown) {
                if let Some(rows) = sieve.pick(&batch, places)? {
                    set.add(rows)?;
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

//! One pass over the lake for many rules: the rows that any of them reads are read once, and each rule's query runs over its own.

use crate::finding::match_rows::plan_matches;
use crate::scan::first_last::FirstLastState;
use crate::scan::predicate_set::PredicateSet;
use crate::scan::shared_scan::{Condensing, FileCursor, Found, SharedScan, Wanted};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::{QueryLimits, SessionError};
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::session::Session;
use trailhound_queries::session::prepared::{Prepared, Rows};

/// The sets there are, by what is read and how it is condensed.
type Known<'r> = BTreeMap<(String, Option<&'r FirstLast>), usize>;

/// A rule with its plan.
struct Planned<'r> {
    rule: &'r Rule,
    query: Arc<Prepared>,
    set: usize,
    lane: usize,
}

/// Rules that read the same rows, and the rows.
struct Set {
    predicate: String,
    /// Columns of `events` that its rules look at.
    columns: BTreeSet<usize>,
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// There are too many of them to be held.
    overflown: bool,
    /// Where no more is held than the first and the last of each group.
    condensing: Option<Condensing>,
}

impl Set {
    fn new(session: &Session, predicate: &str, rule: &Rule) -> Result<Self, SessionError> {
        PredicateSet::new(session, [predicate])?;
        Ok(Self {
            predicate: predicate.to_owned(),
            columns: EVENTS
                .arrow
                .fields()
                .iter()
                .enumerate()
                .filter(|(_, field)| !field.is_nullable())
                .map(|(at, _)| at)
                .collect(),
            rows: Vec::new(),
            bytes: 0,
            overflown: false,
            condensing: rule
                .condensed
                .as_ref()
                .map(|condensed| Condensing::new(FirstLastState::new(condensed))),
        })
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            predicate: self.predicate.clone(),
            columns: self.columns.clone(),
            condense: self.condensing.clone(),
        }
    }

    fn add(&mut self, rows: RecordBatch) -> Result<(), DataFusionError> {
        self.bytes += rows.get_array_memory_size();
        self.rows.push(rows);
        self.thin()
    }

    /// Lets go of rows that are neither first nor last any more, where they have become many.
    fn thin(&mut self) -> Result<(), DataFusionError> {
        let Some(condensing) = &self.condensing else { return Ok(()) };
        let mut condense = condensing.known();
        if !condense.is_due(self.rows.iter().map(RecordBatch::num_rows).sum()) {
            return Ok(());
        }
        let Some(first) = self.rows.first() else { return Ok(()) };
        let all = concat_batches(&first.schema(), &self.rows)?;
        let thinned = filter_record_batch(&all, &condense.thin(&all)?)?;
        condense.thinned(thinned.num_rows());
        self.bytes = thinned.get_array_memory_size();
        self.rows = vec![thinned];
        Ok(())
    }
}

/// The rows that rules read, gathered.
pub(crate) struct BatchRows<'r> {
    /// One table for each rule that runs at a time.
    lanes: Vec<Rows>,
    sets: Vec<Set>,
    rules: Vec<Planned<'r>>,
    /// Rules that cannot be planned, and why.
    pub(crate) broken: Vec<(&'r Rule, SessionError)>,
}

impl<'r> BatchRows<'r> {
    /// Reads the rows of `session` that `rules` read, each with the predicate that says which; all of them fulfil `times` too, by which
    /// files are skipped. At most half of the memory that `limits`
    /// grants is held: a rule whose rows do not fit is left to [`BatchRows::run`]'s caller.
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(crate) async fn new(
        session: &Session,
        times: &str,
        rules: Vec<(&'r Rule, String)>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        let (mut planners, mut lanes) = (Vec::new(), Vec::new());
        for _ in 0..limits.threads.min(rules.len()).max(1) {
            let (planner, rows) = Session::over_rows(session.parameters().clone(), limits).await?;
            planners.push(planner);
            lanes.push(rows);
        }
        let mut gathered = Self { lanes, sets: Vec::new(), rules: Vec::new(), broken: Vec::new() };
        let mut known: Known<'r> = BTreeMap::new();
        for (number, (rule, predicate)) in rules.into_iter().enumerate() {
            let lane = number % planners.len();
            match gathered.plan(&planners[lane], lane, rule, &predicate, &known).await {
                Ok(set) => {
                    known.insert((predicate, rule.condensed.as_ref()), set);
                }
                Err(error) => gathered.broken.push((rule, error)),
            }
        }
        if !known.is_empty() {
            gathered.read(session, &planners[0], times, limits).await?;
        }
        Ok(gathered)
    }

    async fn plan(
        &mut self,
        session: &Session,
        lane: usize,
        rule: &'r Rule,
        predicate: &str,
        known: &Known<'r>,
    ) -> Result<usize, SessionError> {
        let query = Arc::new(Prepared::new(plan_matches(session, rule).await?).await?);
        let set = match known.get(&(predicate.to_owned(), rule.condensed.as_ref())) {
            Some(&set) => set,
            None => {
                self.sets.push(Set::new(session, predicate, rule)?);
                self.sets.len() - 1
            }
        };
        self.sets[set].columns.extend(query.columns());
        self.rules.push(Planned { rule, query, set, lane });
        Ok(set)
    }

    async fn read(
        &mut self,
        session: &Session,
        planner: &Session,
        times: &str,
        limits: &QueryLimits,
    ) -> Result<(), SessionError> {
        let sift = Arc::new(SharedScan::new(planner, self.sets.iter().map(Set::wanted).collect())?);
        let bytes_max = limits.memory_bytes_max / 2;
        match session.files_where(times).await? {
            Some(files) => {
                let (mut found, readers) = read_all(&sift, files, limits.threads);
                while let Some(found) = found.recv().await {
                    self.add(found, &sift, bytes_max)?;
                }
                for reader in readers {
                    reader.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
                }
            }
            None => {
                let mut rows = session.rows_where(times, &sift.columns()).await?;
                while let Some(batch) = rows.try_next().await? {
                    self.add(sift.batch(&batch)?, &sift, bytes_max)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        found: Found,
        sift: &SharedScan,
        bytes_max: usize,
    ) -> Result<(), DataFusionError> {
        for (at, rows) in found {
            let set = &mut self.sets[at];
            if !set.overflown {
                set.add(rows)?;
            }
        }
        self.let_go(bytes_max, sift);
        Ok(())
    }

    /// Gives up the largest sets while more than `bytes_max` is held.
    fn let_go(&mut self, bytes_max: usize, sift: &SharedScan) {
        while self.sets.iter().map(|set| set.bytes).sum::<usize>() > bytes_max {
            let Some((at, largest)) =
                self.sets.iter_mut().enumerate().max_by_key(|(_, set)| set.bytes)
            else {
                return;
            };
            (largest.rows, largest.bytes, largest.overflown) = (Vec::new(), 0, true);
            sift.give_up(at);
        }
    }

    /// The rules that could be planned.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().map(|planned| planned.rule)
    }

    /// What the queries give, each with the number of its rule, as they end. Rules whose rows were too many to be held are not among them.
    pub(crate) fn results(
        &self,
    ) -> mpsc::Receiver<(usize, Result<Vec<RecordBatch>, SessionError>)> {
        let (sender, receiver) = mpsc::channel(1);
        for (lane, table) in self.lanes.iter().enumerate() {
            let (table, sender) = (table.clone(), sender.clone());
            let its =
                self.rules.iter().enumerate().filter(|(_, planned)| {
                    planned.lane == lane && !self.sets[planned.set].overflown
                });
            let queries: Vec<_> = its
                .map(|(number, planned)| {
                    (number, Arc::clone(&planned.query), self.sets[planned.set].rows.clone())
                })
                .collect();
            tokio::spawn(async move {
                for (number, query, rows) in queries {
                    table.replace(rows);
                    let batches = query.run(&table).await;
                    table.replace(Vec::new());
                    if sender.send((number, batches)).await.is_err() {
                        return;
                    }
                }
            });
        }
        receiver
    }

    /// The rule of that number.
    pub(crate) fn rule(&self, number: usize) -> &'r Rule {
        self.rules[number].rule
    }
}

/// Reads `files` on so many threads, which end when nobody listens any more.
fn read_all(
    sift: &Arc<SharedScan>,
    files: BTreeSet<PathBuf>,
    threads: usize,
) -> (mpsc::Receiver<Found>, Vec<JoinHandle<Result<(), SessionError>>>) {
    let (sender, receiver) = mpsc::channel(threads);
    let files = Arc::new(Mutex::new(files.into_iter()));
    let reader = |_| {
        let (sift, files, sender) = (Arc::clone(sift), Arc::clone(&files), sender.clone());
        tokio::task::spawn_blocking(move || {
            let next = || files.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(path) = next() {
                let gone = |_| DataFusionError::Execution("nobody wants it any more".to_owned());
                let mut unread = FileCursor::open(path)?;
                while unread.is_left() {
                    sift.part(&mut unread, |found| {
                        Ok(sender.blocking_send(found).map_err(gone)?)
                    })?;
                }
            }
            Ok(())
        })
    };
    let readers = (0..threads).map(reader).collect();
    (receiver, readers)
}

//! One pass over the lake for many rules.
//!
//! Each file is read once for all rules. Rules with the same prefilter share the rows that match it,
//! which are held in memory, and each rule's query runs over these rows.

use crate::evaluate::rule_query::RuleQuery;
use crate::scan::first_last::FirstLastState;
use crate::scan::predicate_set::EventPredicate;
use crate::scan::shared_scan::{
    FileCursor, RequestedRows, ScanRequest, SharedFirstLast, SharedScan,
};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::session::Session;

/// A rule with its query.
struct BatchRule<'r> {
    rule: &'r Rule,
    query: Arc<RuleQuery>,
    /// Number of the rule's [`SharedRows`].
    rows: usize,
}

/// The rows of the rules that have the same prefilter.
struct SharedRows {
    predicate: EventPredicate,
    /// Columns of `events` that these rules read.
    columns: BTreeSet<usize>,
    batches: Vec<RecordBatch>,
    bytes: usize,
    /// True if there were too many rows to hold them; they are dropped then.
    has_overflowed: bool,
    /// Set if only the first and last rows of each group and bucket are held.
    first_last: Option<SharedFirstLast>,
}

impl SharedRows {
    fn new(predicate: EventPredicate, first_last: Option<&FirstLast>) -> Self {
        Self {
            predicate,
            columns: EVENTS
                .arrow
                .fields()
                .iter()
                .enumerate()
                .filter(|(_, field)| !field.is_nullable())
                .map(|(at, _)| at)
                .collect(),
            batches: Vec::new(),
            bytes: 0,
            has_overflowed: false,
            first_last: first_last
                .map(|first_last| SharedFirstLast::new(FirstLastState::new(first_last))),
        }
    }

    fn request(&self) -> ScanRequest {
        ScanRequest {
            predicate: self.predicate.clone(),
            columns: self.columns.clone(),
            first_last: self.first_last.clone(),
        }
    }

    fn add(&mut self, rows: RecordBatch) -> Result<(), DataFusionError> {
        self.bytes += rows.get_array_memory_size();
        self.batches.push(rows);
        self.compact()
    }

    /// Drops rows that are neither first nor last any more, where they have become many.
    fn compact(&mut self) -> Result<(), DataFusionError> {
        let Some(first_last) = &self.first_last else { return Ok(()) };
        let mut state = first_last.lock();
        if !state.needs_compaction(self.batches.iter().map(RecordBatch::num_rows).sum()) {
            return Ok(());
        }
        let Some(first) = self.batches.first() else { return Ok(()) };
        let all = concat_batches(&first.schema(), &self.batches)?;
        let kept = filter_record_batch(&all, &state.still_needed(&all)?)?;
        state.set_compacted(kept.num_rows());
        self.bytes = kept.get_array_memory_size();
        self.batches = vec![kept];
        Ok(())
    }

    fn clear(&mut self) {
        (self.batches, self.bytes, self.has_overflowed) = (Vec::new(), 0, false);
        if let Some(first_last) = &self.first_last {
            first_last.lock().clear();
        }
    }
}

/// Rules, and the rows that each of them reads.
pub(crate) struct BatchRows<'r> {
    /// Plans the queries.
    session: Session,
    shared: Vec<SharedRows>,
    rules: Vec<BatchRule<'r>>,
    scan: Arc<SharedScan>,
    /// Rules that cannot be planned, and why.
    pub(crate) broken: Vec<(&'r Rule, SessionError)>,
}

impl<'r> BatchRows<'r> {
    /// Prepares `rules`, each with the SQL condition on the rows it reads, in `session`, which was
    /// made by [`Session::over_input`]. There are no rows yet.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if the shared scan cannot be prepared. A rule that cannot be prepared
    /// is not an error: it is listed in [`BatchRows::broken`].
    pub(crate) async fn new(
        session: Session,
        rules: Vec<(&'r Rule, String)>,
    ) -> Result<Self, SessionError> {
        let (mut shared, mut prepared, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        // Rules with the same condition, first-and-last reduction included, share their rows.
        let mut known: BTreeMap<(String, Option<&FirstLast>), usize> = BTreeMap::new();
        for (rule, predicate) in rules {
            let query = match RuleQuery::new(rule, &session).await {
                Ok(query) => Arc::new(query),
                Err(error) => {
                    broken.push((rule, error));
                    continue;
                }
            };
            let rows = match known.entry((predicate, rule.first_last.as_ref())) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => match EventPredicate::new(&session, &new.key().0) {
                    Ok(predicate) => {
                        shared.push(SharedRows::new(predicate, rule.first_last.as_ref()));
                        *new.insert(shared.len() - 1)
                    }
                    Err(error) => {
                        broken.push((rule, error));
                        continue;
                    }
                },
            };
            shared[rows].columns.extend(query.columns());
            prepared.push(BatchRule { rule, query, rows });
        }
        let scan = SharedScan::new(shared.iter().map(SharedRows::request).collect())?;
        Ok(Self { session, shared, rules: prepared, scan: Arc::new(scan), broken })
    }

    /// Reads the rows that the rules need from `lake`. The SQL condition `times` skips files outside
    /// of a time range. The rows take at most half of the session's memory. Rules whose rows do not
    /// fit are missing in [`BatchRows::results`].
    ///
    /// # Errors
    /// [`SessionError`] where the lake cannot be read.
    pub(crate) async fn read(&mut self, lake: &Session, times: &str) -> Result<(), SessionError> {
        if self.rules.is_empty() {
            return Ok(());
        }
        let scan = Arc::clone(&self.scan);
        match lake.files_where(times).await? {
            Some(files) => {
                let (mut found, readers) = read_all(&scan, files, lake.limits().threads);
                while let Some(found) = found.recv().await {
                    self.hold(found)?;
                }
                for reader in readers {
                    reader.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
                }
            }
            None => {
                let mut rows = lake.rows_where(times, &scan.columns()).await?;
                while let Some(batch) = rows.try_next().await? {
                    self.add(&batch)?;
                }
            }
        }
        Ok(())
    }

    /// Holds the rows of `batch` that the rules read. `batch` has all columns of `events`, or at
    /// least those that the scan reads.
    ///
    /// # Errors
    /// [`SessionError`] where a prefilter cannot be evaluated.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), SessionError> {
        Ok(self.hold(self.scan.read_batch(batch)?)?)
    }

    /// Drops all rows.
    pub(crate) fn clear(&mut self) {
        self.shared.iter_mut().for_each(SharedRows::clear);
        self.scan.resume_all();
    }

    fn hold(&mut self, requested: RequestedRows) -> Result<(), DataFusionError> {
        for (at, rows) in requested {
            let shared = &mut self.shared[at];
            if !shared.has_overflowed {
                shared.add(rows)?;
            }
        }
        self.drop_largest();
        Ok(())
    }

    /// Drops the largest shared rows while all of them take more than half of the session's memory.
    fn drop_largest(&mut self) {
        let bytes_max = self.session.limits().memory_bytes_max / 2;
        while self.shared.iter().map(|shared| shared.bytes).sum::<usize>() > bytes_max {
            let largest = self.shared.iter_mut().enumerate().max_by_key(|(_, shared)| shared.bytes);
            let Some((at, largest)) = largest else { return };
            (largest.batches, largest.bytes, largest.has_overflowed) = (Vec::new(), 0, true);
            self.scan.stop(at);
        }
    }

    /// The rules that could be planned.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().map(|prepared| prepared.rule)
    }

    /// Runs the queries in parallel and sends their results, each with the number of its rule, in the
    /// order in which they end. Rules whose rows did not fit into memory are missing.
    pub(crate) fn results(
        &self,
    ) -> mpsc::Receiver<(usize, Result<Vec<RecordBatch>, SessionError>)> {
        let (sender, receiver) = mpsc::channel(1);
        let held = self.rules.iter().enumerate();
        let queries: Vec<_> = held
            .filter(|(_, prepared)| !self.shared[prepared.rows].has_overflowed)
            .map(|(number, prepared)| {
                let rows = self.shared[prepared.rows].batches.clone();
                (number, Arc::clone(&prepared.query), rows)
            })
            .collect();
        let threads = self.session.limits().threads.min(queries.len());
        let queue = Arc::new(Mutex::new(queries.into_iter()));
        for _ in 0..threads {
            let (queue, sender, session) =
                (Arc::clone(&queue), sender.clone(), self.session.clone());
            #[expect(
                clippy::disallowed_methods,
                reason = "a rule without a result runs over the lake"
            )]
            tokio::spawn(async move {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((number, query, rows)) = next() {
                    let batches = query.run(&session, rows).await;
                    if sender.send((number, batches)).await.is_err() {
                        return;
                    }
                }
            });
        }
        receiver
    }

    /// The rule with this number.
    pub(crate) fn rule(&self, number: usize) -> &'r Rule {
        self.rules[number].rule
    }
}

/// Reads `files` on this number of threads, which end when the receiver is dropped.
pub(super) fn read_all(
    scan: &Arc<SharedScan>,
    files: BTreeSet<PathBuf>,
    threads: usize,
) -> (mpsc::Receiver<RequestedRows>, Vec<JoinHandle<Result<(), SessionError>>>) {
    let (sender, receiver) = mpsc::channel(threads);
    let files = Arc::new(Mutex::new(files.into_iter()));
    let reader = |_| {
        let (scan, files, sender) = (Arc::clone(scan), Arc::clone(&files), sender.clone());
        #[expect(clippy::disallowed_methods, reason = "the caller waits for it and sees its end")]
        let reader = tokio::task::spawn_blocking(move || {
            let next = || files.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(path) = next() {
                let gone =
                    |_| DataFusionError::Execution("the receiver of rows is gone".to_owned());
                let mut cursor = FileCursor::open(path)?;
                while cursor.has_more() {
                    scan.read_next(&mut cursor, |found| {
                        Ok(sender.blocking_send(found).map_err(gone)?)
                    })?;
                }
            }
            Ok(())
        });
        reader
    };
    let readers = (0..threads).map(reader).collect();
    (receiver, readers)
}

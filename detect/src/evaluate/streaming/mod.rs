//! Evaluates rules after each commit, from the rows the commit brought.
//!
//! The rules that read the same rows form a group. A group holds in memory the rows its windows
//! reach back to, and the queries of its rules stay planned. Example: a rule finds ten failed
//! sign-ins within ten minutes. A commit brings one failed sign-in of 12:03. It can change what the
//! rule finds between 11:53 and 12:13, so the query runs over the rows of 11:43 to 12:23, which the
//! group holds. Rules whose group gets no row from a commit do not run. The findings are the same
//! as those of a run over the whole lake (`batch.rs`).

mod lake_fallback;
mod marked_days;
mod planned_rule;
mod rule_group;

use crate::evaluate::batch::Detection;
use crate::evaluate::scope::RunScope;
use crate::evaluate::streaming::lake_fallback::LakeFallback;
use crate::evaluate::streaming::marked_days::MarkedDays;
use crate::evaluate::streaming::rule_group::RuleGroup;
use crate::evaluate::undetermined::day_request;
use crate::scan::shared_scan::{FileCursor, ScanRequest, SharedScan};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::limits::{QueryLimits, SessionError};
use trailhound_queries::packs::rules::{FirstLast, Rule};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Memory of the groups that hold whole windows, in bytes. Rows that do not fit are read from the
/// lake when needed.
const WINDOW_BYTES_MAX: usize = 96 << 20;

/// Memory of the groups that hold first and last rows only, in bytes. They reach back months, which
/// take long to read.
const FIRST_LAST_BYTES_MAX: usize = 64 << 20;

/// The receiver of one request of the shared scan.
enum Receiver {
    /// A group, or the baseline of one of its rules.
    Group { number: usize, baseline_of: Option<usize> },
    /// The days of events that rules cannot judge.
    MarkedDays,
}

/// Rows that are read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Rows that no rule has run over.
    New,
    /// Rows that rules have run over before; `now` is the present, microseconds since 1970 UTC.
    Loaded { now: i64 },
}

/// The rules of a service, ready to run after a commit.
pub struct StandingQueries {
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// Plans the queries.
    session: Session,
    scan: SharedScan,
    /// By the number of the request in `scan`.
    receivers: Vec<Receiver>,
    groups: Vec<RuleGroup>,
    marked_days: MarkedDays,
    /// Ids of the rules that cannot be planned, and why.
    broken: Vec<(String, String)>,
}

impl StandingQueries {
    /// Prepares `rules`, without rows. A rule that cannot be planned is left out and listed in
    /// [`StandingQueries::broken`].
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the query engine cannot be set up.
    pub async fn new(
        rules: &[&Rule],
        parameters: Arc<Parameters>,
        limits: QueryLimits,
    ) -> Result<Self, SessionError> {
        let mut by_rows: BTreeMap<(&str, Option<&FirstLast>), Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            // A rule without a condition on the rows it reads may read every row.
            by_rows
                .entry((rule.prefilter.as_deref().unwrap_or("true"), rule.first_last.as_ref()))
                .or_default()
                .push(rule);
        }
        let session = Session::over_input(Arc::clone(&parameters), &limits)?;
        let (mut groups, mut broken) = (Vec::new(), Vec::new());
        for ((predicate, first_last), rules) in by_rows {
            let group = RuleGroup::new(predicate, first_last, &rules, &session, &mut broken).await;
            groups.extend(group);
        }
        let (mut receivers, mut requests): (Vec<Receiver>, Vec<ScanRequest>) = (0..)
            .zip(&groups)
            .flat_map(|(number, group)| {
                group.requests().map(move |(baseline_of, request)| {
                    (Receiver::Group { number, baseline_of }, request)
                })
            })
            .unzip();
        receivers.push(Receiver::MarkedDays);
        requests.push(day_request(&session)?);
        let scan = SharedScan::new(requests)?;
        let is_broken = |rule: &Rule| broken.iter().any(|(id, _)| *id == rule.id);
        let planned = rules.iter().copied().filter(|rule| !is_broken(rule)).cloned();
        let marked_days = MarkedDays::new(planned.collect());
        Ok(Self { parameters, limits, session, scan, receivers, groups, marked_days, broken })
    }

    /// Ids of the rules that were left out because they cannot be planned, and why.
    #[must_use]
    pub fn broken(&self) -> &[(String, String)] {
        &self.broken
    }

    /// For each group, the SQL condition on the rows it reads and the memory of the rows it holds,
    /// in bytes.
    pub fn held(&self) -> impl Iterator<Item = (&str, usize)> {
        self.groups.iter().map(|group| (group.predicate_sql(), group.bytes()))
    }

    /// How far before the latest event rows are worth loading, in microseconds.
    #[must_use]
    pub fn span(&self) -> i64 {
        self.groups.iter().map(RuleGroup::span_with_baselines).max().unwrap_or(0)
    }

    /// Replaces all rows by those of `files`, which are all files of the lake with rows from
    /// `since` on, microseconds UTC. No rule runs for these rows. `now` is as for
    /// [`StandingQueries::run`].
    ///
    /// # Errors
    /// [`SessionError`] where a file cannot be read.
    pub fn load(&mut self, files: &[PathBuf], since: i64, now: i64) -> Result<(), SessionError> {
        for group in &mut self.groups {
            group.clear(since);
        }
        self.marked_days.clear();
        for path in files {
            let mut cursor = FileCursor::open(path.clone())?;
            while cursor.has_more() {
                self.read(&mut cursor, Rows::Loaded { now })?;
                self.evict(now)?;
            }
        }
        Ok(())
    }

    /// Adds the next rows of a file that is new since the last run.
    ///
    /// # Errors
    /// [`SessionError`] where the file cannot be read. Some of the rows may have been added, so
    /// [`StandingQueries::load`] must follow.
    pub fn add_next(&mut self, cursor: &mut FileCursor) -> Result<(), SessionError> {
        self.read(cursor, Rows::New)
    }

    fn read(&mut self, cursor: &mut FileCursor, rows: Rows) -> Result<(), SessionError> {
        let (receivers, groups) = (&self.receivers, &mut self.groups);
        let mut row_counts = vec![0; receivers.len()];
        let is_new = rows == Rows::New;
        let changed = self.scan.read_next(cursor, |requested| {
            for (request, batch) in requested {
                row_counts[request] += batch.num_rows();
                match (&receivers[request], rows) {
                    (Receiver::Group { number, baseline_of }, _) => {
                        groups[*number].add(*baseline_of, &batch, is_new)?;
                    }
                    (Receiver::MarkedDays, Rows::New) => self.marked_days.add(&batch)?,
                    (Receiver::MarkedDays, Rows::Loaded { now }) => {
                        self.marked_days.add_loaded(&batch, now)?;
                    }
                }
            }
            Ok(())
        })?;
        for ((receiver, changed), rows) in receivers.iter().zip(changed).zip(row_counts) {
            let Receiver::Group { number, .. } = receiver else { continue };
            let group = &mut groups[*number];
            if is_new && changed.is_some() {
                group.add_reduced(changed, rows);
            }
            group.compact()?;
        }
        Ok(())
    }

    /// Returns true if the rules should run before more rows are added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.groups.iter().any(RuleGroup::is_full)
    }

    /// The end of the first pause of a rule with new rows; `None` where no such rule pauses.
    #[must_use]
    pub fn next_pause_end(&self) -> Option<Instant> {
        let of_rules = self.groups.iter().filter_map(RuleGroup::next_pause_end);
        of_rules.chain(self.marked_days.pause_end()).min()
    }

    /// Runs the rules of `scope` that have new rows. Windows that reach back to rows which are not
    /// held are read from the lake whose catalog is at `catalog`. A rule that fails is listed in
    /// [`Detection::failed`] and runs over its new rows again next time. `now` is the present,
    /// microseconds UTC: rows of the future do not evict those of the present.
    ///
    /// # Errors
    /// [`SessionError`]; then [`StandingQueries::load`] must follow.
    pub async fn run(
        &mut self,
        scope: RunScope,
        catalog: &CatalogLocation,
        now: i64,
    ) -> Result<Detection, SessionError> {
        let mut detection = Detection::default();
        let lake = LakeFallback::new(catalog, Arc::clone(&self.parameters), &self.limits);
        for group in &mut self.groups {
            group.run_all(scope, &self.session, &self.parameters, &lake, &mut detection).await;
        }
        self.marked_days.run(scope, &self.session, &lake, &mut detection).await?;
        self.evict(now)?;
        detection.sort();
        Ok(detection)
    }

    fn evict(&mut self, now: i64) -> Result<(), SessionError> {
        let (first_last, windows) =
            self.groups.iter_mut().partition(|group| group.holds_first_last_only());
        evict_to(windows, WINDOW_BYTES_MAX, now)?;
        evict_to(first_last, FIRST_LAST_BYTES_MAX, now)
    }
}

/// Evicts rows of `groups` until the groups together hold at most `bytes_left` bytes. Small groups
/// keep all rows; large groups get equal shares of the remaining bytes.
fn evict_to(
    mut groups: Vec<&mut RuleGroup>,
    mut bytes_left: usize,
    now: i64,
) -> Result<(), SessionError> {
    groups.sort_by_key(|group| group.bytes());
    let count = groups.len();
    for (number, group) in groups.into_iter().enumerate() {
        let share = bytes_left / (count - number);
        group.evict(now, share)?;
        bytes_left -= group.bytes().min(share);
    }
    Ok(())
}

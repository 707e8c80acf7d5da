//! Metrics of the service in Prometheus' text format. `docs/live.md` describes each.

use crate::legacy_names::{DEAD_LETTERED, PARKED, former_state};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use trailhound_ingest::FactCounts;
use trailhound_ingest::live::CommitSummary;
use trailhound_ingest::supervisor::FailureKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FactLabels {
    source: String,
    fact: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: String,
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    sink: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutboxLabels {
    sink: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReportLabels {
    report: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule_id: String,
}

/// A gauge or counter of a quantity that is no whole number, such as seconds.
type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;

/// All metrics of the service.
pub(super) struct Metrics {
    registry: Registry,
    records: Family<RecordLabels, Counter>,
    facts: Family<FactLabels, Counter>,
    commits: Counter,
    /// Commits that the lake refused because another member had moved the positions.
    pub(super) refused: Counter,
    /// Ranges of records that can no longer be read.
    pub(super) gaps: Counter,
    /// Small files that were merged.
    pub(super) merged: Counter,
    verified_files: Counter,
    verified_bytes: Counter,
    /// Walks over all data files that ended.
    pub(super) walks: Counter,
    /// Data files that are not as they were committed.
    pub(super) damaged_files: Gauge,
    lag: Gauge,
    lag_seconds: FloatGauge,
    snapshot: Gauge,
    /// Data files of the newest snapshot.
    pub(super) files: Gauge,
    memory: Gauge,
    allocated: Gauge,
    window_buffer: Gauge,
    /// Queries that run in the query server.
    pub(super) queries: Gauge,
    task_failures: Family<TaskLabels, Counter>,
    /// 1 while the clock of the machine is not believed.
    pub(super) clock_problem: Gauge,
    staged_time: Histogram,
    commit_time: Histogram,
    detection_time: Histogram,
    findings: Family<RuleLabels, Counter>,
    rule_failures: Family<RuleLabels, Counter>,
    rule_time: Family<RuleLabels, FloatCounter>,
    rule_lag: Family<RuleLabels, Gauge>,
    reloads: Family<ReloadLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    reports: Family<ReportLabels, Counter>,
    outbox: Family<OutboxLabels, Gauge>,
    outbox_age: Family<OutboxLabels, FloatGauge>,
}

impl Metrics {
    /// Registers all metrics. Counters start at zero for every label value that is known, among
    /// them the ids in `rules`, so that rates can be computed from the first event.
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r str>) -> Self {
        let mut metrics = Self::unregistered();
        metrics.register_ingest();
        metrics.register_verification();
        metrics.register_process();
        metrics.register_detection();
        metrics.register_delivery();
        metrics.init_labels(rules);
        metrics
    }

    fn unregistered() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        Self {
            registry: Registry::with_prefix("trailhound"),
            records: Family::default(),
            facts: Family::default(),
            commits: Counter::default(),
            refused: Counter::default(),
            gaps: Counter::default(),
            merged: Counter::default(),
            verified_files: Counter::default(),
            verified_bytes: Counter::default(),
            walks: Counter::default(),
            damaged_files: Gauge::default(),
            lag: Gauge::default(),
            lag_seconds: Gauge::default(),
            snapshot: Gauge::default(),
            files: Gauge::default(),
            memory: Gauge::default(),
            allocated: Gauge::default(),
            window_buffer: Gauge::default(),
            queries: Gauge::default(),
            task_failures: Family::default(),
            clock_problem: Gauge::default(),
            staged_time: seconds(),
            commit_time: seconds(),
            detection_time: seconds(),
            findings: Family::default(),
            rule_failures: Family::default(),
            rule_time: Family::default(),
            rule_lag: Family::default(),
            reloads: Family::default(),
            deliveries: Family::default(),
            reports: Family::default(),
            outbox: Family::default(),
            outbox_age: Family::default(),
        }
    }

    /// The failures of a task start at zero.
    pub(super) fn init_task(&self, task: &str) {
        for how in FailureKind::ALL.map(FailureKind::name) {
            self.task_failures.get_or_create(&TaskLabels { task: task.to_owned(), how }).inc_by(0);
        }
    }

    /// Counts the failure of a task.
    pub(super) fn task_failed(&self, task: &str, how: &'static str) {
        self.task_failures.get_or_create(&TaskLabels { task: task.to_owned(), how }).inc();
    }

    /// Metrics of commits and of the lake.
    fn register_ingest(&mut self) {
        let r = &mut self.registry;
        r.register("records", "Records committed, by what became of them", self.records.clone());
        r.register(
            "events_facts",
            "Facts of stored events, by whether each was read, absent, or present and not understood",
            self.facts.clone(),
        );
        r.register("commits", "Commits made", self.commits.clone());
        r.register(
            "commits_refused",
            "Commits refused because another member had moved the positions",
            self.refused.clone(),
        );
        r.register(
            "clock_problem",
            "1 while the clock of the machine is not believed; else 0",
            self.clock_problem.clone(),
        );
        r.register(
            "task_failures",
            "Tasks of the service that ended or hung, by how",
            self.task_failures.clone(),
        );
        r.register("gaps", "Ranges of records that can no longer be read", self.gaps.clone());
        r.register("files_merged", "Small files merged into larger ones", self.merged.clone());
        r.register(
            "lag_records",
            "Messages the broker holds beyond what is stored, as it last reported",
            self.lag.clone(),
        );
        r.register_with_unit(
            "lag",
            "How old the newest stored message was when it was stored, while the broker holds more; else 0",
            Unit::Seconds,
            self.lag_seconds.clone(),
        );
        r.register("snapshot", "Newest snapshot of the lake", self.snapshot.clone());
        r.register("lake_files", "Files of the newest snapshot", self.files.clone());
        r.register_with_unit(
            "staged",
            "Time that the first record of a commit had waited for it",
            Unit::Seconds,
            self.staged_time.clone(),
        );
        r.register_with_unit(
            "commit",
            "Time that a commit took",
            Unit::Seconds,
            self.commit_time.clone(),
        );
    }

    /// Metrics of the verification of the lake's files.
    fn register_verification(&mut self) {
        let r = &mut self.registry;
        r.register(
            "verified_files",
            "Data files read again and compared with the checksum of their commit",
            self.verified_files.clone(),
        );
        r.register_with_unit(
            "verified",
            "Bytes of these files",
            Unit::Bytes,
            self.verified_bytes.clone(),
        );
        r.register(
            "verification_walks",
            "Times that every data file of the lake was read again",
            self.walks.clone(),
        );
        r.register(
            "damaged_files",
            "Data files that are missing or not as they were committed",
            self.damaged_files.clone(),
        );
    }

    /// Counts a data file of `bytes` bytes that was read again.
    pub(super) fn verified(&self, bytes: u64) {
        self.verified_files.inc();
        self.verified_bytes.inc_by(bytes);
    }

    /// Metrics of the process and of the query server.
    fn register_process(&mut self) {
        let r = &mut self.registry;
        r.register_with_unit(
            "memory",
            "Resident memory of the process",
            Unit::Bytes,
            self.memory.clone(),
        );
        r.register_with_unit(
            "allocated",
            "Memory in use, without what the allocator keeps for later",
            Unit::Bytes,
            self.allocated.clone(),
        );
        r.register("queries_running", "Queries that run in the query server", self.queries.clone());
    }

    /// Metrics of the rules.
    fn register_detection(&mut self) {
        let r = &mut self.registry;
        r.register_with_unit(
            "window_buffer",
            "Memory of the rows that rules hold between commits",
            Unit::Bytes,
            self.window_buffer.clone(),
        );
        r.register_with_unit(
            "held",
            "Name of trailhound_window_buffer_bytes before 0.2.0",
            Unit::Bytes,
            self.window_buffer.clone(),
        );
        r.register(
            "rule_lag_snapshots",
            "Snapshots that a rule has not run over yet",
            self.rule_lag.clone(),
        );
        r.register_with_unit(
            "detection",
            "Time that the rules took over the rows of a commit",
            Unit::Seconds,
            self.detection_time.clone(),
        );
        r.register("findings", "Findings new, revised or withdrawn", self.findings.clone());
        r.register("rule_failures", "Failed runs of a rule", self.rule_failures.clone());
        r.register_with_unit(
            "rule",
            "Total run time of a rule",
            Unit::Seconds,
            self.rule_time.clone(),
        );
        r.register(
            "rule_reloads",
            "Changes of the user's rules, by whether they were loaded",
            self.reloads.clone(),
        );
    }

    /// Metrics of the outbox and of reports.
    fn register_delivery(&mut self) {
        let r = &mut self.registry;
        r.register(
            "deliveries",
            "Attempts to deliver a finding to a sink, by outcome",
            self.deliveries.clone(),
        );
        r.register("reports", "Reports that were due, by outcome", self.reports.clone());
        r.register(
            "outbox",
            "Messages in the outbox that are not delivered, by sink and state",
            self.outbox.clone(),
        );
        r.register_with_unit(
            "outbox_age",
            "How long the oldest of these messages has been in the outbox",
            Unit::Seconds,
            self.outbox_age.clone(),
        );
    }

    fn init_labels<'r>(&self, rules: impl Iterator<Item = &'r str>) {
        for outcome in ["applied", "taken", "refused"] {
            self.reloads.get_or_create(&ReloadLabels { outcome }).inc_by(0);
        }
        for fate in ["received", "stored", "duplicate", "quarantined", "expired"] {
            self.records.get_or_create(&RecordLabels { fate }).inc_by(0);
        }
        for rule_id in rules {
            let labels = rule(rule_id);
            self.findings.get_or_create(&labels).inc_by(0);
            self.rule_failures.get_or_create(&labels).inc_by(0);
            self.rule_time.get_or_create(&labels).inc_by(0.0);
            self.rule_lag.get_or_create(&labels).set(0);
        }
    }

    /// Counts a commit.
    pub(super) fn committed(&self, commit: &CommitSummary) {
        let ledger = &commit.ledger;
        for (fate, count) in [
            ("received", ledger.received),
            ("stored", ledger.stored),
            ("duplicate", ledger.duplicate),
            ("quarantined", ledger.quarantined),
            ("expired", ledger.expired),
        ] {
            self.records.get_or_create(&RecordLabels { fate }).inc_by(count);
        }
        for (source, facts) in &commit.facts {
            self.count_facts(source, facts);
        }
        self.commits.inc();
        self.lag.set(i64::try_from(commit.lag).unwrap_or(i64::MAX));
        self.lag_seconds.set(commit.behind.as_secs_f64());
        self.snapshot.set(commit.snapshot);
        self.staged_time.observe(commit.waited.as_secs_f64());
        self.commit_time.observe(commit.took.as_secs_f64());
    }

    /// Counts the facts of stored events of `source`.
    fn count_facts(&self, source: &str, facts: &FactCounts) {
        for (fact, states) in facts.facts() {
            for (state, count) in [
                ("read", states.read),
                ("absent", states.absent),
                ("not_understood", states.not_understood),
            ] {
                let labels = FactLabels { source: source.to_owned(), fact: fact.name(), state };
                self.facts.get_or_create(&labels).inc_by(count);
            }
        }
    }

    /// Counts a run of the rules, which hold `window_buffer_bytes` after it.
    pub(super) fn detected(&self, took: Duration, window_buffer_bytes: usize) {
        self.detection_time.observe(took.as_secs_f64());
        self.window_buffer.set(i64::try_from(window_buffer_bytes).unwrap_or(i64::MAX));
    }

    /// Counts a finding that is new, revised or withdrawn.
    pub(super) fn finding(&self, rule_id: &str) {
        self.findings.get_or_create(&rule(rule_id)).inc();
    }

    /// Counts a failed run of a rule.
    pub(super) fn rule_failed(&self, rule_id: &str) {
        self.rule_failures.get_or_create(&rule(rule_id)).inc();
    }

    /// Adds to the run time of a rule.
    pub(super) fn rule_took(&self, rule_id: &str, took: Duration) {
        self.rule_time.get_or_create(&rule(rule_id)).inc_by(took.as_secs_f64());
    }

    /// Sets how many snapshots a rule has not run over yet.
    pub(super) fn rule_lags(&self, rule_id: &str, snapshots: i64) {
        self.rule_lag.get_or_create(&rule(rule_id)).set(snapshots);
    }

    /// Counts a change of the user's rules, which was applied or refused. `taken` is the name of
    /// `applied` before 0.2.0.
    pub(super) fn reloaded(&self, applied: bool) {
        let outcomes: &[&'static str] = if applied { &["applied", "taken"] } else { &["refused"] };
        for &outcome in outcomes {
            self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
        }
    }

    /// Sets the facts of these sources to zero.
    pub(super) fn init_sources<'n>(&self, names: impl Iterator<Item = &'n String>) {
        names.for_each(|source| self.count_facts(source, &FactCounts::default()));
    }

    /// Sets all metrics of these sinks to zero.
    pub(super) fn init_sinks(&self, names: &[String]) {
        for sink in names {
            for outcome in ["delivered", "failed", DEAD_LETTERED, PARKED] {
                let labels = DeliveryLabels { sink: sink.clone(), outcome };
                self.deliveries.get_or_create(&labels).inc_by(0);
            }
            for state in ["pending", DEAD_LETTERED] {
                self.outbox(sink, state, 0, Duration::ZERO);
            }
        }
    }

    /// Sets all metrics of this report to zero.
    pub(super) fn init_report(&self, report: &str) {
        for outcome in ["made", "failed", "skipped"] {
            let labels = ReportLabels { report: report.to_owned(), outcome };
            self.reports.get_or_create(&labels).inc_by(0);
        }
    }

    /// Counts a report that was due: `made`, `failed` or `skipped`.
    pub(super) fn reported(&self, report: &str, outcome: &'static str) {
        self.reports.get_or_create(&ReportLabels { report: report.to_owned(), outcome }).inc();
    }

    /// Counts an attempt to deliver a finding: `delivered`, `failed` or `dead_lettered`. The last
    /// is counted under its former name too.
    pub(super) fn delivered(&self, sink: &str, outcome: &'static str) {
        let count = |outcome| {
            let labels = DeliveryLabels { sink: sink.to_owned(), outcome };
            self.deliveries.get_or_create(&labels).inc();
        };
        count(outcome);
        if outcome == DEAD_LETTERED {
            count(PARKED);
        }
    }

    /// Sets the number of messages for `sink` in `state` and the age of the oldest, under the
    /// former name of the state too.
    pub(super) fn outbox(&self, sink: &str, state: &str, rows: i64, age: Duration) {
        for state in [state, former_state(state)] {
            let labels = OutboxLabels { sink: sink.to_owned(), state: state.to_owned() };
            self.outbox.get_or_create(&labels).set(rows);
            self.outbox_age.get_or_create(&labels).set(age.as_secs_f64());
        }
    }

    /// All metrics in Prometheus' text format.
    pub(super) fn text(&self) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        self.allocated.set(allocated_bytes().unwrap_or(0));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn rule(rule_id: &str) -> RuleLabels {
    RuleLabels { rule_id: rule_id.to_owned() }
}

/// Bytes that the program has allocated and not freed, as the allocator counts them.
fn allocated_bytes() -> Option<i64> {
    // The allocator caches its figures until the epoch advances.
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    i64::try_from(tikv_jemalloc_ctl::stats::allocated::read().ok()?).ok()
}

/// Resident memory of this process in bytes; `None` where the system does not report it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_renamed_is_given_under_both_names() {
        let metrics = Metrics::new(std::iter::empty());
        metrics.init_sinks(&["s".to_owned()]);
        metrics.delivered("s", DEAD_LETTERED);
        metrics.outbox("s", DEAD_LETTERED, 2, Duration::from_secs(3));
        metrics.detected(Duration::ZERO, 5);
        metrics.reloaded(true);
        let text = metrics.text();
        for line in [
            "trailhound_deliveries_total{sink=\"s\",outcome=\"dead_lettered\"} 1",
            "trailhound_deliveries_total{sink=\"s\",outcome=\"parked\"} 1",
            "trailhound_outbox{sink=\"s\",state=\"dead_lettered\"} 2",
            "trailhound_outbox{sink=\"s\",state=\"parked\"} 2",
            "trailhound_outbox_age_seconds{sink=\"s\",state=\"parked\"} 3.0",
            "trailhound_window_buffer_bytes 5",
            "trailhound_held_bytes 5",
            "trailhound_rule_reloads_total{outcome=\"applied\"} 1",
            "trailhound_rule_reloads_total{outcome=\"taken\"} 1",
        ] {
            assert!(text.lines().any(|given| given == line), "{line} in\n{text}");
        }
    }
}

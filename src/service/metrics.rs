//! Numbers for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use trailhound_ingest::live::CommitSummary;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    sink: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waiting {
    sink: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Due {
    report: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rule {
    rule_id: String,
}

/// All metrics of the service.
pub(super) struct Metrics {
    registry: Registry,
    records: Family<Fate, Counter>,
    commits: Counter,
    /// Commits the lake refused because the positions had moved.
    pub(super) refused: Counter,
    /// Stretches of records that can no longer be read.
    pub(super) gaps: Counter,
    /// Small files merged into larger ones.
    pub(super) merged: Counter,
    lag: Gauge,
    lag_seconds: Gauge<f64, AtomicU64>,
    snapshot: Gauge,
    /// Files of the newest snapshot.
    pub(super) files: Gauge,
    memory: Gauge,
    allocated: Gauge,
    /// Rows that rules hold, in bytes.
    pub(super) held: Gauge,
    /// Questions that are being answered.
    pub(super) queries: Gauge,
    waited: Histogram,
    commit: Histogram,
    detection: Histogram,
    findings: Family<Rule, Counter>,
    failures: Family<Rule, Counter>,
    cost: Family<Rule, Counter<f64, AtomicU64>>,
    rule_lag: Family<Rule, Gauge>,
    reloads: Family<Outcome, Counter>,
    deliveries: Family<Attempt, Counter>,
    reports: Family<Due, Counter>,
    outbox: Family<Waiting, Gauge>,
    outbox_age: Family<Waiting, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Everything at zero, so that what never happened is told as well; `rules` are the ids of those that run.
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r str>) -> Self {
        let mut metrics = Self::unregistered();
        metrics.register();
        metrics.stand_at_zero(rules);
        metrics
    }

    fn unregistered() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        Self {
            registry: Registry::with_prefix("trailhound"),
            records: Family::default(),
            commits: Counter::default(),
            refused: Counter::default(),
            gaps: Counter::default(),
            merged: Counter::default(),
            lag: Gauge::default(),
            lag_seconds: Gauge::default(),
            files: Gauge::default(),
            memory: Gauge::default(),
            allocated: Gauge::default(),
            held: Gauge::default(),
            queries: Gauge::default(),
            snapshot: Gauge::default(),
            waited: seconds(),
            commit: seconds(),
            detection: seconds(),
            findings: Family::default(),
            failures: Family::default(),
            cost: Family::default(),
            rule_lag: Family::default(),
            reloads: Family::default(),
            deliveries: Family::default(),
            reports: Family::default(),
            outbox: Family::default(),
            outbox_age: Family::default(),
        }
    }

    /// Under which name each is told, and what it means.
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("records", "Records committed, by what became of them", self.records.clone());
        r.register("commits", "Commits made", self.commits.clone());
        r.register(
            "commits_refused",
            "Commits refused because another member had moved the positions",
            self.refused.clone(),
        );
        r.register("gaps", "Stretches of records that can no longer be read", self.gaps.clone());
        r.register("files_merged", "Small files merged into larger ones", self.merged.clone());
        r.register(
            "lag_records",
            "Messages the broker holds beyond what is stored, as it last said",
            self.lag.clone(),
        );
        r.register_with_unit(
            "lag",
            "How old the newest stored message was when it was stored, while the broker holds more; else 0",
            Unit::Seconds,
            self.lag_seconds.clone(),
        );
        r.register("lake_files", "Files of the newest snapshot", self.files.clone());
        r.register_with_unit(
            "memory",
            "Memory of the process, as the system counts it",
            Unit::Bytes,
            self.memory.clone(),
        );
        r.register_with_unit(
            "allocated",
            "Memory in use, without what the allocator keeps for later",
            Unit::Bytes,
            self.allocated.clone(),
        );
        r.register_with_unit(
            "held",
            "Memory of the rows that rules hold",
            Unit::Bytes,
            self.held.clone(),
        );
        r.register(
            "queries_running",
            "Questions from outside that are being answered",
            self.queries.clone(),
        );
        r.register(
            "rule_lag_snapshots",
            "Snapshots a rule has not run over yet",
            self.rule_lag.clone(),
        );
        r.register("snapshot", "Newest snapshot of the lake", self.snapshot.clone());
        r.register_with_unit(
            "staged",
            "Time the first record of a commit had waited for it",
            Unit::Seconds,
            self.waited.clone(),
        );
        r.register_with_unit("commit", "Time a commit took", Unit::Seconds, self.commit.clone());
        r.register_with_unit(
            "detection",
            "Time the rules took over what a commit brought",
            Unit::Seconds,
            self.detection.clone(),
        );
        r.register("findings", "Findings new or revised, by rule", self.findings.clone());
        r.register("rule_failures", "Runs of a rule that broke", self.failures.clone());
        r.register_with_unit(
            "rule",
            "Time a rule has run in all",
            Unit::Seconds,
            self.cost.clone(),
        );
        r.register(
            "rule_reloads",
            "Changes of the user's rules, by whether they were taken up",
            self.reloads.clone(),
        );
        r.register(
            "deliveries",
            "Attempts to tell a sink of a finding, by what became of them",
            self.deliveries.clone(),
        );
        r.register(
            "reports",
            "Reports that were due, by what became of them",
            self.reports.clone(),
        );
        r.register(
            "outbox",
            "Findings in the outbox that are not delivered, by sink and state",
            self.outbox.clone(),
        );
        r.register_with_unit(
            "outbox_age",
            "How long the oldest of them has been there",
            Unit::Seconds,
            self.outbox_age.clone(),
        );
    }

    fn stand_at_zero<'r>(&self, rules: impl Iterator<Item = &'r str>) {
        for outcome in ["taken", "refused"] {
            self.reloads.get_or_create(&Outcome { outcome }).inc_by(0);
        }
        for fate in ["received", "stored", "duplicate", "quarantined", "expired"] {
            self.records.get_or_create(&Fate { fate }).inc_by(0);
        }
        for rule_id in rules.map(str::to_owned) {
            self.findings.get_or_create(&Rule { rule_id: rule_id.clone() }).inc_by(0);
            self.failures.get_or_create(&Rule { rule_id: rule_id.clone() }).inc_by(0);
            self.cost.get_or_create(&Rule { rule_id: rule_id.clone() }).inc_by(0.0);
            self.rule_lag.get_or_create(&Rule { rule_id }).set(0);
        }
    }

    pub(super) fn committed(&self, commit: &CommitSummary) {
        let ledger = &commit.ledger;
        for (fate, count) in [
            ("received", ledger.received),
            ("stored", ledger.stored),
            ("duplicate", ledger.duplicate),
            ("quarantined", ledger.quarantined),
            ("expired", ledger.expired),
        ] {
            self.records.get_or_create(&Fate { fate }).inc_by(count);
        }
        self.commits.inc();
        self.lag.set(i64::try_from(commit.lag).unwrap_or(i64::MAX));
        self.lag_seconds.set(commit.behind.as_secs_f64());
        self.snapshot.set(commit.snapshot);
        self.waited.observe(commit.waited.as_secs_f64());
        self.commit.observe(commit.took.as_secs_f64());
    }

    pub(super) fn detected(&self, took: Duration) {
        self.detection.observe(took.as_secs_f64());
    }

    pub(super) fn finding(&self, rule_id: &str) {
        self.findings.get_or_create(&Rule { rule_id: rule_id.to_owned() }).inc();
    }

    pub(super) fn rule_failed(&self, rule_id: &str) {
        self.failures.get_or_create(&Rule { rule_id: rule_id.to_owned() }).inc();
    }

    pub(super) fn rule_took(&self, rule_id: &str, took: Duration) {
        self.cost.get_or_create(&Rule { rule_id: rule_id.to_owned() }).inc_by(took.as_secs_f64());
    }

    /// The user's rules have changed and were taken up, or refused.
    pub(super) fn reloaded(&self, taken: bool) {
        self.reloads
            .get_or_create(&Outcome { outcome: if taken { "taken" } else { "refused" } })
            .inc();
    }

    /// So many snapshots the rule has not run over yet.
    pub(super) fn rule_lags(&self, rule_id: &str, snapshots: i64) {
        self.rule_lag.get_or_create(&Rule { rule_id: rule_id.to_owned() }).set(snapshots);
    }

    /// Lets everything about these sinks stand at zero.
    pub(super) fn sinks(&self, names: &[String]) {
        for sink in names {
            for outcome in ["delivered", "failed", "parked"] {
                self.deliveries.get_or_create(&Attempt { sink: sink.clone(), outcome }).inc_by(0);
            }
            for state in ["pending", "dead_lettered", "parked"] {
                self.waits(sink, state, 0, Duration::ZERO);
            }
        }
    }

    /// Lets everything about this report stand at zero.
    pub(super) fn report(&self, report: &str) {
        for outcome in ["made", "failed", "skipped"] {
            self.reports.get_or_create(&Due { report: report.to_owned(), outcome }).inc_by(0);
        }
    }

    /// A report that was due was `made`, has `failed`, or was `skipped`.
    pub(super) fn reported(&self, report: &str, outcome: &'static str) {
        self.reports.get_or_create(&Due { report: report.to_owned(), outcome }).inc();
    }

    /// An attempt to deliver a finding was `delivered`, has `failed`, or the finding was `parked`.
    pub(super) fn delivered(&self, sink: &str, outcome: &'static str) {
        self.deliveries.get_or_create(&Attempt { sink: sink.to_owned(), outcome }).inc();
    }

    /// What waits for `sink` in `state`, and for how long.
    pub(super) fn waits(&self, sink: &str, state: &str, rows: i64, age: Duration) {
        let waiting = Waiting { sink: sink.to_owned(), state: state.to_owned() };
        self.outbox.get_or_create(&waiting).set(rows);
        self.outbox_age.get_or_create(&waiting).set(age.as_secs_f64());
    }

    /// Everything in Prometheus' text form.
    pub(super) fn text(&self) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        self.allocated.set(allocated_bytes().unwrap_or(0));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Memory the program has asked for and not given back, as the allocator counts it.
fn allocated_bytes() -> Option<i64> {
    // Its figures stand still until this is moved on.
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    i64::try_from(tikv_jemalloc_ctl::stats::allocated::read().ok()?).ok()
}

/// Memory of this process, where the system tells it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib * 1024)
}

//! Measures streaming evaluation: a lake of 100,000 events over ten days, then 21 commits of 1,000
//! events of the last hour.
//!
//! For each commit it measures two steps. `take` reads the new file and evaluates the predicates of
//! all rules. `run` evaluates every rule that has new rows.
//!
//! It compares these times with two others. `one_query_a_rule` runs one SQL query per rule over the
//! rows of one commit. `one_stateless_rule` and `all_stateless_rules` take and run one rule, or all
//! rules, that need no earlier events. Durations are in milliseconds.

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use trailhound_benches::print_result;
use trailhound_datasets::generate::{Traffic, TrafficSpec};
use trailhound_detect::{FileCursor, RunScope, StandingQueries};
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, decode_to_batch, ingest};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const HISTORY: u64 = 100_000;
const COMMIT: usize = 1_000;
const COMMITS: usize = 21;
const LIMITS: QueryLimits = QueryLimits::for_service(128 << 20);

fn traffic(events: u64, seed: u64, days: u32) -> Traffic {
    Traffic::new(TrafficSpec {
        events,
        seed,
        company: None,
        stories: Vec::new(),
        days,
        end_micros: NOW,
    })
    .expect("stories")
}

fn events(traffic: Traffic) -> Vec<Value> {
    traffic
        .files()
        .flat_map(|file| {
            serde_json::from_reader::<_, Vec<Value>>(GzDecoder::new(&file.content[..]))
                .expect("an array")
        })
        .collect()
}

async fn add(lake: &Lake, path: &Path, events: &[Value]) {
    std::fs::write(path, serde_json::to_vec(events).expect("JSON")).expect("a file");
    let inputs = files::find(&[path.display().to_string()]).expect("a file");
    ingest(lake, inputs, &IngestOptions::at(NOW), Arc::new(Progress::default()))
        .await
        .expect("ingested");
}

/// Median and maximum of `seconds`, in milliseconds.
fn median_and_max(mut seconds: Vec<f64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let at = |index: usize| (seconds[index] * 1e5).round() / 100.0;
    json!({ "median_ms": at(seconds.len() / 2), "most_ms": at(seconds.len() - 1) })
}

/// Plans and runs the query of each rule over the rows of one commit, in one session; returns the
/// seconds.
async fn query_per_rule(commit: &[Value], rules: &[&Rule], parameters: &Arc<Parameters>) -> f64 {
    let batch = decode_to_batch(&serde_json::to_vec(commit).expect("JSON"), NOW).expect("events");
    let session = Session::over_events(vec![batch], Arc::clone(parameters), &LIMITS)
        .await
        .expect("a session");
    let start = Instant::now();
    for rule in rules {
        session.sql(&rule.sql).await.expect("planned").collect().await.expect("run");
    }
    start.elapsed().as_secs_f64()
}

/// What was measured. The lists have one element per commit; durations are in seconds.
#[derive(Default)]
struct CommitTimes {
    take: Vec<f64>,
    run: Vec<f64>,
    one_stateless: Vec<f64>,
    all_stateless: Vec<f64>,
    /// Per commit, the number of rules that had new rows.
    rule_cursors: Vec<usize>,
    /// Mean duration per commit in milliseconds, by rule id.
    rule_costs: BTreeMap<String, f64>,
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("trailhound-standing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let lake = Lake::create_or_open(&folder.join("lake"), &[trailhound_detect::store::TABLES], 0)
        .await
        .expect("a lake");
    let history = traffic(HISTORY, 1, 10);
    let parameters = toml_parameters(history.configuration());
    add(&lake, &folder.join("history.json"), &events(history)).await;
    let catalogue = RuleSet::built_in().expect("rules");
    let rules: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing_parameters(&parameters).is_empty())
        .collect();
    let stateless: Vec<&Rule> = rules
        .iter()
        .copied()
        .filter(|rule| rule.lookback.is_zero() && rule.baseline.is_none())
        .collect();
    let new_events = events_of_last_hour();
    let mut standing =
        StandingQueries::new(&rules, Arc::clone(&parameters), LIMITS).await.expect("rules");
    let times =
        measure_commits(&lake, &folder, &new_events, &mut standing, &stateless, &parameters).await;
    let mut buffers: Vec<(String, usize)> = standing
        .held()
        .map(|(reads, bytes)| (reads.chars().take(70).collect(), bytes >> 10))
        .collect();
    buffers.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    buffers.truncate(6);
    let mut separate = Vec::new();
    for commit in new_events.chunks(COMMIT).take(5) {
        separate.push(query_per_rule(commit, &rules, &parameters).await);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    let CommitTimes { take, run, one_stateless, all_stateless, mut rule_cursors, rule_costs } =
        times;
    rule_cursors.sort_unstable();
    let mut costs: Vec<(String, f64)> = rule_costs
        .into_iter()
        .map(|(rule_id, cost)| (rule_id, (cost * 100.0).round() / 100.0))
        .collect();
    costs.sort_by(|a, b| b.1.total_cmp(&a.1));
    costs.truncate(8);
    print_result(
        "standing",
        json!({ "rules": rules.len(), "rules_with_news_median": rule_cursors[rule_cursors.len() / 2], "take": median_and_max(take), "run": median_and_max(run), "costliest_mean_ms": costs, "held_most_kib": buffers,
                "one_query_a_rule": median_and_max(separate), "stateless_rules": stateless.len(), "one_stateless_rule": median_and_max(one_stateless), "all_stateless_rules": median_and_max(all_stateless) }),
    );
}

/// Events that arrive in order of time, spread over the last hour.
fn events_of_last_hour() -> Vec<Value> {
    let mut new_events = events(traffic((COMMIT * COMMITS) as u64, 2, 1));
    let count = new_events.len() as i64;
    for (at, event) in (0..).zip(&mut new_events) {
        let time = NOW / 1_000_000 - 3600 + at * 3600 / count;
        event["eventTime"] = time_text(time).into();
    }
    new_events
}

/// Loads the history into `standing`, then adds the new events to the lake commit by commit and
/// measures each.
async fn measure_commits(
    lake: &Lake,
    folder: &Path,
    new_events: &[Value],
    standing: &mut StandingQueries,
    stateless: &[&Rule],
    parameters: &Arc<Parameters>,
) -> CommitTimes {
    let mut seen = lake.snapshot().await.expect("a snapshot");
    let since = lake.latest_event().await.expect("a time").expect("events") - standing.span();
    let history: Vec<PathBuf> = lake.files_at(seen, since).await.expect("files");
    standing.load(&history, since, NOW).expect("rows");
    let mut one = StandingQueries::new(&stateless[..1], Arc::clone(parameters), LIMITS)
        .await
        .expect("a rule");
    let mut all =
        StandingQueries::new(stateless, Arc::clone(parameters), LIMITS).await.expect("rules");
    let mut times = CommitTimes::default();
    for (number, commit) in new_events.chunks(COMMIT).enumerate() {
        add(lake, &folder.join(format!("{number}.json")), commit).await;
        let snapshot = lake.snapshot().await.expect("a snapshot");
        let start = Instant::now();
        for file in lake.files_since(seen, snapshot).await.expect("files") {
            take(standing, file);
        }
        times.take.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let detection = standing.run(RunScope::All, lake.location(), NOW).await.expect("rows");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        times.run.push(start.elapsed().as_secs_f64());
        times.rule_cursors.push(detection.durations.len());
        for (rule_id, took) in detection.durations {
            *times.rule_costs.entry(rule_id).or_default() +=
                took.as_secs_f64() * 1e3 / COMMITS as f64;
        }
        times.one_stateless.push(evaluate_commit(&mut one, lake, seen, snapshot).await);
        times.all_stateless.push(evaluate_commit(&mut all, lake, seen, snapshot).await);
        seen = snapshot;
    }
    times
}

/// Evaluates `rules` over the events of the snapshots after `seen`, up to `snapshot`; returns the
/// seconds.
async fn evaluate_commit(
    rules: &mut StandingQueries,
    lake: &Lake,
    seen: i64,
    snapshot: i64,
) -> f64 {
    let files = lake.files_since(seen, snapshot).await.expect("files");
    let start = Instant::now();
    for file in files {
        take(rules, file);
    }
    let detection = rules.run(RunScope::All, lake.location(), NOW).await.expect("rows");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    start.elapsed().as_secs_f64()
}

fn take(rules: &mut StandingQueries, file: PathBuf) {
    let mut unread = FileCursor::open(file).expect("events");
    while unread.has_more() {
        rules.add_next(&mut unread).expect("rows");
    }
}

fn time_text(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let day = trailhound_datasets::layout::day_text(i32::try_from(days).expect("a day"));
    format!("{day}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

fn toml_parameters(configuration: &str) -> Arc<Parameters> {
    let mut tables: BTreeMap<String, Parameters> =
        toml::from_str(configuration).expect("a configuration");
    Arc::new(tables.remove("parameters").expect("parameters"))
}

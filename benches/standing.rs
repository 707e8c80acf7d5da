//! What a live commit costs the rules: a lake of 100,000 events over ten days, then commits of 1,000 events of the last hour. For each,
//! reading the new file and asking every row predicate (`take`), and running every rule that has news over its windows (`run`).
//! Milliseconds, beside planning and running one SQL query a rule over the new rows alone. And the same of one stateless rule beside all of
//! them: what another fifty add to the pass over a commit.

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use trailhound_benches::tell;
use trailhound_datasets::generate::{Spec, Traffic};
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
const LIMITS: QueryLimits = QueryLimits::of_service(128 << 20);

fn traffic(events: u64, seed: u64, days: u32) -> Traffic {
    Traffic::new(Spec { events, seed, company: None, stories: Vec::new(), days, end_micros: NOW })
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

/// Middle and worst of `seconds`, in milliseconds.
fn told(mut seconds: Vec<f64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let at = |index: usize| (seconds[index] * 1e5).round() / 100.0;
    json!({ "median_ms": at(seconds.len() / 2), "most_ms": at(seconds.len() - 1) })
}

/// Plans and runs one query a rule over the rows of one commit, in one session.
async fn one_query_a_rule(commit: &[Value], rules: &[&Rule], parameters: &Arc<Parameters>) -> f64 {
    let batch = decode_to_batch(&serde_json::to_vec(commit).expect("JSON"), NOW).expect("events");
    let session = Session::over_events(vec![batch], Arc::clone(parameters), &LIMITS)
        .await
        .expect("a session");
    let begun = Instant::now();
    for rule in rules {
        session.sql(&rule.sql).await.expect("planned").collect().await.expect("run");
    }
    begun.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("trailhound-standing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let lake = Lake::create_or_open(&folder.join("lake")).await.expect("a lake");
    let history = traffic(HISTORY, 1, 10);
    let parameters = toml_parameters(history.configuration());
    add(&lake, &folder.join("history.json"), &events(history)).await;
    let catalogue = RuleSet::built_in().expect("rules");
    let rules: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing(&parameters).is_empty())
        .collect();
    let mut standing =
        StandingQueries::new(&rules, Arc::clone(&parameters), LIMITS).await.expect("rules");
    let mut seen = lake.snapshot().await.expect("asked");
    let since = lake.latest_event().await.expect("asked").expect("events") - standing.span();
    let held: Vec<PathBuf> = lake.files_at(seen, since).await.expect("files");
    standing.load(&held, since, NOW).expect("rows");
    let mut news = events(traffic((COMMIT * COMMITS) as u64, 2, 1));
    // As they come: the last hour, in order.
    let count = news.len() as i64;
    for (at, event) in (0..).zip(&mut news) {
        let time = NOW / 1_000_000 - 3600 + at * 3600 / count;
        event["eventTime"] = time_text(time).into();
    }
    let stateless: Vec<&Rule> = rules
        .iter()
        .copied()
        .filter(|rule| rule.lookback.is_zero() && rule.remembers.is_none())
        .collect();
    let mut one = StandingQueries::new(&stateless[..1], Arc::clone(&parameters), LIMITS)
        .await
        .expect("a rule");
    let mut fifty =
        StandingQueries::new(&stateless, Arc::clone(&parameters), LIMITS).await.expect("rules");
    let (mut of_one, mut of_fifty) = (Vec::new(), Vec::new());
    let (mut takes, mut runs, mut ran) = (Vec::new(), Vec::new(), Vec::new());
    let mut costs: BTreeMap<String, f64> = BTreeMap::new();
    for (number, commit) in news.chunks(COMMIT).enumerate() {
        add(&lake, &folder.join(format!("{number}.json")), commit).await;
        let snapshot = lake.snapshot().await.expect("asked");
        let begun = Instant::now();
        for file in lake.files_since(seen, snapshot).await.expect("files") {
            take(&mut standing, file);
        }
        takes.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let detection = standing.run(RunScope::All, lake.place(), NOW).await.expect("rows");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        runs.push(begun.elapsed().as_secs_f64());
        ran.push(detection.took.len());
        for (rule_id, took) in detection.took {
            *costs.entry(rule_id).or_default() += took.as_secs_f64() * 1e3 / COMMITS as f64;
        }
        for (rules, passes) in [(&mut one, &mut of_one), (&mut fifty, &mut of_fifty)] {
            passes.push(pass(rules, &lake, seen, snapshot).await);
        }
        seen = snapshot;
    }
    let mut held: Vec<(String, usize)> = standing
        .held()
        .map(|(reads, bytes)| (reads.chars().take(70).collect(), bytes >> 10))
        .collect();
    held.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    held.truncate(6);
    let mut each = Vec::new();
    for commit in news.chunks(COMMIT).take(5) {
        each.push(one_query_a_rule(commit, &rules, &parameters).await);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    ran.sort_unstable();
    let mut costs: Vec<(String, f64)> = costs
        .into_iter()
        .map(|(rule_id, cost)| (rule_id, (cost * 100.0).round() / 100.0))
        .collect();
    costs.sort_by(|a, b| b.1.total_cmp(&a.1));
    costs.truncate(8);
    tell(
        "standing",
        json!({ "rules": rules.len(), "rules_with_news_median": ran[ran.len() / 2], "take": told(takes), "run": told(runs), "costliest_mean_ms": costs, "held_most_kib": held,
                "one_query_a_rule": told(each), "stateless_rules": stateless.len(), "one_stateless_rule": told(of_one), "all_stateless_rules": told(of_fifty) }),
    );
}

/// Seconds that `rules` take over what the snapshots after `seen` have brought.
async fn pass(rules: &mut StandingQueries, lake: &Lake, seen: i64, snapshot: i64) -> f64 {
    let files = lake.files_since(seen, snapshot).await.expect("files");
    let begun = Instant::now();
    for file in files {
        take(rules, file);
    }
    let detection = rules.run(RunScope::All, lake.place(), NOW).await.expect("rows");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    begun.elapsed().as_secs_f64()
}

fn take(rules: &mut StandingQueries, file: PathBuf) {
    let mut unread = FileCursor::open(file).expect("events");
    while unread.is_left() {
        rules.take(&mut unread).expect("rows");
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

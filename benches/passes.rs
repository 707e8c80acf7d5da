//! Measures what many rules cost over history. It compares all rules in one pass with one pass per
//! rule and with one SQL query per rule, and one stateless rule with 51 of them. The lake has
//! `TRAILHOUND_EVENTS` generated events, 400,000 by default. Results are seconds, the median of
//! three runs; the variants alternate.

#![allow(clippy::disallowed_methods, reason = "benches are told by variables what to measure")]

use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use trailhound_benches::print_result;
use trailhound_datasets::generate::{Traffic, TrafficSpec};
use trailhound_detect::{RuleSelection, TimeRange, detect};
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
/// Number of stateless rules that are compared with one.
const STATELESS_RULES: usize = 51;

/// Runs `rules` in one pass and returns the seconds.
async fn one_pass(session: &Session, catalogue: &RuleSet, rules: &[String]) -> f64 {
    let start = Instant::now();
    let selection = RuleSelection { rules: rules.to_vec(), require_all: true };
    let detection =
        detect(session, catalogue, &selection, TimeRange::default()).await.expect("detected");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    start.elapsed().as_secs_f64()
}

/// Plans and runs the query of each rule, one after the other; returns the seconds.
async fn separate_queries(session: &Session, rules: &[&Rule]) -> f64 {
    let start = Instant::now();
    for rule in rules {
        session.sql(&rule.sql).await.expect("planned").collect().await.expect("run");
    }
    start.elapsed().as_secs_f64()
}

/// The median, rounded to four digits.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2] * 1e4).round() / 1e4
}

/// Makes a lake of `events` generated events in `folder`, and returns it with the parameters that
/// fit the events.
async fn generated_lake(folder: &Path, events: u64) -> (Lake, Arc<Parameters>) {
    std::fs::create_dir_all(folder.join("events")).expect("a folder");
    let lake = Lake::create_or_open(&folder.join("lake"), &[trailhound_detect::store::TABLES], 0)
        .await
        .expect("a lake");
    let traffic = Traffic::new(TrafficSpec {
        events,
        seed: 1,
        company: None,
        stories: Vec::new(),
        days: 30,
        end_micros: NOW,
    })
    .expect("stories");
    let mut tables: BTreeMap<String, Parameters> =
        toml::from_str(traffic.configuration()).expect("a configuration");
    let parameters = Arc::new(tables.remove("parameters").expect("parameters"));
    for (number, file) in traffic.files().enumerate() {
        std::fs::write(folder.join(format!("events/{number}.json.gz")), file.content)
            .expect("a file");
    }
    let inputs = files::find(&[folder.join("events").display().to_string()]).expect("files");
    ingest(&lake, inputs, &IngestOptions::at(NOW), Arc::new(Progress::default()))
        .await
        .expect("ingested");
    (lake, parameters)
}

#[tokio::main]
async fn main() {
    let events =
        std::env::var("TRAILHOUND_EVENTS").map_or(400_000, |text| text.parse().expect("a number"));
    let folder = std::env::temp_dir().join(format!("trailhound-passes-{}", std::process::id()));
    let (lake, parameters) = generated_lake(&folder, events).await;
    let catalogue = RuleSet::built_in().expect("rules");
    let session =
        Session::over_lake(lake.location(), Arc::clone(&parameters), &QueryLimits::default())
            .await
            .expect("a session");
    let pack: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing_parameters(&parameters).is_empty())
        .collect();
    let ids =
        |rules: &[&Rule]| -> Vec<String> { rules.iter().map(|rule| rule.id.clone()).collect() };
    let stateless: Vec<&Rule> = pack
        .iter()
        .copied()
        .filter(|rule| rule.lookback.is_zero() && rule.baseline.is_none())
        .take(STATELESS_RULES)
        .collect();
    let (all, stateless) = (ids(&pack), ids(&stateless));
    let (
        mut all_in_one,
        mut pass_per_rule,
        mut query_per_rule,
        mut one_stateless,
        mut all_stateless,
    ) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        all_in_one.push(one_pass(&session, &catalogue, &all).await);
        let mut sum = 0.0;
        for id in &all {
            sum += one_pass(&session, &catalogue, std::slice::from_ref(id)).await;
        }
        pass_per_rule.push(sum);
        query_per_rule.push(separate_queries(&session, &pack).await);
        one_stateless.push(one_pass(&session, &catalogue, &stateless[..1]).await);
        all_stateless.push(one_pass(&session, &catalogue, &stateless).await);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    let (all_in_one, pass_per_rule, query_per_rule, one_stateless, all_stateless) = (
        median(all_in_one),
        median(pass_per_rule),
        median(query_per_rule),
        median(one_stateless),
        median(all_stateless),
    );
    print_result(
        "passes",
        json!({ "events": events, "rules": all.len(), "one_pass_s": all_in_one, "a_pass_for_each_s": pass_per_rule, "ratio": (pass_per_rule / all_in_one * 100.0).round() / 100.0,
                "a_query_for_each_s": query_per_rule, "ratio_to_queries": (query_per_rule / all_in_one * 100.0).round() / 100.0,
                "stateless_rules": stateless.len(), "one_stateless_rule_s": one_stateless, "all_stateless_rules_s": all_stateless,
                "stateless_ratio": (all_stateless / one_stateless * 100.0).round() / 100.0 }),
    );
}

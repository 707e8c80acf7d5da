//! What many rules cost over history: the whole pack in one pass beside a pass for each rule and beside each rule's query as the SQL shell
//! runs it, and one stateless rule beside fifty-one. Seconds over a lake of generated events, `TRAILHOUND_EVENTS` of them (400,000 unless said), each the median of three in turn.

use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use trailhound_benches::tell;
use trailhound_datasets::generate::{Spec, Traffic};
use trailhound_detect::{Range, Selection, detect};
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const STATELESS: usize = 51;

async fn seconds(session: &Session, catalogue: &RuleSet, rules: &[String]) -> f64 {
    let begun = Instant::now();
    let selection = Selection { rules: rules.to_vec(), require_all: true };
    let detection =
        detect(session, catalogue, &selection, Range::default()).await.expect("detected");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    begun.elapsed().as_secs_f64()
}

/// Plans and runs the query of each of `rules`, one after the other.
async fn queries(session: &Session, rules: &[&Rule]) -> f64 {
    let begun = Instant::now();
    for rule in rules {
        session.sql(&rule.sql).await.expect("planned").collect().await.expect("run");
    }
    begun.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2] * 1e4).round() / 1e4
}

#[tokio::main]
async fn main() {
    let events =
        std::env::var("TRAILHOUND_EVENTS").map_or(400_000, |text| text.parse().expect("a number"));
    let folder = std::env::temp_dir().join(format!("trailhound-passes-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("events")).expect("a folder");
    let lake = Lake::create_or_open(&folder.join("lake")).await.expect("a lake");
    let traffic = Traffic::new(Spec {
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
    let catalogue = RuleSet::built_in().expect("rules");
    let session =
        Session::over_lake(lake.place(), Arc::clone(&parameters), &QueryLimits::default())
            .await
            .expect("a session");
    let pack: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.enabled && rule.missing(&parameters).is_empty())
        .collect();
    let ids =
        |rules: &[&Rule]| -> Vec<String> { rules.iter().map(|rule| rule.id.clone()).collect() };
    let stateless: Vec<&Rule> = pack
        .iter()
        .copied()
        .filter(|rule| rule.lookback.is_zero() && rule.remembers.is_none())
        .take(STATELESS)
        .collect();
    let (all, stateless) = (ids(&pack), ids(&stateless));
    let (mut together, mut apart, mut asked, mut one, mut fifty) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        together.push(seconds(&session, &catalogue, &all).await);
        let mut sum = 0.0;
        for id in &all {
            sum += seconds(&session, &catalogue, std::slice::from_ref(id)).await;
        }
        apart.push(sum);
        asked.push(queries(&session, &pack).await);
        one.push(seconds(&session, &catalogue, &stateless[..1]).await);
        fifty.push(seconds(&session, &catalogue, &stateless).await);
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    let (together, apart, asked, one, fifty) =
        (median(together), median(apart), median(asked), median(one), median(fifty));
    tell(
        "passes",
        json!({ "events": events, "rules": all.len(), "one_pass_s": together, "a_pass_for_each_s": apart, "ratio": (apart / together * 100.0).round() / 100.0,
                "a_query_for_each_s": asked, "ratio_to_queries": (asked / together * 100.0).round() / 100.0,
                "stateless_rules": stateless.len(), "one_stateless_rule_s": one, "all_stateless_rules_s": fifty,
                "stateless_ratio": (fifty / one * 100.0).round() / 100.0 }),
    );
}

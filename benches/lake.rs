//! Measures queries on the lake in the folder `TRAILHOUND_BENCH_LAKE`: the row predicates of four
//! detections, all rules in full, and a look-up by event id (`TRAILHOUND_BENCH_EVENT_ID`). Results
//! are seconds: the median of five runs in one session, of three for the rules.

#![allow(clippy::disallowed_methods, reason = "benches are told by variables what to measure")]

use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use trailhound_benches::{median, print_result};
use trailhound_datasets::layout::{CATALOG_FILE, CatalogLocation};
use trailhound_detect::{RuleSelection, TimeRange, detect};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// The row predicates; `peers/duckdb_queries.py` measures DuckDB with the same ones.
const PREDICATES: [&str; 4] = [
    "SELECT event_id, event_time, user_name, source_ip_address FROM events WHERE event_action = 'consolesignin' AND outcome = 'success' AND mfa = 'no'",
    "SELECT event_id, event_time, user_name, source_ip_address FROM events WHERE event_action = 'consolesignin' AND outcome = 'success' AND source_class = 'ip' AND NOT ip_in_cidr(source_ip, '203.0.113.0/24')",
    "SELECT event_id, event_time, user_name, source_ip_address FROM events WHERE user_type = 'root-account' AND credential_kind = 'long_term'",
    "SELECT event_id, event_time, user_name, source_ip_address FROM events WHERE event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances', 'release') AND service_name = 'Ecs' AND outcome = 'success'",
];

fn main() {
    let Some(lake) = std::env::var_os("TRAILHOUND_BENCH_LAKE").map(PathBuf::from) else { return };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return };
    let parameters: Parameters =
        serde_json::from_value(json!({ "corporate_cidrs": [{ "cidr": "203.0.113.0/24" }] }))
            .unwrap_or_else(|e| panic!("{e}"));
    let limits = QueryLimits::default();
    let place = CatalogLocation::Sqlite(lake.join(CATALOG_FILE));
    let session = runtime
        .block_on(Session::over_lake(&place, Arc::new(parameters), &limits))
        .unwrap_or_else(|e| panic!("{e}"));
    let count_rows = |sql: &str| -> usize {
        let rows =
            runtime.block_on(async { session.sql(sql).await?.collect().await.map_err(Into::into) });
        rows.map(|batches| batches.iter().map(|batch| batch.num_rows()).sum())
            .unwrap_or_else(|e: trailhound_queries::limits::SessionError| panic!("{e}"))
    };
    let mut results = Map::new();
    let rows: Vec<usize> = PREDICATES.iter().map(|sql| count_rows(sql)).collect();
    results.insert("predicates_rows".to_owned(), json!(rows));
    results.insert(
        "predicates".to_owned(),
        json!(median(5, || PREDICATES.iter().map(|sql| count_rows(sql)).sum::<usize>())),
    );
    let catalogue = RuleSet::built_in().unwrap_or_else(|e| panic!("{e}"));
    let rules = median(3, || {
        runtime
            .block_on(detect(&session, &catalogue, &RuleSelection::default(), TimeRange::default()))
            .map(drop)
            .unwrap_or_else(|e| panic!("{e}"));
    });
    results.insert("rules_in_full".to_owned(), json!(rules));
    let id = std::env::var("TRAILHOUND_BENCH_EVENT_ID").unwrap_or_default();
    let by_id = format!("SELECT * FROM events WHERE event_id = '{id}'");
    results.insert("by_event_id_rows".to_owned(), json!(count_rows(&by_id)));
    results.insert("by_event_id".to_owned(), json!(median(5, || count_rows(&by_id))));
    print_result("lake", Value::Object(results));
}

//! Rules whose rows exceed the memory limit.

use crate::support::add;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use trailhound_datasets::layout::day_text;
use trailhound_datasets::samples;
use trailhound_detect::{RuleSelection, TimeRange, detect};
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// A sign-in that failed, every ten seconds.
fn failed_sign_ins(count: usize) -> Vec<Value> {
    let sample: Value =
        serde_json::from_str(samples::event("ram_sign_in_failed").expect("a sample"))
            .expect("JSON");
    let begin = 1_789_956_000; // 2026-09-21T02:00:00Z
    let event = |number: usize| {
        let seconds = begin + 10 * number as i64;
        let day = day_text(i32::try_from(seconds / 86_400).expect("a day"));
        let mut event = sample.clone();
        event["eventId"] = format!("flood-{number}").into();
        event["eventTime"] = format!(
            "{day}T{:02}:{:02}:{:02}Z",
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60
        )
        .into();
        event
    };
    (0..count).map(event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_finds_the_same_when_its_rows_exceed_the_memory_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let events = failed_sign_ins(40_000);
    for (number, part) in events.chunks(5_000).enumerate() {
        add(&lake, folder.path(), number, part).await;
    }
    let catalogue = RuleSet::built_in().expect("rules");
    let mut found: Vec<BTreeMap<String, Value>> = Vec::new();
    for memory_bytes_max in [1 << 30, 24 << 20] {
        let limits = QueryLimits { memory_bytes_max, ..QueryLimits::default() };
        let session = Session::over_lake(lake.location(), Arc::new(Parameters::default()), &limits)
            .await
            .expect("a session");
        let selection = RuleSelection { rules: vec!["AT-LOGIN-003".to_owned()], require_all: true };
        let detection =
            detect(&session, &catalogue, &selection, TimeRange::default()).await.expect("detected");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        found.push(
            detection
                .findings
                .into_iter()
                .map(|finding| (finding.finding_id.clone(), json!(finding)))
                .collect(),
        );
    }
    assert!(found[0].len() > 10, "{}", found[0].len());
    assert_eq!(found[0], found[1]);
}

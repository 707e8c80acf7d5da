//! Tests late events: a finding is withdrawn when a late event explains it, and stays when its
//! events have been deleted.

use crate::support::add;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::samples;
use trailhound_detect::{
    FindingStatus, RuleSelection, StoreContext, StoreSummary, TimeRange, detect, store_findings,
};
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-10-01T00:00:00Z.
const NOW: i64 = 1_790_812_800_000_000;
const DAY: i64 = 86_400_000_000;

fn sample(name: &str) -> Value {
    serde_json::from_str(samples::event(name).expect("a sample")).expect("JSON")
}

/// Runs AT-ECS-001 over the lake and keeps what it finds.
async fn run(lake: &Lake, range: TimeRange) -> StoreSummary {
    let session = Session::over_lake(
        lake.location(),
        Arc::new(Parameters::default()),
        &QueryLimits::default(),
    )
    .await
    .expect("a session");
    let catalogue = RuleSet::built_in().expect("rules");
    let selection = RuleSelection { rules: vec!["AT-ECS-001".to_owned()], require_all: true };
    let detection = detect(&session, &catalogue, &selection, range).await.expect("detected");
    let mut kept = StoreSummary::default();
    store_findings(
        lake.catalog(),
        &detection.findings,
        &detection.scopes,
        &[],
        1,
        StoreContext::default(),
        &mut kept,
    )
    .await
    .expect("kept");
    kept
}

async fn lake_with_a_stop(folder: &Path) -> Lake {
    let lake = Lake::create_or_open(&folder.join("lake"), &[trailhound_detect::store::TABLES], 0)
        .await
        .expect("a lake");
    add(&lake, folder, 0, &[sample("auto_scaling_stop")]).await;
    let kept = run(&lake, TimeRange::default()).await;
    assert_eq!((kept.new, kept.withdrawn.len()), (1, 0));
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_a_late_event_explains_is_withdrawn_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_with_a_stop(folder.path()).await;
    add(&lake, folder.path(), 1, &[sample("scaling_activity")]).await;
    // Not by a run over another time.
    let elsewhere = TimeRange { since: None, until: Some(NOW - 100 * DAY), include_untimed: false };
    assert_eq!(run(&lake, elsewhere).await.withdrawn.len(), 0);
    let explained = run(&lake, TimeRange::default()).await;
    assert_eq!((explained.new, explained.withdrawn.len()), (1, 1));
    let withdrawn = &explained.withdrawn[0];
    assert_eq!((withdrawn.status, withdrawn.event_ids.len()), (FindingStatus::Withdrawn, 1));
    let again = run(&lake, TimeRange::default()).await;
    assert_eq!((again.new, again.revised, again.unchanged, again.withdrawn.len()), (0, 0, 1, 0));
    let revisions: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, revision FROM trailhound_latest_finding ORDER BY status")
            .fetch_all(lake.catalog())
            .await
            .expect("asked");
    assert_eq!(revisions, [("suppressed".to_owned(), 1), ("withdrawn".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_kept_when_retention_drops_its_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_with_a_stop(folder.path()).await;
    assert_eq!(lake.drop_days_before(NOW - 5 * DAY, NOW).await.expect("dropped").rows, 1);
    let after = run(&lake, TimeRange::default()).await;
    assert_eq!((after.new, after.revised, after.withdrawn.len()), (0, 0, 0));
}

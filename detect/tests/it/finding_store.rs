//! The finding store keeps the findings of a run and creates their outbox rows.

use crate::support::{LIMITS, NOW, sign_ins};
use std::sync::Arc;
use trailhound_detect::finding::health::dead_letter_finding;
use trailhound_detect::store::outbox::{self, LeasedBatch};
use trailhound_detect::store::routes::{Revisions, Route, Routes};
use trailhound_detect::{
    FileCursor, Finding, RunScope, StandingQueries, StoreContext, StoreSummary, common_cursor,
    store_findings,
};
use trailhound_ingest::lake::Lake;
use trailhound_queries::packs::rules::Severity;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_store_reports_what_was_committed_and_the_next_run_stores_the_rest() {
    const FINDINGS: u64 = 5_000;
    // Findings that one transaction stores.
    const FIRST: u64 = 2_048;
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, rule) = sign_ins(folder.path(), FINDINGS as usize).await;
    let mut standing = StandingQueries::new(&[&rule], Arc::default(), LIMITS).await.expect("rules");
    let snapshot = lake.snapshot().await.expect("asked");
    for file in lake.files_since(0, snapshot).await.expect("files") {
        standing.add_next(&mut FileCursor::open(file).expect("events")).expect("rows");
    }
    let found = standing.run(RunScope::All, lake.location(), NOW).await.expect("rows");
    let ran = [(rule.id.clone(), rule.version.clone())];
    let keep = async |stored: &mut StoreSummary| {
        store_findings(
            lake.catalog(),
            &found.findings,
            &found.scopes,
            &ran,
            snapshot,
            StoreContext::default(),
            stored,
        )
        .await
    };
    let execute =
        async |sql: &'static str| sqlx::query(sql).execute(lake.catalog()).await.expect("done");
    execute(
        "CREATE TRIGGER full BEFORE INSERT ON trailhound_latest_finding WHEN (SELECT count(*) FROM trailhound_latest_finding) >= 3000 \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await;
    let mut first = StoreSummary::default();
    let error = keep(&mut first).await.expect_err("no room");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!((first.new, first.changed.len() as u64, first.unchanged), (FIRST, FIRST, 0));
    assert_eq!(
        common_cursor(lake.catalog(), &ran).await.expect("asked"),
        0,
        "what was not kept is to be found again"
    );
    execute("DROP TRIGGER full").await;
    let mut second = StoreSummary::default();
    keep(&mut second).await.expect("kept");
    assert_eq!((second.new, second.unchanged), (FINDINGS - FIRST, FIRST));
    assert!(first.changed.is_disjoint(&second.changed), "each is told once");
    assert_eq!(common_cursor(lake.catalog(), &ran).await.expect("asked"), snapshot);
}

#[tokio::test]
async fn outbox_rows_keep_the_revision_they_were_created_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let route = |sink: &str, revisions| Route {
        sink: sink.to_owned(),
        severity_min: Severity::Info,
        rules: None,
        accounts: Vec::new(),
        suppressed: false,
        revisions,
    };
    let routes =
        Routes::new(vec![route("all", Revisions::All), route("essential", Revisions::Essential)]);
    let keeping = StoreContext { holder: None, routes: Some(&routes), now: NOW };
    let others: Vec<Finding> =
        (0..3).map(|number| dead_letter_finding(&format!("other-{number}"), NOW)).collect();
    let first = dead_letter_finding("hook", NOW);
    for why in ["first", "second", "third"] {
        let finding = Finding { why: vec![why.to_owned()], ..first.clone() };
        let findings: Vec<Finding> = others.iter().cloned().chain([finding]).collect();
        store_findings(
            lake.catalog(),
            &findings,
            &[],
            &[],
            0,
            keeping,
            &mut StoreSummary::default(),
        )
        .await
        .expect("kept");
    }
    let lease_revisions = async |sink: &str| {
        let LeasedBatch::Findings(messages) =
            outbox::lease_batch(lake.catalog(), sink, "us", NOW, 100, &[]).await.expect("taken")
        else {
            panic!("a report")
        };
        let of_first_finding =
            messages.into_iter().filter(|message| message.finding.finding_id == first.finding_id);
        of_first_finding
            .map(|message| {
                (message.revision, message.finding.why.concat(), message.body.contains("\"first\""))
            })
            .collect::<Vec<_>>()
    };
    let revision = |number: i64, why: &str| (number, why.to_owned(), why == "first");
    assert_eq!(
        lease_revisions("all").await,
        [revision(1, "first"), revision(2, "second"), revision(3, "third")]
    );
    assert_eq!(lease_revisions("essential").await, [revision(1, "first")]);
    let fourth = Finding { why: vec!["fourth".to_owned()], ..first.clone() };
    store_findings(lake.catalog(), &[fourth], &[], &[], 0, keeping, &mut StoreSummary::default())
        .await
        .expect("kept");
    // The outcome of the leased rows is unknown, so they become pending again.
    for sink in ["all", "essential"] {
        outbox::recover_leased(lake.catalog(), sink, NOW).await.expect("recovered");
    }
    assert_eq!(
        lease_revisions("all").await,
        [revision(1, "first"), revision(2, "second"), revision(3, "third"), revision(4, "fourth")]
    );
    assert_eq!(lease_revisions("essential").await, [revision(1, "first")]);
}

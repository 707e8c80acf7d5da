//! Lakes of JSON events, and a follower that evaluates each commit as the service does.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_detect::{
    FileCursor, RunScope, StandingQueries, StoreContext, StoreSummary, store_findings,
};
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;

/// 2026-10-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_790_812_800_000_000;
pub(crate) const LIMITS: QueryLimits = QueryLimits::for_service(64 << 20);

/// Findings by id, without the fields that depend on how the lake was filled.
pub(crate) type Found = BTreeMap<String, Value>;

pub(crate) async fn add(lake: &Lake, folder: &Path, number: usize, events: &[Value]) {
    let path = folder.join(format!("{number}.json"));
    std::fs::write(&path, serde_json::to_vec(events).expect("JSON")).expect("a file");
    let inputs = files::find(&[path.display().to_string()]).expect("a file");
    ingest(lake, inputs, &IngestOptions::at(NOW), Arc::new(Progress::default()))
        .await
        .expect("ingested");
}

/// Evaluates rules as the service does: loads the rows before the cursor, and runs the rules over
/// the rows after it.
pub(crate) struct Follower {
    standing: StandingQueries,
    seen: i64,
    /// The reported findings, each in its last reported revision.
    pub(crate) found: Found,
}

pub(crate) fn take(standing: &mut StandingQueries, file: PathBuf) {
    let mut unread = FileCursor::open(file).expect("events");
    while unread.has_more() {
        standing.add_next(&mut unread).expect("rows");
    }
}

impl Follower {
    pub(crate) async fn new(rules: &[&Rule], parameters: &Arc<Parameters>) -> Self {
        let standing =
            StandingQueries::new(rules, Arc::clone(parameters), LIMITS).await.expect("rules");
        Self { standing, seen: 0, found: Found::new() }
    }

    pub(crate) async fn restart(
        &mut self,
        lake: &Lake,
        rules: &[&Rule],
        parameters: &Arc<Parameters>,
    ) {
        self.standing =
            StandingQueries::new(rules, Arc::clone(parameters), LIMITS).await.expect("rules");
        let since = lake
            .latest_event()
            .await
            .expect("asked")
            .map_or(i64::MIN, |latest| latest - self.standing.span());
        let files = lake.files_at(self.seen, since).await.expect("files");
        self.standing.load(&files, since, NOW).expect("rows");
    }

    pub(crate) async fn catch_up(&mut self, lake: &Lake) {
        let snapshot = lake.snapshot().await.expect("asked");
        for file in lake.files_since(self.seen, snapshot).await.expect("files") {
            take(&mut self.standing, file);
        }
        let detection = self.standing.run(RunScope::All, lake.location(), NOW).await.expect("rows");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        let mut kept = StoreSummary::default();
        let keeping = StoreContext::default();
        store_findings(
            lake.catalog(),
            &detection.findings,
            &detection.scopes,
            &[],
            snapshot,
            keeping,
            &mut kept,
        )
        .await
        .expect("kept");
        for finding in
            detection.findings.iter().filter(|finding| kept.changed.contains(&finding.finding_id))
        {
            self.found.insert(finding.finding_id.clone(), json!(finding));
        }
        for finding in kept.withdrawn {
            assert!(
                self.found.remove(&finding.finding_id).is_some(),
                "{} was never told",
                finding.finding_id
            );
        }
        self.seen = snapshot;
    }
}

/// The sign-in of a day's second `number`.
pub(crate) fn sign_in(number: usize, user: &str) -> Value {
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    json!({
        "eventId": format!("e{number}"), "eventName": "ConsoleSignin", "eventTime": format!("2026-09-21T{hour:02}:{minute:02}:{second:02}Z"),
        "serviceName": "AasCustomer", "eventType": "ConsoleSignin", "sourceIpAddress": "198.51.100.9",
        "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "21", "userName": user },
    })
}

/// Creates a lake with `count` sign-ins in one file, and a rule that reports each sign-in as a
/// finding.
pub(crate) async fn sign_ins(folder: &Path, count: usize) -> (Lake, Rule) {
    let lake = Lake::create_or_open(&folder.join("lake"), &[trailhound_detect::store::TABLES], 0)
        .await
        .expect("a lake");
    add(&lake, folder, 0, &(0..count).map(|number| sign_in(number, "alice")).collect::<Vec<_>>())
        .await;
    let catalogue = RuleSet::built_in().expect("rules");
    let like = catalogue.find("AT-LOGIN-001").expect("a rule").clone();
    let sql =
        "SELECT *, 'signed in' AS why FROM events WHERE event_action = 'consolesignin'".to_owned();
    let prefilter = Some("event_action = 'consolesignin'".to_owned());
    (lake, Rule { id: "AT-EACH-001".to_owned(), prefilter, sql, dedup: None, ..like })
}

/// The share of random cases that is asked for: `TRAILHOUND_TEST_SCALE`, 1 unless set.
pub(crate) fn scaled(cases: u64) -> u64 {
    let scale = std::env::var("TRAILHOUND_TEST_SCALE")
        .map_or(1.0, |scale| scale.parse::<f64>().expect("TRAILHOUND_TEST_SCALE is a number"));
    (cases as f64 * scale).ceil() as u64
}

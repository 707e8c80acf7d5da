//! Streaming evaluation gives the same findings as batch evaluation over the whole lake, whatever
//! the order in which events arrive. A slow rule pauses and does not delay other rules. A finding
//! without new events is not made again.

use crate::support::{Follower, Found, LIMITS, NOW, add, sign_in, sign_ins, take};
use flate2::read::GzDecoder;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trailhound_datasets::generate::{Traffic, TrafficSpec};
use trailhound_detect::{
    FileCursor, RuleSelection, RunScope, StandingQueries, StoreContext, StoreSummary, TimeRange,
    detect, store_findings,
};
use trailhound_ingest::lake::Lake;
use trailhound_queries::packs::rules::{Dedup, Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// Generated traffic with attack stories, and its parameters. Three sign-ins are added: one without
/// a time, one whose time cannot be parsed, and one whose time is in the future.
fn events(seed: u64) -> (Vec<Value>, Parameters) {
    let spec = TrafficSpec {
        events: 1_500,
        seed,
        company: None,
        stories: Vec::new(),
        days: 3,
        end_micros: NOW,
    };
    let traffic = Traffic::new(spec).expect("stories");
    let parameters = toml::from_str::<BTreeMap<String, Parameters>>(traffic.configuration())
        .expect("a configuration")
        .remove("parameters");
    let mut events: Vec<Value> = Vec::new();
    for file in traffic.files() {
        events.extend(
            serde_json::from_reader::<_, Vec<Value>>(GzDecoder::new(&file.content[..]))
                .expect("an array"),
        );
    }
    for (id, time) in [
        ("no-time", Value::Null),
        ("unreadable", "yesterday".into()),
        ("future", "2031-01-01T00:00:00Z".into()),
    ] {
        events.push(json!({
            "eventId": id, "eventName": "ConsoleSignin", "eventTime": time, "serviceName": "AasCustomer", "eventType": "ConsoleSignin",
            "sourceIpAddress": "198.51.100.9", "userIdentity": { "type": "root-account", "accountId": "1000000000000001", "principalId": "1000000000000001" },
            "additionalEventData": { "mfaChecked": "false" },
        }));
    }
    (events, parameters.expect("parameters"))
}

async fn compare_streaming_with_batch(seed: u64) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let (mut events, parameters) = events(seed);
    let parameters = Arc::new(parameters);
    // In the generated order, shuffled within chunks of 50 events, or shuffled completely.
    match seed % 3 {
        0 => {}
        1 => events.chunks_mut(50).for_each(|chunk| chunk.shuffle(&mut rng)),
        _ => events.shuffle(&mut rng),
    }
    let catalogue = RuleSet::built_in().expect("rules");
    let rules: Vec<&Rule> = catalogue
        .rules
        .iter()
        .filter(|rule| rule.missing_parameters(&parameters).is_empty())
        .collect();
    let mut follower = Follower::new(&rules, &parameters).await;
    let mut rest = &events[..];
    for number in 0.. {
        let (now, later) = rest.split_at(rng.random_range(1..60).min(rest.len()));
        add(&lake, folder.path(), number, now).await;
        rest = later;
        if rng.random_ratio(1, 4) {
            lake.compact(NOW).await.expect("compacted");
        }
        if rng.random_ratio(1, 12) {
            follower.restart(&lake, &rules, &parameters).await;
        }
        if rest.is_empty() || rng.random_ratio(2, 3) {
            follower.catch_up(&lake).await;
        }
        if rest.is_empty() {
            break;
        }
    }
    let session =
        Session::over_lake(lake.location(), parameters, &LIMITS).await.expect("a session");
    let selection = RuleSelection {
        rules: rules.iter().map(|rule| rule.id.clone()).collect(),
        require_all: true,
    };
    let whole =
        detect(&session, &catalogue, &selection, TimeRange::default()).await.expect("detected");
    let whole: Found =
        whole.findings.iter().map(|finding| (finding.finding_id.clone(), json!(finding))).collect();
    assert!(whole.len() > 10, "{}", whole.len());
    for (id, finding) in &whole {
        assert_eq!(follower.found.get(id), Some(finding), "seed {seed}");
    }
    let unexpected: Vec<&Value> = follower
        .found
        .iter()
        .filter(|(id, _)| !whole.contains_key(*id))
        .map(|(_, finding)| finding)
        .collect();
    assert_eq!(follower.found.len(), whole.len(), "seed {seed}: {unexpected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streaming_evaluation_finds_what_batch_evaluation_finds() {
    for seed in 0..2 {
        compare_streaming_with_batch(seed).await;
    }
}

/// A query over console sign-ins that runs for much longer than 250 ms. A rule that runs for longer
/// than 250 ms pauses afterwards.
fn slow_sql() -> String {
    let rows = if cfg!(debug_assertions) { 600_000 } else { 3_000_000 };
    format!(
        "SELECT *, 'slow' AS why FROM events WHERE event_action IN \
         (SELECT CASE WHEN max(md5(CAST(value AS VARCHAR))) > '' THEN 'consolesignin' END FROM generate_series(1, {rows}))"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_rule_is_deferred_without_delaying_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let catalogue = RuleSet::built_in().expect("rules");
    let quick = catalogue.find("AT-LOGIN-001").expect("a rule");
    let sql = slow_sql();
    let slow = Rule { id: "AT-SLOW-001".to_owned(), sql, ..quick.clone() };
    let mut standing =
        StandingQueries::new(&[&slow, quick], Arc::default(), LIMITS).await.expect("rules");
    assert!(standing.broken().is_empty(), "{:?}", standing.broken());
    let sign_in = |number: usize| {
        json!({
            "eventId": format!("e{number}"), "eventName": "ConsoleSignin", "eventTime": format!("2026-09-21T0{number}:00:00Z"), "serviceName": "AasCustomer",
            "eventType": "ConsoleSignin", "sourceIpAddress": "198.51.100.9", "additionalEventData": { "mfaChecked": "false" },
            "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "21", "userName": "alice" },
        })
    };
    let mut seen = 0;
    let mut ran = Vec::new();
    for (number, turn) in
        [RunScope::NotPaused, RunScope::NotPaused, RunScope::All].into_iter().enumerate()
    {
        add(&lake, folder.path(), number, &[sign_in(number)]).await;
        let snapshot = lake.snapshot().await.expect("asked");
        for file in lake.files_since(seen, snapshot).await.expect("files") {
            take(&mut standing, file);
        }
        seen = snapshot;
        let detection = standing.run(turn, lake.location(), NOW).await.expect("rows");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        let events = |rule: &str| -> usize {
            detection
                .findings
                .iter()
                .filter(|finding| finding.rule_id == rule)
                .map(|finding| finding.event_ids.len())
                .sum()
        };
        ran.push((
            events("AT-LOGIN-001") > 0,
            detection.ran.contains(&slow.id),
            standing.next_pause_end().is_some(),
        ));
        if turn == RunScope::All {
            assert_eq!(events(&slow.id), 2, "what came while it rested is not lost: {ran:?}");
        }
    }
    assert_eq!(ran, [(true, true, false), (true, false, true), (true, true, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_evaluated_in_parts_and_a_slow_rule_is_never_deferred_forever() {
    const EVENTS: usize = 70_000;
    // Rows of one part.
    const PART: usize = 16_384;
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, rule) = sign_ins(folder.path(), EVENTS).await;
    let sql = slow_sql();
    let slow = Rule { id: "AT-SLOW-001".to_owned(), sql, ..rule };
    let mut standing = StandingQueries::new(&[&slow], Arc::default(), LIMITS).await.expect("rules");
    let mut found = Vec::new();
    for file in lake.files_since(0, lake.snapshot().await.expect("asked")).await.expect("files") {
        let mut unread = FileCursor::open(file).expect("events");
        while unread.has_more() {
            standing.add_next(&mut unread).expect("rows");
            let turn = if unread.has_more() { RunScope::NotPaused } else { RunScope::All };
            let detection = standing.run(turn, lake.location(), NOW).await.expect("rows");
            assert!(detection.failed.is_empty(), "{:?}", detection.failed);
            found.push(detection.findings.len());
        }
    }
    // The rule pauses after its first run. Many new rows end the pause early.
    assert_eq!(found, [PART, 0, 2 * PART, 0, EVENTS - 3 * PART]);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_without_new_events_are_not_rebuilt() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, rule) = sign_ins(folder.path(), 1).await;
    let dedup = Dedup { columns: vec!["user_name".to_owned()], window: Duration::from_secs(3600) };
    let rule = Rule { dedup: Some(dedup), ..rule };
    let mut standing = StandingQueries::new(&[&rule], Arc::default(), LIMITS).await.expect("rules");
    let (mut seen, mut summaries) = (0, Vec::new());
    for (number, user) in
        [(0, "alice"), (1, "bob"), (2, "carol"), (3, "alice"), (4, "dave"), (5, "erin")]
    {
        if user == "dave" {
            // After a restart the rule makes all findings again: the parameters may have changed,
            // so the findings may differ.
            standing = StandingQueries::new(&[&rule], Arc::default(), LIMITS).await.expect("rules");
            standing
                .load(&lake.files_at(seen, i64::MIN).await.expect("files"), i64::MIN, NOW)
                .expect("rows");
        }
        if number > 0 {
            add(&lake, folder.path(), number, &[sign_in(number, user)]).await;
        }
        let snapshot = lake.snapshot().await.expect("asked");
        for file in lake.files_since(seen, snapshot).await.expect("files") {
            take(&mut standing, file);
        }
        seen = snapshot;
        let run = standing.run(RunScope::All, lake.location(), NOW).await.expect("rows");
        let mut kept = StoreSummary::default();
        store_findings(
            lake.catalog(),
            &run.findings,
            &run.scopes,
            &[],
            snapshot,
            StoreContext::default(),
            &mut kept,
        )
        .await
        .expect("kept");
        assert!(kept.withdrawn.is_empty(), "{:?}", kept.withdrawn);
        let mut made: Vec<String> = run
            .findings
            .iter()
            .map(|f| format!("{}:{}", f.operator.name.as_deref().unwrap_or(""), f.count))
            .collect();
        made.sort();
        summaries.push((made.join(" "), kept.new, kept.revised, kept.unchanged));
    }
    let expected = [
        ("alice:1", 1, 0, 0),
        ("bob:1", 1, 0, 0),
        ("carol:1", 1, 0, 0),
        ("alice:2", 0, 1, 0),
        ("alice:2 bob:1 carol:1 dave:1", 1, 0, 3),
        ("erin:1", 1, 0, 0),
    ];
    assert_eq!(
        summaries,
        expected.map(|(made, new, revised, unchanged)| (made.to_owned(), new, revised, unchanged))
    );
}

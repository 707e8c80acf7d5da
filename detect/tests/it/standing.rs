//! Rules that stand ready find what a run over the whole lake finds, however the events came.

use flate2::read::GzDecoder;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use trailhound_datasets::generate::{Spec, Traffic};
use trailhound_detect::{
    FileCursor, Keeping, Range, RunScope, Selection, StandingQueries, Stored, detect, store,
};
use trailhound_ingest::lake::Lake;
use trailhound_ingest::source::files;
use trailhound_ingest::{IngestOptions, Progress, ingest};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::{Dedup, Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-10-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_790_812_800_000_000;
pub(crate) const LIMITS: QueryLimits = QueryLimits::of_service(64 << 20);

/// Findings by id, each without what depends on how the lake was filled.
pub(crate) type Found = BTreeMap<String, Value>;

/// Generated traffic with its stories, and sign-ins that have no time, or one in the future.
fn events(seed: u64) -> (Vec<Value>, Parameters) {
    let spec =
        Spec { events: 1_500, seed, company: None, stories: Vec::new(), days: 3, end_micros: NOW };
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

pub(crate) async fn add(lake: &Lake, folder: &Path, number: usize, events: &[Value]) {
    let path = folder.join(format!("{number}.json"));
    std::fs::write(&path, serde_json::to_vec(events).expect("JSON")).expect("a file");
    let inputs = files::find(&[path.display().to_string()]).expect("a file");
    ingest(lake, inputs, &IngestOptions::at(NOW), Arc::new(Progress::default()))
        .await
        .expect("ingested");
}

/// The service's part of the work: rows behind the cursor loaded, what came after it as news.
pub(crate) struct Follower {
    standing: StandingQueries,
    seen: i64,
    /// What was told, each finding as it was told last.
    pub(crate) found: Found,
}

fn take(standing: &mut StandingQueries, file: PathBuf) {
    let mut unread = FileCursor::open(file).expect("events");
    while unread.is_left() {
        standing.take(&mut unread).expect("rows");
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
        let detection = self.standing.run(RunScope::All, lake.place(), NOW).await.expect("rows");
        assert!(detection.failed.is_empty(), "{:?}", detection.failed);
        let mut kept = Stored::default();
        let keeping = Keeping::default();
        store(
            lake.catalogue(),
            &detection.findings,
            &detection.decided,
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

async fn compare(seed: u64) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake")).await.expect("a lake");
    let (mut events, parameters) = events(seed);
    let parameters = Arc::new(parameters);
    // In order of time, shuffled nearby, or in no order at all.
    match seed % 3 {
        0 => {}
        1 => events.chunks_mut(50).for_each(|chunk| chunk.shuffle(&mut rng)),
        _ => events.shuffle(&mut rng),
    }
    let catalogue = RuleSet::built_in().expect("rules");
    let rules: Vec<&Rule> =
        catalogue.rules.iter().filter(|rule| rule.missing(&parameters).is_empty()).collect();
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
    let session = Session::over_lake(lake.place(), parameters, &LIMITS).await.expect("a session");
    let selection =
        Selection { rules: rules.iter().map(|rule| rule.id.clone()).collect(), require_all: true };
    let whole = detect(&session, &catalogue, &selection, Range::default()).await.expect("detected");
    let whole: Found =
        whole.findings.iter().map(|finding| (finding.finding_id.clone(), json!(finding))).collect();
    assert!(whole.len() > 10, "{}", whole.len());
    for (id, finding) in &whole {
        assert_eq!(follower.found.get(id), Some(finding), "seed {seed}");
    }
    let beyond: Vec<&Value> = follower
        .found
        .iter()
        .filter(|(id, _)| !whole.contains_key(*id))
        .map(|(_, finding)| finding)
        .collect();
    assert_eq!(follower.found.len(), whole.len(), "seed {seed}: {beyond:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn standing_rules_find_what_a_run_over_everything_finds() {
    for seed in 0..2 {
        compare(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_takes_long_lags_behind_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::create_or_open(&folder.path().join("lake")).await.expect("a lake");
    let catalogue = RuleSet::built_in().expect("rules");
    let quick = catalogue.find("AT-LOGIN-001").expect("a rule");
    // Long in either build.
    let sql = "SELECT *, 'slow' AS why FROM events WHERE event_action IN \
               (SELECT CASE WHEN max(md5(CAST(value AS VARCHAR))) > '' THEN 'consolesignin' END FROM generate_series(1, 1500000))"
        .to_owned();
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
        [RunScope::Rested, RunScope::Rested, RunScope::All].into_iter().enumerate()
    {
        add(&lake, folder.path(), number, &[sign_in(number)]).await;
        let snapshot = lake.snapshot().await.expect("asked");
        for file in lake.files_since(seen, snapshot).await.expect("files") {
            take(&mut standing, file);
        }
        seen = snapshot;
        let detection = standing.run(turn, lake.place(), NOW).await.expect("rows");
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
            standing.rested().is_some(),
        ));
        if turn == RunScope::All {
            assert_eq!(events(&slow.id), 2, "what came while it rested is not lost: {ran:?}");
        }
    }
    assert_eq!(ran, [(true, true, false), (true, false, true), (true, true, false)]);
}

/// The sign-in of a day's second `number`.
fn sign_in(number: usize, user: &str) -> Value {
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    json!({
        "eventId": format!("e{number}"), "eventName": "ConsoleSignin", "eventTime": format!("2026-09-21T{hour:02}:{minute:02}:{second:02}Z"),
        "serviceName": "AasCustomer", "eventType": "ConsoleSignin", "sourceIpAddress": "198.51.100.9",
        "userIdentity": { "type": "ram-user", "accountId": "1000000000000001", "principalId": "21", "userName": user },
    })
}

/// A lake with so many sign-ins in one file, and a rule to which each of them is a finding.
pub(crate) async fn sign_ins(folder: &Path, count: usize) -> (Lake, Rule) {
    let lake = Lake::create_or_open(&folder.join("lake")).await.expect("a lake");
    add(&lake, folder, 0, &(0..count).map(|number| sign_in(number, "alice")).collect::<Vec<_>>())
        .await;
    let catalogue = RuleSet::built_in().expect("rules");
    let like = catalogue.find("AT-LOGIN-001").expect("a rule").clone();
    let sql =
        "SELECT *, 'signed in' AS why FROM events WHERE event_action = 'consolesignin'".to_owned();
    let reads = Some("event_action = 'consolesignin'".to_owned());
    (lake, Rule { id: "AT-EACH-001".to_owned(), reads, sql, dedup: None, ..like })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_looked_at_in_parts_and_no_rule_rests_for_ever() {
    const EVENTS: usize = 70_000;
    // Of a part.
    const PART: usize = 16_384;
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, rule) = sign_ins(folder.path(), EVENTS).await;
    // Long in either build.
    let sql = "SELECT *, 'slow' AS why FROM events WHERE event_action IN \
               (SELECT CASE WHEN max(md5(CAST(value AS VARCHAR))) > '' THEN 'consolesignin' END FROM generate_series(1, 3000000))"
        .to_owned();
    let slow = Rule { id: "AT-SLOW-001".to_owned(), sql, ..rule };
    let mut standing = StandingQueries::new(&[&slow], Arc::default(), LIMITS).await.expect("rules");
    let mut found = Vec::new();
    for file in lake.files_since(0, lake.snapshot().await.expect("asked")).await.expect("files") {
        let mut unread = FileCursor::open(file).expect("events");
        while unread.is_left() {
            standing.take(&mut unread).expect("rows");
            let turn = if unread.is_left() { RunScope::Rested } else { RunScope::All };
            let detection = standing.run(turn, lake.place(), NOW).await.expect("rows");
            assert!(detection.failed.is_empty(), "{:?}", detection.failed);
            found.push(detection.findings.len());
        }
    }
    // It rests after the first part until so much has come that it must not.
    assert_eq!(found, [PART, 0, 2 * PART, 0, EVENTS - 3 * PART]);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_without_fresh_events_are_left_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lake, rule) = sign_ins(folder.path(), 1).await;
    let dedup = Dedup { columns: vec!["user_name".to_owned()], window: Duration::from_secs(3600) };
    let rule = Rule { dedup: Some(dedup), ..rule };
    let mut standing = StandingQueries::new(&[&rule], Arc::default(), LIMITS).await.expect("rules");
    let (mut seen, mut told) = (0, Vec::new());
    for (number, user) in
        [(0, "alice"), (1, "bob"), (2, "carol"), (3, "alice"), (4, "dave"), (5, "erin")]
    {
        if user == "dave" {
            // Anew, and what it finds may be another than before: a parameter may have changed.
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
        let run = standing.run(RunScope::All, lake.place(), NOW).await.expect("rows");
        let mut kept = Stored::default();
        store(
            lake.catalogue(),
            &run.findings,
            &run.decided,
            &[],
            snapshot,
            Keeping::default(),
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
        told.push((made.join(" "), kept.new, kept.revised, kept.unchanged));
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
        told,
        expected.map(|(made, new, revised, unchanged)| (made.to_owned(), new, revised, unchanged))
    );
}

//! Every evaluation gives the same findings: streaming over commits in any split and order, batch over the whole lake and over
//! ranges of it, the rule's query alone, and an independent reference model. Each account is a case of its own.

use crate::reference_model::{ABSENT, Expected, LONG, Promise, SHORT, expected};
use crate::support::{Follower, LIMITS, NOW, add, scaled};
use datafusion::arrow::array::{Array, AsArray};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trailhound_detect::{Finding, RuleSelection, TimeRange, detect};
use trailhound_ingest::lake::Lake;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// 2026-09-21T02:00:00Z.
const BEGIN: i64 = 1_789_956_000_000_000;
const SECOND: i64 = 1_000_000;
/// Number of events at the end of a round that are committed one by one.
const ALONE: usize = 12;
/// Steps between events in seconds: equal to, just shorter and just longer than the time windows of the rules.
const STEPS: [i64; 20] =
    [0, 0, 1, 5, 30, 59, 60, 61, 119, 120, 299, 300, 301, 599, 600, 601, 899, 900, 1800, 1801];

/// Random events of one account, some of them sent twice.
fn case(account: &str, rng: &mut Pcg64) -> Vec<Value> {
    let mut events = Vec::new();
    let mut time = BEGIN + rng.random_range(0..7200) * SECOND;
    // Each case leans to one kind, so that thresholds are reached and just missed.
    let lean = rng.random_range(0..7);
    for number in 0..rng.random_range(3..28) {
        time += STEPS.choose(rng).expect("steps") * SECOND * i64::from(rng.random_ratio(3, 4));
        let kind = if rng.random_ratio(3, 4) { lean } else { rng.random_range(0..7) };
        events.push(event(account, number, time, kind, rng));
    }
    for at in 0..events.len() {
        if rng.random_ratio(1, 10) {
            events.push(events[at].clone());
        }
    }
    events
}

fn event(account: &str, number: u32, time: i64, kind: u32, rng: &mut Pcg64) -> Value {
    let user = rng.random_range(0..if kind == 1 { 9 } else { 2 });
    let failed = rng.random_ratio(if kind <= 1 { 4 } else { 1 }, 5);
    let from = *["198.51.100.7", "198.51.100.7", "198.51.100.7", "2001:db8::7", "Internal"]
        .choose(rng)
        .expect("sources");
    let mut event = json!({
        "eventId": format!("{account}-{number}"), "eventType": "ApiCall", "eventRW": "Write", "sourceIpAddress": from,
        "userIdentity": { "type": "ram-user", "accountId": account, "principalId": format!("{account}{user}"), "userName": format!("user{user}") },
    });
    if rng.random_ratio(49, 50) {
        let time = chrono::DateTime::from_timestamp_micros(time).expect("a time");
        event["eventTime"] = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into();
    }
    if rng.random_ratio(1, 30) {
        event["userIdentity"].as_object_mut().expect("an object").remove("principalId");
    }
    let target = json!({ "UserName": format!("new{}", rng.random_range(0..2)), "PolicyName": *["AdministratorAccess", "AliyunOSSReadOnlyAccess"].choose(rng).expect("policies") });
    let (service, name, parameters) = match kind {
        0 | 1 => ("AasSub", "ConsoleSignin", json!({})),
        2 => {
            ("Ecs", *["DescribeInstances", "StartInstance"].choose(rng).expect("calls"), json!({}))
        }
        3 | 4 => (
            "Ram",
            *["AttachPolicyToUser", "CreateAccessKey", "CreateLoginProfile"]
                .choose(rng)
                .expect("calls"),
            target,
        ),
        5 => (
            "Sts",
            *["GetCallerIdentity", "AssumeRole", "AssumeRole", "AssumeRole"]
                .choose(rng)
                .expect("calls"),
            json!({}),
        ),
        _ => ("Ecs", "DeleteDisk", json!({ "UserName": format!("d-{}", rng.random_range(0..16)) })),
    };
    event["serviceName"] = service.into();
    event["eventName"] = name.into();
    event["requestParameters"] = parameters;
    if kind == 2 {
        event["userIdentity"]["type"] = "root-account".into();
        event["eventRW"] = (*["Read", "Write"].choose(rng).expect("both")).into();
    }
    if kind == 2 || kind == 5 {
        event["userIdentity"]["accessKeyId"] =
            format!("LTAI5t{account}{}", rng.random_range(0..2)).into();
    }
    let refused = if kind == 5 && name == "AssumeRole" {
        rng.random_ratio(4, 5)
    } else {
        failed && kind != 6
    };
    if refused {
        event["errorCode"] =
            if kind <= 1 { "Authentication.Failed" } else { "NoPermission" }.into();
    }
    event
}

/// Days of the events in [`long_case`], counted from 310 days before `NOW`. Their distances include the periods that
/// the rules in `LONG` compare with (7, 14, 30, 90 and 180 days), and periods that are a day longer or shorter.
const DAYS: [i64; 22] =
    [0, 1, 7, 8, 14, 15, 22, 30, 31, 38, 60, 61, 90, 91, 105, 121, 180, 181, 210, 271, 300, 301];

/// Random uses of AccessKeys in an account over ten months. The distances between them are as in [`DAYS`].
fn long_case(account: &str, rng: &mut Pcg64) -> Vec<Value> {
    let mut events = Vec::new();
    let mut taken = BTreeSet::new();
    for number in 0..rng.random_range(4..30) {
        let day = *DAYS.choose(rng).expect("days");
        let time = NOW + ((day - 310) * 86_400 + 36_000 + rng.random_range(0..12)) * SECOND;
        // No two events have the same time: the order of such events is not defined.
        if !taken.insert(time) {
            continue;
        }
        let moment = chrono::DateTime::from_timestamp_micros(time)
            .expect("a time")
            .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let from = *[
            "198.51.100.7",
            "198.51.100.8",
            "203.0.113.7",
            "2001:db8::7",
            "2001:db8:1::7",
            "Internal",
        ]
        .choose(rng)
        .expect("sources");
        let mut event = json!({
            "eventId": format!("{account}-{number}"), "eventType": "ApiCall", "eventTime": moment, "sourceIpAddress": from,
            "eventRW": *["Read", "Write", "Write"].choose(rng).expect("both"), "eventName": "StopInstance",
            "serviceName": *["Ecs", "Ecs", "Ecs", "Ram"].choose(rng).expect("services"),
            "acsRegion": *["cn-hangzhou", "cn-hangzhou", "cn-beijing", "eu-central-1"].choose(rng).expect("regions"),
            "userIdentity": { "type": "ram-user", "accountId": account, "principalId": format!("{account}0"), "accessKeyId": format!("LTAI5t{account}{}", rng.random_range(0..2)) },
        });
        if rng.random_ratio(1, 8) {
            event["errorCode"] = "NoPermission".into();
        }
        events.push(event.clone());
        if rng.random_ratio(1, 10) {
            events.push(event);
        }
    }
    events
}

/// Generates about hourly events of an account for a week, with one pause that is shorter than,
/// equal to or longer than the threshold of the rule.
fn hourly_case(account: &str, rng: &mut Pcg64) -> Vec<Value> {
    let mut events = Vec::new();
    let mut time = NOW - 12 * 86_400 * SECOND + rng.random_range(0..90_000) * SECOND;
    let pause_at = rng.random_range(90..160);
    for number in 0..rng.random_range(100..190) {
        let step = if number == pause_at {
            *[7_200, 10_799, 10_800, 10_801, 18_000, 21_600, 90_000].choose(rng).expect("pauses")
        } else {
            *[1_800, 3_600, 3_600, 3_600, 3_600, 3_601].choose(rng).expect("steps")
        };
        time += step * SECOND;
        let moment = chrono::DateTime::from_timestamp_micros(time)
            .expect("a time")
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        events.push(json!({
            "eventId": format!("{account}-{number}"), "eventTime": moment, "eventName": "DescribeInstances", "serviceName": "Ecs", "eventRW": "Read",
            "userIdentity": { "type": "ram-user", "accountId": account, "principalId": format!("{account}0") },
        }));
    }
    events
}

/// A set of rules, the generator of their cases, the share of the requested cases to run, and the
/// time range of the events.
struct Suite {
    rules: &'static [Promise],
    case: fn(&str, &mut Pcg64) -> Vec<Value>,
    /// The suite runs one of `one_in` of the requested cases.
    one_in: u64,
    begin: i64,
    seconds: i64,
}

const HOURLY: Suite = Suite {
    rules: &ABSENT,
    case: hourly_case,
    one_in: 20,
    begin: NOW - 12 * 86_400 * SECOND,
    seconds: 12 * 86_400,
};
const OVER_HOURS: Suite = Suite { rules: &SHORT, case, one_in: 1, begin: BEGIN, seconds: 14_400 };
const OVER_MONTHS: Suite = Suite {
    rules: &LONG,
    case: long_case,
    one_in: 1,
    begin: NOW - 310 * 86_400 * SECOND,
    seconds: 310 * 86_400,
};

/// Converts findings to the form of the reference model.
fn as_expected<'f>(findings: impl Iterator<Item = &'f Finding>) -> BTreeSet<Expected> {
    let one = |finding: &Finding| Expected {
        rule_id: finding.rule_id.clone(),
        account: finding.account_id.clone().unwrap_or_default(),
        event_ids: finding.event_ids.iter().cloned().collect(),
        severity: finding.severity.name().to_owned(),
    };
    findings.map(one).collect()
}

async fn over(
    session: &Session,
    catalogue: &RuleSet,
    rules: &[Promise],
    range: TimeRange,
) -> Vec<Finding> {
    let selection = RuleSelection {
        rules: rules.iter().map(|(id, ..)| (*id).to_owned()).collect(),
        require_all: true,
    };
    let detection = detect(session, catalogue, &selection, range).await.expect("detected");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    detection.findings
}

/// Ids of the events that the rule's query returns when it is run as a plain statement, without any evaluation.
async fn by_query(session: &Session, rule: &Rule) -> BTreeSet<String> {
    let frame =
        session.sql(&rule.sql).await.expect("SQL").select_columns(&["event_id"]).expect("ids");
    let batches = frame.collect().await.expect("rows");
    let texts = |batch| {
        let column = datafusion::arrow::compute::cast(
            datafusion::arrow::array::RecordBatch::column(batch, 0),
            &datafusion::arrow::datatypes::DataType::Utf8,
        );
        let column = column.expect("text");
        let texts = column.as_string::<i32>();
        (0..texts.len()).map(|row| texts.value(row).to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(texts).collect()
}

fn by_id(findings: Vec<Finding>) -> BTreeMap<String, Value> {
    findings.into_iter().map(|finding| (finding.finding_id.clone(), json!(finding))).collect()
}

/// The events of a round, with one case per account. The seed decides whether they are sorted by time, shuffled within
/// chunks of 40 events, or shuffled completely.
fn events_of(suite: &Suite, seed: u64, accounts: usize, rng: &mut Pcg64) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    for number in 0..accounts {
        events.extend((suite.case)(&format!("1{seed:07}{number:08}"), rng));
    }
    match seed % 3 {
        0 => events.sort_by_key(|event| event["eventTime"].as_str().unwrap_or("~").to_owned()),
        1 => events.chunks_mut(40).for_each(|chunk| chunk.shuffle(rng)),
        _ => events.shuffle(rng),
    }
    events
}

async fn round(suite: &Suite, seed: u64, accounts: usize) -> usize {
    let mut rng = Pcg64::seed_from_u64(seed);
    let events = events_of(suite, seed, accounts, &mut rng);
    let wanted = expected(&events, suite.rules);
    let catalogue = RuleSet::built_in().expect("rules");
    let rules: Vec<&Rule> =
        suite.rules.iter().map(|(id, ..)| catalogue.find(id).expect("a rule")).collect();
    let parameters = Arc::new(Parameters::default());
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let mut follower = Follower::new(&rules, &parameters).await;
    let mut rest = &events[..];
    for number in 0.. {
        // The last events are committed one by one. In a large commit, other events can cause the evaluation that an
        // event should cause alone.
        let alone = rest.len() <= ALONE;
        let size = if alone {
            1
        } else {
            rng.random_range(1..=events.len() / 4 + 1).min(rest.len() - ALONE)
        };
        let (now, later) = rest.split_at(size.min(rest.len()));
        add(&lake, folder.path(), number, now).await;
        rest = later;
        if rng.random_ratio(1, 4) {
            lake.compact(NOW).await.expect("compacted");
        }
        if rng.random_ratio(1, 6) {
            follower.restart(&lake, &rules, &parameters).await;
        }
        if rest.is_empty() || alone || rng.random_ratio(2, 3) {
            follower.catch_up(&lake).await;
        }
        if rest.is_empty() {
            break;
        }
    }
    let session = Session::over_lake(lake.location(), Arc::clone(&parameters), &LIMITS)
        .await
        .expect("a session");
    let whole = over(&session, &catalogue, suite.rules, TimeRange::default()).await;
    let got = as_expected(whole.iter());
    let (missing, beyond): (Vec<_>, Vec<_>) =
        (wanted.difference(&got).collect(), got.difference(&wanted).collect());
    assert!(
        missing.is_empty() && beyond.is_empty(),
        "seed {seed}: missing {missing:?}\nbeyond {beyond:?}"
    );
    for rule in &rules {
        let of_rule = whole
            .iter()
            .filter(|finding| finding.rule_id == rule.id)
            .flat_map(|finding| finding.event_ids.clone())
            .collect();
        assert_eq!(by_query(&session, rule).await, of_rule, "seed {seed}: {}", rule.id);
    }
    let whole = by_id(whole);
    assert_eq!(follower.found, whole, "seed {seed}: live and over the whole lake");
    // Two ranges that meet at a random time give the same findings; no finding is split between them.
    let middle = suite.begin + rng.random_range(0..suite.seconds) * SECOND;
    let before = TimeRange { since: None, until: Some(middle), include_untimed: true };
    let after = TimeRange { since: Some(middle), until: None, include_untimed: false };
    let mut parts = over(&session, &catalogue, suite.rules, before).await;
    parts.extend(over(&session, &catalogue, suite.rules, after).await);
    assert_eq!(by_id(parts), whole, "seed {seed}: in two ranges that meet at {middle}");
    wanted.len()
}

/// Runs the cases of `suite` in rounds with a lake each. Three environment variables change the run: `TRAILHOUND_CASES`
/// is the number of requested cases, `TRAILHOUND_SEED` is the seed of the first round (default 1), and
/// `TRAILHOUND_TOGETHER` is the number of cases in one lake (default 200; fewer where the suite runs only a part of the
/// requested cases).
async fn assert_parity(suite: &Suite) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (cases, seed, together) = (
        number("TRAILHOUND_CASES", scaled(1_000)),
        number("TRAILHOUND_SEED", 1),
        number("TRAILHOUND_TOGETHER", 200),
    );
    let mut left = cases / suite.one_in;
    let mut findings = 0;
    for number in 0.. {
        let accounts = left.min(together / suite.one_in.min(5));
        findings += round(suite, seed + number, usize::try_from(accounts).expect("a size")).await;
        left -= accounts;
        if left == 0 {
            break;
        }
    }
    assert!(
        findings as u64 > cases / suite.one_in / 4,
        "only {findings} findings: the cases are too tame"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluation_finds_what_the_reference_model_finds_where_events_are_absent() {
    assert_parity(&HOURLY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluation_finds_what_the_reference_model_finds_over_short_windows() {
    assert_parity(&OVER_HOURS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluation_finds_what_the_reference_model_finds_over_long_windows() {
    assert_parity(&OVER_MONTHS).await;
}

//! Events with a fact that was not understood: rules say that they cannot judge them, in every evaluation alike.

use crate::support::{Follower, Found, LIMITS, NOW, add};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use trailhound_detect::{Finding, RuleSelection, TimeRange, detect};
use trailhound_ingest::lake::Lake;
use trailhound_queries::packs::rules::{Rule, RuleSet};
use trailhound_queries::session::Session;

/// A form that no encoding of a member has.
fn not_understood() -> Value {
    json!([[7], { "form": "unknown" }])
}

fn event(id: &str, account: &str, name: &str, time: &str) -> Value {
    let service = match name {
        "ConsoleSignin" => "AasSub",
        "StopInstance" => "Ecs",
        _ => "Ram",
    };
    json!({
        "eventId": id, "eventName": name, "eventTime": time, "serviceName": service, "eventType": "ApiCall",
        "eventRW": "Write", "sourceIpAddress": "198.51.100.7", "acsRegion": "cn-hangzhou",
        "requestParameters": { "UserName": "new", "PolicyName": "AdministratorAccess", "InstanceId": "i-1" },
        "userIdentity": { "type": "ram-user", "accountId": account, "principalId": format!("{account}1"), "userName": "u" },
    })
}

async fn lake_of(folder: &std::path::Path, events: &[Value]) -> Lake {
    let lake = Lake::create_or_open(&folder.join("lake"), &[trailhound_detect::store::TABLES], 0)
        .await
        .expect("a lake");
    add(&lake, folder, 0, events).await;
    lake
}

async fn over_lake(lake: &Lake, rule_set: &RuleSet, range: TimeRange) -> Vec<Finding> {
    let session =
        Session::over_lake(lake.location(), Arc::default(), &LIMITS).await.expect("a session");
    let detection =
        detect(&session, rule_set, &RuleSelection::default(), range).await.expect("detected");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    detection.findings
}

fn found(findings: Vec<Finding>) -> Found {
    findings.into_iter().map(|finding| (finding.finding_id.clone(), json!(finding))).collect()
}

fn variants(findings: &[Finding]) -> BTreeSet<(&str, &str)> {
    let variant = |finding: &'_ Finding| finding.variant.clone().unwrap_or_default();
    findings
        .iter()
        .map(|finding| {
            (
                finding.rule_id.as_str(),
                if variant(finding) == "undetermined" { "undetermined" } else { "" },
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_says_undetermined_where_a_fact_it_reads_was_not_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule_set = RuleSet::built_in().expect("rules");
    let time = "2026-09-21T03:00:00Z";
    let mut policy = event("p", "1000000000000001", "AttachPolicyToUser", time);
    policy["requestParameters"] = not_understood();
    let mut stop = event("s", "1000000000000002", "StopInstance", time);
    stop["sourceIpAddress"] = not_understood();
    let mut read = event("r", "1000000000000003", "DescribeRegions", time);
    read["requestParameters"] = not_understood();
    read["eventRW"] = "Read".into();
    let lake = lake_of(folder.path(), &[policy, stop, read]).await;
    let findings = over_lake(&lake, &rule_set, TimeRange::default()).await;
    let variants = variants(&findings);
    assert!(variants.contains(&("AT-IAM-001", "undetermined")), "{variants:?}");
    assert!(
        variants.contains(&("AT-ECS-001", ""))
            && !variants.contains(&("AT-ECS-001", "undetermined")),
        "what the rule finds is not undetermined: {variants:?}"
    );
    let policy =
        findings.iter().find(|finding| finding.rule_id == "AT-IAM-001").expect("a finding");
    assert_eq!(policy.severity.name(), "low");
    assert_eq!((policy.count, policy.event_ids.as_slice()), (1, ["p".to_owned()].as_slice()));
    assert_eq!(policy.unknowns, ["request parameters"]);
    let of_reads = |finding: &&Finding| finding.account_id.as_deref() == Some("1000000000000003");
    assert_eq!(
        findings.iter().filter(of_reads).count(),
        0,
        "no rule asks for the parameters of this read: {findings:?}"
    );
    let alarm = findings.iter().find(|finding| finding.rule_id == "AT-HEALTH-003");
    assert!(alarm.is_some(), "more than one in a hundred is not understood");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_events_of_many_raise_no_alarm_about_their_source() {
    for (good, is_alarming) in [(99, false), (98, true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let rule_set = RuleSet::built_in().expect("rules");
        let mut events: Vec<Value> = (0..=good)
            .map(|number| {
                let time = format!("2026-09-21T03:{:02}:{:02}Z", number / 60, number % 60);
                event(&number.to_string(), "1000000000000001", "DescribeRegions", &time)
            })
            .collect();
        events[0]["requestParameters"] = not_understood();
        let lake = lake_of(folder.path(), &events).await;
        let findings = over_lake(&lake, &rule_set, TimeRange::default()).await;
        let has_alarm = findings.iter().any(|finding| finding.rule_id == "AT-HEALTH-003");
        assert_eq!(has_alarm, is_alarming, "one of {}", good + 1);
    }
}

/// Random events over three days, some with a fact that was not understood.
fn random_events(rng: &mut Pcg64) -> Vec<Value> {
    const NAMES: [&str; 5] = [
        "AttachPolicyToUser",
        "StopInstance",
        "ConsoleSignin",
        "CreateAccessKey",
        "DescribeRegions",
    ];
    const MEMBERS: [&str; 6] = [
        "requestParameters",
        "sourceIpAddress",
        "errorCode",
        "serviceName",
        "additionalEventData",
        "eventTime",
    ];
    (0..rng.random_range(20..80))
        .map(|number| {
            let account = format!("100000000000000{}", rng.random_range(0..2));
            let time = format!(
                "2026-09-{:02}T{:02}:{:02}:00Z",
                rng.random_range(21..24),
                rng.random_range(0..24),
                rng.random_range(0..60)
            );
            let name = NAMES.choose(rng).expect("names");
            let mut event = event(&number.to_string(), &account, name, &time);
            if rng.random_ratio(1, 3) {
                event[*MEMBERS.choose(rng).expect("members")] = not_understood();
            }
            event
        })
        .collect()
}

async fn round(rule_set: &RuleSet, seed: u64) -> usize {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut events = random_events(&mut rng);
    events.shuffle(&mut rng);
    let rules: Vec<&Rule> =
        rule_set.rules.iter().filter(|rule| rule.enabled && rule.parameters.is_empty()).collect();
    let parameters = Arc::default();
    let folder = tempfile::tempdir().expect("a folder");
    let lake =
        Lake::create_or_open(&folder.path().join("lake"), &[trailhound_detect::store::TABLES], 0)
            .await
            .expect("a lake");
    let mut follower = Follower::new(&rules, &parameters).await;
    for (number, part) in events.chunks(rng.random_range(5..40)).enumerate() {
        add(&lake, folder.path(), number, part).await;
        if rng.random_ratio(1, 3) {
            follower.restart(&lake, &rules, &parameters).await;
        }
        follower.catch_up(&lake).await;
    }
    let whole = over_lake(&lake, rule_set, TimeRange::default()).await;
    let undetermined =
        whole.iter().filter(|finding| finding.variant.as_deref() == Some("undetermined")).count();
    let whole = found(whole);
    let mut live = follower.found.clone();
    // A source that was not understood when its events came stays told.
    live.retain(|id, finding| whole.contains_key(id) || finding["rule_id"] != "AT-HEALTH-003");
    assert_same(&live, &whole, &format!("seed {seed}: live and over the whole lake"));
    let middle = NOW - rng.random_range(8 * 86_400..10 * 86_400) * 1_000_000;
    let before = TimeRange { since: None, until: Some(middle), include_untimed: true };
    let after = TimeRange { since: Some(middle), until: None, include_untimed: false };
    let mut parts = over_lake(&lake, rule_set, before).await;
    parts.extend(over_lake(&lake, rule_set, after).await);
    let parts = found(parts);
    assert_same(&parts, &whole, &format!("seed {seed}: in two ranges that meet at {middle}"));
    undetermined
}

fn assert_same(some: &Found, others: &Found, what: &str) {
    let other = |(id, finding): &(&String, &Value)| others.get(*id) != Some(finding);
    let only: Vec<_> = some.iter().filter(other).collect();
    let missing: Vec<_> = others.keys().filter(|id| !some.contains_key(*id)).collect();
    assert!(only.is_empty() && missing.is_empty(), "{what}: {only:?}\nmissing {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluation_gives_the_same_undetermined_findings() {
    let rule_set = RuleSet::built_in().expect("rules");
    let mut undetermined = 0;
    for seed in 1..=crate::support::scaled(6) {
        undetermined += round(&rule_set, seed).await;
    }
    assert!(undetermined > 20, "only {undetermined} findings are undetermined");
}

//! Mangled events are never harmless in silence. Good events with findings are mangled in many ways, one at a time and in
//! pairs. A mangle that changes the encoding alone gives the same findings. One that destroys what a fact says gives their
//! undetermined form, or the record is in quarantine.

use crate::mangles::{Change, MANGLES, Mangle, Promise};
use crate::support::{NOW, scaled};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::concat_batches;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use trailhound_detect::authoring::cases::CaseRunner;
use trailhound_detect::{Finding, RuleSelection, TimeRange, detect};
use trailhound_ingest::{decode_to_batch, decode_with_rejects};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::RuleSet;
use trailhound_queries::session::Session;

/// Cases that are evaluated together.
const ROUND: u64 = 20_000;
/// Failures that are printed.
const SHOWN: usize = 40;

/// What a rule says of a case: its id, and whether it could not judge.
type Verdict = (String, bool);

/// A good event.
struct Good {
    rule_id: String,
    account: String,
    event: Value,
    /// The ids of the rules that find it.
    found_by: BTreeSet<String>,
}

/// A mangled event.
struct Case {
    /// Number of the good event.
    good: usize,
    mangles: Vec<&'static Mangle>,
    /// The rows of its events.
    rows: RecordBatch,
    /// Why records are in quarantine.
    rejects: Vec<String>,
    content: String,
}

/// The single events that the rules' own test cases expect findings of.
async fn good_events(rule_set: &RuleSet) -> Vec<Good> {
    let seen: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let decode = |content: &[u8]| {
        seen.lock().expect("a lock").push(content.to_vec());
        decode_to_batch(content, NOW)
    };
    let mut runner = CaseRunner::new(&decode);
    let mut good = Vec::new();
    for rule in rule_set.rules.iter().filter(|rule| rule.enabled) {
        runner.run(rule).await;
        let contents = std::mem::take(&mut *seen.lock().expect("a lock"));
        for (case, content) in rule.cases.iter().zip(contents) {
            let events: Vec<Value> = serde_json::from_slice(&content).expect("events");
            let [event] = &events[..] else { continue };
            let account = event["userIdentity"]["accountId"].as_str().unwrap_or_default();
            if case.expect.iter().any(|finding| finding.suppressed_by.is_none())
                && account.len() == 16
            {
                good.push(Good {
                    rule_id: rule.id.clone(),
                    account: account.to_owned(),
                    event: event.clone(),
                    found_by: BTreeSet::new(),
                });
            }
        }
    }
    good
}

/// The event with an account and an id of its own: what it gives depends on no other case.
fn own(good: &Good, number: usize) -> Value {
    let account = format!("1{number:015}");
    let text = good.event.to_string().replace(&good.account, &account);
    let mut event: Value = serde_json::from_str(&text).expect("an event");
    event["eventId"] = format!("case-{number}").into();
    event
}

/// The verdicts of the rules over all cases, by the number of the case.
async fn verdicts(
    rule_set: &RuleSet,
    cases: impl Iterator<Item = (usize, RecordBatch)>,
) -> BTreeMap<usize, BTreeSet<Verdict>> {
    let mut rows = Vec::new();
    for (number, batch) in cases {
        let place: ArrayRef =
            Arc::new(StringArray::from(vec![number.to_string(); batch.num_rows()]));
        let mut columns = batch.columns().to_vec();
        columns[batch.schema().index_of("source_object").expect("a column")] = place;
        rows.push(RecordBatch::try_new(batch.schema(), columns).expect("rows"));
    }
    let schema = rows.first().expect("events").schema();
    let rows = concat_batches(&schema, &rows).expect("rows");
    let session = Session::over_events(vec![rows], Arc::default(), &QueryLimits::default())
        .await
        .expect("a session");
    let detection = detect(&session, rule_set, &RuleSelection::default(), TimeRange::default())
        .await
        .expect("detected");
    assert!(detection.failed.is_empty(), "{:?}", detection.failed);
    let mut verdicts: BTreeMap<usize, BTreeSet<Verdict>> = BTreeMap::new();
    for finding in &detection.findings {
        for number in places(finding) {
            let is_undetermined = finding.variant.as_deref() == Some("undetermined");
            let of_case = verdicts.entry(number).or_default();
            of_case.insert((finding.rule_id.clone(), is_undetermined));
        }
    }
    verdicts
}

fn places(finding: &Finding) -> impl Iterator<Item = usize> {
    let places = finding.evidence.iter().filter_map(|evidence| evidence.source_object.as_deref());
    places.map(|place| place.parse().expect("the number of a case"))
}

/// Mangles the event of case `number`.
fn case(goods: &[Good], number: usize, rng: &mut Pcg64) -> Case {
    let good = rng.random_range(0..goods.len());
    let count = if rng.random_ratio(1, 2) { 1 } else { 2 };
    let mut mangles: Vec<&Mangle> =
        (0..count).map(|_| &MANGLES[rng.random_range(0..MANGLES.len())]).collect();
    // Bytes have no value any more.
    mangles.sort_by_key(|mangle| matches!(mangle.change, Change::Bytes(_)));
    let mut value = own(&goods[good], number);
    for mangle in &mangles {
        if let Change::Value(change) = mangle.change {
            value = change(value, rng);
        }
    }
    let mut content = value.to_string().into_bytes();
    for mangle in &mangles {
        if let Change::Bytes(change) = mangle.change {
            content = change(content, rng);
        }
    }
    let (rows, rejects) = decode_with_rejects(&content, NOW);
    let content = String::from_utf8_lossy(&content).into_owned();
    Case { good, mangles, rows, rejects, content }
}

/// Counts of the cases of one mangle.
#[derive(Default)]
struct Outcomes {
    same: u64,
    undetermined: u64,
    quarantined: u64,
}

/// Why the outcome of a case is not what its mangles promise.
fn fault(good: &Good, case: &Case, found: &BTreeSet<Verdict>) -> Option<String> {
    let missing: Vec<&String> =
        good.found_by.iter().filter(|rule| !found.iter().any(|(id, _)| id == *rule)).collect();
    if !missing.is_empty() && case.rejects.is_empty() {
        return Some(format!("silent: {missing:?}"));
    }
    let is_destroyed =
        case.mangles.iter().any(|mangle| matches!(mangle.promise, Promise::Destroys(_)));
    if !missing.is_empty() && !is_destroyed {
        return Some(format!("in quarantine: {:?}", case.rejects));
    }
    let is_same = case.mangles.iter().all(|mangle| mangle.promise == Promise::Same);
    let is_weaker = good.found_by.iter().any(|rule| !found.contains(&(rule.clone(), false)));
    (is_same && is_weaker).then(|| format!("only undetermined: {found:?}"))
}

async fn round(rule_set: &RuleSet, goods: &[Good], seed: u64, count: u64) -> (String, usize) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let cases: Vec<Case> =
        (0..count as usize).map(|number| case(goods, number, &mut rng)).collect();
    let rows = cases.iter().enumerate().filter(|(_, case)| case.rows.num_rows() > 0);
    let rows = rows.map(|(number, case)| (number, case.rows.clone()));
    let found = verdicts(rule_set, rows).await;
    let (mut faults, mut text) = (BTreeMap::<String, (usize, String)>::new(), String::new());
    let mut outcomes: BTreeMap<&str, Outcomes> = BTreeMap::new();
    let none = BTreeSet::new();
    for (number, case) in cases.iter().enumerate() {
        let (good, found) = (&goods[case.good], found.get(&number).unwrap_or(&none));
        let names: Vec<&str> = case.mangles.iter().map(|mangle| mangle.name).collect();
        if let [name] = names[..] {
            let outcome = outcomes.entry(name).or_default();
            let is_found = good.found_by.iter().any(|rule| found.contains(&(rule.clone(), false)));
            match found.iter().any(|(_, is_undetermined)| *is_undetermined) {
                _ if is_found => outcome.same += 1,
                true => outcome.undetermined += 1,
                false => outcome.quarantined += 1,
            }
        }
        if let Some(fault) = fault(good, case, found) {
            let kind = format!("{}: {}", names.join(" + "), fault.split(':').next().unwrap_or(""));
            let entry = faults.entry(kind).or_insert_with(|| {
                let case =
                    format!("case {number} of {}: {fault}\n  {}", good.rule_id, case.content);
                (0, case)
            });
            entry.0 += 1;
        }
    }
    for (name, Outcomes { same, undetermined, quarantined }) in outcomes {
        println!("{name}: {same} found, {undetermined} undetermined, {quarantined} in quarantine");
    }
    for (kind, (count, example)) in faults.iter().take(SHOWN) {
        let _ = writeln!(text, "{count} x {kind}: {example}");
    }
    (text, faults.values().map(|(count, _)| count).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mangled_event_is_never_harmless_in_silence() {
    let rule_set = RuleSet::built_in().expect("rules");
    let mut goods = good_events(&rule_set).await;
    let plain = goods.iter().enumerate().map(|(number, good)| {
        let content = own(good, number).to_string();
        (number, decode_to_batch(content.as_bytes(), NOW).expect("a good event"))
    });
    let plain: Vec<_> = plain.collect();
    for (number, found) in verdicts(&rule_set, plain.into_iter()).await {
        assert!(found.iter().all(|(_, is_undetermined)| !is_undetermined), "{found:?}");
        goods[number].found_by = found.into_iter().map(|(rule, _)| rule).collect();
    }
    goods.retain(|good| !good.found_by.is_empty());
    assert!(goods.len() > 50 && MANGLES.len() > 60, "{} good events", goods.len());
    for mangle in MANGLES {
        if let Promise::Destroys(what) = mangle.promise {
            println!("quarantine is right for `{}`: it destroys {what}", mangle.name);
        }
    }
    let mut left = scaled(ROUND);
    for seed in 1.. {
        let (faults, count) = round(&rule_set, &goods, seed, left.min(ROUND)).await;
        println!("seed {seed}: {count} faults\n{faults}");
        assert!(count == 0, "seed {seed}: {count} faults\n{faults}");
        left = left.saturating_sub(ROUND);
        if left == 0 {
            break;
        }
    }
}

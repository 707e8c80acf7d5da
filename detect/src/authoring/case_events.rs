//! The events of rules' test cases: samples with changes.

use serde_json::{Map, Value};
use trailhound_datasets::derive::time;
use trailhound_datasets::samples;
use trailhound_queries::packs::rules::{TestCase, TestEvent};

/// The events of `case`, in the order of its description.
///
/// # Errors
/// Why an event cannot be made.
pub(crate) fn case_events(case: &TestCase) -> Result<Vec<Value>, String> {
    let mut events = Vec::new();
    for (index, event) in case.events.iter().enumerate() {
        build(event, index, &mut events)?;
    }
    Ok(events)
}

/// Whether `case` expects a finding that is not suppressed.
pub(crate) fn is_firing(case: &TestCase) -> bool {
    case.expect.iter().any(|finding| finding.suppressed_by.is_none())
}

/// Adds the events that `written` describes: copies of a sample with changes.
///
/// # Errors
/// Why an event cannot be made.
fn build(written: &TestEvent, index: usize, events: &mut Vec<Value>) -> Result<(), String> {
    let sample = samples::event(&written.sample)
        .ok_or_else(|| format!("there is no sample `{}`", written.sample))?;
    for copy in 0..written.times {
        let mut event: Value = serde_json::from_str(sample).map_err(|e| e.to_string())?;
        // Each event has an id of its own, which the case can replace.
        set(&mut event, "eventId", Value::from(format!("case-{index}-{copy}")))?;
        for path in &written.remove {
            remove(&mut event, path);
        }
        for (path, value) in &written.set {
            set(&mut event, path, serde_json::to_value(value).map_err(|e| e.to_string())?)?;
        }
        if copy > 0 {
            move_time(
                &mut event,
                i64::from(copy) * i64::try_from(written.every.as_secs()).unwrap_or(1),
            )?;
        }
        events.push(event);
    }
    Ok(())
}

fn set(event: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut at = event;
    let mut keys = path.split('/').peekable();
    while let Some(key) = keys.next() {
        let object = at
            .as_object_mut()
            .ok_or_else(|| format!("`{path}` leads through something that is no object"))?;
        if keys.peek().is_none() {
            object.insert(key.to_owned(), value);
            return Ok(());
        }
        at = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    Ok(())
}

fn remove(event: &mut Value, path: &str) {
    let (parents, key) = path.rsplit_once('/').unwrap_or(("", path));
    let mut at = event;
    for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
        match at.get_mut(parent) {
            Some(inner) => at = inner,
            None => return,
        }
    }
    if let Some(object) = at.as_object_mut() {
        object.remove(key);
    }
}

fn move_time(event: &mut Value, seconds: i64) -> Result<(), String> {
    let micros = event["eventTime"]
        .as_str()
        .and_then(time::parse)
        .ok_or("a case with copies needs an eventTime")?;
    let moved = time::canonical(micros + seconds * 1_000_000)
        .ok_or("the time of a copy is out of range")?;
    set(event, "eventTime", Value::from(moved))
}

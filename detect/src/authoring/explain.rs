//! Explains why a rule matches an event or does not: which condition of its query the event passes
//! or fails.

use crate::evaluate::batch::{evaluate_rule, rows_around};
use crate::evaluate::scope::TimeRange;
use crate::finding::Finding;
use crate::finding::match_rows;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::explain::{FilterStep, explain as explain_steps};
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// Why a rule matches an event or does not.
#[derive(Debug)]
pub struct Explanation {
    /// Key of the event, hex.
    pub event_key: String,
    /// The number of events with the given id. The first by time is explained.
    pub events: usize,
    /// The steps of the rule's query, each with its conditions for this event.
    pub steps: Vec<FilterStep>,
    /// The findings of the rule that contain the event.
    pub findings: Vec<Finding>,
}

/// Explains why `rule` matches an event or does not. `event` is an event id, or an event key in
/// hex; `None` where there is no such event.
///
/// # Errors
/// [`SessionError`] where the lake cannot be read or the rule's query does not run.
pub async fn explain(
    session: &Session,
    rule: &Rule,
    event: &str,
) -> Result<Option<Explanation>, SessionError> {
    let events = look_up(session, event).await?;
    let Some((key, time)) = events.first() else { return Ok(None) };
    let range = match time {
        Some(time) => TimeRange {
            since: Some(*time),
            until: Some(time.saturating_add(1)),
            include_untimed: false,
        },
        None => TimeRange { since: Some(0), until: Some(0), include_untimed: true },
    };
    let all_columns = (0..EVENTS.arrow.fields().len()).collect();
    let rows =
        session.rows_where(&rows_around(rule, range), &all_columns).await?.try_collect().await?;
    let nearby =
        Session::over_events(rows, Arc::clone(session.parameters()), session.limits()).await?;
    let event_key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let has_event =
        |finding: &Finding| finding.evidence.iter().any(|evidence| evidence.event_key == event_key);
    let mut findings = evaluate_rule(session, rule, range, None).await?.findings;
    findings.retain(has_event);
    Ok(Some(Explanation {
        steps: explain_steps(&nearby, &rule.sql, key).await?,
        findings,
        event_key,
        events: events.len(),
    }))
}

/// Key and time (microseconds since 1970 UTC) of an event.
type EventKeyAndTime = (Vec<u8>, Option<i64>);

/// Finds the events with this id or hex key, in order of time.
async fn look_up(session: &Session, event: &str) -> Result<Vec<EventKeyAndTime>, SessionError> {
    let text = event.replace('\'', "''");
    let sql = format!(
        "SELECT event_key, event_time FROM events WHERE event_id = '{text}' OR encode(event_key, 'hex') = lower('{text}') ORDER BY event_time, event_key"
    );
    let batches = session.sql(&sql).await?.collect().await?;
    let mut events = Vec::new();
    for batch in &batches {
        events.extend(keys_and_times(batch)?);
    }
    Ok(events)
}

fn keys_and_times(batch: &RecordBatch) -> Result<Vec<EventKeyAndTime>, DataFusionError> {
    let (keys, micros) =
        (match_rows::binary(batch.column(0))?, match_rows::utc_micros(batch.column(1))?);
    let time = |row: usize| micros.is_valid(row).then(|| micros.value(row));
    Ok((0..batch.num_rows()).map(|row| (keys.value(row).to_vec(), time(row))).collect())
}

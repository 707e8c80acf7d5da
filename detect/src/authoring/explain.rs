//! Why a rule matches an event, or why not.

use crate::evaluate::batch::{around, run};
use crate::evaluate::scope::Range;
use crate::finding::Finding;
use crate::finding::match_rows;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::explain::{Step, explain as steps_of};
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// What a rule says of an event.
#[derive(Debug)]
pub struct Explanation {
    /// Key of the event, hex.
    pub event_key: String,
    /// How many events have the id that was asked for; the first by time is explained.
    pub events: usize,
    /// The conditions on the way through the rule's query.
    pub steps: Vec<Step>,
    /// The findings that hold the event.
    pub findings: Vec<Finding>,
}

/// Explains what `rule` says of the event with the id, or the key in hex, `event`; `None` where there is no such event.
///
/// # Errors
/// [`SessionError`].
pub async fn explain(
    session: &Session,
    rule: &Rule,
    event: &str,
) -> Result<Option<Explanation>, SessionError> {
    let found = look_up(session, event).await?;
    let Some((key, time)) = found.first() else { return Ok(None) };
    let range = match time {
        Some(time) => {
            Range { since: Some(*time), until: Some(time.saturating_add(1)), timeless: false }
        }
        None => Range { since: Some(0), until: Some(0), timeless: true },
    };
    let everything = (0..EVENTS.arrow.fields().len()).collect();
    let rows = session.rows_where(&around(rule, range), &everything).await?.try_collect().await?;
    let nearby =
        Session::over_events(rows, Arc::clone(session.parameters()), session.limits()).await?;
    let event_key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let holds =
        |finding: &Finding| finding.evidence.iter().any(|evidence| evidence.event_key == event_key);
    let mut findings = run(session, rule, range, None).await?.findings;
    findings.retain(holds);
    Ok(Some(Explanation {
        steps: steps_of(&nearby, &rule.sql, key).await?,
        findings,
        event_key,
        events: found.len(),
    }))
}

/// Key and time of an event.
type Place = (Vec<u8>, Option<i64>);

/// The events with that id or key.
async fn look_up(session: &Session, event: &str) -> Result<Vec<Place>, SessionError> {
    let text = event.replace('\'', "''");
    let sql = format!(
        "SELECT event_key, event_time FROM events WHERE event_id = '{text}' OR encode(event_key, 'hex') = lower('{text}') ORDER BY event_time, event_key"
    );
    let batches = session.sql(&sql).await?.collect().await?;
    let mut found = Vec::new();
    for batch in &batches {
        found.extend(keys_and_times(batch)?);
    }
    Ok(found)
}

fn keys_and_times(batch: &RecordBatch) -> Result<Vec<Place>, DataFusionError> {
    let (keys, micros) =
        (match_rows::bytes(batch.column(0))?, match_rows::micros(batch.column(1))?);
    let time = |row: usize| micros.is_valid(row).then(|| micros.value(row));
    Ok((0..batch.num_rows()).map(|row| (keys.value(row).to_vec(), time(row))).collect())
}

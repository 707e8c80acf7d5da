//! The operations that a lake has seen, for the map of operations.

use crate::finding::match_rows;
use chrono::{DateTime, SecondsFormat};
use datafusion::arrow::array::{Array, Int64Array, StringArray};
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::operation_map::SeenOperation;
use trailhound_queries::session::Session;

/// One row per service and action.
const SQL: &str = "SELECT min(service_name), min(event_name), CAST(count(*) AS BIGINT), \
     CAST(date_part('epoch', min(event_time)) AS BIGINT), CAST(date_part('epoch', max(event_time)) AS BIGINT), \
     CAST(count(DISTINCT principal_id) AS BIGINT) \
     FROM events WHERE event_action IS NOT NULL GROUP BY lower(trim(service_name)), event_action ORDER BY 1, 2";

/// Reads the operations that the lake of `session` has events of.
///
/// # Errors
/// [`SessionError`] where the events cannot be read.
pub async fn operations_seen(session: &Session) -> Result<Vec<SeenOperation>, SessionError> {
    let mut seen = Vec::new();
    for batch in session.sql(SQL).await?.collect().await? {
        let texts = |at: usize| match_rows::utf8(batch.column(at));
        let numbers = |at: usize| match_rows::int64(batch.column(at));
        let (services, names) = (texts(0)?, texts(1)?);
        let (events, firsts, lasts, principals) =
            (numbers(2)?, numbers(3)?, numbers(4)?, numbers(5)?);
        for row in 0..batch.num_rows() {
            let text = |column: &StringArray| {
                if column.is_valid(row) { column.value(row).to_owned() } else { String::new() }
            };
            let count = |column: &Int64Array| u64::try_from(column.value(row)).unwrap_or_default();
            let time =
                |column: &Int64Array| column.is_valid(row).then(|| time_text(column.value(row)))?;
            seen.push(SeenOperation {
                service: text(&services),
                name: text(&names),
                events: count(&events),
                first_seen: time(&firsts),
                last_seen: time(&lasts),
                principals: count(&principals),
            });
        }
    }
    Ok(seen)
}

/// Seconds since 1970 as RFC 3339 UTC.
fn time_text(seconds: i64) -> Option<String> {
    let time = DateTime::from_timestamp(seconds, 0)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

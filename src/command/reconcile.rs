//! `trailhound lake reconcile`.

use super::query;
use crate::cli::Format;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::path::Path;

/// What each source has brought of each account that comes by several ways.
const BY_SOURCE: &str = "SELECT account_id, source, count(*) AS hours, sum(events) AS events, sum(seen) AS seen, \
     sum(seen_first) AS seen_first, sum(missed) FILTER (WHERE status = 'missed') AS missed, \
     sum(missed) FILTER (WHERE status = 'open') AS missing_yet, sum(missed) FILTER (WHERE status = 'silent') AS missed_since_silent \
     FROM reconciliation GROUP BY account_id, source ORDER BY account_id, source";
const MISSED: &str = "SELECT 1 FROM reconciliation WHERE status IN ('missed', 'silent') LIMIT 1";

pub(super) async fn run(
    config: &Config,
    lake: Option<&Path>,
    all: bool,
    format: Format,
) -> Result<Exit, Failure> {
    let session = query::session(config, lake).await?;
    if format == Format::Table {
        if query::ask(&session, BY_SOURCE, format).await? == 0 {
            printer::talk(
                "no account's events have come from more than one source: there is nothing to compare",
            );
            return Ok(Exit::Done);
        }
        printer::talk(if all {
            "hour by hour:"
        } else {
            "hours in which a source lacks events (the others filled them):"
        });
    }
    let which = if all { "" } else { "WHERE status <> 'complete'" };
    query::ask(
        &session,
        &format!(
            "SELECT * FROM reconciliation {which} ORDER BY account_id, acs_region, hour, source"
        ),
        format,
    )
    .await?;
    let missed = session
        .sql(MISSED)
        .await?
        .count()
        .await
        .map_err(|e| Failure::Usage(e.strip_backtrace()))?;
    Ok(if missed == 0 { Exit::Done } else { Exit::Found })
}

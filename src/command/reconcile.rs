//! `trailhound lake reconcile`: compares the sources that deliver the same trail.

use super::lake_access::open_session;
use super::query_output::print_rows;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{ListOptions, OutputFormat};
use crate::printer;
use std::path::Path;

/// Counts by source for each account whose events come from several sources.
const BY_SOURCE: &str = "SELECT account_id, source, count(*) AS hours, sum(events) AS events, sum(seen) AS seen, \
     sum(seen_first) AS seen_first, sum(missed) FILTER (WHERE status = 'missed') AS missed, \
     sum(missed) FILTER (WHERE status = 'open') AS missing_yet, sum(missed) FILTER (WHERE status = 'silent') AS missed_since_silent \
     FROM reconciliation GROUP BY account_id, source ORDER BY account_id, source";
const MISSED: &str = "SELECT 1 FROM reconciliation WHERE status IN ('missed', 'silent') LIMIT 1";

/// Prints the comparison. Fails the check if a source missed events or has gone silent.
pub(super) async fn run(
    config: &Config,
    folder: Option<&Path>,
    all: bool,
    list: ListOptions,
) -> Result<Exit, Failure> {
    let (format, zone) = (list.checked_format()?, config.time_zone);
    let session = open_session(config, folder).await?;
    if format == OutputFormat::Table {
        if print_rows(&session, BY_SOURCE, list, zone).await? == 0 {
            printer::message(
                "no account has events from more than one source: there is nothing to compare",
            );
            return Ok(Exit::Success);
        }
        printer::message(if all {
            "hour by hour:"
        } else {
            "hours in which a source lacks events that others delivered:"
        });
    }
    let condition = if all { "" } else { "WHERE status <> 'complete'" };
    print_rows(
        &session,
        &format!(
            "SELECT * FROM reconciliation {condition} ORDER BY account_id, acs_region, hour, source"
        ),
        list,
        zone,
    )
    .await?;
    let missed = session
        .sql(MISSED)
        .await?
        .count()
        .await
        .map_err(|e| Failure::Usage(e.strip_backtrace()))?;
    Ok(if missed == 0 { Exit::Success } else { Exit::CheckFailed })
}

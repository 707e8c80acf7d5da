//! `trailhound lake verify --findings`: runs the rules again and compares the result with the
//! stored findings.

use super::lake_access::open_lake;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::path::Path;
use std::sync::Arc;
use trailhound_detect::authoring::verify::{VerifiedFindings, verify};
use trailhound_detect::{Detection, RuleSelection, TimeRange, common_cursor, detect};
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;

/// Compares the findings with events in the range. Fails the check if there are differences.
pub(super) async fn run(
    config: &Config,
    folder: Option<&Path>,
    range: TimeRange,
    json: bool,
) -> Result<Exit, Failure> {
    let lake = open_lake(config, folder).await?;
    let snapshot = lake.snapshot().await?;
    let derived = derive_findings(config, &lake, range).await?;
    let verified = verify(lake.catalog(), &derived, range).await.map_err(Failure::internal)?;
    if !verified.differences.is_empty() {
        explain_differences(config, &lake, &derived, snapshot).await?;
    }
    print(&verified, &derived, json)?;
    Ok(match (derived.failed.is_empty(), verified.differences.is_empty()) {
        (false, _) => Exit::Internal,
        (true, true) => Exit::Success,
        (true, false) => Exit::CheckFailed,
    })
}

/// Runs the rules over the lake and stores nothing.
async fn derive_findings(
    config: &Config,
    lake: &Lake,
    range: TimeRange,
) -> Result<Detection, Failure> {
    let session = Session::over_lake(
        lake.location(),
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let derived = detect(&session, &config.rule_set, &RuleSelection::default(), range)
        .await
        .map_err(Failure::usage)?;
    for (rule, reason) in &derived.failed {
        printer::message(&format!(
            "error: rule {rule} failed, its findings were not compared. {reason}"
        ));
    }
    Ok(derived)
}

/// Prints the two possible causes of differences that are not defects: rules that have not run over
/// `snapshot`, and parameters that differ from the parameters of the service.
async fn explain_differences(
    config: &Config,
    lake: &Lake,
    derived: &Detection,
    snapshot: i64,
) -> Result<(), Failure> {
    let rules: Vec<_> = derived
        .ran
        .iter()
        .filter_map(|id| config.rule_set.find(id))
        .map(|rule| (rule.id.clone(), rule.version.clone()))
        .collect();
    let reached = common_cursor(lake.catalog(), &rules).await.map_err(Failure::internal)?;
    if reached < snapshot {
        printer::message(
            "Not every rule has run over all events in the lake. `trailhound detect` runs them; the service does so by itself.",
        );
    }
    let under = config.path().map_or_else(
        || "without a configuration".to_owned(),
        |path| format!("under {}", path.display()),
    );
    printer::message(&format!(
        "The rules ran {under}. Other parameters give other findings; give the configuration of the service with --config."
    ));
    Ok(())
}

fn print(verified: &VerifiedFindings, derived: &Detection, json: bool) -> Result<(), Failure> {
    if json {
        printer::line(&serde_json::to_string(verified).map_err(Failure::internal)?)?;
        return Ok(());
    }
    for difference in &verified.differences {
        printer::line(&format!("DIFFERENCE {difference}"))?;
    }
    printer::line(&format!(
        "{} findings of {} rules derived again; {} differences; {} of before the retention could not be judged",
        verified.findings,
        derived.ran.len(),
        verified.differences.len(),
        verified.beyond_retention
    ))?;
    Ok(())
}

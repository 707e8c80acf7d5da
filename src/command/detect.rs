//! `trailhound detect`, which is also the second half of `scan`: runs the rules over the lake,
//! stores and prints the findings.

use super::findings;
use super::lake_access::open_lake;
use crate::cli::{DetectArgs, DetectionArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::sync::Arc;
use trailhound_detect::{
    Detection, EvaluateError, FindingStatus, RuleSelection, StoreContext, StoreSummary, detect,
    store_findings,
};
use trailhound_ingest::IngestReport;
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;

/// Runs the rules over the lake that `args` name.
pub(super) async fn run(config: &Config, args: DetectArgs) -> Result<Exit, Failure> {
    for warning in config.parameters.warnings() {
        printer::warning(&warning);
    }
    let lake = open_lake(config, args.lake.folder()).await?;
    detect_in_lake(config, &lake, None, &args.detection).await
}

/// Runs the rules over `lake`, stores the findings and prints them. `report` is the result of the
/// ingest before it, if there was one.
pub(super) async fn detect_in_lake(
    config: &Config,
    lake: &Lake,
    report: Option<&IngestReport>,
    args: &DetectionArgs,
) -> Result<Exit, Failure> {
    args.list.checked_format()?;
    lake.refuse_read_only()?;
    let snapshot = lake.snapshot().await?;
    let session = Session::over_lake(
        lake.location(),
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let selection =
        RuleSelection { rules: selected_rules(config, args)?, require_all: args.require_all_rules };
    let range = config.time_range(args.since, args.until)?;
    let detection = detect(&session, &config.rule_set, &selection, range).await.map_err(
        |error| match &error {
            EvaluateError::Missing { parameter, .. } => {
                Failure::Usage(format!("{error}.\n{}", findings::configuration_hint(parameter)))
            }
            _ => Failure::usage(error),
        },
    )?;
    // The cursor of a rule moves only if the rule has seen the whole lake.
    let ran = detection
        .ran
        .iter()
        .filter(|_| range.is_everything())
        .filter_map(|id| config.rule_set.find(id));
    let versions: Vec<(String, String)> =
        ran.map(|rule| (rule.id.clone(), rule.version.clone())).collect();
    let mut stored = StoreSummary::default();
    store_findings(
        lake.catalog(),
        &detection.findings,
        &detection.scopes,
        &versions,
        snapshot,
        StoreContext::default(),
        &mut stored,
    )
    .await
    .map_err(Failure::internal)?;
    findings::print(&session, config, report, &detection, stored, args).await?;
    Ok(exit_status(report, &detection, args))
}

fn exit_status(report: Option<&IngestReport>, detection: &Detection, args: &DetectionArgs) -> Exit {
    if !detection.failed.is_empty() {
        return Exit::Internal;
    }
    let has_finding_at = |fail_on| {
        detection.findings.iter().any(|f| f.status == FindingStatus::Open && f.severity >= fail_on)
    };
    if args.fail_on.is_some_and(has_finding_at) {
        return Exit::CheckFailed;
    }
    if report.is_some_and(IngestReport::is_incomplete) { Exit::Incomplete } else { Exit::Success }
}

/// Ids of the rules that `args` select. Empty means all rules that are on by default.
fn selected_rules(config: &Config, args: &DetectionArgs) -> Result<Vec<String>, Failure> {
    let Some(name) = &args.profile else { return Ok(args.rules.clone()) };
    Ok(config.profile(name)?.rules().into_iter().map(str::to_owned).collect())
}

//! `trailhound detect`, and the part of `scan` that follows the ingest.

use super::findings;
use crate::cli::{self, DetectionArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use std::sync::Arc;
use trailhound_detect::{
    Detection, EvaluateError, FindingStatus, RuleSelection, StoreContext, StoreSummary, TimeRange,
    detect, store_findings,
};
use trailhound_ingest::IngestReport;
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;

pub(crate) async fn run(config: &Config, args: cli::Detect) -> Result<Exit, Failure> {
    for warning in config.parameters.warnings() {
        printer::talk(&format!("warning: {warning}"));
    }
    let lake = lake::open(&config.lake(args.place.lake.as_deref())?, config).await?;
    over(config, &lake, None, &args.detection).await
}

/// Runs the rules over `lake`, keeps what they find and prints it; with it what was ingested, if anything was.
pub(crate) async fn over(
    config: &Config,
    lake: &Lake,
    report: Option<&IngestReport>,
    args: &DetectionArgs,
) -> Result<Exit, Failure> {
    let snapshot = lake.snapshot().await?;
    let session = Session::over_lake(
        lake.location(),
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let selection =
        RuleSelection { rules: selected(config, args)?, require_all: args.require_all_rules };
    let range = TimeRange {
        since: args.since.map(|t| t.timestamp_micros()),
        until: args.until.map(|t| t.timestamp_micros()),
        include_untimed: false,
    };
    let detection = detect(&session, &config.catalogue, &selection, range).await.map_err(
        |error| match &error {
            EvaluateError::Missing { parameter, .. } => {
                Failure::Usage(format!("{error}.\n{}", findings::how_to_give(parameter)))
            }
            _ => Failure::usage(error),
        },
    )?;
    // A rule that ran over a part of the lake has not seen the rest.
    let ran = detection
        .ran
        .iter()
        .filter(|_| range.is_everything())
        .filter_map(|id| config.catalogue.find(id));
    let versions: Vec<(String, String)> =
        ran.map(|rule| (rule.id.clone(), rule.version.clone())).collect();
    let mut kept = StoreSummary::default();
    store_findings(
        lake.catalog(),
        &detection.findings,
        &detection.scopes,
        &versions,
        snapshot,
        StoreContext::default(),
        &mut kept,
    )
    .await
    .map_err(Failure::internal)?;
    findings::print(&session, &config.catalogue, report, &detection, kept, args).await?;
    Ok(exit(report, &detection, args))
}

fn exit(report: Option<&IngestReport>, detection: &Detection, args: &DetectionArgs) -> Exit {
    if !detection.failed.is_empty() {
        return Exit::Internal;
    }
    let serious = |fail_on| {
        detection.findings.iter().any(|f| f.status == FindingStatus::Open && f.severity >= fail_on)
    };
    if args.fail_on.is_some_and(serious) {
        return Exit::Found;
    }
    if report.is_some_and(IngestReport::is_incomplete) { Exit::Incomplete } else { Exit::Done }
}

/// Ids of the rules that were asked for; none for all that are on by default.
fn selected(config: &Config, args: &DetectionArgs) -> Result<Vec<String>, Failure> {
    let Some(name) = &args.profile else { return Ok(args.rules.clone()) };
    Ok(config.profile(name)?.rules().into_iter().map(str::to_owned).collect())
}

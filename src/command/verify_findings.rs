//! `trailhound lake verify --findings`.

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use chrono::{DateTime, Utc};
use std::path::Path;
use std::sync::Arc;
use trailhound_detect::authoring::verify::verify;
use trailhound_detect::{RuleSelection, TimeRange, common_cursor, detect};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;

pub(super) async fn run(
    config: &Config,
    lake: Option<&Path>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    json: bool,
) -> Result<Exit, Failure> {
    let lake = lake::open(&config.lake(lake)?, config).await?;
    let snapshot = lake.snapshot().await?;
    let session = Session::over_lake(
        lake.location(),
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let range = TimeRange {
        since: since.map(|t| t.timestamp_micros()),
        until: until.map(|t| t.timestamp_micros()),
        include_untimed: false,
    };
    let derived = detect(&session, &config.catalogue, &RuleSelection::default(), range)
        .await
        .map_err(Failure::usage)?;
    for (rule, reason) in &derived.failed {
        printer::talk(&format!(
            "error: rule {rule} broke, its findings were not compared. {reason}"
        ));
    }
    let verified = verify(lake.catalog(), &derived, range).await.map_err(Failure::internal)?;
    let rules = derived.ran.iter().filter_map(|id| config.catalogue.find(id));
    let rules: Vec<_> = rules.map(|rule| (rule.id.clone(), rule.version.clone())).collect();
    let reached = common_cursor(lake.catalog(), &rules).await.map_err(Failure::internal)?;
    if !verified.differences.is_empty() {
        if reached < snapshot {
            printer::talk(
                "Not every rule has run over everything the lake holds: `trailhound detect` does that, and the service by itself.",
            );
        }
        let under = config.path.as_ref().map_or_else(
            || "without a configuration".to_owned(),
            |path| format!("under {}", path.display()),
        );
        printer::talk(&format!(
            "Derived {under}: other parameters find other things; name those of the service with --config."
        ));
    }
    if json {
        printer::line(&serde_json::to_string(&verified).map_err(Failure::internal)?)?;
    } else {
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
    }
    Ok(match (derived.failed.is_empty(), verified.differences.is_empty()) {
        (false, _) => Exit::Internal,
        (true, true) => Exit::Done,
        (true, false) => Exit::Found,
    })
}

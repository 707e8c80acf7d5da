//! Rules after each commit: over the time the new files cover, and what their windows reach around it.

use super::Watch;
use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trailhound_detect::{Range, Selection, cursor, detect, store};
use trailhound_ingest::lake::Lake;
use trailhound_queries::catalogue::Catalogue;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::{QueryLimits, Session};

/// Pause after a run that broke.
const RETRY: Duration = Duration::from_secs(2);

/// What detection works with.
pub(super) struct Detector {
    folder: PathBuf,
    lake: Lake,
    parameters: Arc<Parameters>,
    catalogue: Catalogue,
    /// Id and version of the rules that can run.
    rules: Vec<(String, String)>,
}

impl Detector {
    pub(super) fn new(config: &Config, folder: &Path, lake: Lake) -> Self {
        let parameters = Arc::clone(&config.parameters);
        let runnable = config.catalogue.rules.iter().filter(|rule| rule.enabled && rule.missing(&parameters).is_empty());
        let rules = runnable.map(|rule| (rule.id.clone(), rule.version.clone())).collect();
        Self { folder: folder.to_owned(), lake, parameters, catalogue: config.catalogue.clone(), rules }
    }

    /// Id and version of the rules that can run.
    pub(super) fn rules(&self) -> &[(String, String)] {
        &self.rules
    }

    /// Runs the rules over everything committed since they last ran.
    async fn catch_up(&self, watch: &Watch) -> Result<(), Failure> {
        let snapshot = self.lake.snapshot().await?;
        let seen = cursor(&self.folder, &self.rules).await.map_err(Failure::internal)?;
        if seen >= snapshot {
            return Ok(());
        }
        let begun = Instant::now();
        let Some(arrivals) = self.lake.arrivals_since(seen).await? else {
            store(&self.folder, &[], &self.rules, snapshot).await.map_err(Failure::internal)?;
            return Ok(());
        };
        let session = Session::over_lake(&self.folder, Arc::clone(&self.parameters), &QueryLimits::default()).await?;
        let selection = Selection { rules: self.rules.iter().map(|(id, _)| id.clone()).collect(), require_all: false };
        let range =
            Range { since: Some(arrivals.first), until: Some(arrivals.last.saturating_add(1)), ingested_since: Some(arrivals.ingested_at) };
        let detection = detect(&session, &self.catalogue, &selection, range).await.map_err(Failure::internal)?;
        for (rule_id, reason) in &detection.failed {
            tracing::error!(rule_id, reason, "a rule broke; it lags behind the others until it runs");
            watch.metrics.rule_failed(rule_id);
        }
        let ran: Vec<_> = self.rules.iter().filter(|(id, _)| detection.ran.contains(id)).cloned().collect();
        let kept = store(&self.folder, &detection.findings, &ran, snapshot).await.map_err(Failure::internal)?;
        for finding in detection.findings.iter().filter(|finding| kept.changed.contains(&finding.finding_id)) {
            watch.metrics.finding(&finding.rule_id);
            printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
        }
        watch.metrics.detected(begun.elapsed());
        Ok(())
    }
}

/// Detects after each commit until `ingested` is set, and once more then.
pub(super) async fn run(detector: Detector, watch: Arc<Watch>, ingested: Arc<AtomicBool>) -> Result<(), Failure> {
    loop {
        let last = ingested.load(Ordering::Relaxed);
        match detector.catch_up(&watch).await {
            Ok(()) => watch.health.detection(None),
            // Nobody reads our findings any more.
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(error) if last => return Err(error),
            Err(error) => {
                tracing::error!(%error, "detection broke off; it is tried again");
                watch.health.detection(Some(error.to_string()));
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        if last {
            return Ok(());
        }
        watch.committed.notified().await;
    }
}

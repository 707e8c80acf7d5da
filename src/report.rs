//! A report from the lake to its files.

use crate::config::{Config, ReportForm};
use crate::exit::Failure;
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_detect::Language;
use trailhound_detect::report::{
    self, Period, Report, ReportError, ReportInputs, ReportProvenance, files, last_stored_at,
    session_stored_until,
};
use trailhound_detect::{
    RuleCursors, RuleSelection, StoredFinding, TimeRange, detect, findings_since, rule_cursors,
};
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::reports::{ReportProfile, profiles};
use trailhound_queries::session::Session;

/// Told the number of each section that begins.
pub(crate) type Progress<'p> = &'p (dyn Fn(usize) + Sync);

/// The profile `name`.
pub(crate) fn profile(name: &str) -> Result<ReportProfile, Failure> {
    let all = profiles().map_err(Failure::Internal)?;
    let known: Vec<&str> = all.iter().map(|profile| profile.name.as_str()).collect();
    let unknown = || {
        Failure::Usage(format!(
            "there is no report profile `{name}`; there is {}",
            known.join(", ")
        ))
    };
    all.iter().find(|profile| profile.name == name).cloned().ok_or_else(unknown)
}

/// Makes the report about `period` from what `lake` holds now.
pub(crate) async fn make(
    config: &Config,
    lake: &Lake,
    profile: &ReportProfile,
    period: Period,
    progress: Progress<'_>,
) -> Result<Report, Failure> {
    // Findings first: of none of them may the snapshot lack the events.
    let RuleCursors { rules, newest } =
        rule_cursors(lake.catalog()).await.map_err(Failure::internal)?;
    let findings = findings_since(lake.catalog(), &period.history().to_rfc3339())
        .map_err(ReportError::from)
        .boxed();
    let session = session(config, lake).await?;
    let stored_until = last_stored_at(&session).await?.unwrap_or(config.now());
    let lagging_rules: BTreeSet<String> =
        rules.iter().filter(|(.., seen)| *seen < newest).map(|(id, ..)| id.clone()).collect();
    let provenance = ReportProvenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        snapshot: session.snapshot().unwrap_or_default(),
        stored_until,
        parameters_hash: config.parameters_hash()?,
        rule_versions: rules.into_iter().map(|(id, version, _)| (id, version)).collect(),
        lagging_rules,
    };
    let inputs = ReportInputs { session: &session, rules: &config.catalogue, findings, provenance };
    report::build_report(profile, period, config.now(), inputs, progress)
        .await
        .map_err(Failure::usage)
}

/// Makes `given` again: findings from the events by the rules, the numbers from both.
pub(crate) async fn again(
    config: &Config,
    lake: &Lake,
    given: &Report,
    progress: Progress<'_>,
) -> Result<Report, Failure> {
    let profile = profile(&given.profile)?;
    let session = session(config, lake).await?;
    let then = session_stored_until(&session, given.provenance.stored_until).await?;
    let rules: Vec<String> = given
        .provenance
        .rule_versions
        .keys()
        .filter(|id| config.catalogue.find(id).is_some())
        .cloned()
        .collect();
    let mut ran = BTreeMap::new();
    let mut findings = of_the_service(config, lake, given).await?;
    if !rules.is_empty() {
        let derived = detect(
            &then,
            &config.catalogue,
            &RuleSelection { rules, require_all: false },
            TimeRange::default(),
        )
        .await
        .map_err(Failure::usage)?;
        let version = |id: &String| {
            config.catalogue.find(id).map(|rule| rule.version.clone()).unwrap_or_default()
        };
        ran.extend(derived.ran.iter().map(|id| (id.clone(), version(id))));
        let derived = derived.findings.into_iter().map(StoredFinding::new);
        findings.extend(derived.collect::<Result<Vec<_>, _>>().map_err(Failure::internal)?);
    }
    let findings = futures::stream::iter(findings.into_iter().map(Ok)).boxed();
    let provenance = ReportProvenance {
        parameters_hash: config.parameters_hash()?,
        rule_versions: ran,
        ..given.provenance.clone()
    };
    let inputs = ReportInputs { session: &session, rules: &config.catalogue, findings, provenance };
    report::build_report(&profile, given.period, given.made_at, inputs, progress)
        .await
        .map_err(Failure::usage)
}

/// Findings that no rule makes out of events: those of the service about itself.
async fn of_the_service(
    config: &Config,
    lake: &Lake,
    given: &Report,
) -> Result<Vec<StoredFinding>, Failure> {
    let made_at = given.made_at.to_rfc3339();
    let own = |StoredFinding { finding, .. }: &StoredFinding| {
        config.catalogue.find(&finding.rule_id).is_none()
            && finding.first_seen.as_deref() <= Some(made_at.as_str())
    };
    let all = findings_since(lake.catalog(), &given.period.history().to_rfc3339());
    all.try_filter(|finding| std::future::ready(own(finding)))
        .try_collect()
        .await
        .map_err(Failure::internal)
}

async fn session(config: &Config, lake: &Lake) -> Result<Session, Failure> {
    Ok(Session::over_lake(lake.location(), Arc::clone(&config.parameters), &QueryLimits::default())
        .await?)
}

/// Writes `report` into `folder` in each of `forms`; gives the files.
pub(crate) async fn write(
    report: &Report,
    language: Language,
    forms: &BTreeSet<ReportForm>,
    folder: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let stem = format!("trailhound-{}-{}", report.profile, report.period.file_name_part());
    let of_language = format!("{stem}.{}", language.name());
    let keep = |name: String, content: &[u8]| {
        files::write_atomically(folder, &name, content)
            .map_err(|e| Failure::Usage(format!("{}: {e}", folder.join(&name).display())))
    };
    let mut written = Vec::new();
    for form in forms {
        match form {
            ReportForm::Html => {
                let page = report::html(report, language).map_err(Failure::Internal)?;
                written.push(keep(format!("{of_language}.html"), page.as_bytes())?);
            }
            ReportForm::Md => {
                let text = report::markdown(report, language).map_err(Failure::Internal)?;
                written.push(keep(format!("{of_language}.md"), text.as_bytes())?);
            }
            ReportForm::Json => {
                let text = serde_json::to_string_pretty(report).map_err(Failure::internal)?;
                written.push(keep(format!("{stem}.json"), text.as_bytes())?);
            }
            ReportForm::Csv => {
                for (section, content) in report::csv(report)? {
                    written.push(keep(format!("{stem}.{section}.csv"), &content)?);
                }
            }
            ReportForm::Pdf => {
                let page = report::html(report, language).map_err(Failure::Internal)?;
                written.push(keep(format!("{of_language}.pdf"), &printed(&page).await?)?);
            }
        }
    }
    Ok(written)
}

/// The page as PDF.
async fn printed(page: &str) -> Result<Vec<u8>, Failure> {
    let given = std::env::var_os("TRAILHOUND_BROWSER").map(PathBuf::from);
    let browser = report::find_browser(given.as_deref()).map_err(Failure::usage)?;
    let folder = tempfile::tempdir().map_err(Failure::internal)?;
    let (html, pdf) = (folder.path().join("report.html"), folder.path().join("report.pdf"));
    std::fs::write(&html, page).map_err(Failure::internal)?;
    report::print_pdf(&browser, &html, &pdf, &folder.path().join("browser"))
        .await
        .map_err(Failure::usage)?;
    std::fs::read(&pdf).map_err(Failure::internal)
}

//! Computes reports from the lake and writes their files. The command and the service's child
//! process both use it.

use crate::config::{Config, ReportFormat};
use crate::exit::Failure;
use crate::list_output::finish_workbook;
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
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

/// Called with the number of each section, from 0, when its computation starts.
pub(crate) type SectionProgress<'p> = &'p (dyn Fn(usize) + Sync);

/// Output options of a report: language, formats, folder and browser.
pub(crate) struct Target {
    /// Language of texts for people.
    pub(crate) language: Language,
    /// Formats, each of which is one file, or for CSV one file per section.
    pub(crate) formats: BTreeSet<ReportFormat>,
    /// Folder of the files.
    pub(crate) folder: PathBuf,
    /// Whether CSV files start with a byte order mark.
    pub(crate) bom: bool,
    /// Browser that prints the PDF; the first one on the path if `None`.
    pub(crate) browser: Option<PathBuf>,
}

/// Finds the report profile `name`.
///
/// # Errors
/// [`Failure::Usage`]: there is no such profile.
pub(crate) fn find_profile(name: &str) -> Result<ReportProfile, Failure> {
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

/// Computes the report about `period` from the current content of `lake`.
///
/// # Errors
/// [`Failure`]: the lake cannot be read, or a section cannot be computed.
pub(crate) async fn create(
    config: &Config,
    lake: &Lake,
    profile: &ReportProfile,
    period: Period,
    progress: SectionProgress<'_>,
) -> Result<Report, Failure> {
    // Findings are read before the snapshot is chosen, so that the snapshot contains the events of
    // all of them.
    let RuleCursors { rules, newest } =
        rule_cursors(lake.catalog()).await.map_err(Failure::internal)?;
    let findings = findings_since(lake.catalog(), &period.history().to_rfc3339())
        .map_err(ReportError::from)
        .boxed();
    let session = open_session(config, lake).await?;
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
    let inputs = ReportInputs { session: &session, rules: &config.rule_set, findings, provenance };
    report::build_report(profile, period, config.now(), inputs, progress)
        .await
        .map_err(Failure::usage)
}

/// Computes `given` again: the findings by running the rules over the events it was computed from,
/// then the figures.
///
/// # Errors
/// [`Failure`]: the lake no longer holds the events, or a section cannot be computed.
pub(crate) async fn recompute(
    config: &Config,
    lake: &Lake,
    given: &Report,
    progress: SectionProgress<'_>,
) -> Result<Report, Failure> {
    let profile = find_profile(&given.profile)?;
    let session = open_session(config, lake).await?;
    let then = session_stored_until(&session, given.provenance.stored_until).await?;
    let rules: Vec<String> = given
        .provenance
        .rule_versions
        .keys()
        .filter(|id| config.rule_set.find(id).is_some())
        .cloned()
        .collect();
    let (mut ran, mut derived_findings) = (BTreeMap::new(), Vec::new());
    let service_findings = service_findings(config, lake, given).await?;
    if !rules.is_empty() {
        let selection = RuleSelection { rules, require_all: false };
        let derived = detect(&then, &config.rule_set, &selection, TimeRange::default())
            .await
            .map_err(Failure::usage)?;
        let version = |id: &String| {
            config.rule_set.find(id).map(|rule| rule.version.clone()).unwrap_or_default()
        };
        ran.extend(derived.ran.iter().map(|id| (id.clone(), version(id))));
        derived_findings = derived.findings;
    }
    // The JSON of a derived finding is made when the report reads it: few are in memory at a time.
    let derived_findings =
        derived_findings.into_iter().map(|finding| Ok(StoredFinding::new(finding)?));
    let findings = service_findings.into_iter().map(Ok::<_, ReportError>).chain(derived_findings);
    let findings = futures::stream::iter(findings).boxed();
    let provenance = ReportProvenance {
        parameters_hash: config.parameters_hash()?,
        rule_versions: ran,
        ..given.provenance.clone()
    };
    let inputs = ReportInputs { session: &session, rules: &config.rule_set, findings, provenance };
    report::build_report(&profile, given.period, given.made_at, inputs, progress)
        .await
        .map_err(Failure::usage)
}

/// The stored findings of the service about itself, such as a gap. No rule derives them from
/// events.
async fn service_findings(
    config: &Config,
    lake: &Lake,
    given: &Report,
) -> Result<Vec<StoredFinding>, Failure> {
    let made_at = given.made_at.to_rfc3339();
    let is_of_service = |StoredFinding { finding, .. }: &StoredFinding| {
        config.rule_set.find(&finding.rule_id).is_none()
            && finding.first_seen.as_deref() <= Some(made_at.as_str())
    };
    let all = findings_since(lake.catalog(), &given.period.history().to_rfc3339());
    all.try_filter(|finding| std::future::ready(is_of_service(finding)))
        .try_collect()
        .await
        .map_err(Failure::internal)
}

async fn open_session(config: &Config, lake: &Lake) -> Result<Session, Failure> {
    Ok(Session::over_lake(lake.location(), Arc::clone(&config.parameters), &QueryLimits::default())
        .await?)
}

/// Writes the files of `report`. Returns their paths.
///
/// # Errors
/// [`Failure::Usage`]: a file cannot be written, or no browser can print the PDF.
pub(crate) async fn write(report: &Report, target: &Target) -> Result<Vec<PathBuf>, Failure> {
    let Target { language, folder, .. } = target;
    let stem = format!("trailhound-{}-{}", report.profile, report.period.file_name_part());
    let of_language = format!("{stem}.{}", language.name());
    let html = || report::html(report, *language).map_err(Failure::Internal);
    let write_file = |name: String, content: &[u8]| {
        files::write_atomically(folder, &name, content)
            .map_err(|e| Failure::Usage(format!("{}: {e}", folder.join(&name).display())))
    };
    let mut written = Vec::new();
    for format in &target.formats {
        match format {
            ReportFormat::Html => {
                written.push(write_file(format!("{of_language}.html"), html()?.as_bytes())?);
            }
            ReportFormat::Md => {
                let text = report::markdown(report, *language).map_err(Failure::Internal)?;
                written.push(write_file(format!("{of_language}.md"), text.as_bytes())?);
            }
            ReportFormat::Json => {
                let text = serde_json::to_string_pretty(report).map_err(Failure::internal)?;
                written.push(write_file(format!("{stem}.json"), text.as_bytes())?);
            }
            ReportFormat::Csv => {
                for (section, content) in report::csv(report, target.bom) {
                    let name = format!("{stem}.{section}.csv");
                    written.push(write_file(name, content.as_bytes())?);
                }
            }
            ReportFormat::Xlsx => {
                let book = report::workbook(report, *language).map_err(Failure::Internal)?;
                let mut content = Vec::new();
                finish_workbook(book, &mut content)?;
                written.push(write_file(format!("{of_language}.xlsx"), &content)?);
            }
            ReportFormat::Pdf => {
                let pdf = print_pdf(&html()?, target).await?;
                written.push(write_file(format!("{of_language}.pdf"), &pdf)?);
            }
        }
    }
    Ok(written)
}

/// Prints an HTML page with the browser. Returns the PDF.
async fn print_pdf(page: &str, target: &Target) -> Result<Vec<u8>, Failure> {
    let browser = report::find_browser(target.browser.as_deref()).map_err(Failure::usage)?;
    let folder = tempfile::tempdir().map_err(Failure::internal)?;
    let (html, pdf) = (folder.path().join("report.html"), folder.path().join("report.pdf"));
    std::fs::write(&html, page).map_err(Failure::internal)?;
    report::print_pdf(&browser, &html, &pdf, &folder.path().join("browser"))
        .await
        .map_err(Failure::usage)?;
    std::fs::read(&pdf).map_err(Failure::internal)
}

//! `trailhound report`: creates, verifies and lists reports.

use super::lake_access::open_lake;
use crate::cli::ReportArgs;
use crate::config::{Config, ReportFormat};
use crate::exit::{Exit, Failure};
use crate::list_output::check_byte_order_mark;
use crate::printer;
use crate::report;
use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::Language;
use trailhound_detect::report::{Period, Report, differences, report_notice};
use trailhound_detect::store::report_runs;
use trailhound_ingest::lake::Lake;
use trailhound_queries::local_time::local_time;

/// Start tag and end tag of the HTML element that holds the report as JSON.
const DATA_ELEMENT: (&str, &str) =
    ("<script type=\"application/json\" id=\"report\">", "</script>");
/// Maximum number of runs that the list shows for each report.
const RUNS_SHOWN: usize = 5;

/// Creates, verifies or lists reports.
pub(super) async fn run(config: &Config, args: ReportArgs) -> Result<Exit, Failure> {
    if args.in_service {
        run_as_child_of_service().map_err(Failure::internal)?;
    }
    let lake = open_lake(config, args.lake.folder()).await?;
    if args.list {
        return list(config, &lake).await;
    }
    if let Some(file) = &args.verify {
        return verify(config, &lake, file).await;
    }
    create(config, &lake, args).await
}

/// Creates the report that `args` describe and writes its files.
async fn create(config: &Config, lake: &Lake, args: ReportArgs) -> Result<Exit, Failure> {
    let profile = report::find_profile(&args.profile)?;
    let formats: BTreeSet<ReportFormat> = args.formats.into_iter().collect();
    check_byte_order_mark(args.bom, formats.contains(&ReportFormat::Csv))?;
    let time_zone = args.time_zone.unwrap_or(config.time_zone);
    let at = match args.at {
        Some(at) => at.at(time_zone).ok_or_else(|| {
            Failure::Usage(format!("--at: the day is out of the range of dates in {time_zone}"))
        })?,
        None => config.now(),
    };
    let period = Period::last_completed(args.period, at, time_zone)
        .ok_or_else(|| Failure::Usage(format!("no {} ended before {at}", args.period.name())))?;
    let progress = SectionProgressBar::new(profile.sections.len());
    let report =
        report::create(config, lake, &profile, period, &|section| progress.set(section)).await?;
    drop(progress);
    let target = report::Target {
        language: args.lang,
        formats,
        folder: args.output,
        bom: args.bom || args.lang == Language::Zh,
        browser: args.browser.map(PathBuf::from),
    };
    let files = report::write(&report, &target).await?;
    if args.in_service {
        let notice = report_notice(&report, args.lang, files).map_err(Failure::Internal)?;
        printer::line(&serde_json::to_string(&notice).map_err(Failure::internal)?)?;
        return Ok(Exit::Success);
    }
    for path in files {
        printer::line(&path.display().to_string())?;
    }
    if !report.provenance.lagging_rules.is_empty() {
        printer::message(&format!(
            "{} rules have not yet run over all events in the lake, as the report says. `trailhound detect` runs them; the service does so by itself.",
            report.provenance.lagging_rules.len()
        ));
    }
    Ok(Exit::Success)
}

/// Lowers the priority of this process. The kernel will kill the process when the service ends.
fn run_as_child_of_service() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::process::nice(10)?;
    Ok(())
}

/// Progress bar on a terminal: how many sections have been computed.
struct SectionProgressBar(ProgressBar);

impl SectionProgressBar {
    fn new(sections: usize) -> Self {
        let bar = if io::stderr().is_terminal() {
            ProgressBar::new(sections as u64)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {wide_bar} section {pos} of {len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// Shows that section number `section`, counted from 0, is being computed.
    fn set(&self, section: usize) {
        self.0.set_position(section as u64);
    }
}

impl Drop for SectionProgressBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Recomputes the report in `file` from the lake and prints the differences. Returns
/// [`Exit::CheckFailed`] if there are differences.
async fn verify(config: &Config, lake: &Lake, file: &Path) -> Result<Exit, Failure> {
    let given = read_report(file)?;
    let progress = SectionProgressBar::new(given.sections.len());
    let recomputed =
        report::recompute(config, lake, &given, &|section| progress.set(section)).await?;
    drop(progress);
    let differences = differences(&given, &recomputed);
    for difference in &differences {
        printer::line(&format!("DIFFERENCE {}", sanitize(difference)))?;
    }
    let rows: usize = given.sections.iter().map(|section| section.rows.len()).sum();
    printer::line(&format!(
        "{} sections with {rows} rows recomputed from the events stored until {}, by {} rules; {} differences",
        given.sections.len(),
        local_time(given.provenance.stored_until, config.time_zone),
        recomputed.provenance.rule_versions.len(),
        differences.len()
    ))?;
    if !differences.is_empty() && !given.provenance.lagging_rules.is_empty() {
        printer::message(&format!(
            "When the report was created, {} rules had not yet run over all events.",
            given.provenance.lagging_rules.len()
        ));
    }
    Ok(if differences.is_empty() { Exit::Success } else { Exit::CheckFailed })
}

/// Reads a report from a JSON or HTML file.
fn read_report(file: &Path) -> Result<Report, Failure> {
    let file_error = |problem: String| Failure::Usage(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| file_error(e.to_string()))?;
    let data = match text.split_once(DATA_ELEMENT.0) {
        Some((_, rest)) => rest.split_once(DATA_ELEMENT.1).map_or(rest, |(data, _)| data),
        None => &text,
    };
    serde_json::from_str(data).map_err(|e| file_error(format!("not a report in HTML or JSON: {e}")))
}

/// Prints the scheduled reports and their last runs.
async fn list(config: &Config, lake: &Lake) -> Result<Exit, Failure> {
    let reports = config.reports()?;
    let runs = report_runs::list(lake.catalog()).await.map_err(Failure::internal)?;
    let time = |time: Option<DateTime<Utc>>| {
        time.map(|time| local_time(time, config.time_zone)).unwrap_or_default()
    };
    let mut table =
        printer::table(&["report", "schedule", "time zone", "period", "profile", "next"]);
    for report in &reports {
        let period = format!("the last {}", report.span.name());
        let next = time(report.next_after(config.now()));
        let row = [
            report.name.clone(),
            report.schedule.clone(),
            report.time_zone.to_string(),
            period,
            report.profile.clone(),
            next,
        ];
        table.add_row(row.map(printer::cell));
    }
    printer::line(&table.to_string())?;
    let mut table = printer::table(&["report", "was due", "state", "at", "note"]);
    for name in runs.iter().map(|run| &run.report).collect::<BTreeSet<_>>() {
        for run in runs.iter().filter(|run| run.report == *name).take(RUNS_SHOWN) {
            let row = [
                run.report.clone(),
                printer::local_timestamp(run.due_at, config.time_zone),
                run.state.clone(),
                printer::local_timestamp(run.changed_at, config.time_zone),
                run.note.clone(),
            ];
            table.add_row(row.map(printer::cell));
        }
    }
    printer::line(&table.to_string())?;
    Ok(Exit::Success)
}

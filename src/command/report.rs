//! `trailhound report`.

use super::outbox::moment;
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use crate::report;
use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::path::Path;
use trailhound_detect::report::{Period, Report, differences, report_notice};
use trailhound_detect::store::report_runs;
use trailhound_ingest::lake::Lake;

/// What a page holds its numbers in.
const DATA: (&str, &str) = ("<script type=\"application/json\" id=\"report\">", "</script>");
/// Runs listed of each report.
const RUNS_SHOWN: usize = 5;

pub(crate) async fn run(config: &Config, args: cli::Report) -> Result<Exit, Failure> {
    if args.in_service {
        in_service().map_err(Failure::internal)?;
    }
    let lake = lake::open(&config.lake(args.place.lake.as_deref())?, config).await?;
    if args.list {
        return list(config, &lake).await;
    }
    if let Some(file) = &args.verify {
        return verify(config, &lake, file).await;
    }
    let profile = report::profile(&args.profile)?;
    let at = args.at.unwrap_or(config.now());
    let period = Period::last_completed(args.period, at, args.time_zone)
        .ok_or_else(|| Failure::Usage(format!("before {at} no {} is over", args.period.name())))?;
    let shown = Shown::new(profile.sections.len());
    let report =
        report::make(config, &lake, &profile, period, &|section| shown.at(section)).await?;
    drop(shown);
    let files =
        report::write(&report, args.lang, &args.forms.into_iter().collect(), &args.output).await?;
    if args.in_service {
        let notice = report_notice(&report, args.lang, files).map_err(Failure::Internal)?;
        printer::line(&serde_json::to_string(&notice).map_err(Failure::internal)?)?;
        return Ok(Exit::Done);
    }
    for path in files {
        printer::line(&path.display().to_string())?;
    }
    if !report.provenance.lagging_rules.is_empty() {
        printer::talk(&format!(
            "{} rules have not yet run over everything the lake holds; the report says so: `trailhound detect` does that, and the service by itself",
            report.provenance.lagging_rules.len()
        ));
    }
    Ok(Exit::Done)
}

/// Gives way to the service that asked, and ends with it.
fn in_service() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::process::nice(10)?;
    Ok(())
}

/// How far it is; nothing where nobody watches.
struct Shown(ProgressBar);

impl Shown {
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

    fn at(&self, section: usize) {
        self.0.set_position(section as u64);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Computes a report again and tells what differs. Exit status 1 where something does.
async fn verify(config: &Config, lake: &Lake, file: &Path) -> Result<Exit, Failure> {
    let given = read(file)?;
    let shown = Shown::new(given.sections.len());
    let again = report::again(config, lake, &given, &|section| shown.at(section)).await?;
    drop(shown);
    let differences = differences(&given, &again);
    for difference in &differences {
        printer::line(&format!(
            "DIFFERENCE {}",
            trailhound_datasets::sanitize::sanitize(difference)
        ))?;
    }
    let rows: usize = given.sections.iter().map(|section| section.rows.len()).sum();
    printer::line(&format!(
        "{} sections with {rows} rows computed again from the events stored until {}, by {} rules; {} differences",
        given.sections.len(),
        given.provenance.stored_until.to_rfc3339(),
        again.provenance.rule_versions.len(),
        differences.len()
    ))?;
    if !differences.is_empty() && !given.provenance.lagging_rules.is_empty() {
        printer::talk(&format!(
            "When it was made, {} rules had not yet run over everything.",
            given.provenance.lagging_rules.len()
        ));
    }
    Ok(if differences.is_empty() { Exit::Done } else { Exit::Found })
}

/// The report in a file of its JSON or HTML form.
fn read(file: &Path) -> Result<Report, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    let data = match text.split_once(DATA.0) {
        Some((_, rest)) => rest.split_once(DATA.1).map_or(rest, |(data, _)| data),
        None => &text,
    };
    serde_json::from_str(data)
        .map_err(|e| wrong(format!("no report in its HTML or JSON form: {e}")))
}

/// The schedule and the last runs.
async fn list(config: &Config, lake: &Lake) -> Result<Exit, Failure> {
    let reports = config.reports()?;
    let runs = report_runs::list(lake.catalog()).await.map_err(Failure::internal)?;
    let time = |time: Option<DateTime<Utc>>| {
        time.map(|time| moment(time.timestamp_micros())).unwrap_or_default()
    };
    let mut table =
        printer::table(&["report", "schedule", "time zone", "about", "profile", "next"]);
    for report in &reports {
        let about = format!("the last {}", report.span.name());
        let next = time(report.after(config.now()));
        let row = [
            report.name.clone(),
            report.schedule.clone(),
            report.time_zone.to_string(),
            about,
            report.profile.clone(),
            next,
        ];
        table.add_row(row.map(printer::cell));
    }
    printer::line(&table.to_string())?;
    let mut table = printer::table(&["report", "was due", "state", "at", "what became of it"]);
    for name in runs.iter().map(|run| &run.report).collect::<std::collections::BTreeSet<_>>() {
        for run in runs.iter().filter(|run| run.report == *name).take(RUNS_SHOWN) {
            let row = [
                run.report.clone(),
                moment(run.due_at),
                run.state.clone(),
                moment(run.changed_at),
                run.note.clone(),
            ];
            table.add_row(row.map(printer::cell));
        }
    }
    printer::line(&table.to_string())?;
    Ok(Exit::Done)
}

//! `[[report]]`: which reports the service makes, and when.

use super::{Config, shown};
use crate::exit::Failure;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::PathBuf;
use trailhound_detect::Language;
use trailhound_detect::report::PeriodLength;
use trailhound_queries::packs::reports;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportWritten {
    name: String,
    /// Minute, hour, day of the month, month, day of the week, as cron writes them.
    schedule: String,
    #[serde(default = "utc")]
    time_zone: Tz,
    period: PeriodLength,
    #[serde(default = "security")]
    profile: String,
    #[serde(default)]
    language: Language,
    #[serde(default = "html")]
    formats: Vec<ReportForm>,
    folder: PathBuf,
    #[serde(default)]
    catch_up: CatchUp,
    /// Names of sinks that are told of it.
    #[serde(default)]
    sinks: Vec<String>,
    /// Where people open what stands in the folder, such as `https://reports.example.com`.
    #[serde(default)]
    link: Option<String>,
}

fn utc() -> Tz {
    Tz::UTC
}

fn security() -> String {
    "security".to_owned()
}

fn html() -> Vec<ReportForm> {
    vec![ReportForm::Html]
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReportForm {
    /// One page for people, with everything it needs in it.
    Html,
    /// For a ticket or a wiki.
    Md,
    /// All numbers, for programs; also what `--verify` takes.
    Json,
    /// A file a section, safe to open in a spreadsheet.
    Csv,
    /// The page, printed by a browser that is there.
    Pdf,
}

impl ReportForm {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Md => "md",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
        }
    }
}

/// What is made of the times at which the service was not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CatchUp {
    /// Only the last of them.
    #[default]
    Latest,
    /// Each of them.
    All,
    /// None of them.
    None,
}

/// A report that is made again and again.
#[derive(Debug, Clone)]
pub(crate) struct Scheduled {
    pub(crate) name: String,
    pub(crate) schedule: String,
    cron: Cron,
    pub(crate) time_zone: Tz,
    pub(crate) span: PeriodLength,
    pub(crate) profile: String,
    pub(crate) language: Language,
    pub(crate) forms: Vec<ReportForm>,
    pub(crate) folder: PathBuf,
    pub(crate) catch_up: CatchUp,
    pub(crate) sinks: Vec<String>,
    pub(crate) link: Option<String>,
}

/// The schedule in this century: what never comes would else be looked for until the year 5000.
fn cron(schedule: &str) -> Result<Cron, String> {
    if schedule.split_whitespace().count() != 5 {
        return Err("it has minute, hour, day of the month, month and day of the week".to_owned());
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    parser.parse(&format!("0 {schedule} 2000-2099")).map_err(|e| e.to_string())
}

impl Scheduled {
    /// The first time after `moment` at which it is due; none where there is none.
    pub(crate) fn after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&moment.with_timezone(&self.time_zone), false);
        next.ok().map(|time| time.to_utc())
    }
}

impl Config {
    /// The reports that the service makes.
    pub(crate) fn reports(&self) -> Result<Vec<Scheduled>, Failure> {
        let mut names = HashSet::new();
        let profiles = reports::profiles().map_err(Failure::Internal)?;
        let scheduled = |written: &ReportWritten| {
            let wrong = |problem: String| {
                Failure::Usage(format!(
                    "{}: [[report]] `{}`: {problem}",
                    shown(self.path.as_deref()),
                    written.name
                ))
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if written.name.is_empty() || !written.name.chars().all(is_plain) {
                // It stands in the header of a webhook, among others.
                return Err(wrong("name: only letters, digits, `-` and `_`".to_owned()));
            }
            let cron = cron(&written.schedule).map_err(|e| {
                wrong(format!(
                    "schedule: `{}`: {e}; write for instance \"0 8 * * MON\"",
                    written.schedule
                ))
            })?;
            if !profiles.iter().any(|profile| profile.name == written.profile) {
                let known: Vec<&str> =
                    profiles.iter().map(|profile| profile.name.as_str()).collect();
                return Err(wrong(format!(
                    "there is no profile `{}`; there is {}",
                    written.profile,
                    known.join(", ")
                )));
            }
            if let Some(sink) = written
                .sinks
                .iter()
                .find(|sink| !self.sink.iter().any(|one| one.is_told_of_reports(sink)))
            {
                return Err(wrong(format!(
                    "sinks: there is no sink `{sink}` for mail, a chat or a webhook"
                )));
            }
            let report = Scheduled {
                name: written.name.clone(),
                schedule: written.schedule.clone(),
                cron,
                time_zone: written.time_zone,
                span: written.period,
                profile: written.profile.clone(),
                language: written.language,
                forms: written.formats.clone(),
                folder: self.folder.join(&written.folder),
                catch_up: written.catch_up,
                sinks: written.sinks.clone(),
                link: written.link.clone(),
            };
            if report.after(self.now).is_none() {
                return Err(wrong(format!("schedule: `{}` never comes", written.schedule)));
            }
            Ok(report)
        };
        let reports = self.report.iter().map(scheduled).collect::<Result<Vec<_>, _>>()?;
        match reports.iter().find(|report| !names.insert(&report.name)) {
            Some(twice) => Err(Failure::Usage(format!(
                "{}: two [[report]] are called `{}`",
                shown(self.path.as_deref()),
                twice.name
            ))),
            None => Ok(reports.clone()),
        }
    }
}

//! `[[report]]`: the reports that the service creates, and their schedules.

use super::location::ConfigLocation;
use super::sinks::SinkConfig;
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
use trailhound_queries::packs::reports::{self, ReportProfile};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportConfig {
    name: String,
    /// A cron expression with five fields: minute, hour, day of the month, month, day of the week.
    schedule: String,
    /// That of the configuration if it is not given.
    #[serde(default)]
    time_zone: Option<Tz>,
    period: PeriodLength,
    #[serde(default = "default_profile")]
    profile: String,
    #[serde(default)]
    language: Language,
    #[serde(default = "default_formats")]
    formats: Vec<ReportFormat>,
    folder: PathBuf,
    #[serde(default)]
    catch_up: CatchUpPolicy,
    /// Names of the sinks that are notified of it.
    #[serde(default)]
    sinks: Vec<String>,
    /// URL under which people open the files in the folder, such as `https://reports.example.com`.
    #[serde(default)]
    link: Option<String>,
}

fn default_profile() -> String {
    "security".to_owned()
}

fn default_formats() -> Vec<ReportFormat> {
    vec![ReportFormat::Html]
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReportFormat {
    /// One HTML page that loads nothing else.
    Html,
    /// Markdown, for a ticket or a wiki.
    Md,
    /// All figures, for programs and for `--verify`.
    Json,
    /// One CSV file per section, safe to open in a spreadsheet.
    Csv,
    /// An Excel workbook with one sheet per section, and ids as text.
    Xlsx,
    /// The HTML page printed by an installed browser.
    Pdf,
}

impl ReportFormat {
    /// The name in the configuration and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Md => "md",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Pdf => "pdf",
        }
    }
}

/// Which reports are created afterwards that became due while no service ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CatchUpPolicy {
    /// Only the latest.
    #[default]
    Latest,
    /// All.
    All,
    /// None.
    None,
}

/// A report that the service creates on a schedule.
#[derive(Debug, Clone)]
pub(crate) struct ReportSchedule {
    pub(crate) name: String,
    /// The cron expression as it is written.
    pub(crate) schedule: String,
    cron: Cron,
    pub(crate) time_zone: Tz,
    pub(crate) span: PeriodLength,
    pub(crate) profile: String,
    pub(crate) language: Language,
    pub(crate) formats: Vec<ReportFormat>,
    pub(crate) folder: PathBuf,
    pub(crate) catch_up: CatchUpPolicy,
    /// Names of the sinks that are notified of it.
    pub(crate) sinks: Vec<String>,
    pub(crate) link: Option<String>,
}

impl ReportSchedule {
    /// The first time after `time` at which the report is due; `None` if there is none in this
    /// century.
    pub(crate) fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&time.with_timezone(&self.time_zone), false);
        next.ok().map(|time| time.to_utc())
    }
}

/// Parses a cron expression. Years are limited to 2099. Without this limit, the search for the next
/// occurrence of an impossible date would continue to the year 5000.
fn parse_cron(schedule: &str) -> Result<Cron, String> {
    if schedule.split_whitespace().count() != 5 {
        return Err("it has minute, hour, day of the month, month and day of the week".to_owned());
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    parser.parse(&format!("0 {schedule} 2000-2099")).map_err(|e| e.to_string())
}

/// What the schedules depend on beside their own keys.
pub(super) struct ScheduleContext<'c> {
    pub(super) location: &'c ConfigLocation,
    /// The time zone of the configuration.
    pub(super) time_zone: Tz,
    pub(super) now: DateTime<Utc>,
}

/// Checks the reports of the configuration and returns their schedules.
///
/// # Errors
/// [`Failure::Usage`]: two reports have the same name, or one is wrong.
pub(super) fn schedules(
    reports: &[ReportConfig],
    sinks: &[SinkConfig],
    place: &ScheduleContext<'_>,
) -> Result<Vec<ReportSchedule>, Failure> {
    let profiles = reports::profiles().map_err(Failure::Internal)?;
    let mut schedules = Vec::new();
    for report in reports {
        let schedule = report.schedule(&profiles, sinks, place).map_err(|problem| {
            place.location.error(format!("[[report]] `{}`: {problem}", report.name))
        })?;
        schedules.push(schedule);
    }
    let mut names = HashSet::new();
    match reports.iter().find(|report| !names.insert(&report.name)) {
        Some(twice) => {
            Err(place.location.error(format!("two [[report]] are called `{}`", twice.name)))
        }
        None => Ok(schedules),
    }
}

impl ReportConfig {
    fn schedule(
        &self,
        profiles: &[ReportProfile],
        sinks: &[SinkConfig],
        place: &ScheduleContext<'_>,
    ) -> Result<ReportSchedule, String> {
        self.check_name()?;
        let cron = parse_cron(&self.schedule).map_err(|e| {
            format!("schedule: `{}`: {e}; write for instance \"0 8 * * MON\"", self.schedule)
        })?;
        self.check_profile(profiles)?;
        self.check_sinks(sinks)?;
        let schedule = ReportSchedule {
            name: self.name.clone(),
            schedule: self.schedule.clone(),
            cron,
            time_zone: self.time_zone.unwrap_or(place.time_zone),
            span: self.period,
            profile: self.profile.clone(),
            language: self.language,
            formats: self.formats.clone(),
            folder: place.location.folder.join(&self.folder),
            catch_up: self.catch_up,
            sinks: self.sinks.clone(),
            link: self.link.clone(),
        };
        if schedule.next_after(place.now).is_none() {
            return Err(format!("schedule: `{}` never comes", self.schedule));
        }
        Ok(schedule)
    }

    /// The name becomes part of the id of a message, which sinks send for instance in an HTTP
    /// header.
    fn check_name(&self) -> Result<(), String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(is_allowed) {
            return Err("name: only letters, digits, `-` and `_`".to_owned());
        }
        Ok(())
    }

    fn check_profile(&self, profiles: &[ReportProfile]) -> Result<(), String> {
        if profiles.iter().any(|profile| profile.name == self.profile) {
            return Ok(());
        }
        let known: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        Err(format!("there is no profile `{}`; there is {}", self.profile, known.join(", ")))
    }

    fn check_sinks(&self, sinks: &[SinkConfig]) -> Result<(), String> {
        let is_unknown = |name: &&String| !sinks.iter().any(|sink| sink.accepts_reports(name));
        match self.sinks.iter().find(is_unknown) {
            Some(name) => {
                Err(format!("sinks: there is no sink `{name}` for mail, a chat or a webhook"))
            }
            None => Ok(()),
        }
    }
}

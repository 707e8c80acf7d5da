//! The configuration, `trailhound.toml`: read as it is written, then checked.
//!
//! Each section has a file that declares its keys and turns them into the options of the library
//! that uses them. [`Config`] is what commands see.

mod ingest;
mod location;
mod parameters_hash;
mod query;
mod report;
mod service;
mod sinks;
mod sources;

use crate::exit::Failure;
use crate::printer;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ingest::{IngestConfig, LakeConfig};
use location::{ConfigLocation, with_nearest_key};
use query::QueryConfig;
pub(crate) use query::{PostgresEndpoint, QueryBounds};
use report::ReportConfig;
pub(crate) use report::{CatchUpPolicy, ReportFormat, ReportSchedule};
use serde::Deserialize;
use service::ServiceConfig;
use sinks::SinkConfig;
pub(crate) use sinks::{SinkInstance, SinkTarget};
pub(crate) use sources::SourceOptions;
use sources::SourcesConfig;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use trailhound_detect::TimeRange;
use trailhound_detect::store::routes::Routes;
use trailhound_ingest::live::LiveOptions;
use trailhound_ingest::{CheckedClock, Clock, IngestOptions};
use trailhound_queries::local_time::TimeOrDay;
use trailhound_queries::packs::investigations::{self, Investigation};
use trailhound_queries::packs::profile::BenchmarkProfile;
use trailhound_queries::packs::rules::{RuleSet, RuleSetError};
use trailhound_queries::parameters::Parameters;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    /// Time zone of the people who read the output.
    time_zone: Tz,
    lake: LakeConfig,
    ingest: IngestConfig,
    service: ServiceConfig,
    query: QueryConfig,
    source: SourcesConfig,
    sink: Vec<SinkConfig>,
    report: Vec<ReportConfig>,
    rules: RulesConfig,
    investigations: InvestigationsConfig,
    parameters: Parameters,
}

/// `[rules]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesConfig {
    folder: Option<PathBuf>,
}

/// `[investigations]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InvestigationsConfig {
    folder: Option<PathBuf>,
}

/// The configuration with the rules and parameters that it names. The sections that only some
/// commands use are checked when a command asks for them.
pub(crate) struct Config {
    /// Time zone of the people who read the output: of the days they write, and of the times they
    /// read.
    pub(crate) time_zone: Tz,
    pub(crate) parameters: Arc<Parameters>,
    /// The built-in rules and the user's own.
    pub(crate) rule_set: RuleSet,
    /// The user's rules that cannot be read, with the reason. They are not in the rule set.
    pub(crate) broken_rules: Vec<RuleSetError>,
    /// Folder of the user's rules.
    pub(crate) rules_folder: Option<PathBuf>,
    /// What the user should change, such as a key under its former name.
    pub(crate) warnings: Vec<String>,
    location: ConfigLocation,
    investigations_folder: Option<PathBuf>,
    lake: LakeConfig,
    ingest: IngestConfig,
    service: ServiceConfig,
    query: QueryConfig,
    sources: SourcesConfig,
    sinks: Vec<SinkConfig>,
    reports: Vec<ReportConfig>,
    now: DateTime<Utc>,
    /// The current time was given with `--now` and does not advance.
    is_now_fixed: bool,
}

impl Config {
    /// Reads the file at `path`, or `trailhound.toml` in the current folder if it exists, or takes
    /// the defaults. `now` replaces the current time.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the file, its parameters or the folder of rules cannot be read or are
    /// wrong.
    pub(crate) fn load(path: Option<&Path>, now: Option<TimeOrDay>) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let config = Self::load_available(path, now, &mut problems)?;
        problems.into_iter().next().map_or(Ok(config), Err)
    }

    /// As [`Self::load`], and leaves out what is wrong in a file that can be read: adds it to `problems`.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the file cannot be read, or is not a configuration.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the present is taken from the system"
    )]
    pub(crate) fn load_available(
        path: Option<&Path>,
        now: Option<TimeOrDay>,
        problems: &mut Vec<Failure>,
    ) -> Result<Self, Failure> {
        let location = ConfigLocation::find(path);
        let mut file: ConfigFile = toml::from_str(&location.read_text()?)
            .map_err(|e| location.error(with_nearest_key(&e)))?;
        let unopened = file.parameters.open_available(&location.folder);
        problems.extend(unopened.into_iter().map(|problem| location.error(problem)));
        let mut rule_set = RuleSet::built_in().map_err(Failure::internal)?;
        let rules_folder = file.rules.folder.map(|folder| location.folder.join(folder));
        let mut broken_rules = Vec::new();
        if let Some(folder) = &rules_folder {
            match rule_set.add_folder(folder) {
                Ok(broken) => broken_rules = broken,
                Err(error) => problems.push(location.error(error)),
            }
        }
        let wrong_parameters = rule_set.check_parameters(&file.parameters);
        problems.extend(wrong_parameters.into_iter().map(|problem| location.error(problem)));
        problems.extend(file.lake.check().err().map(|problem| location.error(problem)));
        let mut warnings = Vec::new();
        let mut merged = vec![file.service.merge_renamed_keys(&mut warnings)];
        for sink in &mut file.sink {
            merged.push(sink.merge_renamed_keys(&mut warnings));
        }
        problems.extend(merged.into_iter().filter_map(Result::err).map(|e| location.error(e)));
        let now = match now {
            Some(now) => Some(location.point_in_time(now, file.time_zone)?),
            None => None,
        };
        Ok(Self {
            time_zone: file.time_zone,
            parameters: Arc::new(file.parameters),
            rule_set,
            broken_rules,
            rules_folder,
            warnings,
            investigations_folder: file
                .investigations
                .folder
                .map(|folder| location.folder.join(folder)),
            location,
            lake: file.lake,
            ingest: file.ingest,
            service: file.service,
            query: file.query,
            sources: file.source,
            sinks: file.sink,
            reports: file.report,
            is_now_fixed: now.is_some(),
            now: now.unwrap_or_else(Utc::now),
        })
    }

    /// The file; `None` if all settings are defaults.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.location.path.as_deref()
    }

    /// `time` as a point in time; a day begins at its midnight in the configuration's time zone.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the day is out of the range of dates.
    pub(crate) fn point_in_time(&self, time: TimeOrDay) -> Result<DateTime<Utc>, Failure> {
        self.location.point_in_time(time, self.time_zone)
    }

    /// The range of event times from `since` to `until`; a day begins at its midnight in the
    /// configuration's time zone. Events without a time lie in no range.
    ///
    /// # Errors
    /// [`Failure::Usage`] where one of them is a day out of the range of dates, or no time lies between them.
    pub(crate) fn time_range(
        &self,
        since: Option<TimeOrDay>,
        until: Option<TimeOrDay>,
    ) -> Result<TimeRange, Failure> {
        let micros = |time: Option<TimeOrDay>| {
            let time = time.map(|time| self.point_in_time(time)).transpose()?;
            Ok::<_, Failure>(time.map(|time| time.timestamp_micros()))
        };
        let (since, until) = (micros(since)?, micros(until)?);
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            return Err(Failure::Usage(
                "--until must be later than --since: no event lies between them".to_owned(),
            ));
        }
        Ok(TimeRange { since, until, include_untimed: false })
    }

    /// The time at which the program was started, or the time given with `--now`.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The clock of a service: held against monotonic time and other clocks, unless the time was given with `--now`. For tests,
    /// `wrong_by` names a file with the seconds by which the clock of the machine is wrong.
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of a service where no present is given"
    )]
    pub(crate) fn checked_clock(&self, wrong_by: Option<PathBuf>) -> CheckedClock {
        if self.is_now_fixed {
            return CheckedClock::told(self.now.timestamp_micros());
        }
        let wrong = AtomicI64::new(0);
        CheckedClock::of_process(Arc::new(move || {
            if let Some(path) = &wrong_by
                && let Ok(text) = std::fs::read_to_string(path)
                && let Ok(seconds) = text.trim().parse::<i64>()
            {
                wrong.store(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
            }
            // While the file is written, the clock is as wrong as before.
            Utc::now().timestamp_micros().saturating_add(wrong.load(Ordering::Relaxed))
        }))
    }

    /// The current time, microseconds since 1970 UTC. It stands still if it was given with `--now`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of a service where no present is given"
    )]
    pub(crate) fn clock(&self) -> Clock {
        if self.is_now_fixed {
            let now = self.now.timestamp_micros();
            Arc::new(move || now)
        } else {
            Arc::new(|| Utc::now().timestamp_micros())
        }
    }

    /// The saved investigations, including the user's own. One that cannot be read is skipped with
    /// a message.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the folder cannot be read.
    pub(crate) fn investigations(&self) -> Result<Vec<Investigation>, Failure> {
        let Some(folder) = &self.investigations_folder else {
            return investigations::built_in().map_err(Failure::internal);
        };
        let (all, broken) = investigations::with_folder(folder).map_err(Failure::usage)?;
        for error in broken {
            printer::message(&format!(
                "error: {error}\nThe investigation is skipped; the others are available."
            ));
        }
        Ok(all)
    }

    /// Finds the rule profile `name`.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there is no such profile.
    pub(crate) fn profile(&self, name: &str) -> Result<BenchmarkProfile, Failure> {
        let profiles = BenchmarkProfile::all().map_err(Failure::Internal)?;
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        let unknown = || {
            Failure::Usage(format!("there is no profile `{name}`; there is {}", names.join(", ")))
        };
        profiles.iter().find(|profile| profile.name == name).cloned().ok_or_else(unknown)
    }

    /// The folder of the lake: `given`, or as configured, or `lake` beside the configuration, or in
    /// the user's data folder.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the user has no data folder.
    pub(crate) fn lake(&self, given: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(folder) = given {
            return Ok(folder.to_owned());
        }
        if let Some(folder) = &self.lake.path {
            return Ok(self.location.folder.join(folder));
        }
        if self.location.path.is_some() {
            return Ok(self.location.folder.join("lake"));
        }
        let strategy = etcetera::choose_base_strategy().map_err(Failure::usage)?;
        Ok(etcetera::BaseStrategy::data_dir(&strategy).join("trailhound").join("lake"))
    }

    /// The hash of the parameters and of the files they name, in hexadecimal.
    ///
    /// # Errors
    /// [`Failure::Usage`]: a file cannot be read.
    pub(crate) fn parameters_hash(&self) -> Result<String, Failure> {
        parameters_hash::parameters_hash(&self.location)
    }

    /// The options of an ingest.
    pub(crate) fn ingest_options(&self) -> IngestOptions {
        self.ingest.options(self.now, self.lake.retention_days)
    }

    /// The largest share of the lake's rows that the retention drops within a day.
    pub(crate) fn drop_share_max(&self) -> f64 {
        self.lake.drop_share_max()
    }

    /// The address that the service listens on.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.service.listen
    }

    /// The pause between two runs of the lake's maintenance.
    pub(crate) fn maintenance_interval(&self) -> Duration {
        self.service.maintenance_interval()
    }

    /// How long a source may have content of which nothing is read.
    pub(crate) fn unread_max(&self) -> Duration {
        self.service.unread_max()
    }

    /// True if the configuration names a source to follow.
    pub(crate) fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The sources that the service follows, and how it commits; `clock` gives the time.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there is no source, or one is wrong.
    pub(crate) fn live_options(&self, clock: &CheckedClock) -> Result<LiveOptions, Failure> {
        let ingest = self.ingest_options();
        let (kafka, oss) = self.sources.options(&self.location)?;
        Ok(LiveOptions {
            limits: ingest.limits,
            keys_max: ingest.keys_max,
            kafka,
            oss,
            flush_age_max: self.service.flush_age_max(),
            flush_rows_max: self.service.flush_rows_max.get(),
            survey_interval: self.service.survey_interval(),
            retention_days: self.lake.retention_days,
            clock: clock.reader(),
            checked_clock: clock.clone(),
        })
    }

    /// Each source with its name: its options, or what is wrong with it. For `doctor`, which checks the others too.
    pub(crate) fn each_source(&self) -> Vec<(String, Result<SourceOptions, Failure>)> {
        self.sources.each(&self.location)
    }

    /// Each sink with its name: where it sends to, or what is wrong with it. For `doctor`, which checks the others too.
    pub(crate) fn each_sink(&self) -> Vec<(String, Result<SinkTarget, Failure>)> {
        sinks::targets(&self.sinks, &self.location)
    }

    /// Returns the resource limits of one query of the query server.
    pub(crate) fn query_bounds(&self) -> QueryBounds {
        self.query.bounds()
    }

    /// The token of the query server's HTTP interface, which is off without one.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the token cannot be read or is too short.
    pub(crate) fn query_token(&self) -> Result<Option<String>, Failure> {
        self.query.token(&self.location)
    }

    /// The query server's PostgreSQL interface; `None` if it is off.
    ///
    /// # Errors
    /// [`Failure::Usage`]: a secret cannot be read, or the settings are not safe.
    pub(crate) fn postgres_endpoint(&self) -> Result<Option<PostgresEndpoint>, Failure> {
        self.query.postgres_endpoint(&self.location)
    }

    /// The sinks in the order of the configuration, and the routes that decide which findings each
    /// receives.
    ///
    /// # Errors
    /// [`Failure::Usage`]: a sink is wrong, or one of its secrets or files cannot be read.
    pub(crate) fn sinks(&self) -> Result<(Vec<SinkInstance>, Routes), Failure> {
        sinks::open_sinks(&self.sinks, &self.location, self.time_zone)
    }

    /// The reports that the service creates.
    ///
    /// # Errors
    /// [`Failure::Usage`]: a report is wrong.
    pub(crate) fn reports(&self) -> Result<Vec<ReportSchedule>, Failure> {
        let place = report::ScheduleContext {
            location: &self.location,
            time_zone: self.time_zone,
            now: self.now,
        };
        report::schedules(&self.reports, &self.sinks, &place)
    }
}

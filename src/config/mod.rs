//! `trailhound.toml`: as written, then checked and ready.

mod fingerprint;
mod query;
mod report;
mod service;
mod sinks;

use crate::exit::Failure;
use crate::printer;
use chrono::{DateTime, NaiveDate, Utc};
pub(crate) use query::PostgresDoor;
use query::QueryWritten;
use report::ReportWritten;
pub(crate) use report::{CatchUp, ReportForm, Scheduled};
use serde::Deserialize;
use service::{ServiceWritten, SourceWritten};
pub(crate) use sinks::Ready;
use sinks::SinkWritten;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_ingest::IngestOptions;
use trailhound_queries::packs::investigations::{self, Investigation};
use trailhound_queries::packs::profile::BenchmarkProfile;
use trailhound_queries::packs::rules::{RuleSet, RuleSetError};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::suggestion::nearest;

/// Looked for in the current folder when no `--config` is given.
const FILE_NAME: &str = "trailhound.toml";
/// A configuration larger than this is something else.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    lake: LakeWritten,
    ingest: IngestWritten,
    service: ServiceWritten,
    query: QueryWritten,
    source: SourceWritten,
    sink: Vec<SinkWritten>,
    report: Vec<ReportWritten>,
    rules: RulesWritten,
    investigations: InvestigationsWritten,
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InvestigationsWritten {
    folder: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesWritten {
    folder: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LakeWritten {
    path: Option<PathBuf>,
    retention_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IngestWritten {
    workers: Option<std::num::NonZero<usize>>,
    event_bytes_max: Option<std::num::NonZero<usize>>,
    content_bytes_max: Option<std::num::NonZero<u64>>,
    expansion_max: Option<std::num::NonZero<u64>>,
    quarantine_raw_bytes_max: Option<std::num::NonZero<usize>>,
    block_bytes_max: Option<std::num::NonZero<usize>>,
    flush_rows_max: Option<std::num::NonZero<u64>>,
    keys_max: Option<std::num::NonZero<usize>>,
}

/// Everything a command needs to know, checked.
pub(crate) struct Config {
    /// Where it was read from.
    pub(crate) path: Option<PathBuf>,
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) catalogue: RuleSet,
    /// The user's own rules that are broken, and why; the others are in the catalogue.
    pub(crate) broken_rules: Vec<RuleSetError>,
    /// Where the user's own rules are.
    pub(crate) rules_folder: Option<PathBuf>,
    /// Where the user's own investigations are.
    investigations_folder: Option<PathBuf>,
    lake: Option<PathBuf>,
    retention_days: Option<u32>,
    ingest: IngestWritten,
    service: ServiceWritten,
    query: QueryWritten,
    source: SourceWritten,
    sink: Vec<SinkWritten>,
    report: Vec<ReportWritten>,
    /// Relative paths count from here.
    folder: PathBuf,
    pub(crate) now: DateTime<Utc>,
    /// The present was given and stands still.
    now_given: bool,
}

impl Config {
    /// Reads the file at `path`, or the one in the current folder, or takes the defaults. `now` stands for the present.
    pub(crate) fn load(path: Option<&Path>, now: Option<DateTime<Utc>>) -> Result<Self, Failure> {
        let path = match path {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from(FILE_NAME)).filter(|path| path.is_file()),
        };
        let mut written = match &path {
            Some(path) => read(path)?,
            None => Written::default(),
        };
        let folder =
            path.as_ref().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default();
        written
            .parameters
            .open(&folder)
            .map_err(|e| Failure::Usage(format!("{}: {e}", shown(path.as_deref()))))?;
        let mut catalogue = RuleSet::built_in().map_err(Failure::internal)?;
        let rules_folder = written.rules.folder.map(|rules| folder.join(rules));
        let broken_rules = match &rules_folder {
            Some(rules) => catalogue
                .add_folder(rules)
                .map_err(|e| Failure::Usage(format!("{}: {e}", shown(path.as_deref()))))?,
            None => Vec::new(),
        };
        if let Some(problem) = catalogue.check_parameters(&written.parameters).first() {
            return Err(Failure::Usage(format!("{}: {problem}", shown(path.as_deref()))));
        }
        Ok(Self {
            broken_rules,
            rules_folder,
            investigations_folder: written
                .investigations
                .folder
                .map(|investigations| folder.join(investigations)),
            lake: written.lake.path.map(|lake| folder.join(lake)),
            retention_days: written.lake.retention_days,
            ingest: written.ingest,
            service: written.service,
            query: written.query,
            source: written.source,
            sink: written.sink,
            report: written.report,
            folder,
            now_given: now.is_some(),
            parameters: Arc::new(written.parameters),
            catalogue,
            path,
            now: now.unwrap_or_else(Utc::now),
        })
    }

    /// The present.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Saved investigations, the user's own among them. One that does not read is left out, and its user told.
    pub(crate) fn investigations(&self) -> Result<Vec<Investigation>, Failure> {
        let Some(folder) = &self.investigations_folder else {
            return investigations::built_in().map_err(Failure::internal);
        };
        let (all, left_out) = investigations::with_folder(folder).map_err(Failure::usage)?;
        for error in left_out {
            printer::talk(&format!(
                "error: {error}\nThe investigation is left out; the others are there."
            ));
        }
        Ok(all)
    }

    /// The profile `name`.
    pub(crate) fn profile(&self, name: &str) -> Result<BenchmarkProfile, Failure> {
        let profiles = BenchmarkProfile::all().map_err(Failure::Internal)?;
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        let unknown = || {
            Failure::Usage(format!("there is no profile `{name}`; there is {}", names.join(", ")))
        };
        profiles.iter().find(|profile| profile.name == name).cloned().ok_or_else(unknown)
    }

    /// The lake's folder: as asked for, as configured, beside the configuration, or in the user's data folder.
    pub(crate) fn lake(&self, asked: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(lake) = asked.map(Path::to_owned).or_else(|| self.lake.clone()) {
            return Ok(lake);
        }
        if let Some(path) = &self.path {
            return Ok(path.parent().unwrap_or(Path::new("")).join("lake"));
        }
        let strategy = etcetera::choose_base_strategy().map_err(Failure::usage)?;
        Ok(etcetera::BaseStrategy::data_dir(&strategy).join("trailhound").join("lake"))
    }

    pub(crate) fn ingest_options(&self) -> IngestOptions {
        let mut options = IngestOptions::at(self.now.timestamp_micros());
        let written = &self.ingest;
        let limits = &mut options.limits;
        limits.event_bytes_max = written.event_bytes_max.map_or(limits.event_bytes_max, Into::into);
        limits.content_bytes_max =
            written.content_bytes_max.map_or(limits.content_bytes_max, Into::into);
        limits.expansion_max = written.expansion_max.map_or(limits.expansion_max, Into::into);
        limits.quarantine_raw_bytes_max =
            written.quarantine_raw_bytes_max.map_or(limits.quarantine_raw_bytes_max, Into::into);
        limits.block_bytes_max = written.block_bytes_max.map_or(limits.block_bytes_max, Into::into);
        options.workers = written.workers.map_or(options.workers, Into::into);
        options.flush_rows_max = written.flush_rows_max.map_or(options.flush_rows_max, Into::into);
        options.keys_max = written.keys_max.map_or(options.keys_max, Into::into);
        options.oldest_micros = self
            .retention_days
            .map(|days| (self.now - chrono::Duration::days(days.into())).timestamp_micros());
        options
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "the configuration".to_owned(), |path| format!("`{}`", path.display()))
}

fn read(path: &Path) -> Result<Written, Failure> {
    toml::from_str(&read_text(path)?)
        .map_err(|e| Failure::Usage(format!("{}: {}", shown(Some(path)), with_nearest_key(&e))))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let wrong = |message: String| Failure::Usage(format!("{}: {message}", shown(Some(path))));
    let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > BYTES_MAX {
        return Err(wrong(format!(
            "{size} bytes is no configuration; at most {BYTES_MAX} are read"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes)
        .map_err(|e| wrong(format!("not UTF-8 text at byte {}", e.utf8_error().valid_up_to())))
}

/// The error with the key that was probably meant. TOML's own message lists all keys, and shows line and column.
fn with_nearest_key(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let (Some(unknown), true) = (quoted.next(), error.message().starts_with("unknown field"))
    else {
        return text;
    };
    match nearest(unknown, quoted) {
        Some(nearest) => format!("{}\nhint: did you mean `{nearest}`?", text.trim_end()),
        None => text,
    }
}

/// A moment on the command line: RFC 3339, or a day (its first instant, UTC).
pub(crate) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Utc));
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc())
        .ok_or_else(|| "write it as `2026-09-21` or `2026-09-21T08:00:00Z`".to_owned())
}

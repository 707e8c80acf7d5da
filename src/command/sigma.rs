//! `trailhound rules import` and `rules export`: Sigma rules.

use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;
use trailhound_queries::sigma::{RejectedRule, TranslatedRule, export, import};

/// A file larger than this holds no rules that somebody wrote.
const BYTES_MAX: u64 = 4 << 20;
/// The group that imported rules stand in.
const GROUP: &str = "sigma";

pub(super) async fn run_import(config: &Config, args: &cli::RulesImport) -> Result<Exit, Failure> {
    let Some(folder) = args.out.as_ref().or(config.rules_folder.as_ref()) else {
        let hint = "name a folder with --out, or for good in trailhound.toml:\n    [rules]\n    folder = \"rules\"";
        return Err(Failure::Usage(hint.to_owned()));
    };
    let engine = Session::over_input(Arc::new(Parameters::default()), &QueryLimits::default())
        .map_err(Failure::internal)?;
    let (mut taken, mut refused) = (0, 0);
    for path in files(&args.paths)? {
        let imported = import(&read(&path)?);
        let mut refusals = imported.rejected;
        for rule in imported.rules {
            let written = match runs(&engine, &rule).await {
                Ok(()) => write(config, &folder.join(GROUP), &rule, args.replace),
                Err(reason) => Err(reason),
            };
            match written {
                Ok(path) => {
                    taken += 1;
                    let mapped =
                        if rule.mapped { ", carried over from AWS CloudTrail" } else { "" };
                    printer::line(&format!(
                        "{} \"{}\"{mapped}: {}",
                        rule.id,
                        sanitize(&rule.title),
                        path.display()
                    ))?;
                }
                Err(reason) => refusals.push(RejectedRule { title: rule.title.clone(), reason }),
            }
        }
        refused += refusals.len();
        for RejectedRule { title, reason } in refusals {
            printer::line(&sanitize(&format!(
                "REFUSED {}: \"{title}\": {reason}",
                path.display()
            )))?;
        }
    }
    printer::talk(&format!(
        "{taken} rules translated, {refused} refused. What the files lack (cases, a Chinese text): trailhound rules lint"
    ));
    Ok(if refused == 0 { Exit::Done } else { Exit::Incomplete })
}

/// The files meant: those of folders too, by their names' ends.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut entries = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        let yaml = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
        };
        files.extend(entries.into_iter().filter(yaml));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |message: String| Failure::Usage(format!("`{}`: {message}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > BYTES_MAX {
        return Err(wrong(format!("{size} bytes are no rule; at most {BYTES_MAX} are read")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))
}

/// Whether the engine can plan the query and read its regular expressions.
async fn runs(engine: &Session, rule: &TranslatedRule) -> Result<(), String> {
    engine.sql(&rule.sql).await.map_err(|e| e.to_string())?;
    for pattern in &rule.patterns {
        let sql = format!("SELECT regexp_like('', '{}')", pattern.replace('\'', "''"));
        let tried = match engine.sql(&sql).await {
            Ok(frame) => frame.collect().await.map(|_| ()).map_err(|e| e.strip_backtrace()),
            Err(error) => Err(error.to_string()),
        };
        tried.map_err(|error| {
            format!("the regular expression `{pattern}` cannot be used here: {error}")
        })?;
    }
    Ok(())
}

/// Writes the two files of a rule; gives the first.
fn write(
    config: &Config,
    folder: &Path,
    rule: &TranslatedRule,
    replace: bool,
) -> Result<PathBuf, String> {
    let name = rule.id.trim_start_matches("AT-").to_lowercase().replace('-', "_");
    let path = folder.join(name).with_extension("toml");
    let elsewhere = config
        .catalogue
        .find(&rule.id)
        .filter(|known| known.path.canonicalize().ok() != path.canonicalize().ok());
    if let Some(known) = elsewhere {
        return Err(format!("there is a rule {} already: `{}`", rule.id, known.path.display()));
    }
    if path.exists() && !replace {
        return Err(format!("`{}` is there already; --replace writes it anew", path.display()));
    }
    let failed = |e: std::io::Error| format!("`{}`: {e}", path.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(path.with_extension("sql"), &rule.sql).map_err(failed)?;
    std::fs::write(&path, &rule.toml).map_err(failed)?;
    Ok(path)
}

pub(super) fn run_export(rules: &[&Rule], args: &cli::RulesExport) -> Result<Exit, Failure> {
    let (mut written, mut refused) = (0, 0);
    for rule in rules {
        match export(rule) {
            Ok(yaml) => {
                written += 1;
                put(rule, &yaml, args.out.as_deref())?;
            }
            Err(reason) => {
                refused += 1;
                printer::talk(&format!("not exported: {reason}"));
            }
        }
    }
    printer::talk(&format!("{written} rules exported, {refused} cannot be said in Sigma"));
    // Of all rules some are always too much for Sigma; of those named each was wanted.
    Ok(if refused > 0 && !args.ids.is_empty() { Exit::Incomplete } else { Exit::Done })
}

fn put(rule: &Rule, yaml: &str, out: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = out else { return Ok(printer::line(&format!("---\n{}", yaml.trim_end()))?) };
    std::fs::create_dir_all(folder)?;
    let path = folder.join(rule.id.to_lowercase().replace('-', "_")).with_extension("yml");
    std::fs::write(&path, yaml)?;
    Ok(printer::line(&path.display().to_string())?)
}

//! `trailhound rules import` and `rules export`: translates rules from and to Sigma.

use crate::cli::{RulesExportArgs, RulesImportArgs};
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

/// Largest Sigma file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Group of imported rules.
const GROUP: &str = "sigma";

/// Imports the rules in the files that `args` name. Every rule that is refused is printed with the
/// reason.
pub(super) async fn run_import(config: &Config, args: &RulesImportArgs) -> Result<Exit, Failure> {
    let Some(folder) = args.out.as_ref().or(config.rules_folder.as_ref()) else {
        let hint = "give a folder with --out, or configure one in trailhound.toml:\n    [rules]\n    folder = \"rules\"";
        return Err(Failure::Usage(hint.to_owned()));
    };
    let session = Session::over_input(Arc::new(Parameters::default()), &QueryLimits::default())
        .map_err(Failure::internal)?;
    let (mut imported, mut refused) = (0, 0);
    for path in sigma_files(&args.paths)? {
        let translation = import(&read_file(&path)?);
        let mut refusals = translation.rejected;
        for rule in translation.rules {
            let written = match check_runs(&session, &rule).await {
                Ok(()) => write_rule(config, &folder.join(GROUP), &rule, args.replace),
                Err(reason) => Err(reason),
            };
            match written {
                Ok(path) => {
                    imported += 1;
                    let mapped = if rule.mapped { ", mapped from AWS CloudTrail" } else { "" };
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
    printer::message(&format!(
        "{imported} rules translated, {refused} refused. To list what the files lack (cases, Chinese texts): trailhound rules lint"
    ));
    Ok(if refused == 0 { Exit::Success } else { Exit::Incomplete })
}

/// The files at `paths`. A folder stands for the `.yml` and `.yaml` files in it, sorted by name.
fn sigma_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
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

fn read_file(path: &Path) -> Result<String, Failure> {
    let file_error = |message: String| Failure::Usage(format!("`{}`: {message}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| file_error(e.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(file_error(format!(
            "{size} bytes are too many for a rule; at most {FILE_BYTES_MAX} are read"
        )));
    }
    std::fs::read_to_string(path).map_err(|e| file_error(e.to_string()))
}

/// Checks that the query engine can plan the query and compile its regular expressions.
///
/// # Errors
/// The reason why not.
async fn check_runs(session: &Session, rule: &TranslatedRule) -> Result<(), String> {
    session.sql(&rule.sql).await.map_err(|e| e.to_string())?;
    for pattern in &rule.patterns {
        let sql = format!("SELECT regexp_like('', '{}')", pattern.replace('\'', "''"));
        let result = match session.sql(&sql).await {
            Ok(frame) => frame.collect().await.map(|_| ()).map_err(|e| e.strip_backtrace()),
            Err(error) => Err(error.to_string()),
        };
        result.map_err(|error| {
            format!("the regular expression `{pattern}` is not supported: {error}")
        })?;
    }
    Ok(())
}

/// Writes the two files of a rule. Returns the path of the description.
fn write_rule(
    config: &Config,
    folder: &Path,
    rule: &TranslatedRule,
    replace: bool,
) -> Result<PathBuf, String> {
    let name = rule.id.trim_start_matches("AT-").to_lowercase().replace('-', "_");
    let path = folder.join(name).with_extension("toml");
    let elsewhere = config
        .rule_set
        .find(&rule.id)
        .filter(|known| known.path.canonicalize().ok() != path.canonicalize().ok());
    if let Some(known) = elsewhere {
        return Err(format!("the rule {} exists: `{}`", rule.id, known.path.display()));
    }
    if path.exists() && !replace {
        return Err(format!("`{}` exists; use --replace to overwrite it", path.display()));
    }
    let write_error = |e: std::io::Error| format!("`{}`: {e}", path.display());
    std::fs::create_dir_all(folder).map_err(write_error)?;
    std::fs::write(path.with_extension("sql"), &rule.sql).map_err(write_error)?;
    std::fs::write(&path, &rule.toml).map_err(write_error)?;
    Ok(path)
}

/// Exports `rules`. A rule that Sigma cannot express is named with the reason.
pub(super) fn run_export(rules: &[&Rule], args: &RulesExportArgs) -> Result<Exit, Failure> {
    let (mut written, mut refused) = (0, 0);
    for rule in rules {
        match export(rule) {
            Ok(yaml) => {
                written += 1;
                write_sigma(rule, &yaml, args.out.as_deref())?;
            }
            Err(reason) => {
                refused += 1;
                printer::message(&format!("not exported: {reason}"));
            }
        }
    }
    printer::message(&format!("{written} rules exported, {refused} cannot be expressed in Sigma"));
    // Among all rules some never fit into Sigma. That is incomplete only for rules that were named.
    Ok(if refused > 0 && !args.ids.is_empty() { Exit::Incomplete } else { Exit::Success })
}

/// Writes one Sigma rule to a file in `out`, or to standard output.
fn write_sigma(rule: &Rule, yaml: &str, out: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = out else { return Ok(printer::line(&format!("---\n{}", yaml.trim_end()))?) };
    std::fs::create_dir_all(folder)?;
    let path = folder.join(rule.id.to_lowercase().replace('-', "_")).with_extension("yml");
    std::fs::write(&path, yaml)?;
    Ok(printer::line(&path.display().to_string())?)
}

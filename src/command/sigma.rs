//! `trailhound rules import` and `rules export`: translates rules from and to Sigma.

use crate::cli::{RulesExportArgs, RulesImportArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;
use trailhound_queries::sigma::{RejectedRule, SigmaFile, TranslatedRule, export, import};

/// Largest Sigma file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Group of imported rules.
const GROUP: &str = "sigma";

/// Imports the rules in the files that `args` name. Everything that is refused is printed with the
/// reason.
pub(super) async fn run_import(config: &Config, args: &RulesImportArgs) -> Result<Exit, Failure> {
    let Some(folder) = args.out.as_ref().or(config.rules_folder.as_ref()) else {
        let hint = "give a folder with --out, or configure one in trailhound.toml:\n    [rules]\n    folder = \"rules\"";
        return Err(Failure::Usage(hint.to_owned()));
    };
    let session = Session::over_input(Arc::new(Parameters::default()), &QueryLimits::default())
        .map_err(Failure::internal)?;
    let (files, mut refusals) = read_files(&args.paths)?;
    let import = import(&files);
    refusals.extend(import.rejected);
    let folder = folder.join(GROUP);
    let mut imported = 0;
    for rule in import.rules {
        let written = match check_runs(&session, &rule).await {
            Ok(()) => write_rule(config, &folder, &rule, args.replace),
            Err(reason) => Err(reason),
        };
        match written {
            Ok(path) => {
                imported += 1;
                printer::line(&sanitize(&imported_line(&rule, &path)))?;
            }
            Err(reason) => {
                refusals.push(RejectedRule { file: rule.file, title: rule.title, reason });
            }
        }
    }
    for RejectedRule { file, title, reason } in import.notes {
        printer::line(&sanitize(&format!("NOTE {file}: \"{title}\": {reason}")))?;
    }
    for id in import.parts {
        let path = description_path(&folder, &id);
        if path.exists() {
            printer::line(&sanitize(&format!(
                "NOTE {}: {id} is now only a part of a correlation and still a rule of its own from an earlier import; delete its two files",
                path.display()
            )))?;
        }
    }
    let refused = refusals.len();
    for RejectedRule { file, title, reason } in refusals {
        printer::line(&sanitize(&format!("REFUSED {file}: \"{title}\": {reason}")))?;
    }
    printer::message(&format!(
        "{imported} rules translated, {refused} refused. To list what the files lack (cases, Chinese texts): trailhound rules lint"
    ));
    Ok(if refused == 0 { Exit::Success } else { Exit::Incomplete })
}

/// The line about an imported rule.
fn imported_line(rule: &TranslatedRule, path: &Path) -> String {
    let quoted = |titles: &[String]| {
        titles.iter().map(|title| format!("\"{title}\"")).collect::<Vec<_>>().join(", ")
    };
    let mut line = format!("{} \"{}\"", rule.id, rule.title);
    if rule.mapped {
        line.push_str(", mapped from AWS CloudTrail");
    }
    if !rule.rules.is_empty() {
        line.push_str(&format!(", made of {}", quoted(&rule.rules)));
    }
    if !rule.filters.is_empty() {
        line.push_str(&format!(", tuned by {}", quoted(&rule.filters)));
    }
    format!("{line}: {}", path.display())
}

/// Reads the files at `paths`. Those that cannot be read as text are refused.
///
/// # Errors
/// A path does not exist or cannot be opened.
fn read_files(paths: &[PathBuf]) -> Result<(Vec<SigmaFile>, Vec<RejectedRule>), Failure> {
    let (mut files, mut refusals) = (Vec::new(), Vec::new());
    let refusal = |path: &Path, reason: String| RejectedRule {
        file: path.display().to_string(),
        title: "the file".to_owned(),
        reason,
    };
    // A file that two paths lead to is read once.
    let mut seen = BTreeSet::new();
    for path in paths {
        let found = sigma_files(path)?;
        if found.is_empty() {
            refusals.push(refusal(path, "the folder holds no file `*.yml` or `*.yaml`".to_owned()));
        }
        for path in found {
            if !seen.insert(path.canonicalize().map_err(|e| path_error(&path, &e))?) {
                continue;
            }
            match read_file(&path)? {
                Ok(text) => files.push(SigmaFile { name: path.display().to_string(), text }),
                Err(reason) => refusals.push(refusal(&path, reason)),
            }
        }
    }
    Ok((files, refusals))
}

fn path_error(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("`{}`: {error}", path.display()))
}

/// The files at `path`. A folder stands for the `.yml` and `.yaml` files in it and in the folders
/// below it, sorted by name. Hidden folders and files are left out.
fn sigma_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(|e| path_error(path, &e))?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let is_hidden =
            entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_yaml = entry.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml")
        });
        if is_hidden {
            continue;
        }
        // A link to a folder could lead back to where it is.
        if entry.is_dir() && !entry.is_symlink() {
            files.extend(sigma_files(&entry)?);
        } else if is_yaml && entry.is_file() {
            files.push(entry);
        }
    }
    Ok(files)
}

/// The text of a file, or why it is refused.
fn read_file(path: &Path) -> Result<Result<String, String>, Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| path_error(path, &e))?;
    // A pipe would be waited for without end.
    if !metadata.is_file() {
        return Ok(Err("it is not a file".to_owned()));
    }
    let size = metadata.len();
    if size > FILE_BYTES_MAX {
        return Ok(Err(format!(
            "{size} bytes are too many for a rule; at most {FILE_BYTES_MAX} are read"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| path_error(path, &e))?;
    Ok(match String::from_utf8(bytes) {
        // A byte-order mark is no part of the text.
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => Err(format!(
            "it is not UTF-8 text: the byte at offset {} is not; save it as UTF-8",
            error.utf8_error().valid_up_to()
        )),
    })
}

/// Checks that the query engine can plan the query and compile its regular expressions.
///
/// # Errors
/// The reason why not.
async fn check_runs(session: &Session, rule: &TranslatedRule) -> Result<(), String> {
    session.sql(&rule.sql).await.map_err(|e| e.to_string())?;
    for pattern in &rule.patterns {
        let sql = format!("SELECT any_is('', 're', '{}')", pattern.replace('\'', "''"));
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

/// Where the description of the rule `id` is written.
fn description_path(folder: &Path, id: &str) -> PathBuf {
    let name = id.trim_start_matches("AT-").to_lowercase().replace('-', "_");
    folder.join(name).with_extension("toml")
}

/// Writes the two files of a rule. Returns the path of the description.
fn write_rule(
    config: &Config,
    folder: &Path,
    rule: &TranslatedRule,
    replace: bool,
) -> Result<PathBuf, String> {
    let path = description_path(folder, &rule.id);
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

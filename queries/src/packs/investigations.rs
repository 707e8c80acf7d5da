//! Saved investigations: parameterized queries for questions that analysts ask again and again.
//! Each is an SQL file whose front matter says what the query answers, when to run it and what to
//! ask next.

use crate::local_time::TimeOrDay;
use crate::packs::front_matter;
use crate::packs::rules::BilingualText;
use crate::packs::text_file;
use crate::sql_guard::ParameterValues;
use crate::suggestion::did_you_mean;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use chrono_tz::Tz;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/investigations");

/// The kind of a parameter's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any text.
    #[default]
    Text,
    /// A time: RFC 3339, a date, `now`, or a time before now such as `-7d`, `-12h`, `-30m`.
    Time,
    /// A whole number.
    Number,
}

/// A parameter of an investigation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvestigationParameter {
    /// The kind of its values.
    #[serde(default)]
    pub kind: ParameterKind,
    /// What it means.
    pub meaning: String,
    /// Default value; a parameter without one is required.
    pub default: Option<String>,
}

/// The front matter of an investigation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    question: BilingualText,
    when: String,
    next: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, InvestigationParameter>,
}

/// A saved investigation.
#[derive(Debug, Clone)]
pub struct Investigation {
    /// Name: the file name without its extension.
    pub name: String,
    /// The question that it answers.
    pub question: BilingualText,
    /// When to run it.
    pub when: String,
    /// What to ask next.
    pub next: Vec<String>,
    /// Its parameters, by name.
    pub parameters: BTreeMap<String, InvestigationParameter>,
    /// The query, with `$name` for each parameter.
    pub sql: String,
}

/// Why an investigation cannot be loaded or run.
#[derive(Debug, Error)]
pub enum InvestigationError {
    /// No investigation has this name.
    #[error("there is no investigation `{name}`{suggestion}")]
    Unknown {
        /// The name.
        name: String,
        /// The end of the message: the nearest name, or how to list them.
        suggestion: String,
    },
    /// A value is given for a parameter that the investigation does not have.
    #[error("`{investigation}` has no parameter `{name}`; it has {known}")]
    UnknownParameter {
        /// Name of the investigation.
        investigation: String,
        /// Name of the parameter.
        name: String,
        /// The parameters that it has.
        known: String,
    },
    /// A required parameter has no value.
    #[error("`{investigation}` needs `--param {name}=...`: {meaning}")]
    MissingParameter {
        /// Name of the investigation.
        investigation: String,
        /// Name of the parameter.
        name: String,
        /// What the parameter means.
        meaning: String,
    },
    /// A value is not of its parameter's kind.
    #[error("`{name}` is `{value}`, which is not a {expected}")]
    InvalidValue {
        /// Name of the parameter.
        name: String,
        /// The value.
        value: String,
        /// What the kind expects.
        expected: &'static str,
    },
    /// A folder or file of the user cannot be read.
    #[error("{path}: {message}")]
    File {
        /// The folder or file.
        path: String,
        /// Why it cannot be read.
        message: String,
    },
    /// A file of the user has the name of another investigation.
    #[error("{path}: there is an investigation `{name}` already; give the file another name")]
    DuplicateName {
        /// The name.
        name: String,
        /// Path of the file.
        path: String,
    },
    /// The front matter of a file is invalid.
    #[error("investigation `{name}`: {message}")]
    FrontMatter {
        /// Name of the investigation.
        name: String,
        /// The message of the parser.
        message: String,
    },
}

/// The investigations of the product, sorted by name.
///
/// # Errors
/// [`InvestigationError::FrontMatter`]. A test makes sure that there is none.
pub fn built_in() -> Result<Vec<Investigation>, InvestigationError> {
    let mut all = Vec::new();
    for file in BUILT_IN.files() {
        let name = file
            .path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        all.push(read(&name, file.contents_utf8().unwrap_or_default())?);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Maximum size of a file, in bytes; a larger file is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The investigations of the product and of the user's `folder` (one `NAME.sql` each), sorted by
/// name. Files that are invalid are left out; their errors are returned.
///
/// # Errors
/// [`InvestigationError::File`] where the folder cannot be read.
pub fn with_folder(
    folder: &Path,
) -> Result<(Vec<Investigation>, Vec<InvestigationError>), InvestigationError> {
    let wrong = |path: &Path, message: &dyn std::fmt::Display| InvestigationError::File {
        path: path.display().to_string(),
        message: message.to_string(),
    };
    let (mut all, mut errors) = (built_in()?, Vec::new());
    let files = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|e| wrong(folder, &e))?;
    let mut files: Vec<_> = files.into_iter().map(|file| file.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = text_file::read(&path, FILE_BYTES_MAX);
        match text.map_err(|e| wrong(&path, &e)).and_then(|text| read(&name, &text)) {
            Ok(_) if all.iter().any(|investigation| investigation.name == name) => {
                errors.push(InvestigationError::DuplicateName {
                    name,
                    path: path.display().to_string(),
                });
            }
            Ok(investigation) => all.push(investigation),
            Err(error) => errors.push(error),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((all, errors))
}

/// The investigation called `name`.
///
/// # Errors
/// [`InvestigationError::Unknown`].
pub fn find(all: &[Investigation], name: &str) -> Result<Investigation, InvestigationError> {
    let names = all.iter().map(|investigation| investigation.name.as_str());
    all.iter().find(|investigation| investigation.name == name).cloned().ok_or_else(|| {
        InvestigationError::Unknown {
            name: name.to_owned(),
            suggestion: did_you_mean(name, names, "`trailhound investigate` lists them"),
        }
    })
}

fn read(name: &str, text: &str) -> Result<Investigation, InvestigationError> {
    let (front_matter, sql): (FrontMatter, String) = front_matter::parse(text)
        .map_err(|message| InvestigationError::FrontMatter { name: name.to_owned(), message })?;
    Ok(Investigation {
        name: name.to_owned(),
        question: front_matter.question,
        when: front_matter.when,
        next: front_matter.next,
        parameters: front_matter.parameters,
        sql,
    })
}

impl Investigation {
    /// The values of all parameters: those `given`, else the defaults. Times are resolved relative
    /// to `now`.
    ///
    /// # Errors
    /// [`InvestigationError`] where a value is missing, unknown or invalid.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        now: DateTime<Utc>,
        zone: Tz,
    ) -> Result<ParameterValues, InvestigationError> {
        if let Some(name) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            let known = self.parameters.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(InvestigationError::UnknownParameter {
                investigation: self.name.clone(),
                name: name.clone(),
                known,
            });
        }
        self.parameters
            .iter()
            .map(|(name, parameter)| {
                Ok((name.clone(), Some(self.value(name, parameter, given, (now, zone))?)))
            })
            .collect()
    }

    fn value(
        &self,
        name: &str,
        parameter: &InvestigationParameter,
        given: &BTreeMap<String, String>,
        (now, zone): (DateTime<Utc>, Tz),
    ) -> Result<String, InvestigationError> {
        let value = given.get(name).or(parameter.default.as_ref()).ok_or_else(|| {
            InvestigationError::MissingParameter {
                investigation: self.name.clone(),
                name: name.to_owned(),
                meaning: parameter.meaning.clone(),
            }
        })?;
        let wrong = |expected| InvestigationError::InvalidValue {
            name: name.to_owned(),
            value: value.clone(),
            expected,
        };
        match parameter.kind {
            ParameterKind::Text => Ok(value.clone()),
            ParameterKind::Number => value.parse::<i64>().map(|number| number.to_string()).map_err(|_| wrong("whole number")),
            ParameterKind::Time => {
                parse_time(value, now, zone).ok_or_else(|| wrong("time: write `2026-01-31`, `2026-01-31T10:00:00Z`, `now`, or `-7d`, `-12h`, `-30m`"))
            }
        }
    }
}

/// Converts a time as people write it to RFC 3339; a day begins at its midnight in `zone`. `None`
/// where the text is invalid.
fn parse_time(text: &str, now: DateTime<Utc>, zone: Tz) -> Option<String> {
    let text = text.trim();
    let time = if text == "now" {
        Some(now)
    } else if let Some(back) = text.strip_prefix('-') {
        let unit = back.chars().last()?;
        let count: i64 = back[..back.len() - unit.len_utf8()].parse().ok()?;
        let seconds = match unit {
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        now.checked_sub_signed(Duration::try_seconds(count.checked_mul(seconds)?)?)
    } else {
        TimeOrDay::read(text).and_then(|time| time.at(zone))
    };
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The text of `docs/investigations.md`.
#[must_use]
pub fn investigations_page(all: &[Investigation]) -> String {
    use std::fmt::Write as _;
    let mut out =
        "# Saved investigations\n\nGenerated from `queries/investigations/`; a test compares. Each is a question with its query:\n\
        `trailhound investigate NAME --param name=value`. A time is written `2026-01-31`, `2026-01-31T10:00:00Z`, `now`, or before now as\n\
        `-7d`, `-12h`, `-30m`. A day begins in the `time_zone` of the configuration (default UTC). Events without a readable time lie in no period.\n"
            .to_owned();
    for investigation in all {
        let _ = writeln!(
            out,
            "\n## `{}`\n\n{} {}\n\n{}\n",
            investigation.name,
            investigation.question.en,
            investigation.question.zh,
            investigation.when
        );
        out.push_str("| parameter | default | meaning |\n| --- | --- | --- |\n");
        for (name, parameter) in &investigation.parameters {
            let default = match parameter.default.as_deref() {
                None => "must be given".to_owned(),
                Some("") => "any".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let _ = writeln!(out, "| `{name}` | {default} | {} |", parameter.meaning);
        }
        out.push_str("\nAfter it:\n\n");
        for next in &investigation.next {
            let _ = writeln!(out, "- {next}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| parse_time(text, now(), Tz::UTC);
        assert_eq!(read("now").as_deref(), Some("2026-03-01T12:00:00.000000Z"));
        assert_eq!(read("-7d").as_deref(), Some("2026-02-22T12:00:00.000000Z"));
        assert_eq!(read("-90m").as_deref(), Some("2026-03-01T10:30:00.000000Z"));
        assert_eq!(read("2026-01-31").as_deref(), Some("2026-01-31T00:00:00.000000Z"));
        assert_eq!(
            read("2026-01-31T10:00:00+08:00").as_deref(),
            Some("2026-01-31T02:00:00.000000Z")
        );
        for wrong in
            ["", "-", "-d", "7d", "yesterday", "-9223372036854775807d", "-1ü", "2026-02-30"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_are_given_or_defaults_or_missed() {
        let all = built_in().expect("read");
        let stopped = find(&all, "who_stopped").expect("there");
        let given = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let values = stopped
            .values(
                &given(&[("instance", "i-bp1x"), ("since", "2026-02-01")]),
                now(),
                Tz::Asia__Shanghai,
            )
            .expect("values");
        assert_eq!(values["since"].as_deref(), Some("2026-01-31T16:00:00.000000Z"));
        assert_eq!(values["until"].as_deref(), Some("2026-03-01T12:00:00.000000Z"));
        let message = |pairs: &[(&str, &str)]| {
            stopped.values(&given(pairs), now(), Tz::UTC).expect_err("refused").to_string()
        };
        assert!(message(&[]).contains("needs `--param instance="), "{}", message(&[]));
        assert!(message(&[("instanec", "x")]).contains("no parameter `instanec`"));
        assert!(message(&[("instance", "x"), ("since", "soon")]).contains("`since` is `soon`"));
        assert!(
            find(&all, "who_stoped")
                .expect_err("none")
                .to_string()
                .contains("did you mean `who_stopped`?")
        );
    }
}

//! Saved investigations: questions an analyst asks again and again, as SQL files that say what they answer and what to ask next.

use crate::packs::front_matter;
use crate::sql_guard::{Values, nearest};
use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use thiserror::Error;

use crate::packs::rules::BilingualText;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/investigations");

/// What a parameter's value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any text.
    #[default]
    Text,
    /// A moment: RFC 3339, a date, `now`, or a time before now such as `-7d`, `-12h`, `-30m`.
    Time,
    /// A whole number.
    Number,
}

/// A value that an investigation asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// What it means.
    pub meaning: String,
    /// What it is where nothing is said; without, it must be given.
    pub default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    question: BilingualText,
    when: String,
    next: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
}

/// A saved question.
#[derive(Debug, Clone)]
pub struct Investigation {
    /// Its name: the file's.
    pub name: String,
    /// The question it answers.
    pub question: BilingualText,
    /// When to ask it.
    pub when: String,
    /// What to ask after it.
    pub next: Vec<String>,
    /// What it wants to know, by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// The query, with `$name` where a parameter stands.
    pub sql: String,
}

/// Why an investigation cannot be run.
#[derive(Debug, Error)]
pub enum InvestigationError {
    /// There is none of that name.
    #[error("there is no investigation `{name}`{}", meant(.near.as_deref()))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// A parameter it does not have.
    #[error("`{investigation}` has no parameter `{name}`; it has {known}")]
    NoParameter {
        /// The investigation.
        investigation: String,
        /// The parameter that was given.
        name: String,
        /// Those it has.
        known: String,
    },
    /// A parameter it needs.
    #[error("`{investigation}` needs `--param {name}=...`: {meaning}")]
    Needed {
        /// The investigation.
        investigation: String,
        /// The parameter.
        name: String,
        /// What it means.
        meaning: String,
    },
    /// A value that is none of its kind.
    #[error("`{name}` is `{value}`, which is no {expected}")]
    Value {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// What would have been one.
        expected: &'static str,
    },
    /// A folder or file of the user's that cannot be read.
    #[error("{path}: {message}")]
    File {
        /// Which.
        path: String,
        /// Why.
        message: String,
    },
    /// A file of the user's with the name of another investigation.
    #[error("{path}: there is an investigation `{name}` already; give the file another name")]
    Twice {
        /// The name.
        name: String,
        /// The file.
        path: String,
    },
    /// A file whose head does not read.
    #[error("investigation `{name}`: {message}")]
    Head {
        /// The file.
        name: String,
        /// What is wrong.
        message: String,
    },
}

fn meant(near: Option<&str>) -> String {
    near.map_or_else(
        || "; `trailhound investigate` lists them".to_owned(),
        |near| format!("; did you mean `{near}`?"),
    )
}

/// Every investigation that comes with the product, by name.
///
/// # Errors
/// [`InvestigationError::Head`]; a test makes sure there is none.
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

/// A file larger than this is none.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Those that come with the product and those of the user's `folder`, `NAME.sql` each, by name; and why some of the user's are left out.
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
    let (mut all, mut left_out) = (built_in()?, Vec::new());
    let files = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|e| wrong(folder, &e))?;
    let mut files: Vec<_> = files.into_iter().map(|file| file.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::File::open(&path)
            .and_then(|file| std::io::read_to_string(file.take(FILE_BYTES_MAX)));
        match text.map_err(|e| wrong(&path, &e)).and_then(|text| read(&name, &text)) {
            Ok(_) if all.iter().any(|one| one.name == name) => {
                left_out.push(InvestigationError::Twice { name, path: path.display().to_string() });
            }
            Ok(one) => all.push(one),
            Err(error) => left_out.push(error),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((all, left_out))
}

/// The one of that name among `all`.
///
/// # Errors
/// [`InvestigationError::Unknown`].
pub fn find(all: &[Investigation], name: &str) -> Result<Investigation, InvestigationError> {
    let names: Vec<String> = all.iter().map(|investigation| investigation.name.clone()).collect();
    all.iter().find(|investigation| investigation.name == name).cloned().ok_or_else(|| {
        InvestigationError::Unknown {
            name: name.to_owned(),
            near: nearest(name, names.iter()).cloned(),
        }
    })
}

fn read(name: &str, text: &str) -> Result<Investigation, InvestigationError> {
    let (written, sql): (Written, String) = front_matter::read(text)
        .map_err(|message| InvestigationError::Head { name: name.to_owned(), message })?;
    Ok(Investigation {
        name: name.to_owned(),
        question: written.question,
        when: written.when,
        next: written.next,
        parameters: written.parameters,
        sql,
    })
}

impl Investigation {
    /// The values of all its parameters: those `given`, else their defaults, with times counted from `now`.
    ///
    /// # Errors
    /// [`InvestigationError`] where one is missing, unknown or no value of its kind.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        now: DateTime<Utc>,
    ) -> Result<Values, InvestigationError> {
        if let Some(name) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            let known = self.parameters.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(InvestigationError::NoParameter {
                investigation: self.name.clone(),
                name: name.clone(),
                known,
            });
        }
        self.parameters
            .iter()
            .map(|(name, parameter)| {
                Ok((name.clone(), Some(self.value(name, parameter, given, now)?)))
            })
            .collect()
    }

    fn value(
        &self,
        name: &str,
        parameter: &Parameter,
        given: &BTreeMap<String, String>,
        now: DateTime<Utc>,
    ) -> Result<String, InvestigationError> {
        let value = given.get(name).or(parameter.default.as_ref()).ok_or_else(|| {
            InvestigationError::Needed {
                investigation: self.name.clone(),
                name: name.to_owned(),
                meaning: parameter.meaning.clone(),
            }
        })?;
        let wrong = |expected| InvestigationError::Value {
            name: name.to_owned(),
            value: value.clone(),
            expected,
        };
        match parameter.kind {
            Kind::Text => Ok(value.clone()),
            Kind::Number => value.parse::<i64>().map(|number| number.to_string()).map_err(|_| wrong("whole number")),
            Kind::Time => {
                moment(value, now).ok_or_else(|| wrong("time: write `2026-01-31`, `2026-01-31T10:00:00Z`, `now`, or `-7d`, `-12h`, `-30m`"))
            }
        }
    }
}

/// A moment as people write it, in RFC 3339.
fn moment(text: &str, now: DateTime<Utc>) -> Option<String> {
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
    } else if let Ok(day) = text.parse::<NaiveDate>() {
        Some(day.and_hms_opt(0, 0, 0)?.and_utc())
    } else {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
    };
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The text of `docs/investigations.md`.
#[must_use]
pub fn page(all: &[Investigation]) -> String {
    use std::fmt::Write as _;
    let mut out =
        "# Saved investigations\n\nGenerated from `queries/investigations/`; a test compares. Each is a question with its query:\n\
        `trailhound investigate NAME --param name=value`. A time is written `2026-01-31`, `2026-01-31T10:00:00Z`, `now`, or before now as\n\
        `-7d`, `-12h`, `-30m`. Events without a readable time lie in no period.\n"
            .to_owned();
    for one in all {
        let _ = writeln!(
            out,
            "\n## `{}`\n\n{} {}\n\n{}\n",
            one.name, one.question.en, one.question.zh, one.when
        );
        out.push_str("| parameter | default | meaning |\n| --- | --- | --- |\n");
        for (name, parameter) in &one.parameters {
            let default = match parameter.default.as_deref() {
                None => "must be given".to_owned(),
                Some("") => "any".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let _ = writeln!(out, "| `{name}` | {default} | {} |", parameter.meaning);
        }
        out.push_str("\nAfter it:\n\n");
        for next in &one.next {
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
        let read = |text: &str| moment(text, now());
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
            .values(&given(&[("instance", "i-bp1x"), ("since", "2026-02-01")]), now())
            .expect("values");
        assert_eq!(values["since"].as_deref(), Some("2026-02-01T00:00:00.000000Z"));
        assert_eq!(values["until"].as_deref(), Some("2026-03-01T12:00:00.000000Z"));
        let message = |pairs: &[(&str, &str)]| {
            stopped.values(&given(pairs), now()).expect_err("refused").to_string()
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

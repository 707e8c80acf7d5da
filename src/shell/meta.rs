//! Commands of the shell itself, after `psql`'s.

use super::{Shell, pager};
use crate::answer::Form;
use crate::command::query::as_of;
use crate::exit::Failure;
use crate::printer;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use trailhound_queries::functions::FUNCTIONS;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::investigations;
use trailhound_queries::session::{AsOf, Session};
use trailhound_queries::suggestion::did_you_mean;

/// Each with what it does.
pub(super) const COMMANDS: [(&str, &str); 13] = [
    ("\\?", "this help"),
    ("\\d", "tables and views; `\\d NAME` the columns of one"),
    ("\\d+", "`\\d+ NAME`: the columns of one with what they mean"),
    ("\\df", "functions"),
    ("\\x", "a line a column, or a line a row again"),
    ("\\format", "`\\format FORM`: table, expanded, json, csv, markdown, parquet, arrow"),
    ("\\timing", "tell how long a statement takes, or no more"),
    ("\\o", "`\\o FILE`: rows go to the end of the file; `\\o` alone: to the terminal again"),
    ("\\i", "`\\i FILE`: run the statements in the file"),
    ("\\investigate", "saved investigations; `\\investigate NAME parameter=value ...` runs one"),
    (
        "\\asof",
        "`\\asof SNAPSHOT` or `\\asof TIME`: ask an earlier state of the lake; `\\asof` alone: the newest again",
    ),
    ("\\refresh", "see what has been stored since the shell was started"),
    ("\\q", "leave; so does Ctrl-D"),
];

/// A command as it was typed.
pub(super) enum Meta {
    Help,
    Tables,
    Table { name: String, meanings: bool },
    Functions,
    Expanded,
    Form(Form),
    Timing,
    Out(Option<PathBuf>),
    Run(PathBuf),
    Investigations,
    Investigate { name: String, given: BTreeMap<String, String> },
    AsOf(AsOf),
    Refresh,
    Quit,
}

impl Meta {
    /// Reads a line that begins with a backslash.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let line = line.trim_end_matches(';').trim_end();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let one = |what: &str| {
            if rest.is_empty() {
                Err(format!("{command} needs {what}"))
            } else {
                Ok(rest.to_owned())
            }
        };
        match command {
            "\\?" | "\\h" | "\\help" => Ok(Self::Help),
            "\\d" | "\\dt" | "\\dv" if rest.is_empty() => Ok(Self::Tables),
            "\\d" => Ok(Self::Table { name: rest.to_owned(), meanings: false }),
            "\\d+" => one("a name").map(|name| Self::Table { name, meanings: true }),
            "\\df" => Ok(Self::Functions),
            "\\x" => Ok(Self::Expanded),
            "\\format" => Form::from_str(&one("a form")?, true).map(Self::Form),
            "\\timing" => Ok(Self::Timing),
            "\\o" => Ok(Self::Out((!rest.is_empty()).then(|| PathBuf::from(rest)))),
            "\\i" => one("a file").map(|path| Self::Run(PathBuf::from(path))),
            "\\investigate" if rest.is_empty() => Ok(Self::Investigations),
            "\\investigate" => {
                let mut words = rest.split_whitespace();
                let name = words.next().unwrap_or_default().to_owned();
                let given = words.map(|word| {
                    word.split_once('=').ok_or_else(|| format!("write `{word}` as parameter=value"))
                });
                let given =
                    given.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
                Ok(Self::Investigate { name, given: given.collect::<Result<_, _>>()? })
            }
            "\\asof" if rest.is_empty() => Ok(Self::AsOf(AsOf::Newest)),
            "\\asof" => as_of(rest).map(Self::AsOf),
            "\\refresh" => Ok(Self::Refresh),
            "\\q" | "\\quit" => Ok(Self::Quit),
            other => Err(format!("there is no command {other}; `\\?` lists them")),
        }
    }
}

impl Shell<'_> {
    pub(super) async fn obey(&mut self, meta: Meta) -> Result<(), Failure> {
        match meta {
            Meta::Quit => {}
            Meta::Help => pager::show(
                rows(COMMANDS.iter().map(|(name, does)| vec![*name, does]), &["command", "does"])
                    .as_bytes(),
            )?,
            Meta::Tables => {
                let all = self
                    .relations
                    .iter()
                    .map(|relation| vec![relation.name.as_str(), relation.description.as_str()]);
                pager::show(rows(all, &["name", "shows"]).as_bytes())?;
            }
            Meta::Table { name, meanings } => self.describe(&name, meanings)?,
            Meta::Functions => {
                let own = FUNCTIONS.iter().map(|(name, arguments, meaning)| {
                    (format!("{name}{arguments}"), (*meaning).to_owned())
                });
                let named =
                    |name: &&String| !FUNCTIONS.iter().any(|(own, ..)| own == &name.as_str());
                let engine = self
                    .session
                    .functions()
                    .iter()
                    .filter(named)
                    .map(|name| (name.clone(), "of the engine".to_owned()));
                let all: Vec<(String, String)> = own.chain(engine).collect();
                pager::show(
                    rows(
                        all.iter().map(|(name, gives)| vec![name.as_str(), gives.as_str()]),
                        &["function", "gives"],
                    )
                    .as_bytes(),
                )?;
            }
            Meta::Expanded => {
                self.form = if self.form == Form::Expanded { Form::Table } else { Form::Expanded };
                printer::talk(if self.form == Form::Expanded {
                    "a line a column"
                } else {
                    "a line a row"
                });
            }
            Meta::Form(form) => self.form = form,
            Meta::Timing => {
                self.timing = !self.timing;
                printer::talk(if self.timing { "times are told" } else { "times are not told" });
            }
            Meta::Out(path) => self.out = path,
            Meta::Run(path) => match std::fs::read_to_string(&path) {
                Ok(text) => {
                    for statement in trailhound_queries::sql_guard::split_statements(&text) {
                        if !self.ask(statement, &BTreeMap::new()).await? {
                            break;
                        }
                    }
                }
                Err(error) => printer::talk(&format!("{}: {error}", path.display())),
            },
            Meta::Investigations => {
                let all = self.config.investigations()?;
                let lines = all.iter().map(|one| vec![one.name.as_str(), one.question.en.as_str()]);
                pager::show(rows(lines, &["investigation", "question"]).as_bytes())?;
            }
            Meta::Investigate { name, given } => {
                let all = self.config.investigations()?;
                let asked = investigations::find(&all, &name).and_then(|one| {
                    one.values(&given, self.config.now).map(|values| (one.sql, values))
                });
                match asked {
                    Ok((sql, values)) => drop(self.ask(&sql, &values).await?),
                    Err(error) => printer::talk(&format!("error: {error}")),
                }
            }
            Meta::Refresh => self.turn_to(self.as_of).await,
            Meta::AsOf(as_of) => self.turn_to(as_of).await,
        }
        Ok(())
    }

    /// Turns to that state of the lake, if there is one.
    async fn turn_to(&mut self, as_of: AsOf) {
        match Session::over_lake_at(
            &self.place,
            as_of,
            Arc::clone(&self.config.parameters),
            &QueryLimits::default(),
        )
        .await
        {
            Ok(session) => {
                printer::talk(&format!("snapshot {}", session.snapshot().unwrap_or_default()));
                (self.session, self.as_of) = (session, as_of);
            }
            Err(error) => printer::talk(&format!("error: {error}")),
        }
    }

    fn describe(&self, name: &str, meanings: bool) -> Result<(), Failure> {
        let Some(relation) =
            self.relations.iter().find(|relation| relation.name.eq_ignore_ascii_case(name))
        else {
            let known = self.relations.iter().map(|relation| relation.name.as_str());
            let suggestion = did_you_mean(name, known, "`\\d` lists them");
            printer::talk(&format!("there is no table or view `{name}`{suggestion}"));
            return Ok(());
        };
        let mut text = format!("{}: {}\n", relation.name, relation.description);
        let line = |column: &'_ trailhound_queries::docs::data_dictionary::ColumnDescription| {
            let mut line = vec![column.name.clone(), column.type_name.clone()];
            line.extend(meanings.then(|| column.meaning.clone()));
            line
        };
        let lines: Vec<Vec<String>> = relation.columns.iter().map(line).collect();
        let header: &[&str] =
            if meanings { &["column", "type", "meaning"] } else { &["column", "type"] };
        let _ = write!(
            text,
            "{}",
            rows(lines.iter().map(|line| line.iter().map(String::as_str).collect()), header)
        );
        Ok(pager::show(text.as_bytes())?)
    }
}

fn rows<'r>(lines: impl Iterator<Item = Vec<&'r str>>, header: &[&str]) -> String {
    let mut table = printer::table(header);
    for line in lines {
        table.add_row(line.into_iter().map(printer::cell));
    }
    format!("{table}\n")
}

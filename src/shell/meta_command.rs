//! Commands of the shell itself. They begin with a backslash, as in `psql`.

use crate::arguments::{SnapshotOrTime, parse_as_of};
use crate::row_writer::RowFormat;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The commands with their descriptions.
pub(super) const META_COMMANDS: [(&str, &str); 13] = [
    ("\\?", "this help"),
    ("\\d", "tables and views; `\\d NAME`: the columns of one"),
    ("\\d+", "`\\d+ NAME`: the columns of one with their meaning"),
    ("\\df", "functions"),
    ("\\x", "switch between one line per column and one line per row"),
    ("\\format", "`\\format FORM`: table, expanded, json, csv, markdown, parquet, arrow"),
    ("\\timing", "switch the display of run times on or off"),
    ("\\o", "`\\o FILE`: append rows to the file; `\\o` alone: to the terminal again"),
    ("\\i", "`\\i FILE`: run the statements in the file"),
    ("\\investigate", "saved investigations; `\\investigate NAME parameter=value ...` runs one"),
    (
        "\\asof",
        "`\\asof SNAPSHOT` or `\\asof TIME`: query an earlier state of the lake; `\\asof` alone: the newest again",
    ),
    ("\\refresh", "switch to the newest snapshot, to see events stored since the last one"),
    ("\\q", "quit, as Ctrl-D does"),
];

/// A command with its arguments.
pub(super) enum MetaCommand {
    Help,
    ListTables,
    DescribeTable { name: String, meanings: bool },
    ListFunctions,
    ToggleExpanded,
    SetFormat(RowFormat),
    ToggleTiming,
    SetOutput(Option<PathBuf>),
    RunFile(PathBuf),
    ListInvestigations,
    Investigate { name: String, params: BTreeMap<String, String> },
    AsOf(Option<SnapshotOrTime>),
    Refresh,
    Quit,
}

impl MetaCommand {
    /// Parses a line that begins with a backslash.
    ///
    /// # Errors
    /// A message: there is no such command, or its argument is missing or wrong.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim_end_matches(';').trim_end();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let argument = |what: &str| {
            if rest.is_empty() {
                Err(format!("{command} needs {what}"))
            } else {
                Ok(rest.to_owned())
            }
        };
        match command {
            "\\?" | "\\h" | "\\help" => Ok(Self::Help),
            "\\d" | "\\dt" | "\\dv" if rest.is_empty() => Ok(Self::ListTables),
            "\\d" => Ok(Self::DescribeTable { name: rest.to_owned(), meanings: false }),
            "\\d+" => argument("a name").map(|name| Self::DescribeTable { name, meanings: true }),
            "\\df" => Ok(Self::ListFunctions),
            "\\x" => Ok(Self::ToggleExpanded),
            "\\format" => RowFormat::from_str(&argument("a format")?, true).map(Self::SetFormat),
            "\\timing" => Ok(Self::ToggleTiming),
            "\\o" => Ok(Self::SetOutput((!rest.is_empty()).then(|| PathBuf::from(rest)))),
            "\\i" => argument("a file").map(|path| Self::RunFile(PathBuf::from(path))),
            "\\investigate" if rest.is_empty() => Ok(Self::ListInvestigations),
            "\\investigate" => {
                let mut words = rest.split_whitespace();
                let name = words.next().unwrap_or_default().to_owned();
                let params = words.map(|word| {
                    word.split_once('=').ok_or_else(|| format!("write `{word}` as parameter=value"))
                });
                let params = params
                    .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
                Ok(Self::Investigate { name, params: params.collect::<Result<_, _>>()? })
            }
            "\\asof" if rest.is_empty() => Ok(Self::AsOf(None)),
            "\\asof" => parse_as_of(rest).map(Some).map(Self::AsOf),
            "\\refresh" => Ok(Self::Refresh),
            "\\q" | "\\quit" => Ok(Self::Quit),
            other => Err(format!("there is no command {other}; `\\?` lists them")),
        }
    }
}

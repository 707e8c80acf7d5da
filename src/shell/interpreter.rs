//! Executes the input of the shell: statements, and commands of the shell itself.

use super::input::{self, Input};
use super::meta_command::{META_COMMANDS, MetaCommand};
use super::pager;
use super::statement_runtime::StatementRuntime;
use crate::answer::{AnswerError, answer, refusal_message};
use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use crate::row_writer::{RowCounts, RowFormat, RowLayout};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::docs::data_dictionary::{self, ColumnDescription, TableDescription};
use trailhound_queries::functions::FUNCTIONS;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::packs::investigations;
use trailhound_queries::session::{AsOf, Session};
use trailhound_queries::sql_guard::{ParameterValues, TimeZoneStatement, split_statements};
use trailhound_queries::suggestion::did_you_mean;

/// Start options of the shell.
pub(crate) struct ShellOptions {
    /// Location of the lake's catalog.
    pub(crate) location: CatalogLocation,
    /// Folder of the lake, for the greeting.
    pub(crate) folder: PathBuf,
    /// The state of the lake to query.
    pub(crate) as_of: AsOf,
    /// Name of the time zone of the statements.
    pub(crate) time_zone: String,
    /// The time zone is not the configured one, but given for this shell.
    pub(crate) is_zone_named: bool,
    /// Format of rows.
    pub(crate) format: RowFormat,
    /// The pager, a command with arguments.
    pub(crate) pager: Option<OsString>,
}

/// The state of a shell: its session and its settings.
pub(super) struct Interpreter<'c> {
    config: &'c Config,
    location: CatalogLocation,
    folder: PathBuf,
    session: Session,
    is_zone_named: bool,
    runtime: StatementRuntime,
    as_of: AsOf,
    relations: Arc<Vec<TableDescription>>,
    format: RowFormat,
    /// Print how long each statement took.
    timing: bool,
    /// File that rows are appended to, instead of the terminal.
    output: Option<PathBuf>,
    pager: Option<String>,
}

impl<'c> Interpreter<'c> {
    /// Opens a session over the lake.
    ///
    /// # Errors
    /// [`Failure`]: the lake cannot be opened, or has no such state.
    pub(super) async fn new(config: &'c Config, options: ShellOptions) -> Result<Self, Failure> {
        let ShellOptions { location, folder, as_of, time_zone, is_zone_named, format, pager } =
            options;
        let session = Session::over_lake_at(
            &location,
            as_of,
            Arc::clone(&config.parameters),
            &QueryLimits::default(),
        )
        .await?;
        session.set_time_zone(&time_zone).map_err(|e| Failure::Usage(e.to_string()))?;
        let relations = Arc::new(data_dictionary::describe_tables(&session).await?);
        Ok(Self {
            config,
            location,
            folder,
            session,
            is_zone_named,
            runtime: StatementRuntime::new()?,
            as_of,
            relations,
            format,
            timing: false,
            output: None,
            pager: pager.and_then(|pager| pager.into_string().ok()),
        })
    }

    /// The session that statements run in.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The tables and views of the session.
    pub(super) fn relations(&self) -> &Arc<Vec<TableDescription>> {
        &self.relations
    }

    /// Folder of the lake.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Executes one input and prints the result. Returns false if the input ends the shell.
    ///
    /// # Errors
    /// [`Failure`]: the shell cannot continue. Errors of statements and commands are printed.
    pub(super) async fn execute(&mut self, text: &str) -> Result<bool, Failure> {
        match input::classify(text) {
            Input::Empty => {}
            Input::MetaCommand(line) => match MetaCommand::parse(line) {
                Ok(MetaCommand::Quit) => return Ok(false),
                Ok(command) => self.execute_meta_command(command).await?,
                Err(message) => printer::message(&message),
            },
            Input::Statements(statements) => self.execute_statements(statements).await?,
        }
        Ok(true)
    }

    async fn execute_meta_command(&mut self, command: MetaCommand) -> Result<(), Failure> {
        match command {
            MetaCommand::Quit => {}
            MetaCommand::Help => self.list_meta_commands()?,
            MetaCommand::ListTables => self.list_tables()?,
            MetaCommand::DescribeTable { name, meanings } => {
                self.describe_table(&name, meanings)?
            }
            MetaCommand::ListFunctions => self.list_functions()?,
            MetaCommand::ToggleExpanded => self.toggle_expanded(),
            MetaCommand::SetFormat(format) => self.format = format,
            MetaCommand::ToggleTiming => self.toggle_timing(),
            MetaCommand::SetOutput(path) => self.output = path,
            MetaCommand::RunFile(path) => self.run_file(&path).await?,
            MetaCommand::ListInvestigations => self.list_investigations()?,
            MetaCommand::Investigate { name, params } => self.investigate(&name, &params).await?,
            MetaCommand::Refresh => self.switch_to(self.as_of).await,
            MetaCommand::AsOf(None) => self.switch_to(AsOf::Newest).await,
            MetaCommand::AsOf(Some(state)) => match state.as_of(self.config.time_zone) {
                Some(as_of) => self.switch_to(as_of).await,
                None => printer::message("error: the day is out of the range of dates"),
            },
        }
        Ok(())
    }

    /// Executes statements in order, up to the first that fails.
    async fn execute_statements(&mut self, statements: Vec<&str>) -> Result<(), Failure> {
        for statement in statements {
            if !self.execute_statement(statement, &ParameterValues::new()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Runs one statement and prints its rows. Returns false if it was refused or cancelled, after
    /// printing so.
    async fn execute_statement(
        &mut self,
        statement: &str,
        values: &ParameterValues,
    ) -> Result<bool, Failure> {
        match self.session.run_time_zone_statement(statement) {
            Ok(None) => {}
            Ok(Some(zone)) => {
                self.is_zone_named |= TimeZoneStatement::is_set(statement);
                printer::message(&format!("the time zone is {zone}"));
                return Ok(true);
            }
            Err(refused) => {
                printer::message(&format!("error: {refused}"));
                return Ok(false);
            }
        }
        let begun = Instant::now();
        let format = if self.format == RowFormat::Table && self.output.is_none() {
            RowFormat::Wide
        } else {
            self.format
        };
        let layout = RowLayout::new(format, self.session.display_zone(), self.is_zone_named);
        let (session, sql, values) = (self.session.clone(), statement.to_owned(), values.clone());
        let mut task = self.runtime.spawn(async move {
            let mut text = Vec::new();
            let out = Box::new(&mut text);
            let counts = answer(&session, &sql, &values, usize::MAX, layout, out).await?;
            Ok::<_, AnswerError>((text, counts))
        })?;
        let answered = tokio::select! {
            answered = &mut task => answered.map_err(Failure::internal)?,
            _ = tokio::signal::ctrl_c() => {
                let ended = self.runtime.cancel(task).await?;
                printer::message(if ended {
                    "cancelled"
                } else {
                    "cancelled; a part of it still computes in the background until it ends or you quit"
                });
                return Ok(false);
            }
        };
        match answered {
            Ok((text, counts)) => {
                self.show_rows(&text)?;
                self.print_counts(counts, begun.elapsed());
                Ok(true)
            }
            Err(AnswerError::Refused(refused)) => {
                printer::message(&format!("error: {}", refusal_message(statement, &refused)));
                Ok(false)
            }
            Err(AnswerError::Failure(failure)) => Err(failure),
        }
    }

    /// Writes rows to the terminal, or appends them to the output file.
    fn show_rows(&self, text: &[u8]) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            if self.format.is_binary() {
                printer::message("this format is binary; choose a file with `\\o FILE` first");
                return Ok(());
            }
            return self.show_text(text);
        };
        // A second result behind a first one would make the file unreadable.
        let is_begun = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
        if self.format.is_binary() && is_begun {
            printer::message(
                "error: the file holds rows already, and in this format a file holds those of one statement; choose another with `\\o FILE`",
            );
            return Ok(());
        }
        let written = File::options()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(text));
        if let Err(error) = written {
            printer::message(&format!("{}: {error}", path.display()));
        }
        Ok(())
    }

    fn show_text(&self, text: &[u8]) -> Result<(), Failure> {
        Ok(pager::show(text, self.pager.as_deref())?)
    }

    fn print_counts(&self, counts: RowCounts, took: Duration) {
        let shown = if counts.hidden > 0 {
            format!(
                ", the first {} shown; use `\\o FILE` with `\\format csv` for all",
                counts.shown()
            )
        } else {
            String::new()
        };
        let time =
            if self.timing { format!(" in {:.3} s", took.as_secs_f64()) } else { String::new() };
        printer::message(&format!("({} rows{shown}){time}", counts.rows));
    }
}

/// Commands of the shell.
impl Interpreter<'_> {
    fn list_meta_commands(&self) -> Result<(), Failure> {
        let rows = META_COMMANDS.iter().map(|(name, does)| vec![*name, does]);
        self.show_text(table(rows, &["command", "does"]).as_bytes())
    }

    fn list_tables(&self) -> Result<(), Failure> {
        let rows = self
            .relations
            .iter()
            .map(|relation| vec![relation.name.as_str(), relation.description.as_str()]);
        self.show_text(table(rows, &["name", "shows"]).as_bytes())
    }

    /// Prints the columns of one table. If `meanings` is true, also prints the meaning of each
    /// column.
    fn describe_table(&self, name: &str, meanings: bool) -> Result<(), Failure> {
        let Some(relation) =
            self.relations.iter().find(|relation| relation.name.eq_ignore_ascii_case(name))
        else {
            let known = self.relations.iter().map(|relation| relation.name.as_str());
            let suggestion = did_you_mean(name, known, "`\\d` lists them");
            printer::message(&format!("there is no table or view `{name}`{suggestion}"));
            return Ok(());
        };
        let row = |column: &ColumnDescription| {
            let mut row = vec![column.name.clone(), column.type_name.clone()];
            row.extend(meanings.then(|| column.meaning.clone()));
            row
        };
        let rows: Vec<Vec<String>> = relation.columns.iter().map(row).collect();
        let rows = rows.iter().map(|row| row.iter().map(String::as_str).collect());
        let header: &[&str] =
            if meanings { &["column", "type", "meaning"] } else { &["column", "type"] };
        let text = format!("{}: {}\n{}", relation.name, relation.description, table(rows, header));
        self.show_text(text.as_bytes())
    }

    /// Prints Trailhound's functions with their meaning, then those of the query engine.
    fn list_functions(&self) -> Result<(), Failure> {
        let own = FUNCTIONS.iter().map(|(name, arguments, meaning)| {
            (format!("{name}{arguments}"), (*meaning).to_owned())
        });
        let is_engine_function =
            |name: &&String| !FUNCTIONS.iter().any(|(own, ..)| own == &name.as_str());
        let of_engine = self
            .session
            .functions()
            .iter()
            .filter(is_engine_function)
            .map(|name| (name.clone(), "of the engine".to_owned()));
        let all: Vec<(String, String)> = own.chain(of_engine).collect();
        let rows = all.iter().map(|(name, gives)| vec![name.as_str(), gives.as_str()]);
        self.show_text(table(rows, &["function", "gives"]).as_bytes())
    }

    fn toggle_expanded(&mut self) {
        let is_expanded = self.format == RowFormat::Expanded;
        self.format = if is_expanded { RowFormat::Table } else { RowFormat::Expanded };
        printer::message(if is_expanded { "one line per row" } else { "one line per column" });
    }

    fn toggle_timing(&mut self) {
        self.timing = !self.timing;
        printer::message(if self.timing { "timing is on" } else { "timing is off" });
    }

    async fn run_file(&mut self, path: &Path) -> Result<(), Failure> {
        match std::fs::read_to_string(path) {
            Ok(text) => self.execute_statements(split_statements(&text)).await,
            Err(error) => {
                printer::message(&format!("{}: {error}", path.display()));
                Ok(())
            }
        }
    }

    fn list_investigations(&self) -> Result<(), Failure> {
        let all = self.config.investigations()?;
        let rows = all.iter().map(|one| vec![one.name.as_str(), one.question.en.as_str()]);
        self.show_text(table(rows, &["investigation", "question"]).as_bytes())
    }

    async fn investigate(
        &mut self,
        name: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let all = self.config.investigations()?;
        let found = investigations::find(&all, name).and_then(|investigation| {
            let values = investigation.values(params, self.config.now(), self.config.time_zone)?;
            Ok((investigation.sql, values))
        });
        match found {
            // A statement that fails has been reported, and nothing follows it.
            Ok((sql, values)) => self.execute_statement(&sql, &values).await.map(|_| ()),
            Err(error) => {
                printer::message(&format!("error: {error}"));
                Ok(())
            }
        }
    }

    /// Opens a session over another state of the lake. The current one stays if there is no such
    /// state.
    async fn switch_to(&mut self, as_of: AsOf) {
        let session = Session::over_lake_at(
            &self.location,
            as_of,
            Arc::clone(&self.config.parameters),
            &QueryLimits::default(),
        )
        .await;
        match session {
            Ok(session) => {
                if let Err(error) = session.set_time_zone(&self.session.time_zone()) {
                    printer::message(&format!("error: {error}"));
                    return;
                }
                printer::message(&format!("snapshot {}", session.snapshot().unwrap_or_default()));
                (self.session, self.as_of) = (session, as_of);
            }
            Err(error) => printer::message(&format!("error: {error}")),
        }
    }
}

/// A table as text.
fn table<'r>(rows: impl Iterator<Item = Vec<&'r str>>, header: &[&str]) -> String {
    let mut table = printer::table(header);
    for row in rows {
        table.add_row(row.into_iter().map(printer::cell));
    }
    format!("{table}\n")
}

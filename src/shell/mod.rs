//! `trailhound query` on a terminal: a shell over the lake.

mod complete;
mod engine;
mod lines;
mod meta;
mod pager;

use crate::answer::{Form, Writer};
use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use complete::Assistant;
use engine::Engine;
use lines::Input;
pub(crate) use lines::pointed;
use meta::Meta;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Editor};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::docs::data_dictionary::{self, TableDescription};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::session::{AsOf, Session};
use trailhound_queries::sql_guard::{ParameterValues, QueryError};

/// Statements that the history keeps.
const HISTORY_MAX: usize = 2000;

/// What the shell knows and how it shows things.
pub(crate) struct Shell<'s> {
    config: &'s Config,
    place: CatalogLocation,
    session: Session,
    engine: Engine,
    as_of: AsOf,
    relations: Arc<Vec<TableDescription>>,
    form: Form,
    timing: bool,
    /// Where rows go instead of the terminal.
    out: Option<PathBuf>,
}

/// Reads, asks and shows until the end of input.
pub(crate) async fn run(
    config: &Config,
    place: CatalogLocation,
    folder: &Path,
    as_of: AsOf,
    form: Form,
) -> Result<(), Failure> {
    let session = Session::over_lake_at(
        &place,
        as_of,
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let relations = Arc::new(data_dictionary::describe_tables(&session).await?);
    let mut editor = editor(&session, &relations)?;
    printer::talk(&format!(
        "Trailhound {}: snapshot {} of {}. `\\?` for help, `\\q` to leave; statements end with `;`.",
        env!("CARGO_PKG_VERSION"),
        session.snapshot().unwrap_or_default(),
        folder.display()
    ));
    let mut shell = Shell {
        config,
        place,
        session,
        engine: Engine::new()?,
        as_of,
        relations,
        form,
        timing: false,
        out: None,
    };
    loop {
        // The editor waits for keys; whatever else runs must not wait with it.
        let read = tokio::task::block_in_place(|| editor.readline("trailhound> "));
        match read {
            Ok(text) => {
                // A history that cannot be kept is no reason to stop.
                let _ = editor.add_history_entry(text.trim());
                if !shell.take(&text).await? {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::internal(error)),
        }
    }
    if let Some(path) = history_file()
        && let Err(error) = editor.save_history(&path)
    {
        printer::talk(&format!("{}: what was typed is not remembered: {error}", path.display()));
    }
    Ok(())
}

fn editor(
    session: &Session,
    relations: &Arc<Vec<TableDescription>>,
) -> Result<Editor<Assistant, FileHistory>, Failure> {
    let settings = rustyline::Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_MAX)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(Failure::internal)?
        .history_ignore_space(true)
        .build();
    let mut editor = Editor::with_config(settings).map_err(Failure::internal)?;
    editor.set_helper(Some(Assistant::new(session, Arc::clone(relations))));
    if let Some(path) = history_file() {
        let _ = editor.load_history(&path);
    }
    Ok(editor)
}

/// Where statements are remembered from one shell to the next.
fn history_file() -> Option<PathBuf> {
    use etcetera::AppStrategy;
    let strategy = etcetera::choose_app_strategy(etcetera::AppStrategyArgs {
        top_level_domain: String::new(),
        author: String::new(),
        app_name: "trailhound".to_owned(),
    });
    let folder = strategy.ok()?.data_dir();
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("query_history"))
}

impl Shell<'_> {
    /// Does what `text` says; false where it says to leave.
    async fn take(&mut self, text: &str) -> Result<bool, Failure> {
        match lines::read(text) {
            Input::Nothing => Ok(true),
            Input::Meta(line) => match Meta::read(line) {
                Ok(Meta::Quit) => Ok(false),
                Ok(meta) => self.obey(meta).await.map(|()| true),
                Err(message) => {
                    printer::talk(&message);
                    Ok(true)
                }
            },
            Input::Statements(statements) => {
                for statement in statements {
                    if !self.ask(statement, &ParameterValues::new()).await? {
                        break;
                    }
                }
                Ok(true)
            }
        }
    }

    /// Asks one statement; false where it was refused or cancelled, which has been told.
    async fn ask(&mut self, statement: &str, values: &ParameterValues) -> Result<bool, Failure> {
        let begun = Instant::now();
        let form =
            if self.form == Form::Table && self.out.is_none() { Form::Wide } else { self.form };
        let (session, form, sql, values) =
            (self.session.clone(), form, statement.to_owned(), values.clone());
        let mut task =
            self.engine.spawn(async move { collect(&session, &sql, &values, form).await })?;
        let answered = tokio::select! {
            answered = &mut task => answered.map_err(Failure::internal)?,
            _ = tokio::signal::ctrl_c() => {
                let ended = self.engine.cancel(task).await?;
                printer::talk(if ended { "cancelled" } else { "cancelled; what it had begun goes on computing until it ends or you leave" });
                return Ok(false);
            }
        };
        match answered {
            Ok((text, rows, left)) => {
                self.show(&text)?;
                let shown = if left > 0 {
                    format!(
                        ", the first {} shown; `\\o FILE` with `\\format csv` gives all",
                        rows - left
                    )
                } else {
                    String::new()
                };
                let time = if self.timing {
                    format!(" in {:.3} s", begun.elapsed().as_secs_f64())
                } else {
                    String::new()
                };
                printer::talk(&format!("({rows} rows{shown}){time}"));
                Ok(true)
            }
            Err(Trouble::Refused(refusal)) => {
                printer::talk(&format!("error: {}", lines::pointed(statement, &refusal)));
                Ok(false)
            }
            Err(Trouble::Failure(failure)) => Err(failure),
        }
    }

    /// Shows `text` on the terminal, by pages where it is long, or writes it to the file that was chosen.
    fn show(&self, text: &[u8]) -> Result<(), Failure> {
        let Some(path) = &self.out else {
            if self.form.is_binary() {
                printer::talk("that form is no text; choose a file with `\\o FILE` first");
                return Ok(());
            }
            return Ok(pager::show(text)?);
        };
        let written = File::options()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(text));
        if let Err(error) = written {
            printer::talk(&format!("{}: {error}", path.display()));
        }
        Ok(())
    }
}

/// Why there is no answer.
enum Trouble {
    Refused(QueryError),
    Failure(Failure),
}

impl From<QueryError> for Trouble {
    fn from(refused: QueryError) -> Self {
        Self::Refused(refused)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The whole answer in `form`, the number of its rows, and how many of them are not in it.
async fn collect(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
    form: Form,
) -> Result<(Vec<u8>, usize, usize), Trouble> {
    use futures::StreamExt;
    let frame = session.plan_query(sql, values).await?;
    let schema = Arc::clone(frame.schema().inner());
    let mut stream = frame.execute_stream().await.map_err(|e| query_error(&e))?;
    let mut text = Vec::new();
    let mut writer = Writer::new(form, &schema, Box::new(&mut text))?;
    while let Some(batch) = stream.next().await {
        writer.add(&batch.map_err(|e| query_error(&e))?)?;
    }
    let (rows, left) = writer.finish()?;
    Ok((text, rows, left))
}

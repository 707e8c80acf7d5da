//! The interactive SQL shell of `trailhound query`: reads input with an editor and hands it to the
//! interpreter.

mod completion;
mod input;
mod interpreter;
mod meta_command;
mod pager;
mod statement_runtime;

use crate::config::Config;
use crate::exit::Failure;
use crate::printer;
use completion::SqlCompleter;
use interpreter::Interpreter;
pub(crate) use interpreter::ShellOptions;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Editor};
use std::path::PathBuf;
use std::sync::Arc;
use trailhound_queries::docs::data_dictionary::TableDescription;
use trailhound_queries::session::Session;

/// Maximum number of statements in the history.
const HISTORY_MAX: usize = 2000;

/// Reads and executes input until its end, `\q` or Ctrl-D.
///
/// # Errors
/// [`Failure`]: the lake cannot be opened, or the terminal cannot be used. Errors of statements are
/// printed.
pub(crate) async fn run(config: &Config, options: ShellOptions) -> Result<(), Failure> {
    let mut interpreter = Interpreter::new(config, options).await?;
    let mut editor = create_editor(interpreter.session(), interpreter.relations())?;
    printer::message(&format!(
        "Trailhound {}: snapshot {} of {}. `\\?` for help, `\\q` to quit; statements end with `;`.",
        env!("CARGO_PKG_VERSION"),
        interpreter.session().snapshot().unwrap_or_default(),
        interpreter.folder().display()
    ));
    loop {
        // Waiting for keys blocks the thread, and must not block the other tasks on it.
        let read = tokio::task::block_in_place(|| editor.readline("trailhound> "));
        match read {
            Ok(text) => {
                if let Err(error) = editor.add_history_entry(text.trim()) {
                    printer::warning(&format!("the statement is not in the history: {error}"));
                }
                if !interpreter.execute(&text).await? {
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
        printer::warning(&format!("{}: the history is not saved: {error}", path.display()));
    }
    Ok(())
}

/// A line editor with the history of earlier shells and completion of names.
fn create_editor(
    session: &Session,
    relations: &Arc<Vec<TableDescription>>,
) -> Result<Editor<SqlCompleter, FileHistory>, Failure> {
    let settings = rustyline::Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_MAX)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(Failure::internal)?
        .history_ignore_space(true)
        .build();
    let mut editor = Editor::with_config(settings).map_err(Failure::internal)?;
    editor.set_helper(Some(SqlCompleter::new(session, Arc::clone(relations))));
    // The first shell of a user finds no file.
    if let Some(path) = history_file().filter(|path| path.exists())
        && let Err(error) = editor.load_history(&path)
    {
        printer::warning(&format!("{}: the history is not read: {error}", path.display()));
    }
    Ok(editor)
}

/// The file that keeps the history, in the user's data folder, which is created. `None` if there is
/// no such folder.
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

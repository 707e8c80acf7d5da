//! `trailhound query`: runs SQL statements from the command line, a file or standard input, or
//! starts the shell.

use super::lake_access::open_lake;
use super::query_output::{open_output, write_rows};
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::check_byte_order_mark;
use crate::printer;
use crate::row_writer::RowLayout;
use crate::shell::{self, ShellOptions};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::{AsOf, Session};
use trailhound_queries::sql_guard::{ParameterValues, TimeZoneStatement, split_statements};

/// Largest file of statements, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Runs the statements in order. The first one that fails ends the run.
pub(super) async fn run(config: &Config, args: cli::QueryArgs) -> Result<Exit, Failure> {
    let lake = open_lake(config, args.lake.folder()).await?;
    let location = lake.location().clone();
    let as_of = match args.as_of {
        Some(state) => state.as_of(config.time_zone).ok_or_else(|| {
            Failure::Usage("--as-of: the day is out of the range of dates".to_owned())
        })?,
        None => AsOf::Newest,
    };
    let mut is_zone_named = args.time_zone.is_some();
    let time_zone = args.time_zone.unwrap_or_else(|| config.time_zone.name().to_owned());
    let text = match (&args.sql, &args.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) => read_statements(file)?,
        (None, None) if io::stdin().is_terminal() => {
            check_byte_order_mark(args.bom, false)?;
            let folder = config.lake(args.lake.folder())?;
            let options = ShellOptions {
                location,
                folder,
                as_of,
                time_zone,
                is_zone_named,
                format: args.format,
                pager: args.pager,
            };
            shell::run(config, options).await?;
            return Ok(Exit::Success);
        }
        (None, None) => read_statements(Path::new("-"))?,
    };
    let session = Session::over_lake_at(
        &location,
        as_of,
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    session.set_time_zone(&time_zone).map_err(|e| Failure::Usage(e.to_string()))?;
    let statements = split_statements(&text);
    if statements.len() != 1 && args.format.is_binary() {
        return Err(Failure::Usage(format!(
            "one file holds the rows of one statement; these are {}",
            statements.len()
        )));
    }
    if statements.is_empty() {
        return Err(Failure::Usage("there is no statement".to_owned()));
    }
    let values: ParameterValues =
        args.params.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let mut out = open_output(args.output.as_deref(), args.format, args.bom)?;
    let several = statements.len() > 1;
    for sql in statements {
        let zone =
            session.run_time_zone_statement(sql).map_err(|e| Failure::Usage(e.to_string()))?;
        if let Some(zone) = zone {
            is_zone_named |= TimeZoneStatement::is_set(sql);
            printer::message(&format!("the time zone is {zone}"));
            continue;
        }
        let used = if several { used_by(sql, &values) } else { values.clone() };
        let layout = RowLayout::new(args.format, session.display_zone(), is_zone_named);
        write_rows(&session, sql, &used, layout, &mut *out).await?;
    }
    Ok(Exit::Success)
}

/// Those of `values` that `sql`, one of several statements, uses. A value that a single statement does not use is an error.
fn used_by(sql: &str, values: &ParameterValues) -> ParameterValues {
    let used = values.iter().filter(|(name, _)| sql.contains(&format!("${name}")));
    used.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The text of a file of statements; `-` is standard input.
fn read_statements(path: &Path) -> Result<String, Failure> {
    let file_error = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|e| file_error(e.to_string()))?)
    };
    let mut bytes = Vec::new();
    source
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| file_error(e.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(file_error(format!("more than {FILE_BYTES_MAX} bytes of statements")));
    }
    String::from_utf8(bytes)
        .map_err(|e| file_error(format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to())))
}

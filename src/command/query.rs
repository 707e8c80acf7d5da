//! `trailhound query`.

use crate::answer::{Form, Writer};
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::printer;
use crate::shell::{self, pointed};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::layout::CatalogLocation;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::session::{AsOf, Session};
use trailhound_queries::sql_guard::{ParameterValues, QueryError, split_statements};

/// Bytes of a file of statements.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub(crate) async fn run(config: &Config, args: cli::Query) -> Result<Exit, Failure> {
    let place = place(config, args.place.lake.as_deref()).await?;
    let as_of = args.as_of.unwrap_or_default();
    let text = match (&args.sql, &args.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) if io::stdin().is_terminal() => {
            let folder = config.lake(args.place.lake.as_deref())?;
            shell::run(config, place, &folder, as_of, args.form).await?;
            return Ok(Exit::Done);
        }
        (None, None) => read(Path::new("-"))?,
    };
    let session = Session::over_lake_at(
        &place,
        as_of,
        Arc::clone(&config.parameters),
        &QueryLimits::default(),
    )
    .await?;
    let pieces = split_statements(&text);
    if pieces.len() != 1 && args.form.is_binary() {
        return Err(Failure::Usage(format!(
            "one file holds the rows of one statement; these are {}",
            pieces.len()
        )));
    }
    if pieces.is_empty() {
        return Err(Failure::Usage("there is no statement".to_owned()));
    }
    let values: ParameterValues =
        args.params.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let mut out = output(args.output.as_deref(), args.form)?;
    let several = pieces.len() > 1;
    for sql in pieces {
        // Of several statements, each takes the values it asks for.
        let its: ParameterValues = values
            .iter()
            .filter(|(name, _)| !several || sql.contains(&format!("${name}")))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        answer(&session, sql, &its, args.form, &mut *out).await?;
    }
    Ok(Exit::Done)
}

/// Where the catalogue of a lake is. A lake that was moved or copied learns of its new folder.
pub(super) async fn place(
    config: &Config,
    lake: Option<&Path>,
) -> Result<CatalogLocation, Failure> {
    Ok(lake::open(&config.lake(lake)?, config).await?.location().clone())
}

/// A session over the newest snapshot of a lake.
pub(super) async fn session(config: &Config, lake: Option<&Path>) -> Result<Session, Failure> {
    session_with(config, lake, Arc::clone(&config.parameters)).await
}

/// The same with other parameters.
pub(super) async fn session_with(
    config: &Config,
    lake: Option<&Path>,
    parameters: Arc<Parameters>,
) -> Result<Session, Failure> {
    Ok(Session::over_lake(&place(config, lake).await?, parameters, &QueryLimits::default()).await?)
}

/// Prints what a statement gives; returns the number of rows.
pub(super) async fn ask(session: &Session, sql: &str, format: Format) -> Result<usize, Failure> {
    let form = match format {
        Format::Table => Form::Table,
        Format::Json => Form::Json,
        Format::Csv => Form::Csv,
    };
    answer(session, sql, &BTreeMap::new(), form, &mut *output(None, form)?).await
}

/// Writes what a statement gives, as it comes; returns the number of rows.
pub(super) async fn answer(
    session: &Session,
    sql: &str,
    values: &ParameterValues,
    form: Form,
    out: &mut (dyn Write + Send),
) -> Result<usize, Failure> {
    let told = |refused: &QueryError| Failure::Usage(pointed(sql, refused));
    let frame = session.plan_query(sql, values).await.map_err(|e| told(&e))?;
    let schema = Arc::clone(frame.schema().inner());
    let mut stream = frame.execute_stream().await.map_err(|e| told(&query_error(&e)))?;
    let mut writer = Writer::new(form, &schema, Box::new(out))?;
    while let Some(batch) = stream.next().await {
        writer.add(&batch.map_err(|e| told(&query_error(&e)))?)?;
    }
    let (rows, left) = writer.finish()?;
    if matches!(form, Form::Table | Form::Expanded) {
        printer::talk(&match left {
            0 => format!("{rows} rows"),
            _ => format!(
                "{rows} rows, the first {} shown; --format json or csv gives all",
                rows - left
            ),
        });
    }
    Ok(rows)
}

/// Where rows go: the file, else standard output.
pub(super) fn output(file: Option<&Path>, form: Form) -> Result<Box<dyn Write + Send>, Failure> {
    match file {
        Some(path) => {
            let file = File::create(path)
                .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
            Ok(Box::new(BufWriter::new(file)))
        }
        None if form.is_binary() && io::stdout().is_terminal() => Err(Failure::Usage(
            "that format is no text; write it to a file with --output, or into a pipe".to_owned(),
        )),
        None => Ok(Box::new(BufWriter::new(io::stdout()))),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|e| wrong(e.to_string()))?)
    };
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes of statements")));
    }
    String::from_utf8(bytes)
        .map_err(|e| wrong(format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to())))
}

/// `name=value`.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("`{name}` is no name of a parameter"))
    }
}

/// A snapshot by its number or by a moment.
pub(crate) fn as_of(text: &str) -> Result<AsOf, String> {
    text.parse()
        .map(AsOf::Snapshot)
        .or_else(|_| crate::config::moment(text).map(AsOf::Time))
        .map_err(|e| format!("a snapshot's number or a time: {e}"))
}

//! Every SQL context comes from here: the lake's tables, the views and functions over them, read-only and bounded.

use crate::functions;
use crate::parameters::Parameters;
use crate::prepared::{Rows, RowsTable};
use crate::views::VIEWS;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_ducklake::{DuckLakeCatalog, PostgresMetadataProvider, SqliteMetadataProvider};
use futures::TryStreamExt;
use std::sync::Arc;
use thiserror::Error;
use trailhound_datasets::columns::{COPIES, EVENTS, QUARANTINE};
use trailhound_datasets::layout::{COPIES_TABLE, CatalogPlace, EVENTS_TABLE, QUARANTINE_TABLE};

/// Name under which the lake's own schema is registered.
const LAKE_CATALOG: &str = "lake";

/// What a query may use.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Memory of sorts, joins and aggregations, in bytes.
    pub memory_bytes_max: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
    }
}

/// Why a session could not be made or a statement not run.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The statement is not one that reads.
    #[error("only statements that read are allowed here: SELECT, WITH, EXPLAIN, SHOW, DESCRIBE. {0}")]
    NotReadOnly(String),
    /// The engine said no.
    #[error("{}", .0.strip_backtrace())]
    Engine(#[from] DataFusionError),
}

/// A SQL context over a lake or over events in memory.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    parameters: Arc<Parameters>,
}

impl Session {
    /// A session over the newest snapshot of the lake whose catalogue is at `place`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the catalogue cannot be read.
    pub async fn over_lake(place: &CatalogPlace, parameters: Arc<Parameters>, limits: &QueryLimits) -> Result<Self, SessionError> {
        let engine = |e: datafusion_ducklake::DuckLakeError| DataFusionError::External(Box::new(e));
        let url = place.url();
        let catalog = match place {
            CatalogPlace::Sqlite(_) => DuckLakeCatalog::new(SqliteMetadataProvider::new(&url).await.map_err(engine)?),
            CatalogPlace::Postgresql(_) => DuckLakeCatalog::new(PostgresMetadataProvider::new(&url).await.map_err(engine)?),
        }
        .map_err(engine)?;
        let context = context(limits)?;
        context.register_catalog(LAKE_CATALOG, Arc::new(catalog));
        for table in [EVENTS_TABLE, QUARANTINE_TABLE, COPIES_TABLE] {
            let provider = context.table_provider(format!("{LAKE_CATALOG}.main.{table}")).await?;
            context.register_table(table, provider)?;
        }
        Self::finish(context, parameters).await
    }

    /// A session over `events` held in memory; quarantine and copies are empty.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where a batch does not have the schema of `events`.
    pub async fn over_events(events: Vec<RecordBatch>, parameters: Arc<Parameters>, limits: &QueryLimits) -> Result<Self, SessionError> {
        let context = context(limits)?;
        context.register_table(EVENTS_TABLE, memory(&EVENTS.arrow, events)?)?;
        register_empty(&context)?;
        Self::finish(context, parameters).await
    }

    /// A session over rows of `events` in memory that the second part replaces.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn over_rows(parameters: Arc<Parameters>, limits: &QueryLimits) -> Result<(Self, Rows), SessionError> {
        let context = context(limits)?;
        let table = Arc::new(RowsTable::default());
        context.register_table(EVENTS_TABLE, Arc::clone(&table) as Arc<dyn TableProvider>)?;
        register_empty(&context)?;
        let session = Self::finish(context, parameters).await?;
        let task = session.context.task_ctx();
        Ok((session, Rows { table, task }))
    }

    async fn finish(context: SessionContext, parameters: Arc<Parameters>) -> Result<Self, SessionError> {
        functions::register(&context, &parameters);
        for (name, sql) in VIEWS {
            let view = context.sql(sql).await?.into_view();
            context.register_table(name, view)?;
        }
        Ok(Self { context, parameters })
    }

    /// The parameters behind the functions.
    #[must_use]
    pub fn parameters(&self) -> &Arc<Parameters> {
        &self.parameters
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans one statement that reads.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn sql(&self, statement: &str) -> Result<DataFrame, SessionError> {
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        self.context.sql_with_options(statement, options).await.map_err(|e| match e {
            DataFusionError::Plan(message) if message.contains("not supported") || message.contains("not allowed") => {
                SessionError::NotReadOnly(message)
            }
            e => SessionError::Engine(e),
        })
    }

    /// The same session with `events` narrowed to the rows where `predicate` holds.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn narrowed(&self, predicate: &str) -> Result<Self, SessionError> {
        let narrowed = self.events_where(predicate).await?.into_view();
        self.with_events(narrowed).await
    }

    /// The same session with `events` reduced to the rows where `predicate` holds, read once and held in memory: for a query
    /// that goes through few rows many times.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub async fn gathered(&self, predicate: &str) -> Result<Self, SessionError> {
        let (schema, batches) = self.rows_where(predicate).await?;
        self.with_events(memory(&schema, batches)?).await
    }

    /// The rows where `predicate` holds, each copied out of the pages it was read from: a few rows of a page would else
    /// keep all of it.
    async fn rows_where(&self, predicate: &str) -> Result<(SchemaRef, Vec<RecordBatch>), SessionError> {
        let frame = self.events_where(predicate).await?;
        let schema = Arc::clone(frame.schema().inner());
        let mut stream = frame.execute_stream().await?;
        let mut rows = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            let columns = batch.columns().iter().map(compact).collect();
            rows.push(RecordBatch::try_new(batch.schema(), columns).map_err(DataFusionError::from)?);
        }
        Ok((schema, rows))
    }

    async fn events_where(&self, predicate: &str) -> Result<DataFrame, SessionError> {
        Ok(self.context.sql(&format!("SELECT * FROM {EVENTS_TABLE} WHERE {predicate}")).await?)
    }

    async fn with_events(&self, events: Arc<dyn TableProvider>) -> Result<Self, SessionError> {
        let context = SessionContext::new_with_config_rt(self.context.copied_config(), self.context.runtime_env());
        context.register_table(EVENTS_TABLE, events)?;
        for table in [QUARANTINE_TABLE, COPIES_TABLE] {
            context.register_table(table, self.context.table_provider(table).await?)?;
        }
        Self::finish(context, Arc::clone(&self.parameters)).await
    }
}

/// The SQL condition that an event's time lies in `[since, until)`, microseconds UTC. Events without a time are outside
/// of any range.
#[must_use]
pub fn within(since: i64, until: i64) -> String {
    let mut conditions = Vec::new();
    for (bound, sign) in [(since, ">="), (until, "<")] {
        // What lies outside of the calendar bounds nothing.
        if let Some(moment) = chrono::DateTime::from_timestamp_micros(bound) {
            conditions.push(format!("event_time {sign} TIMESTAMP '{}'", moment.format("%Y-%m-%dT%H:%M:%S%.6fZ")));
        }
    }
    if conditions.is_empty() { "event_time IS NOT NULL".to_owned() } else { conditions.join(" AND ") }
}

fn compact(column: &ArrayRef) -> ArrayRef {
    if let Some(texts) = column.as_string_view_opt() {
        return Arc::new(texts.gc());
    }
    column.as_binary_view_opt().map_or_else(|| Arc::clone(column), |bytes| Arc::new(bytes.gc()))
}

/// The other tables of a session over events in memory.
fn register_empty(context: &SessionContext) -> Result<(), DataFusionError> {
    context.register_table(QUARANTINE_TABLE, memory(&QUARANTINE.arrow, Vec::new())?)?;
    context.register_table(COPIES_TABLE, memory(&COPIES.arrow, Vec::new())?)?;
    Ok(())
}

fn memory(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    Ok(Arc::new(MemTable::try_new(Arc::clone(schema), vec![batches])?))
}

fn context(limits: &QueryLimits) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(true);
    let options = config.options_mut();
    // Look-ups read little of a file when the filter runs inside the scan: thirteen times faster by event id.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.time_zone = Some("UTC".to_owned());
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes_max))).build_arc()?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

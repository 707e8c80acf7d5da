//! SQL sessions: the only location where query contexts are made.
//!
//! A session shows the tables of one snapshot of a lake (or events in memory), the views over them
//! and the product's SQL functions with the configured parameters behind them. Example: over a lake
//! with `corporate_cidrs`, `SELECT count(*) FROM signins WHERE NOT ip_in(source_ip,
//! 'corporate_cidrs', event_time)` counts the sign-ins from outside of the company. Statements can
//! only read, and stay within [`QueryLimits`].

pub mod ad_hoc;
mod materialized;
pub mod prepared;
pub mod row_stream;
mod schema;

use crate::functions::{self, FunctionNames};
use crate::limits::{QueryLimits, SessionError};
use crate::optimizer::RULES;
use crate::parameters::Parameters;
use crate::projection::events_projection;
use crate::session::schema::SessionSchema;
use crate::tables::catalog_table::CatalogTableProvider;
use crate::tables::file_checks;
pub use crate::tables::findings::FindingRow;
use crate::tables::findings::{FINDINGS_TABLE, Findings};
use crate::tables::input::InputTable;
use crate::tables::local_files::LocalFiles;
use crate::tables::query_log::{QUERY_LOG_TABLE, QueryLog};
use crate::tables::temp_findings::TempFindings;
use crate::tables::views::VIEWS;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::TableType;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_ducklake::metadata_provider::MetadataProvider;
use datafusion_ducklake::{DuckLakeCatalog, PostgresMetadataProvider, SqliteMetadataProvider};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::Connection;
use std::any::Any;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use trailhound_datasets::columns::{COPIES, EVENTS, QUARANTINE};
use trailhound_datasets::layout::{
    CatalogLocation, EVENT_COPIES_TABLE, EVENT_COPIES_TABLE_OF_0_1_0, EVENTS_TABLE,
    QUARANTINE_TABLE,
};

/// The state of the lake that a session shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// The newest snapshot.
    #[default]
    Newest,
    /// The snapshot with this number.
    Snapshot(i64),
    /// The last snapshot taken at or before this time.
    Time(DateTime<Utc>),
}

/// A SQL context over a snapshot of a lake or over events in memory. Clones share the context.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    parameters: Arc<Parameters>,
    limits: QueryLimits,
    /// The lake's catalog, its location and the number of the snapshot; `None` over events in memory.
    lake: Option<(Arc<dyn MetadataProvider>, CatalogLocation, i64)>,
    /// What must last as long as the session.
    guard: Option<Arc<dyn Any + Send + Sync>>,
    /// The findings shown instead of the stored ones, whose files live as long as the session.
    temp_findings: Option<Arc<TempFindings>>,
    functions: &'static FunctionNames,
}

impl Session {
    /// A session over the newest snapshot of the lake whose catalog is at `location`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the catalog cannot be read.
    pub async fn over_lake(
        location: &CatalogLocation,
        parameters: Arc<Parameters>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        Self::over_lake_at(location, AsOf::Newest, parameters, limits).await
    }

    /// A session over one snapshot of the lake whose catalog is at `location`. Later commits are not
    /// visible in it.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the catalog cannot be read, [`SessionError::Snapshot`] where
    /// there is no such snapshot.
    pub async fn over_lake_at(
        location: &CatalogLocation,
        as_of: AsOf,
        parameters: Arc<Parameters>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        let url = location.url();
        let provider: Arc<dyn MetadataProvider> = match location {
            CatalogLocation::Sqlite(_) => {
                Arc::new(SqliteMetadataProvider::new(&url).await.map_err(ducklake_error)?)
            }
            CatalogLocation::Postgresql(_) => {
                Arc::new(PostgresMetadataProvider::new(&url).await.map_err(ducklake_error)?)
            }
        };
        let snapshot = snapshot(provider.as_ref(), location, as_of).await?;
        let context = context(limits)?;
        register_lake(&context, &provider, location, snapshot).await?;
        context.register_table(
            FINDINGS_TABLE,
            Arc::new(CatalogTableProvider::<Findings>::new(Some(location.clone()))),
        )?;
        context.register_table(
            QUERY_LOG_TABLE,
            Arc::new(CatalogTableProvider::<QueryLog>::new(Some(location.clone()))),
        )?;
        Ok(Self {
            lake: Some((provider, location.clone(), snapshot)),
            ..Self::finish(context, parameters, limits.clone())
        })
    }

    /// A session over `events` in memory. Its other tables are empty.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where a batch does not have the schema of `events`.
    pub async fn over_events(
        events: Vec<RecordBatch>,
        parameters: Arc<Parameters>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        let context = context(limits)?;
        context.register_table(EVENTS_TABLE, memory(&EVENTS.arrow, events)?)?;
        register_empty(&context)?;
        Ok(Self::finish(context, parameters, limits.clone()))
    }

    /// A session to prepare queries in: `events` holds the rows that each run of a
    /// [`PreparedQuery`](prepared::PreparedQuery) is given, and none for any other statement.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn over_input(
        parameters: Arc<Parameters>,
        limits: &QueryLimits,
    ) -> Result<Self, SessionError> {
        // The rows are in memory and few: to divide them among threads costs more than it saves.
        let context = context(&QueryLimits { threads: 1, ..limits.clone() })?;
        context.register_table(EVENTS_TABLE, Arc::new(InputTable))?;
        register_empty(&context)?;
        Ok(Self::finish(context, parameters, limits.clone()))
    }

    fn finish(context: SessionContext, parameters: Arc<Parameters>, limits: QueryLimits) -> Self {
        functions::register(&context, &parameters);
        let functions = functions::function_names(&context);
        let (lake, temp_findings, guard) = (None, None, None);
        Self { context, parameters, limits, lake, guard, temp_findings, functions }
    }

    /// The same session. `guard` lasts as long as it and its clones: the catalog may be a temporary copy.
    #[must_use]
    pub fn holding(self, guard: impl Any + Send + Sync) -> Self {
        Self { guard: Some(Arc::new(guard)), ..self }
    }

    /// The number of the lake's snapshot; `None` over events in memory.
    #[must_use]
    pub fn snapshot(&self) -> Option<i64> {
        self.lake.as_ref().map(|(_, _, snapshot)| *snapshot)
    }

    /// Moves the session to the newest snapshot of the lake, in the same context.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the catalog cannot be read.
    pub async fn refresh(&mut self) -> Result<(), SessionError> {
        if let Some((provider, location, seen)) = &mut self.lake {
            let newest = provider.get_current_snapshot().map_err(ducklake_error)?;
            if newest != *seen {
                register_lake(&self.context, provider, location, newest).await?;
                *seen = newest;
            }
        }
        Ok(())
    }

    /// Moves the session to the snapshot with this number, in the same context.
    ///
    /// # Errors
    /// [`SessionError::Snapshot`] where there is no such snapshot, [`SessionError::Engine`] where
    /// the catalog cannot be read.
    pub async fn move_to(&mut self, number: i64) -> Result<(), SessionError> {
        if let Some((provider, location, seen)) = &mut self.lake {
            let newest = provider.get_current_snapshot().map_err(ducklake_error)?;
            if !(0..=newest).contains(&number) {
                return Err(SessionError::Snapshot(number.to_string()));
            }
            register_lake(&self.context, provider, location, number).await?;
            *seen = number;
        }
        Ok(())
    }

    /// The names of the tables and views.
    #[must_use]
    pub fn tables(&self) -> &BTreeSet<String> {
        &TABLES_AND_VIEWS
    }

    pub(crate) fn engine_functions(&self) -> &BTreeSet<String> {
        &self.functions.all
    }

    /// The names of the functions that a statement may call, in lower case.
    #[must_use]
    pub fn functions(&self) -> &BTreeSet<String> {
        &self.functions.allowed
    }

    /// The parameters that the SQL functions use.
    #[must_use]
    pub fn parameters(&self) -> &Arc<Parameters> {
        &self.parameters
    }

    /// The limits of its queries.
    #[must_use]
    pub fn limits(&self) -> &QueryLimits {
        &self.limits
    }

    /// The time zone in which statements read and show points in time.
    #[must_use]
    pub fn time_zone(&self) -> String {
        let options = self.context.copied_config();
        options.options().execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned())
    }

    /// [`Session::time_zone`], for rows that people read.
    #[must_use]
    pub fn display_zone(&self) -> chrono_tz::Tz {
        self.time_zone().parse().unwrap_or(chrono_tz::UTC)
    }

    /// The query engine's context, for protocol servers. The SQL guard must have admitted every statement
    /// that runs in it.
    #[must_use]
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans one statement.
    ///
    /// # Errors
    /// [`SessionError::NotReadOnly`] for a statement that does more than read,
    /// [`SessionError::Engine`] for one that cannot be planned.
    pub async fn sql(&self, statement: &str) -> Result<DataFrame, SessionError> {
        let options = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        self.context.sql_with_options(statement, options).await.map_err(|e| match e {
            DataFusionError::Plan(message)
                if message.contains("not supported") || message.contains("not allowed") =>
            {
                SessionError::NotReadOnly(message)
            }
            e => SessionError::Engine(e),
        })
    }

    /// A session like this one whose `events` are only the rows that fulfil the SQL condition
    /// `predicate`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the condition cannot be planned.
    pub async fn with_events_where(&self, predicate: &str) -> Result<Self, SessionError> {
        let filtered = self.events_where(predicate).await?.into_view();
        self.with_events(filtered).await
    }

    /// Streams the rows of `events` that fulfil the SQL condition `predicate`, in no particular
    /// order. `columns` are positions of columns in `events`; the batches have these columns in the
    /// types of `events`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the condition cannot be planned or the rows cannot be read.
    pub async fn rows_where(
        &self,
        predicate: &str,
        columns: &BTreeSet<usize>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, SessionError>>, SessionError> {
        let schema = events_projection(columns)?;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let stream =
            self.events_where(predicate).await?.select_columns(&names)?.execute_stream().await?;
        Ok(stream.map(move |batch| Ok(in_types(&batch?, &schema)?)).boxed())
    }

    /// The files that can hold rows which fulfil the SQL condition `predicate`, by the catalog's
    /// statistics. `None` where `events` is not exactly the rows of some files: in memory, with
    /// deleted rows, or filtered by [`Session::with_events_where`].
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the condition cannot be planned.
    pub async fn files_where(
        &self,
        predicate: &str,
    ) -> Result<Option<BTreeSet<PathBuf>>, SessionError> {
        if self.context.table_provider(EVENTS_TABLE).await?.table_type() != TableType::Base {
            // A filter above the files would be lost.
            return Ok(None);
        }
        let plan = self.events_where(predicate).await?.create_physical_plan().await?;
        let mut files = BTreeSet::new();
        Ok(add_files(&plan, &mut files)?.then_some(files))
    }

    /// A session like this one with `findings` in place of the stored ones.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the findings cannot be written to a temporary file, and the
    /// first error of `findings`.
    pub async fn with_findings<E: From<SessionError>>(
        &self,
        findings: impl Stream<Item = Result<FindingRow, E>>,
    ) -> Result<Self, E> {
        let temp_findings = TempFindings::new(findings).await?;
        let session = self
            .with_events(
                self.context.table_provider(EVENTS_TABLE).await.map_err(SessionError::from)?,
            )
            .await?;
        let table = temp_findings.table(&session.context).await.map_err(SessionError::from)?;
        session.context.deregister_table(FINDINGS_TABLE).map_err(SessionError::from)?;
        session.context.register_table(FINDINGS_TABLE, table).map_err(SessionError::from)?;
        Ok(Self { temp_findings: Some(Arc::new(temp_findings)), ..session })
    }

    async fn events_where(&self, predicate: &str) -> Result<DataFrame, SessionError> {
        Ok(self.context.sql(&format!("SELECT * FROM {EVENTS_TABLE} WHERE {predicate}")).await?)
    }

    async fn with_events(&self, events: Arc<dyn TableProvider>) -> Result<Self, SessionError> {
        let context = context_of(self.context.copied_config(), self.context.runtime_env())?;
        context.register_table(EVENTS_TABLE, events)?;
        for table in TABLES.into_iter().filter(|table| *table != EVENTS_TABLE) {
            context.register_table(table, self.context.table_provider(table).await?)?;
        }
        let (lake, temp_findings) = (self.lake.clone(), self.temp_findings.clone());
        Ok(Self {
            lake,
            guard: self.guard.clone(),
            temp_findings,
            ..Self::finish(context, Arc::clone(&self.parameters), self.limits.clone())
        })
    }
}

/// Registers the tables of the lake's `snapshot` in `context`, in place of earlier ones.
async fn register_lake(
    context: &SessionContext,
    provider: &Arc<dyn MetadataProvider>,
    location: &CatalogLocation,
    snapshot: i64,
) -> Result<(), SessionError> {
    let data_path = provider.get_data_path().map_err(ducklake_error)?;
    file_checks::load(location, &data_path).await?;
    let catalog =
        DuckLakeCatalog::with_snapshot(Arc::clone(provider), snapshot).map_err(ducklake_error)?;
    let schema = catalog
        .schema("main")
        .ok_or_else(|| DataFusionError::Plan("the lake has no schema `main`".to_owned()))?;
    for table in [EVENTS_TABLE, QUARANTINE_TABLE, EVENT_COPIES_TABLE] {
        let in_snapshot = match schema.table(table).await? {
            // A snapshot of 0.1.0 has it under its old name.
            None if table == EVENT_COPIES_TABLE => {
                schema.table(EVENT_COPIES_TABLE_OF_0_1_0).await?
            }
            found => found,
        };
        let of_lake = in_snapshot
            .ok_or_else(|| DataFusionError::Plan(format!("the lake has no table `{table}`")))?;
        context.deregister_table(table)?;
        context.register_table(table, of_lake)?;
    }
    Ok(())
}

fn ducklake_error(error: datafusion_ducklake::DuckLakeError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The number of the snapshot that `as_of` means.
async fn snapshot(
    provider: &dyn MetadataProvider,
    location: &CatalogLocation,
    as_of: AsOf,
) -> Result<i64, SessionError> {
    match as_of {
        AsOf::Newest => Ok(provider.get_current_snapshot().map_err(ducklake_error)?),
        AsOf::Snapshot(number) => {
            let known = snapshots(location).await?.iter().any(|(id, _)| *id == number);
            if known { Ok(number) } else { Err(SessionError::Snapshot(number.to_string())) }
        }
        AsOf::Time(time) => {
            let before = |(id, taken): (i64, Option<DateTime<Utc>>)| {
                taken.is_some_and(|taken| taken <= time).then_some(id)
            };
            let newest = snapshots(location).await?.into_iter().filter_map(before).max();
            newest.ok_or_else(|| SessionError::Snapshot(format!("at or before {time}")))
        }
    }
}

/// The number of each snapshot of the lake, and when it was taken.
async fn snapshots(
    location: &CatalogLocation,
) -> Result<Vec<(i64, Option<DateTime<Utc>>)>, SessionError> {
    let external = |e: sqlx::Error| DataFusionError::External(Box::new(e));
    sqlx::any::install_default_drivers();
    let mut catalog = sqlx::AnyConnection::connect(&location.url()).await.map_err(external)?;
    let all = "SELECT snapshot_id, CAST(snapshot_time AS TEXT) FROM ducklake_snapshot";
    let rows: Vec<(i64, String)> =
        sqlx::query_as(all).fetch_all(&mut catalog).await.map_err(external)?;
    Ok(rows.into_iter().map(|(id, taken)| (id, taken_at(&taken))).collect())
}

/// Parses the time of a snapshot as the catalog writes it.
fn taken_at(text: &str) -> Option<DateTime<Utc>> {
    ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"]
        .into_iter()
        .find_map(|form| DateTime::parse_from_str(text, form).ok())
        .map(|time| time.to_utc())
}

/// The tables that every session has.
const TABLES: [&str; 5] =
    [EVENTS_TABLE, QUARANTINE_TABLE, EVENT_COPIES_TABLE, FINDINGS_TABLE, QUERY_LOG_TABLE];

static TABLES_AND_VIEWS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let views = VIEWS.iter().map(|(name, _)| *name);
    TABLES.into_iter().chain(views).map(str::to_owned).collect()
});

/// The SQL condition that an event's time lies in `[since, until)`, microseconds UTC. Events
/// without a time are outside of any range.
#[must_use]
pub fn event_time_in(since: i64, until: i64) -> String {
    let mut conditions = Vec::new();
    for (bound, sign) in [(since, ">="), (until, "<")] {
        // A bound outside of the calendar excludes nothing.
        if let Some(moment) = chrono::DateTime::from_timestamp_micros(bound) {
            conditions.push(format!(
                "event_time {sign} TIMESTAMP '{}'",
                moment.format("%Y-%m-%dT%H:%M:%S%.6fZ")
            ));
        }
    }
    if conditions.is_empty() {
        "event_time IS NOT NULL".to_owned()
    } else {
        conditions.join(" AND ")
    }
}

/// `batch` in the types of `schema`, which has the same columns. The query engine may read text as views.
fn in_types(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?)
}

/// Adds the files that `plan` reads. False where the plan reads anything else, or does more with
/// the rows than to filter them.
fn add_files(
    plan: &Arc<dyn ExecutionPlan>,
    files: &mut BTreeSet<PathBuf>,
) -> Result<bool, DataFusionError> {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        let Some(scan) = source.data_source().downcast_ref::<FileScanConfig>() else {
            return Ok(false);
        };
        for file in scan.file_groups.iter().flat_map(FileGroup::iter) {
            files.insert(LocalFiles::default().path(&file.object_meta.location)?);
        }
        return Ok(true);
    }
    if !ROW_PRESERVING.contains(&plan.name()) {
        return Ok(false);
    }
    plan.children().into_iter().try_fold(true, |all, child| Ok(all && add_files(child, files)?))
}

/// Operators that pass rows on unchanged or filter them by the condition.
const ROW_PRESERVING: [&str; 7] = [
    "EmptyExec",
    "FilterExec",
    "ProjectionExec",
    "UnionExec",
    "RepartitionExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
];

/// The other tables of a session over events in memory.
fn register_empty(context: &SessionContext) -> Result<(), DataFusionError> {
    context.register_table(QUARANTINE_TABLE, memory(&QUARANTINE.arrow, Vec::new())?)?;
    context.register_table(EVENT_COPIES_TABLE, memory(&COPIES.arrow, Vec::new())?)?;
    context
        .register_table(FINDINGS_TABLE, Arc::new(CatalogTableProvider::<Findings>::new(None)))?;
    context
        .register_table(QUERY_LOG_TABLE, Arc::new(CatalogTableProvider::<QueryLog>::new(None)))?;
    Ok(())
}

fn memory(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    Ok(Arc::new(MemTable::try_new(Arc::clone(schema), vec![batches])?))
}

fn context_of(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext, DataFusionError> {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features();
    let state = RULES
        .into_iter()
        .fold(state, |state, rule| state.with_physical_optimizer_rule(Arc::new(rule)));
    let context = SessionContext::new_with_state(state.build());
    SessionSchema::install(&context)?;
    functions::register_regular_expressions(&context)?;
    Ok(context)
}

fn context(limits: &QueryLimits) -> Result<SessionContext, DataFusionError> {
    let mut config =
        SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(true);
    let options = config.options_mut();
    // Look-ups read little of a file when the filter runs inside the scan: thirteen times faster by
    // event id.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.time_zone = Some("UTC".to_owned());
    // Error messages then give the position in the statement.
    options.sql_parser.collect_spans = true;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes_max)))
        .with_max_temp_directory_size(limits.spill_bytes_max)
        .build_arc()?;
    runtime.register_object_store(
        ObjectStoreUrl::local_filesystem().as_ref(),
        Arc::new(LocalFiles::default()),
    );
    context_of(config, runtime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::collect_within_limits;
    use std::time::Duration;

    #[tokio::test]
    async fn queries_with_too_many_rows_or_too_much_time_are_stopped() {
        let limits = QueryLimits { rows_max: 1000, ..QueryLimits::default() };
        let session =
            Session::over_events(Vec::new(), Arc::default(), &limits).await.expect("a session");
        let stream = async |sql: &str| {
            session.sql(sql).await.expect("planned").execute_stream().await.expect("begun")
        };
        let within =
            collect_within_limits(stream("SELECT * FROM generate_series(1, 1000)").await, &limits)
                .await
                .expect("rows");
        assert_eq!(within.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
        let more =
            collect_within_limits(stream("SELECT * FROM generate_series(1, 1001)").await, &limits)
                .await;
        assert!(matches!(more, Err(SessionError::TooManyRows(1000))), "{more:?}");
        let limits = QueryLimits { time_max: Duration::ZERO, ..limits };
        let endless =
            "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b";
        let longer = collect_within_limits(stream(endless).await, &limits).await;
        assert!(matches!(longer, Err(SessionError::TooLong(Duration::ZERO))), "{longer:?}");
    }
}

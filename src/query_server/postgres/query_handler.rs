//! Handles the statements of a connection. The length of a statement is limited before it is
//! parsed; its syntax tree is checked; the service gives it a slot; and it runs to its end before
//! the first row is sent, so that a client never takes a part of an answer for the whole.

use super::information;
use super::ipc::{CancelKey, FromServer, IpcChannel, ToServer};
use crate::config::QueryBounds;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_postgres::arrow_pg::datatypes::df::encode_dataframe;
use datafusion_postgres::hooks::{HookClient, QueryHook};
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldInfo, Response, Tag};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, Type};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use datafusion_postgres::{DfSessionService, Parser};
use futures::Sink;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use trailhound_queries::limits::{QueryLimits, collect_within_limits};
use trailhound_queries::session::Session;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::sql_guard::{self, QueryError, QueryErrorCode};

/// The version of the server. Clients choose by it which statements they send.
pub(super) const SERVER_VERSION: &str =
    concat!("16.6 (Trailhound ", env!("CARGO_PKG_VERSION"), ")");

/// Settings that clients may change. They have no effect, except on the format of values.
const ALLOWED_SETTINGS: [&str; 14] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "row_security",
];

/// Checks and runs the statements of one connection.
pub(super) struct QueryHandler {
    session: Mutex<Session>,
    bounds: QueryBounds,
    channel: Mutex<IpcChannel>,
    /// Format in which the client wants the rows of the current statement.
    format: Mutex<Format>,
    /// The service has recorded the current statement, or it needs no record.
    is_logged: AtomicBool,
}

impl QueryHandler {
    /// Runs statements in `session`. `channel` leads to the service.
    pub(super) fn new(session: Session, bounds: QueryBounds, channel: IpcChannel) -> Self {
        Self {
            session: Mutex::new(session),
            bounds,
            channel: Mutex::new(channel),
            format: Mutex::new(Format::UnifiedText),
            is_logged: AtomicBool::new(false),
        }
    }

    /// Plans `statement` over the newest snapshot, if it is allowed. Its parameters stay unbound.
    async fn plan(&self, statement: &Statement) -> Result<LogicalPlan, QueryError> {
        let mut session = self.session.lock().await;
        session.refresh().await?;
        let mut statement = statement.clone();
        information::translate(&mut statement);
        session.plan_for_client(statement).await
    }

    /// Waits for a slot, runs `frame` to its end and reports that to the service. Returns a frame
    /// over the complete rows.
    async fn run(
        &self,
        frame: DataFrame,
        statement: &Statement,
        user: &str,
        context: &SessionContext,
    ) -> PgWireResult<DataFrame> {
        self.is_logged.store(true, Ordering::Relaxed);
        let mut channel = self.channel.lock().await;
        acquire_slot(&mut channel, user, statement).await?;
        let limits = self.session.lock().await.limits().clone();
        let schema = Arc::clone(frame.schema().inner());
        let collected = tokio::select! {
            collected = collect(frame, &limits) => collected,
            // While the statement runs, the service sends nothing but a cancellation.
            _ = channel.read::<FromServer>() => Err(QueryError::new(QueryErrorCode::Cancelled, "it was called off")),
        };
        let checked = collected.and_then(|batches| self.check_size(batches));
        let (result, rows, bytes) = match &checked {
            Ok((batches, bytes)) => {
                ("answered", batches.iter().map(|batch| batch.num_rows() as u64).sum(), *bytes)
            }
            Err(refused) => (refused.code.name(), 0, 0),
        };
        channel.write(&ToServer::End { result: result.to_owned(), rows, bytes }).await?;
        drop(channel);
        let (batches, _) =
            checked.map_err(|refused| refusal_error(&refused, &statement.to_string()))?;
        let table = MemTable::try_new(schema, vec![batches]).map_err(engine_error)?;
        context.read_table(Arc::new(table)).map_err(engine_error)
    }

    /// The rows with their size in memory.
    ///
    /// # Errors
    /// [`QueryError`]: they have more bytes than an answer may have.
    fn check_size(&self, batches: Vec<RecordBatch>) -> Result<(Vec<RecordBatch>, u64), QueryError> {
        let bytes = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
        if bytes > self.bounds.bytes_max {
            let message = format!(
                "its rows have more than {} bytes; ask for fewer columns or rows",
                self.bounds.bytes_max
            );
            return Err(QueryError::new(QueryErrorCode::ByteLimit, message));
        }
        Ok((batches, bytes))
    }
}

/// Asks the service for a slot and waits for it.
async fn acquire_slot(
    channel: &mut IpcChannel,
    user: &str,
    statement: &Statement,
) -> PgWireResult<()> {
    let begin = ToServer::Begin { who: user.to_owned(), statement: statement.to_string() };
    channel.write(&begin).await?;
    loop {
        match channel.read::<FromServer>().await? {
            Some(FromServer::Go) => return Ok(()),
            Some(FromServer::Busy) => {
                let message = "too many queries are waiting; try again".to_owned();
                return Err(client_error("53300", message, None));
            }
            // A cancellation of the statement before, which had just ended.
            Some(FromServer::Cancel) => {}
            None => return Err(client_error("57P01", "the service is ending".to_owned(), None)),
        }
    }
}

/// All rows of `frame`.
async fn collect(frame: DataFrame, limits: &QueryLimits) -> Result<Vec<RecordBatch>, QueryError> {
    let stream = frame.execute_stream().await.map_err(|e| query_error(&e))?;
    collect_within_limits(stream, limits).await.map_err(QueryError::from)
}

fn engine_error(error: DataFusionError) -> PgWireError {
    PgWireError::ApiError(Box::new(error))
}

impl QueryHandler {
    /// Has the service record a refused statement. Returns the error for the client.
    async fn refuse(&self, refused: &QueryError, statement: &str, user: String) -> PgWireError {
        self.is_logged.store(true, Ordering::Relaxed);
        let beginning = &statement[..statement.floor_char_boundary(sql_guard::TEXT_BYTES_MAX)];
        let message = ToServer::Refused {
            who: user,
            statement: beginning.to_owned(),
            result: refused.code.name().to_owned(),
        };
        if let Err(error) = self.channel.lock().await.write(&message).await {
            tracing::warn!(%error, "a refused statement could not be recorded");
        }
        refusal_error(refused, statement)
    }

    /// Checks the length of the text of a new statement.
    async fn check_text(&self, sql: &str, client: &(impl ClientInfo + ?Sized)) -> PgWireResult<()> {
        self.is_logged.store(false, Ordering::Relaxed);
        match sql_guard::check_text(sql) {
            // The protocol allows an empty statement.
            Err(QueryError { code: QueryErrorCode::Empty, .. }) | Ok(()) => Ok(()),
            Err(refused) => Err(self.refuse(&refused, sql, user_of(client)).await),
        }
    }

    /// Has the service record a statement that failed outside of the hooks of this handler: in the
    /// parser of the query engine, or as an invalid setting.
    async fn log_failure<T>(
        &self,
        result: PgWireResult<T>,
        sql: &str,
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<T> {
        if let Err(error) = &result
            && !self.is_logged.load(Ordering::Relaxed)
        {
            let refused = QueryError::new(error_code(error), error.to_string());
            self.refuse(&refused, sql, user_of(client)).await;
        }
        result
    }

    /// Plans `statement`, and has the service record a refusal.
    async fn plan_or_refuse(
        &self,
        statement: &Statement,
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<LogicalPlan> {
        match self.plan(statement).await {
            Ok(plan) => Ok(plan),
            Err(refused) => {
                Err(self.refuse(&refused, &statement.to_string(), user_of(client)).await)
            }
        }
    }

    /// Handles a statement that is not a query. Returns `Continue` if the statement is a query, and
    /// `Break(None)` if the next hook must handle the statement.
    async fn handle_command(
        &self,
        statement: &Statement,
        client: &(impl ClientInfo + ?Sized),
    ) -> ControlFlow<Option<PgWireResult<Response>>> {
        if let Some(response) = savepoint_response(statement) {
            return ControlFlow::Break(Some(Ok(response)));
        }
        match check_command(statement) {
            Some(Ok(())) => ControlFlow::Break(None),
            Some(Err(refused)) => ControlFlow::Break(Some(Err(self
                .refuse(&refused, &statement.to_string(), user_of(client))
                .await))),
            None => ControlFlow::Continue(()),
        }
    }

    /// Runs `plan` and encodes its rows in the format of the client.
    async fn respond(
        &self,
        plan: LogicalPlan,
        statement: &Statement,
        format: &Format,
        context: &SessionContext,
        client: &dyn HookClient,
    ) -> PgWireResult<Response> {
        let frame = self
            .run(DataFrame::new(context.state(), plan), statement, &user_of(client), context)
            .await?;
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        Ok(Response::Query(encode_dataframe(frame, format, Some(options)).await?))
    }
}

/// Passes the cancellation of a client on to the service.
#[async_trait]
impl CancelHandler for QueryHandler {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = CancelKey::new(request.pid, &request.secret_key);
        if let Err(error) = self.channel.lock().await.write(&ToServer::Cancel(key)).await {
            tracing::warn!(%error, "a query could not be cancelled");
        }
    }
}

/// Checks a statement that is not a query and that the next hooks handle: transactions and
/// settings. `None` for a query.
fn check_command(statement: &Statement) -> Option<Result<(), QueryError>> {
    let check_setting = |name: &str| {
        if ALLOWED_SETTINGS.contains(&name.to_lowercase().as_str()) {
            return Ok(());
        }
        let message = format!("`{name}` cannot be set here");
        Err(QueryError::new(QueryErrorCode::StatementNotAllowed, message))
    };
    match statement {
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. } => Some(Ok(())),
        Statement::Set(Set::SingleAssignment { variable, .. }) => {
            Some(check_setting(&variable.to_string()))
        }
        Statement::Set(
            Set::SetTimeZone { .. }
            | Set::SetNames { .. }
            | Set::SetTransaction { .. }
            | Set::SetNamesDefault {},
        ) => Some(Ok(())),
        Statement::ShowVariable { variable } => {
            let name =
                variable.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join(".");
            Some(if name.starts_with("datafusion") { check_setting(&name) } else { Ok(()) })
        }
        _ => None,
    }
}

/// The plan of `SHOW server_version`, by which drivers choose their statements.
fn plan_version(statement: &Statement) -> Option<PgWireResult<LogicalPlan>> {
    let Statement::ShowVariable { variable } = statement else { return None };
    let [name] = variable.as_slice() else { return None };
    let value = || lit(SERVER_VERSION).alias("server_version");
    let plan =
        || LogicalPlanBuilder::empty(true).project([value()]).and_then(LogicalPlanBuilder::build);
    name.value.eq_ignore_ascii_case("server_version").then(|| plan().map_err(engine_error))
}

/// The response to a statement about savepoints. Transactions only read, so that savepoints have no
/// effect, but drivers use them.
fn savepoint_response(statement: &Statement) -> Option<Response> {
    match statement {
        Statement::Savepoint { .. } => Some(Response::Execution(Tag::new("SAVEPOINT"))),
        Statement::ReleaseSavepoint { .. } => Some(Response::Execution(Tag::new("RELEASE"))),
        Statement::Rollback { savepoint: Some(_), .. } => {
            Some(Response::TransactionStart(Tag::new("ROLLBACK")))
        }
        _ => None,
    }
}

/// The error code of a statement that the query engine has refused.
fn error_code(error: &PgWireError) -> QueryErrorCode {
    match error {
        PgWireError::ApiError(error) if error.is::<ParserError>() => QueryErrorCode::Syntax,
        _ => QueryErrorCode::Failed,
    }
}

/// A refusal as an error of the PostgreSQL protocol.
fn refusal_error(refused: &QueryError, statement: &str) -> PgWireError {
    let state = match refused.code {
        QueryErrorCode::Empty | QueryErrorCode::Syntax | QueryErrorCode::SeveralStatements => {
            "42601"
        }
        QueryErrorCode::TooComplex => "54001",
        QueryErrorCode::StatementNotAllowed => "25006",
        QueryErrorCode::FunctionNotAllowed => "42883",
        QueryErrorCode::TableNotFound => "42P01",
        QueryErrorCode::Parameter => "42P02",
        QueryErrorCode::Invalid => "42703",
        QueryErrorCode::MemoryLimit => "53200",
        QueryErrorCode::TimeLimit | QueryErrorCode::Cancelled => "57014",
        QueryErrorCode::RowLimit | QueryErrorCode::ByteLimit => "54000",
        QueryErrorCode::Failed => "22000",
    };
    // The protocol counts characters of the whole text, from 1.
    let position = refused.position.map(|position| {
        let before: usize = statement
            .lines()
            .take(usize::try_from(position.line - 1).unwrap_or_default())
            .map(|line| line.chars().count() + 1)
            .sum();
        before as u64 + position.column
    });
    client_error(state, refused.message.clone(), position)
}

/// An error with an SQLSTATE and the position of a character in the statement.
fn client_error(state: &str, message: String, position: Option<u64>) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), state.to_owned(), message);
    info.position = position.map(|position| position.to_string());
    PgWireError::UserError(Box::new(info))
}

/// Name of the user of the connection.
fn user_of(client: &(impl ClientInfo + ?Sized)) -> String {
    client.metadata().get("user").cloned().unwrap_or_default()
}

#[async_trait]
impl QueryHook for QueryHandler {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        context: &SessionContext,
        client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        let version = plan_version(statement);
        if version.is_none()
            && let ControlFlow::Break(done) = self.handle_command(statement, client).await
        {
            return done;
        }
        let response = async {
            let plan = match version {
                Some(plan) => plan?,
                None => self.plan_or_refuse(statement, client).await?,
            };
            self.respond(plan, statement, &Format::UnifiedText, context, client).await
        };
        Some(response.await)
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _context: &SessionContext,
        client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        if let Some(plan) = plan_version(statement) {
            return Some(plan);
        }
        if savepoint_response(statement).is_some() {
            return Some(LogicalPlanBuilder::empty(false).build().map_err(engine_error));
        }
        match check_command(statement) {
            Some(Ok(())) => None,
            Some(Err(refused)) => {
                Some(Err(self.refuse(&refused, &statement.to_string(), user_of(client)).await))
            }
            None => Some(self.plan_or_refuse(statement, client).await),
        }
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
        values: &ParamValues,
        context: &SessionContext,
        client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        if plan_version(statement).is_none()
            && let ControlFlow::Break(done) = self.handle_command(statement, client).await
        {
            return done;
        }
        let response = async {
            let plan = plan.clone().replace_params_with_values(values).map_err(engine_error)?;
            let format = self.format.lock().await.clone();
            self.respond(plan, statement, &format, context, client).await
        };
        Some(response.await)
    }
}

/// Wraps the query engine's service and checks the length of the statement before it is parsed.
pub(super) struct BoundedService {
    service: DfSessionService,
    handler: Arc<QueryHandler>,
    parser: Arc<BoundedParser>,
}

impl BoundedService {
    /// Puts the check of `handler` before `service`.
    pub(super) fn new(service: DfSessionService, handler: Arc<QueryHandler>) -> Self {
        let parser = Arc::new(BoundedParser {
            parser: service.query_parser(),
            handler: Arc::clone(&handler),
        });
        Self { service, handler, parser }
    }
}

#[async_trait]
impl SimpleQueryHandler for BoundedService {
    async fn do_query<C>(&self, client: &mut C, sql: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.handler.check_text(sql, client).await?;
        let result = SimpleQueryHandler::do_query(&self.service, client, sql).await;
        self.handler.log_failure(result, sql, client).await
    }
}

#[async_trait]
impl ExtendedQueryHandler for BoundedService {
    type Statement = <DfSessionService as ExtendedQueryHandler>::Statement;
    type QueryParser = BoundedParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // The hook that runs the statement does not receive the format.
        *self.handler.format.lock().await = portal.result_column_format.clone();
        ExtendedQueryHandler::do_query(&self.service, client, portal, max_rows).await
    }
}

/// The query engine's parser. It checks the length of the statement first.
pub(super) struct BoundedParser {
    parser: Arc<Parser>,
    handler: Arc<QueryHandler>,
}

#[async_trait]
impl QueryParser for BoundedParser {
    type Statement = <Parser as QueryParser>::Statement;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.handler.check_text(sql, client).await?;
        let result = self.parser.parse_sql(client, sql, types).await;
        self.handler.log_failure(result, sql, client).await
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        self.parser.get_parameter_types(statement)
    }

    fn get_result_schema(
        &self,
        statement: &Self::Statement,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        self.parser.get_result_schema(statement, format)
    }
}

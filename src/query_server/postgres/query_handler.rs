//! Every statement of a connection passes here: bounded before it is parsed, checked as a tree, asked for at the service, and run to its end
//! before a row is sent, so that a refusal is never mistaken for a short answer.

use super::ipc::{CancelKey, FromServer, ToServer, Wire};
use crate::query_server::Bounds;
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
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
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::{self, QueryError, QueryErrorCode};

/// What the server calls itself; clients tell by it what they may ask.
pub(super) const SERVER_VERSION: &str =
    concat!("16.6 (Trailhound ", env!("CARGO_PKG_VERSION"), ")");

/// Settings that clients make and that change nothing here but how values are written.
const SETTINGS: [&str; 14] = [
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

/// Lets statements through, or not.
pub(super) struct QueryHandler {
    session: Mutex<Session>,
    bounds: Bounds,
    wire: Mutex<Wire>,
    /// In which form the client wants the rows of the statement that runs now.
    format: Mutex<Format>,
    /// The service knows of the statement, or it is none that is noted.
    noted: AtomicBool,
}

impl QueryHandler {
    pub(super) fn new(session: Session, bounds: Bounds, wire: Wire) -> Self {
        Self {
            session: Mutex::new(session),
            bounds,
            wire: Mutex::new(wire),
            format: Mutex::new(Format::UnifiedText),
            noted: AtomicBool::new(false),
        }
    }

    /// Plans `statement` over the newest state of the lake, if it may be run. Its parameters stay open.
    async fn plan(&self, statement: &Statement) -> Result<LogicalPlan, QueryError> {
        let mut session = self.session.lock().await;
        session.refresh().await?;
        let mut statement = statement.clone();
        super::information::translate(&mut statement);
        session.plan_for_client(statement).await
    }

    /// Runs `frame` when its turn comes, to its end; what it gives stands ready then.
    async fn run(
        &self,
        frame: DataFrame,
        statement: &Statement,
        who: &str,
        context: &SessionContext,
    ) -> PgWireResult<DataFrame> {
        self.noted.store(true, Ordering::Relaxed);
        let mut wire = self.wire.lock().await;
        wire.write(&ToServer::Begin { who: who.to_owned(), statement: statement.to_string() })
            .await?;
        loop {
            match wire.read::<FromServer>().await? {
                Some(FromServer::Go) => break,
                Some(FromServer::Busy) => {
                    return Err(told(
                        "53300",
                        "too many queries are waiting; try again".to_owned(),
                        None,
                    ));
                }
                // What it called off had just ended.
                Some(FromServer::Cancel) => {}
                None => return Err(told("57P01", "the service is ending".to_owned(), None)),
            }
        }
        let limits = self.session.lock().await.limits().clone();
        let schema = Arc::clone(frame.schema().inner());
        let collected = async {
            let stream = frame
                .execute_stream()
                .await
                .map_err(|e| trailhound_queries::session::ad_hoc::query_error(&e))?;
            trailhound_queries::limits::collect_within_limits(stream, &limits)
                .await
                .map_err(QueryError::from)
        };
        let collected = tokio::select! {
            collected = collected => collected,
            // Nothing else is said while it runs.
            _ = wire.read::<FromServer>() => Err(QueryError::new(QueryErrorCode::Cancelled, "it was called off")),
        };
        let collected = collected.and_then(|batches| {
            let bytes: u64 = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
            let message = || {
                format!(
                    "its rows have more than {} bytes; ask for fewer columns or rows",
                    self.bounds.bytes_max
                )
            };
            if bytes > self.bounds.bytes_max {
                Err(QueryError::new(QueryErrorCode::ByteLimit, message()))
            } else {
                Ok((batches, bytes))
            }
        });
        let (result, rows, bytes) = match &collected {
            Ok((batches, bytes)) => {
                ("answered", batches.iter().map(|batch| batch.num_rows() as u64).sum(), *bytes)
            }
            Err(refused) => (refused.code.name(), 0, 0),
        };
        wire.write(&ToServer::End { result: result.to_owned(), rows, bytes }).await?;
        drop(wire);
        let (batches, _) =
            collected.map_err(|refused| refusal(&refused, &statement.to_string()))?;
        let table = MemTable::try_new(schema, vec![batches])
            .map_err(|e| PgWireError::ApiError(Box::new(e)))?;
        context.read_table(Arc::new(table)).map_err(|e| PgWireError::ApiError(Box::new(e)))
    }
}

impl QueryHandler {
    /// Has a statement noted that is not let through; gives what the client is told.
    async fn refuse(&self, refused: &QueryError, statement: &str, who: String) -> PgWireError {
        self.noted.store(true, Ordering::Relaxed);
        let beginning = &statement[..statement.floor_char_boundary(sql_guard::TEXT_BYTES_MAX)];
        let note = ToServer::Refused {
            who,
            statement: beginning.to_owned(),
            result: refused.code.name().to_owned(),
        };
        if let Err(error) = self.wire.lock().await.write(&note).await {
            tracing::warn!(%error, "a refused statement could not be noted");
        }
        refusal(refused, statement)
    }

    /// Bounds the text of a statement that begins.
    async fn begin(&self, sql: &str, client: &(impl ClientInfo + ?Sized)) -> PgWireResult<()> {
        self.noted.store(false, Ordering::Relaxed);
        match sql_guard::check_text(sql) {
            // Nothing is a statement too in this protocol.
            Err(QueryError { code: QueryErrorCode::Empty, .. }) | Ok(()) => Ok(()),
            Err(refused) => Err(self.refuse(&refused, sql, who(client)).await),
        }
    }

    /// What the engine's parser refuses comes to no hook, and what it refuses of settings to none of ours.
    async fn end<T>(
        &self,
        done: PgWireResult<T>,
        sql: &str,
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<T> {
        if let Err(error) = &done
            && !self.noted.load(Ordering::Relaxed)
        {
            let refused = QueryError::new(code(error), error.to_string());
            self.refuse(&refused, sql, who(client)).await;
        }
        done
    }

    /// Plans `statement`, or has it noted that it is refused.
    async fn planned(
        &self,
        statement: &Statement,
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<LogicalPlan> {
        match self.plan(statement).await {
            Ok(plan) => Ok(plan),
            Err(refused) => Err(self.refuse(&refused, &statement.to_string(), who(client)).await),
        }
    }

    /// What becomes of a statement that asks nothing; one that asks goes on.
    async fn no_question(
        &self,
        statement: &Statement,
        client: &(impl ClientInfo + ?Sized),
    ) -> ControlFlow<Option<PgWireResult<Response>>> {
        if let Some(response) = marked(statement) {
            return ControlFlow::Break(Some(Ok(response)));
        }
        match passes(statement) {
            Some(Ok(())) => ControlFlow::Break(None),
            Some(Err(refused)) => ControlFlow::Break(Some(Err(self
                .refuse(&refused, &statement.to_string(), who(client))
                .await))),
            None => ControlFlow::Continue(()),
        }
    }

    /// Runs `plan` and writes its rows down as the client wants them.
    async fn respond(
        &self,
        plan: LogicalPlan,
        statement: &Statement,
        format: &Format,
        context: &SessionContext,
        client: &dyn HookClient,
    ) -> PgWireResult<Response> {
        let frame = self
            .run(DataFrame::new(context.state(), plan), statement, &who(client), context)
            .await?;
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        Ok(Response::Query(encode_dataframe(frame, format, Some(options)).await?))
    }
}

/// Tells the service what its client calls off.
#[async_trait]
impl CancelHandler for QueryHandler {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = CancelKey::new(request.pid, &request.secret_key);
        if let Err(error) = self.wire.lock().await.write(&ToServer::Cancel(key)).await {
            tracing::warn!(%error, "a query could not be called off");
        }
    }
}

/// What is no question but is answered by the hooks after this one; none for a question.
fn passes(statement: &Statement) -> Option<Result<(), QueryError>> {
    let known = |name: &str| {
        if SETTINGS.contains(&name.to_lowercase().as_str()) {
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
            Some(known(&variable.to_string()))
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
            Some(if name.starts_with("datafusion") { known(&name) } else { Ok(()) })
        }
        _ => None,
    }
}

/// The plan that answers `SHOW server_version`, by which drivers tell what they may ask.
fn version(statement: &Statement) -> Option<PgWireResult<LogicalPlan>> {
    let Statement::ShowVariable { variable } = statement else { return None };
    let [name] = variable.as_slice() else { return None };
    let value = || lit(SERVER_VERSION).alias("server_version");
    let plan =
        || LogicalPlanBuilder::empty(true).project([value()]).and_then(LogicalPlanBuilder::build);
    name.value
        .eq_ignore_ascii_case("server_version")
        .then(|| plan().map_err(|e| PgWireError::ApiError(Box::new(e))))
}

/// The answer to statements about places within a transaction. There is nothing to go back from, but drivers want to.
fn marked(statement: &Statement) -> Option<Response> {
    match statement {
        Statement::Savepoint { .. } => Some(Response::Execution(Tag::new("SAVEPOINT"))),
        Statement::ReleaseSavepoint { .. } => Some(Response::Execution(Tag::new("RELEASE"))),
        Statement::Rollback { savepoint: Some(_), .. } => {
            Some(Response::TransactionStart(Tag::new("ROLLBACK")))
        }
        _ => None,
    }
}

/// What the engine found wrong with a statement.
fn code(error: &PgWireError) -> QueryErrorCode {
    match error {
        PgWireError::ApiError(error) if error.is::<ParserError>() => QueryErrorCode::Syntax,
        _ => QueryErrorCode::Failed,
    }
}

/// A refusal in PostgreSQL's terms.
fn refusal(refused: &QueryError, statement: &str) -> PgWireError {
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
    told(state, refused.message.clone(), position)
}

fn told(state: &str, message: String, position: Option<u64>) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), state.to_owned(), message);
    info.position = position.map(|position| position.to_string());
    PgWireError::UserError(Box::new(info))
}

fn who(client: &(impl ClientInfo + ?Sized)) -> String {
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
        let version = version(statement);
        if version.is_none()
            && let ControlFlow::Break(done) = self.no_question(statement, client).await
        {
            return done;
        }
        let answered = async {
            let plan = match version {
                Some(plan) => plan?,
                None => self.planned(statement, client).await?,
            };
            self.respond(plan, statement, &Format::UnifiedText, context, client).await
        };
        Some(answered.await)
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _context: &SessionContext,
        client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        if let Some(plan) = version(statement) {
            return Some(plan);
        }
        if marked(statement).is_some() {
            return Some(
                LogicalPlanBuilder::empty(false)
                    .build()
                    .map_err(|e| PgWireError::ApiError(Box::new(e))),
            );
        }
        match passes(statement) {
            Some(Ok(())) => None,
            Some(Err(refused)) => {
                Some(Err(self.refuse(&refused, &statement.to_string(), who(client)).await))
            }
            None => Some(self.planned(statement, client).await),
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
        if version(statement).is_none()
            && let ControlFlow::Break(done) = self.no_question(statement, client).await
        {
            return done;
        }
        let answered = async {
            let plan = plan
                .clone()
                .replace_params_with_values(values)
                .map_err(|e| PgWireError::ApiError(Box::new(e)))?;
            let format = self.format.lock().await.clone();
            self.respond(plan, statement, &format, context, client).await
        };
        Some(answered.await)
    }
}

/// The engine's service behind a bound on the text, which is held before anything is parsed.
pub(super) struct Bounded {
    service: DfSessionService,
    gatekeeper: Arc<QueryHandler>,
    parser: Arc<BoundedParser>,
}

impl Bounded {
    pub(super) fn new(service: DfSessionService, gatekeeper: Arc<QueryHandler>) -> Self {
        let parser = Arc::new(BoundedParser {
            parser: service.query_parser(),
            gatekeeper: Arc::clone(&gatekeeper),
        });
        Self { service, gatekeeper, parser }
    }
}

#[async_trait]
impl SimpleQueryHandler for Bounded {
    async fn do_query<C>(&self, client: &mut C, sql: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.gatekeeper.begin(sql, client).await?;
        let done = SimpleQueryHandler::do_query(&self.service, client, sql).await;
        self.gatekeeper.end(done, sql, client).await
    }
}

#[async_trait]
impl ExtendedQueryHandler for Bounded {
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
        // The hook that runs it is not told.
        *self.gatekeeper.format.lock().await = portal.result_column_format.clone();
        ExtendedQueryHandler::do_query(&self.service, client, portal, max_rows).await
    }
}

/// The engine's parser behind the same bound.
pub(super) struct BoundedParser {
    parser: Arc<Parser>,
    gatekeeper: Arc<QueryHandler>,
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
        self.gatekeeper.begin(sql, client).await?;
        let done = self.parser.parse_sql(client, sql, types).await;
        self.gatekeeper.end(done, sql, client).await
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

//! Handles the messages of a connection. The length of a statement is limited before it is parsed.

use super::commands::{self, Command};
use super::connection::Connection;
use super::errors::client_error;
use super::execution::{Execution, user_of};
use super::statements::{ClientStatement, PlannedStatement, check_bound};
use super::tokens::{StatementTokens, split};
use async_trait::async_trait;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{
    ExtendedQueryHandler, SimpleQueryHandler, send_describe_response, send_execution_response,
    send_query_response, send_ready_for_query,
};
use datafusion_postgres::pgwire::api::results::{
    DescribePortalResponse, DescribeResponse, FieldInfo, Response,
};
use datafusion_postgres::pgwire::api::stmt::{QueryParser, StoredStatement};
use datafusion_postgres::pgwire::api::store::{Entry, PortalStore};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState, Type,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::{NoData, ParameterDescription};
use datafusion_postgres::pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Parse, ParseComplete,
    TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use datafusion_postgres::pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use datafusion_postgres::pgwire::messages::simplequery::Query;
use futures::{Sink, SinkExt};
use std::fmt::Debug;
use std::sync::Arc;
use trailhound_queries::sql_guard::{self, QueryError, QueryErrorCode};

/// Handles the messages of one connection.
pub(super) struct QueryHandler {
    connection: Arc<Connection>,
    parser: Arc<StatementParser>,
}

impl QueryHandler {
    /// A handler for `connection`.
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        let parser = Arc::new(StatementParser { connection: Arc::clone(&connection) });
        Self { connection, parser }
    }
}

/// Parses and plans statements.
pub(super) struct StatementParser {
    connection: Arc<Connection>,
}

impl StatementParser {
    /// The statements of a text whose length is checked first. The protocol allows a text without.
    async fn split(
        &self,
        text: &str,
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<Vec<StatementTokens>> {
        let statements = match sql_guard::check_text(text) {
            Err(QueryError { code: QueryErrorCode::Empty, .. }) => return Ok(Vec::new()),
            Ok(()) => split(text),
            Err(refused) => Err(refused),
        };
        match statements {
            Ok(statements) => Ok(statements),
            Err(refused) => Err(self.connection.refuse(&refused, text, &user_of(client)).await),
        }
    }

    /// Parses and plans one statement; `hints` are the types that the client says its parameters
    /// have.
    async fn prepare(
        &self,
        statement: &StatementTokens,
        hints: &[Option<Type>],
        client: &(impl ClientInfo + ?Sized),
    ) -> PgWireResult<ClientStatement> {
        let (connection, text, user) = (&self.connection, &statement.text, user_of(client));
        let in_transaction = client.transaction_status() == TransactionStatus::Transaction;
        let failed = client.transaction_status() == TransactionStatus::Error;
        let command = match commands::parse(statement, &connection.dialect) {
            Ok(command) => command,
            Err(refused) => return Err(connection.refuse(&refused, text, &user).await),
        };
        let planned = match command.query() {
            // In a failed transaction it is refused when it is executed.
            Some(query) if !failed => {
                let planning = PlannedStatement::new(connection, query, hints, in_transaction);
                match connection.plan_in_slot(text, &user, planning).await? {
                    Ok(planned) => Some(Arc::new(planned)),
                    Err(refused) => {
                        let refused = own_position(refused, &command);
                        return Err(connection.refuse(&refused, text, &user).await);
                    }
                }
            }
            _ => None,
        };
        Ok(ClientStatement {
            text: text.as_str().into(),
            names: command.query().and_then(|query| query.names.clone()),
            command: Arc::new(command),
            planned,
        })
    }
}

/// The query inside of a command is parsed on its own, so that its positions are not those of the
/// statement.
fn own_position(error: QueryError, command: &Command) -> QueryError {
    match command {
        Command::Query(_) => error,
        _ => QueryError { position: None, ..error },
    }
}

#[async_trait]
impl QueryParser for StatementParser {
    type Statement = ClientStatement;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let statements = self.split(sql, client).await?;
        match statements.as_slice() {
            [] => Ok(None),
            [one] => self.prepare(one, types, client).await.map(Some),
            several => {
                let message = format!("one statement can be prepared; these are {}", several.len());
                let refused = QueryError::new(QueryErrorCode::SeveralStatements, message);
                Err(self.connection.refuse(&refused, sql, &user_of(client)).await)
            }
        }
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        let planned = statement.planned.iter();
        Ok(planned.flat_map(|planned| &planned.parameters).map(|(sent, _)| sent.clone()).collect())
    }

    fn get_result_schema(
        &self,
        statement: &Self::Statement,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        self.connection.describe(statement, format.unwrap_or(&Format::UnifiedText))
    }
}

impl QueryHandler {
    /// Runs the statements of a text one after another. Each is answered before the next one runs.
    async fn run_text<C>(&self, client: &mut C, text: &str) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = self.parser.split(text, client).await?;
        if statements.is_empty() {
            client
                .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                .await?;
        }
        for statement in &statements {
            let prepared = self.parser.prepare(statement, &[], client).await?;
            let execution = Execution { portal: None, in_batch: statements.len() > 1 };
            match self.connection.execute(client, &prepared, execution).await? {
                Response::Query(rows) => send_query_response(client, rows, true).await?,
                Response::Execution(tag) => send_execution_response(client, tag).await?,
                Response::TransactionStart(tag) => {
                    send_execution_response(client, tag).await?;
                    client.set_transaction_status(TransactionStatus::Transaction);
                }
                Response::TransactionEnd(tag) => {
                    send_execution_response(client, tag).await?;
                    client.set_transaction_status(TransactionStatus::Idle);
                }
                _ => return Err(client_error("XX000", "the statement has no answer", None)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SimpleQueryHandler for QueryHandler {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        self.connection.idle.stop();
        client.set_state(PgWireConnectionState::QueryInProgress);
        let result = self.run_text(client, &query.query).await;
        if client.transaction_status() == TransactionStatus::Idle {
            // Several statements that were sent at once were a transaction of their own.
            self.connection.end_transaction(result.is_ok());
        }
        self.connection.watch_idle(client.transaction_status());
        result?;
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let status = client.transaction_status();
        send_ready_for_query(client, status).await
    }

    async fn do_query<C>(&self, _client: &mut C, _text: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Err(client_error("XX000", "statements are run one by one", None))
    }
}

#[async_trait]
impl ExtendedQueryHandler for QueryHandler {
    type Statement = ClientStatement;
    type QueryParser = StatementParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.connection.idle.stop();
        let name = message.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        match StoredStatement::parse(client, &message, self.query_parser()).await? {
            Some(statement) => client.portal_store().put_statement(Arc::new(statement)),
            None => client.portal_store().put_empty_statement(&name),
        }
        self.connection.statements().insert(name);
        client.send(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?;
        Ok(())
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.connection.idle.stop();
        let statement = message.statement_name.as_deref().unwrap_or(DEFAULT_NAME);
        match client.portal_store().get_statement(statement) {
            Some(Entry::Value(stored)) => {
                check_bound(
                    &stored.statement,
                    message.parameters.len(),
                    message.parameter_format_codes.len(),
                    message.result_column_format_codes.len(),
                )?;
                let portal = Portal::try_new(&message, stored)?;
                client.portal_store().put_portal(Arc::new(portal));
            }
            Some(Entry::Empty) => {
                let portal = message.portal_name.as_deref().unwrap_or(DEFAULT_NAME);
                client.portal_store().put_empty_portal(portal);
            }
            None => return Err(PgWireError::StatementNotFound(statement.to_owned())),
        }
        client.send(PgWireBackendMessage::BindComplete(BindComplete::new())).await?;
        Ok(())
    }

    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // A cursor is a portal too: clients ask for the columns of its rows.
        if message.target_type == TARGET_TYPE_BYTE_PORTAL
            && let Some(name) = message.name.as_deref()
        {
            let fields = self.connection.cursors().get(name).map(|cursor| {
                let binary = cursor.options.binary;
                let format = if binary { Format::UnifiedBinary } else { Format::UnifiedText };
                cursor.answer.fields(&format)
            });
            if let Some(fields) = fields {
                let described = DescribePortalResponse::new(fields?);
                return send_describe_response(client, &described).await;
            }
        }
        // A command has no columns, but can have parameters.
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT
            && let Some(Entry::Value(stored)) =
                client.portal_store().get_statement(message.name.as_deref().unwrap_or(DEFAULT_NAME))
            && !matches!(*stored.statement.command, Command::Query(_))
        {
            let described = self.do_describe_statement(client, &stored).await?;
            if described.fields().is_empty() {
                let types = described.parameters.iter().map(Type::oid).collect();
                let types = ParameterDescription::new(types);
                client.feed(PgWireBackendMessage::ParameterDescription(types)).await?;
                client.send(PgWireBackendMessage::NoData(NoData::new())).await?;
                return Ok(());
            }
        }
        self._on_describe(client, message).await
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                client.portal_store().rm_statement(name);
                self.connection.statements().remove(name);
            }
            TARGET_TYPE_BYTE_PORTAL => {
                client.portal_store().rm_portal(name);
                self.connection.cursors().remove(name);
            }
            other => return Err(PgWireError::InvalidTargetType(other)),
        }
        client.send(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?;
        Ok(())
    }

    async fn on_sync<C>(
        &self,
        client: &mut C,
        _message: datafusion_postgres::pgwire::messages::extendedquery::Sync,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        client.portal_store().rm_portal(DEFAULT_NAME);
        let status = client.transaction_status();
        if status == TransactionStatus::Idle {
            self.connection.end_transaction(true);
        }
        self.connection.watch_idle(status);
        send_ready_for_query(client, status).await?;
        client.flush().await?;
        Ok(())
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let execution = Execution { portal: Some(portal), in_batch: false };
        self.connection.execute(client, &portal.statement.statement, execution).await
    }
}

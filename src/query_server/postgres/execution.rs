//! Runs the statements of a connection: queries, and the commands for transactions, settings,
//! cursors and copies.

use super::answers::describe;
use super::commands::Command;
use super::connection::{Connection, Running};
use super::copy::{CopyFormat, CopyWriter};
use super::cursors::{Cursor, CursorOptions, Direction};
use super::errors::client_error;
use super::settings::{SETTINGS, SettingScope};
use super::statements::{ClientStatement, PlannedStatement};
use crate::query_server::query_log::with_values;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::LogicalPlan;
use datafusion_postgres::pgwire::api::portal::{Format, Portal, PortalExecutionState};
use datafusion_postgres::pgwire::api::results::{FieldInfo, Response, Tag};
use datafusion_postgres::pgwire::api::store::{Entry, MemPortalStore, PortalStore};
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use futures::{Sink, SinkExt};
use std::sync::Arc;
use std::time::Instant;
use trailhound_queries::sql_guard::QueryErrorCode;

/// A client of the protocol with its prepared statements.
pub(super) trait StatementClient:
    ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync
{
}

impl<C> StatementClient for C where
    C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync
{
}

/// How a statement is executed.
#[derive(Clone, Copy)]
pub(super) struct Execution<'p> {
    /// Values and formats; `None` in the simple protocol.
    pub(super) portal: Option<&'p Portal<ClientStatement>>,
    /// The statement is one of several that were sent at once, which are a transaction of their own.
    pub(super) in_batch: bool,
}

/// A statement that is to run.
struct BoundStatement {
    plan: LogicalPlan,
    /// Its text with the values of its parameters, for the query log.
    text: String,
}

impl Execution<'_> {
    fn format(&self) -> Format {
        self.portal.map_or(Format::UnifiedText, |portal| portal.result_column_format.clone())
    }
}

/// Name of the user of the connection.
pub(super) fn user_of(client: &(impl ClientInfo + ?Sized)) -> String {
    client.metadata().get("user").cloned().unwrap_or_default()
}

/// The store of the prepared statements and portals of a client.
fn store_of<C>(client: &C) -> PgWireResult<&MemPortalStore<ClientStatement>>
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    let store = client.portal_store().as_any().downcast_ref();
    store.ok_or_else(|| client_error("XX000", "the statements of the connection are lost", None))
}

fn done(tag: &str) -> PgWireResult<Response> {
    Ok(Response::Execution(Tag::new(tag)))
}

impl Connection {
    /// Executes a statement and tells the client which settings it has changed.
    ///
    /// # Errors
    /// The statement is refused, or fails.
    pub(super) async fn execute<C>(
        &self,
        client: &mut C,
        statement: &ClientStatement,
        execution: Execution<'_>,
    ) -> PgWireResult<Response>
    where
        C: StatementClient,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let failed = client.transaction_status() == TransactionStatus::Error;
        let result = if failed && !statement.command.ends_failed_transaction() {
            let message =
                "the transaction has failed; end it with ROLLBACK before the next statement";
            Err(client_error("25P02", message, None))
        } else if statement.planned.is_some() {
            self.execute_query(client, statement, execution).await
        } else {
            self.execute_command(client, &statement.command, execution).await
        };
        if let Err(PgWireError::UserError(_)) = &result
            && statement.planned.is_none()
        {
            let code = QueryErrorCode::StatementNotAllowed;
            self.record_refusal(code, &statement.text, &user_of(client)).await;
        }
        for (name, value) in self.settings.changed_reports() {
            let status = ParameterStatus::new(name.to_owned(), value);
            client.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
        }
        result
    }

    async fn execute_query<C>(
        &self,
        client: &mut C,
        statement: &ClientStatement,
        execution: Execution<'_>,
    ) -> PgWireResult<Response>
    where
        C: StatementClient,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let user = user_of(client);
        let since = Instant::now();
        let in_transaction = client.transaction_status() == TransactionStatus::Transaction;
        if let Command::Declare { options, .. } = &*statement.command
            && let Err(refused) = self.check_cursor(options, in_transaction || execution.in_batch)
        {
            let code = QueryErrorCode::StatementNotAllowed;
            self.record_refusal(code, &statement.text, &user).await;
            return Err(refused);
        }
        let Some(planned) = &statement.planned else { return Ok(Response::EmptyQuery) };
        let bound = self.bind(statement, planned, execution.portal, in_transaction, &user).await?;
        let (names, text) = (statement.names.as_deref(), &bound.text);
        let answer = self.run(bound.plan, &Running { text, user: &user, since, names }).await?;
        match &*statement.command {
            Command::Declare { options, .. } => {
                let cursor = Cursor::new(options.clone(), statement.text.to_string(), answer);
                self.cursors().insert(options.name.clone(), cursor);
                done("DECLARE CURSOR")
            }
            Command::Copy { options, .. } => {
                let writer = CopyWriter::new(&answer, options)?;
                let binary = i8::from(options.format == CopyFormat::Binary);
                let columns = writer.columns();
                let head =
                    CopyOutResponse::new(binary, columns as i16, vec![i16::from(binary); columns]);
                client.feed(PgWireBackendMessage::CopyOutResponse(head)).await?;
                for part in writer.parts(self.text_format()) {
                    let data = CopyData::new(part?.into());
                    client.feed(PgWireBackendMessage::CopyData(data)).await?;
                }
                client.feed(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
                Ok(Response::Execution(Tag::new("COPY").with_rows(answer.rows())))
            }
            _ => Ok(Response::Query(answer.respond(&execution.format(), &self.text_format())?)),
        }
    }

    /// Plans `statement` over the present snapshot with the values of `portal`, in a slot.
    ///
    /// # Errors
    /// The statement cannot be planned any more, a value does not fit, or too many queries are waiting.
    async fn bind(
        &self,
        statement: &ClientStatement,
        planned: &PlannedStatement,
        portal: Option<&Portal<ClientStatement>>,
        in_transaction: bool,
        user: &str,
    ) -> PgWireResult<BoundStatement> {
        let binding = planned.bind(self, portal, in_transaction);
        let (plan, values) = match self.plan_in_slot(&statement.text, user, binding).await? {
            Ok(Ok(bound)) => bound,
            Ok(Err(wrong)) => {
                self.record_refusal(QueryErrorCode::Parameter, &statement.text, user).await;
                return Err(wrong);
            }
            Err(refused) => return Err(self.refuse(&refused, &statement.text, user).await),
        };
        let values = (1..).zip(&values).map(|(number, value)| {
            (format!("{number}"), (!value.is_null()).then(|| value.to_string()))
        });
        Ok(BoundStatement { plan, text: with_values(&statement.text, values) })
    }

    /// Checks that a cursor may be declared.
    fn check_cursor(&self, options: &CursorOptions, in_transaction: bool) -> PgWireResult<()> {
        let name = &options.name;
        if !options.hold && !in_transaction {
            let message =
                format!("cursor {name:?} needs a transaction; begin one, or declare it WITH HOLD");
            return Err(client_error("25P01", message, None));
        }
        if self.cursors().contains_key(name) {
            let message = format!("cursor {name:?} is open already; close it first");
            return Err(client_error("42P03", message, None));
        }
        Ok(())
    }

    async fn execute_command<C>(
        &self,
        client: &mut C,
        command: &Command,
        execution: Execution<'_>,
    ) -> PgWireResult<Response>
    where
        C: StatementClient,
        C::PortalStore: PortalStore,
    {
        match command {
            Command::Set { name, value, scope } => {
                self.settings.set(name, value.as_deref(), *scope)?;
                done("SET")
            }
            Command::ResetAll => {
                self.settings.reset_all();
                done("RESET")
            }
            Command::Show(name) => self.show(name, execution),
            Command::ShowAll => self.show_all(execution),
            Command::Nothing(tag) => done(tag),
            Command::DiscardAll => {
                if client.transaction_status() != TransactionStatus::Idle {
                    let message = "DISCARD ALL cannot run inside a transaction; end it first";
                    return Err(client_error("25001", message, None));
                }
                self.close_cursors(client)?;
                self.deallocate(client, None)?;
                self.settings.reset_all();
                done("DISCARD ALL")
            }
            Command::Deallocate(name) => {
                self.deallocate(client, name.as_deref())?;
                done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" })
            }
            Command::Close(None) => {
                self.close_cursors(client)?;
                done("CLOSE CURSOR ALL")
            }
            Command::Close(Some(name)) => self.close(client, name),
            Command::Fetch { name, direction, moves } => {
                self.fetch(client, name, *direction, *moves, execution).await
            }
            Command::SetSnapshot(name) => {
                let number = name.parse().map_err(|_| {
                    client_error("22023", format!("there is no snapshot {name:?}"), None)
                })?;
                self.keep_snapshot(number).await?;
                done("SET")
            }
            _ => self.execute_transaction(client, command),
        }
    }

    fn execute_transaction<C: StatementClient>(
        &self,
        client: &C,
        command: &Command,
    ) -> PgWireResult<Response> {
        let status = client.transaction_status();
        let needs_transaction = |what: &str| match status {
            TransactionStatus::Idle => {
                let message = format!("{what} needs a transaction; begin one first");
                Err(client_error("25P01", message, None))
            }
            _ => Ok(()),
        };
        let unknown =
            |name: &str| client_error("3B001", format!("there is no savepoint {name:?}"), None);
        match command {
            Command::Begin(level) => {
                self.settings.begin();
                if let Some(level) = level {
                    let scope = SettingScope::Transaction;
                    self.settings.set("transaction_isolation", Some(level), scope)?;
                }
                Ok(Response::TransactionStart(Tag::new("BEGIN")))
            }
            Command::Commit(chain) | Command::Rollback(chain) => {
                let commits =
                    matches!(command, Command::Commit(_)) && status != TransactionStatus::Error;
                self.end_transaction(commits);
                let tag = Tag::new(if commits { "COMMIT" } else { "ROLLBACK" });
                if *chain && status != TransactionStatus::Idle {
                    self.settings.begin();
                    return Ok(Response::TransactionStart(tag));
                }
                Ok(Response::TransactionEnd(tag))
            }
            Command::Savepoint(name) => {
                needs_transaction("SAVEPOINT")?;
                self.settings.savepoint(name);
                done("SAVEPOINT")
            }
            Command::Release(name) => {
                needs_transaction("RELEASE SAVEPOINT")?;
                if self.settings.end_savepoint(name, false) {
                    done("RELEASE")
                } else {
                    Err(unknown(name))
                }
            }
            Command::RollbackTo(name) => {
                needs_transaction("ROLLBACK TO SAVEPOINT")?;
                if self.settings.end_savepoint(name, true) {
                    Ok(Response::TransactionStart(Tag::new("ROLLBACK")))
                } else {
                    Err(unknown(name))
                }
            }
            other => Err(client_error("XX000", format!("{other:?} is no command"), None)),
        }
    }

    /// Ends the transaction: its settings, and its cursors unless they are held.
    pub(super) fn end_transaction(&self, committed: bool) {
        self.settings.end(committed);
        self.release_snapshot();
        self.cursors().retain(|_, cursor| {
            let stays = cursor.is_committed || committed && cursor.options.hold;
            cursor.is_committed = stays;
            stays
        });
    }

    fn close_cursors<C>(&self, client: &C) -> PgWireResult<()>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        self.cursors().clear();
        store_of(client)?.clear_portals();
        Ok(())
    }

    fn close<C>(&self, client: &C, name: &str) -> PgWireResult<Response>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let store = store_of(client)?;
        if self.cursors().remove(name).is_none() {
            if store.get_portal(name).is_none() {
                return Err(no_cursor(name));
            }
            store.rm_portal(name);
        }
        done("CLOSE CURSOR")
    }

    fn deallocate<C>(&self, client: &C, name: Option<&str>) -> PgWireResult<()>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let store = store_of(client)?;
        let mut statements = self.statements();
        match name {
            Some(name) if statements.remove(name) => store.rm_statement(name),
            Some(name) => {
                let message = format!("there is no prepared statement {name:?}");
                return Err(client_error("26000", message, None));
            }
            None => {
                for name in std::mem::take(&mut *statements) {
                    store.rm_statement(&name);
                }
            }
        }
        Ok(())
    }

    async fn fetch<C>(
        &self,
        client: &C,
        name: &str,
        direction: Direction,
        moves: bool,
        execution: Execution<'_>,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sync,
        C::PortalStore: PortalStore,
    {
        if let Some(cursor) = self.cursors().get_mut(name) {
            let fetched = cursor.advance(direction)?;
            if moves {
                return Ok(Response::Execution(Tag::new("MOVE").with_rows(fetched.rows.len())));
            }
            let format = match (execution.portal, cursor.options.binary) {
                (None, true) => Format::UnifiedBinary,
                _ => execution.format(),
            };
            let (rows, backwards) = (fetched.rows, fetched.backwards);
            let mut response =
                cursor.answer.respond_rows(rows, backwards, &format, &self.text_format())?;
            response.set_command_tag("FETCH");
            return Ok(Response::Query(response));
        }
        // A portal of the extended protocol is a cursor that only goes on.
        let Some(Entry::Value(portal)) = store_of(client)?.get_portal(name) else {
            return Err(no_cursor(name));
        };
        let Direction::Forward(count @ 1..) = direction else {
            let message = format!("cursor {name:?} can only scan forward");
            return Err(client_error("55000", message, None));
        };
        self.start_portal(client, &portal).await?;
        let count = if count == i64::MAX { 0 } else { usize::try_from(count).unwrap_or_default() };
        let mut response = portal.fetch(count).await?.response;
        if moves {
            use futures::StreamExt;
            let rows = response.data_rows().count().await;
            return Ok(Response::Execution(Tag::new("MOVE").with_rows(rows)));
        }
        response.set_command_tag("FETCH");
        Ok(Response::Query(response))
    }

    /// Runs the statement of a portal that was bound and not executed yet.
    async fn start_portal<C>(
        &self,
        client: &C,
        portal: &Portal<ClientStatement>,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sync,
    {
        let state = portal.state();
        if !matches!(*state.lock().await, PortalExecutionState::Initial) {
            return Ok(());
        }
        let statement = &portal.statement.statement;
        let (Command::Query(_), Some(planned)) = (&*statement.command, &statement.planned) else {
            return Err(no_cursor(&portal.name));
        };
        let user = user_of(client);
        let since = Instant::now();
        let in_transaction = client.transaction_status() == TransactionStatus::Transaction;
        let bound = self.bind(statement, planned, Some(portal), in_transaction, &user).await?;
        let (names, text) = (statement.names.as_deref(), &bound.text);
        let answer = self.run(bound.plan, &Running { text, user: &user, since, names }).await?;
        let format = portal.result_column_format.clone();
        portal.start(answer.respond(&format, &self.text_format())?).await;
        Ok(())
    }

    fn show(&self, name: &str, execution: Execution<'_>) -> PgWireResult<Response> {
        let (name, value) = if name == "session_authorization" {
            ("session_authorization", self.settings.user())
        } else {
            self.settings.show(name)?
        };
        self.respond_texts(&[name], &[vec![value]], execution)
    }

    fn show_all(&self, execution: Execution<'_>) -> PgWireResult<Response> {
        let values = SETTINGS.iter().map(|setting| {
            let value = self.settings.get(setting.name).unwrap_or_default();
            vec![setting.name.to_owned(), value, setting.meaning.to_owned()]
        });
        self.respond_texts(&ALL_COLUMNS, &values.collect::<Vec<_>>(), execution)
    }

    /// Responds with rows of texts.
    fn respond_texts(
        &self,
        columns: &[&str],
        rows: &[Vec<String>],
        execution: Execution<'_>,
    ) -> PgWireResult<Response> {
        let column = |index: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| row.get(index)).collect::<StringArray>())
        };
        let columns = columns.iter().enumerate().map(|(index, name)| (*name, column(index)));
        let batch = RecordBatch::try_from_iter(columns)
            .map_err(|error| client_error("XX000", error.to_string(), None))?;
        let answer = self.answer_of(&batch)?;
        Ok(Response::Query(answer.respond(&execution.format(), &self.text_format())?))
    }

    /// The columns that a statement returns.
    ///
    /// # Errors
    /// A column has a type that the protocol does not know, or there is no such cursor or setting.
    pub(super) fn describe(
        &self,
        statement: &ClientStatement,
        format: &Format,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let texts = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
            describe(&Schema::new(fields.collect::<Vec<_>>()), None, format)
        };
        match (&*statement.command, &statement.planned) {
            (Command::Query(_), Some(planned)) => {
                describe(planned.plan.schema().as_arrow(), statement.names.as_deref(), format)
            }
            (Command::Show(name), _) if name != "session_authorization" => {
                texts(&[self.settings.show(name)?.0])
            }
            (Command::Show(name), _) => texts(&[name]),
            (Command::ShowAll, _) => texts(&ALL_COLUMNS),
            (Command::Fetch { name, moves: false, .. }, _) => match self.cursors().get(name) {
                Some(cursor) => cursor.answer.fields(format),
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }
}

/// Columns of SHOW ALL.
const ALL_COLUMNS: [&str; 3] = ["name", "setting", "description"];

fn no_cursor(name: &str) -> PgWireError {
    client_error("34000", format!("there is no cursor {name:?}"), None)
}

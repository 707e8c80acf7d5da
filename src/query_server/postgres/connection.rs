//! One connection: its session over the lake, its settings and cursors. Plans and runs statements:
//! the SQL guard checks a statement, the service gives it a slot, and it runs to its end before the
//! first row is sent, so that a client never takes a part of an answer for the whole.

use super::answers::{Answer, HeldBytes};
use super::cursors::{Cursor, OpenCursors};
use super::dialect::Dialect;
use super::errors::{client_error, fatal, refusal_error};
use super::idle::{IdleWatch, lock};
use super::ipc::{FromServer, IpcChannel, ToServer};
use super::settings::{SCHEMA, SessionSettings};
use super::text::TextFormat;
use crate::config::QueryBounds;
use arrow::array::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Statement, visit_relations, visit_relations_mut,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use trailhound_queries::limits::{QueryLimits, SessionError, collect_within_limits};
use trailhound_queries::session::Session;
use trailhound_queries::session::ad_hoc::query_error;
use trailhound_queries::sql_guard::{self, QueryError, QueryErrorCode};

/// How many times the largest answer the open cursors and portals of a connection may hold.
const HELD_ANSWERS_MAX: u64 = 2;

/// How long a statement may take to stop before its connection is ended.
const STOP_TIME_MAX: Duration = Duration::from_millis(300);

/// A connection.
pub(super) struct Connection {
    session: Mutex<Session>,
    bounds: QueryBounds,
    channel: Mutex<IpcChannel>,
    /// The settings, which functions of SQL read too.
    pub(super) settings: Arc<SessionSettings>,
    /// What is rewritten before a statement is planned.
    pub(super) dialect: Dialect,
    cursors: OpenCursors,
    /// Names of the prepared statements.
    statements: StdMutex<BTreeSet<String>>,
    /// The transaction keeps the snapshot of its first statement, and that was taken.
    keeps_snapshot: AtomicBool,
    held: Arc<HeldBytes>,
    /// Watches how long the connection is idle.
    pub(super) idle: IdleWatch,
}

/// A statement that is to run.
pub(super) struct Running<'s> {
    /// Its text, for the query log.
    pub(super) text: &'s str,
    /// Name of the user.
    pub(super) user: &'s str,
    /// When it arrived.
    pub(super) since: Instant,
    /// The names of its columns, where it says them.
    pub(super) names: Option<&'s [String]>,
}

impl Connection {
    /// A connection that runs statements in `session`. `channel` leads to the service.
    pub(super) fn new(
        session: Session,
        bounds: QueryBounds,
        channel: IpcChannel,
        settings: Arc<SessionSettings>,
        cursors: OpenCursors,
    ) -> Self {
        Self {
            session: Mutex::new(session),
            bounds,
            channel: Mutex::new(channel),
            settings,
            dialect: Dialect::new(),
            cursors,
            statements: StdMutex::default(),
            keeps_snapshot: AtomicBool::new(false),
            held: Arc::default(),
            idle: IdleWatch::default(),
        }
    }

    /// The open cursors.
    pub(super) fn cursors(&self) -> MutexGuard<'_, BTreeMap<String, Cursor>> {
        lock(&self.cursors)
    }

    /// The names of the prepared statements.
    pub(super) fn statements(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.statements)
    }

    /// How values are written as text now.
    pub(super) fn text_format(&self) -> TextFormat {
        let value = |name| self.settings.get(name).unwrap_or_default();
        TextFormat {
            extra_float_digits: value("extra_float_digits").parse().unwrap_or(1),
            escapes_bytes: value("bytea_output") == "escape",
            iso_intervals: value("IntervalStyle") == "iso_8601",
        }
    }

    /// The connection is idle from now on, in this status.
    pub(super) fn watch_idle(&self, status: TransactionStatus) {
        let setting = match status {
            TransactionStatus::Idle => "idle_session_timeout",
            _ => "idle_in_transaction_session_timeout",
        };
        self.idle.start(self.settings.timeout(setting));
    }

    /// The transaction has ended: the next statement reads the newest snapshot.
    pub(super) fn release_snapshot(&self) {
        self.keeps_snapshot.store(false, Ordering::Relaxed);
    }

    /// The number of the snapshot that the transaction reads, for another connection.
    pub(super) async fn keep_snapshot(&self, number: i64) -> PgWireResult<()> {
        let mut session = self.session.lock().await;
        session.move_to(number).await.map_err(|error| refusal_error(&error.into(), ""))?;
        self.keeps_snapshot.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Plans `statement`, if it is allowed. It reads the newest snapshot, or the one that its
    /// transaction keeps. Its parameters stay unbound. Returns the number of the snapshot too.
    ///
    /// # Errors
    /// [`QueryError`]: the SQL guard refuses the statement, or it cannot be planned.
    pub(super) async fn plan(
        &self,
        statement: &Statement,
        in_transaction: bool,
    ) -> Result<(LogicalPlan, Option<i64>), QueryError> {
        let snapshot = self.refresh(in_transaction).await?;
        let session = self.session.lock().await;
        let mut statement = statement.clone();
        leave_out_database(&mut statement, &self.settings.database());
        self.check_search_path(&statement, &session)?;
        session.set_time_zone(&self.settings.get("TimeZone").unwrap_or_default())?;
        let plan = session.plan_for_client(statement).await?;
        Ok((plan, snapshot))
    }

    /// True if the engine can compute `plan`: some subqueries pass the planner only.
    pub(super) async fn can_compute(&self, plan: &LogicalPlan) -> bool {
        let state = self.session.lock().await.context().state();
        let Ok(optimized) = state.optimize(plan) else { return false };
        let mut open = false;
        let visited = optimized.apply_with_subqueries(|node| {
            for expr in node.expressions() {
                open |= expr.exists(|expr| {
                    Ok(matches!(expr, Expr::ScalarSubquery(query) if !query.outer_ref_columns.is_empty()))
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        });
        visited.is_ok() && !open
    }

    /// Moves to the newest snapshot, or stays at the one that the transaction keeps. Returns its
    /// number.
    ///
    /// # Errors
    /// [`QueryError`]: the catalog cannot be read.
    pub(super) async fn refresh(&self, in_transaction: bool) -> Result<Option<i64>, QueryError> {
        let mut session = self.session.lock().await;
        if !self.keeps_snapshot.load(Ordering::Relaxed) {
            session.refresh().await?;
        }
        if in_transaction && self.settings.is_snapshot_kept() {
            self.keeps_snapshot.store(true, Ordering::Relaxed);
        }
        self.settings.see_snapshot(session.snapshot());
        Ok(session.snapshot())
    }

    /// Checks that the search path has the schema of the tables that `statement` names without one.
    fn check_search_path(
        &self,
        statement: &Statement,
        session: &Session,
    ) -> Result<(), QueryError> {
        let path = self.settings.search_path();
        if path.iter().any(|schema| schema == SCHEMA) {
            return Ok(());
        }
        let missing = visit_relations(statement, |name: &ObjectName| match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)]
                if session.tables().contains(&name.value.to_lowercase()) =>
            {
                ControlFlow::Break(name.value.clone())
            }
            _ => ControlFlow::Continue(()),
        });
        match missing {
            ControlFlow::Break(name) => Err(QueryError::new(
                QueryErrorCode::TableNotFound,
                format!("there is no table `{name}` in the search path; write {SCHEMA}.{name}"),
            )),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// Waits for a slot and plans the statement `text` in it: planning may take as long as running. The service ends the
    /// connection where it takes longer than a query may, or the client leaves.
    ///
    /// # Errors
    /// Too many queries are waiting, or the service is ending.
    pub(super) async fn plan_in_slot<T>(
        &self,
        text: &str,
        user: &str,
        planning: impl Future<Output = T>,
    ) -> PgWireResult<T> {
        let plan = ToServer::Plan { who: user.to_owned(), statement: text.to_owned() };
        acquire_slot(&mut *self.channel.lock().await, &plan).await?;
        let planned = planning.await;
        let mut channel = self.channel.lock().await;
        channel.write(&ToServer::Planned).await?;
        // The service tells whether the client has cancelled it meanwhile.
        match channel.read::<FromServer>().await? {
            Some(FromServer::Go) => Ok(planned),
            Some(FromServer::Cancel | FromServer::Busy) => {
                Err(client_error("57014", "the statement was cancelled", None))
            }
            None => Err(client_error("57P01", "the service is ending", None)),
        }
    }

    /// Waits for a slot, runs `plan` to its end and reports that to the service.
    ///
    /// # Errors
    /// Too many queries are waiting, or the statement failed or was stopped.
    pub(super) async fn run(
        &self,
        plan: LogicalPlan,
        running: &Running<'_>,
    ) -> PgWireResult<Answer> {
        let mut channel = self.channel.lock().await;
        let begin =
            ToServer::Begin { who: running.user.to_owned(), statement: running.text.to_owned() };
        acquire_slot(&mut channel, &begin).await?;
        let (context, mut limits) = {
            let session = self.session.lock().await;
            (session.context().clone(), session.limits().clone())
        };
        if let Some(timeout) = self.settings.timeout("statement_timeout") {
            limits.time_max = limits.time_max.min(timeout.saturating_sub(running.since.elapsed()));
        }
        let frame = DataFrame::new(context.state(), plan);
        let schema = Arc::clone(frame.schema().inner());
        let time_max = limits.time_max;
        #[expect(clippy::disallowed_methods, reason = "the caller waits for it and sees its end")]
        let mut work = tokio::spawn(async move { collect(frame, &limits).await });
        let collected = tokio::select! {
            collected = &mut work => collected.unwrap_or_else(|_| Err(QueryError::new(QueryErrorCode::Failed, "it could not be computed"))),
            // While the statement runs, the service sends nothing but a cancellation.
            _ = channel.read::<FromServer>() => Err(QueryError::new(QueryErrorCode::Cancelled, "it was called off")),
            () = tokio::time::sleep(time_max) => Err(QueryError::from(SessionError::TooLong(time_max))),
        };
        work.abort();
        // A statement that computes without a pause is not stopped by that. It ends with its process.
        let computes = collected.is_err()
            && !work.is_finished()
            && tokio::time::timeout(STOP_TIME_MAX, &mut work).await.is_err();
        let checked = collected.and_then(|batches| self.check_size(batches));
        let (result, rows, bytes) = match &checked {
            Ok((batches, bytes)) => {
                ("answered", batches.iter().map(|batch| batch.num_rows() as u64).sum(), *bytes)
            }
            Err(refused) => (refused.code.name(), 0, 0),
        };
        channel.write(&ToServer::End { result: result.to_owned(), rows, bytes }).await?;
        drop(channel);
        let (batches, _) = checked.map_err(|refused| {
            let error = refusal_error(&refused, running.text);
            if computes { fatal(error) } else { error }
        })?;
        let held_max = self.bounds.bytes_max.saturating_mul(HELD_ANSWERS_MAX);
        Answer::new(&schema, running.names, &batches, &self.held, held_max)
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

    /// An answer that is made here, such as that of SHOW.
    ///
    /// # Errors
    /// The connection holds too many rows.
    pub(super) fn answer_of(&self, rows: &RecordBatch) -> PgWireResult<Answer> {
        let held_max = self.bounds.bytes_max.saturating_mul(HELD_ANSWERS_MAX);
        Answer::new(rows.schema_ref(), None, std::slice::from_ref(rows), &self.held, held_max)
    }

    /// Has the service record a refused statement. Returns the error for the client.
    pub(super) async fn refuse(&self, refused: &QueryError, text: &str, user: &str) -> PgWireError {
        self.record_refusal(refused.code, text, user).await;
        refusal_error(refused, text)
    }

    /// Has the service record a statement that was refused.
    pub(super) async fn record_refusal(&self, code: QueryErrorCode, text: &str, user: &str) {
        let beginning = &text[..text.floor_char_boundary(sql_guard::TEXT_BYTES_MAX)];
        let message = ToServer::Refused {
            who: user.to_owned(),
            statement: beginning.to_owned(),
            result: code.name().to_owned(),
        };
        self.send(&message, "a refused statement could not be recorded").await;
    }

    /// Sends a message to the service.
    pub(super) async fn send(&self, message: &ToServer, failure: &'static str) {
        if let Err(error) = self.channel.lock().await.write(message).await {
            tracing::warn!(%error, failure);
        }
    }
}

/// Asks the service for a slot with `request` and waits for it.
async fn acquire_slot(channel: &mut IpcChannel, request: &ToServer) -> PgWireResult<()> {
    channel.write(request).await?;
    loop {
        match channel.read::<FromServer>().await? {
            Some(FromServer::Go) => return Ok(()),
            Some(FromServer::Busy) => {
                return Err(client_error("53300", "too many queries are waiting; try again", None));
            }
            // A cancellation of the statement before, which had just ended.
            Some(FromServer::Cancel) => {}
            None => return Err(client_error("57P01", "the service is ending", None)),
        }
    }
}

/// All rows of `frame`.
async fn collect(frame: DataFrame, limits: &QueryLimits) -> Result<Vec<RecordBatch>, QueryError> {
    let stream = frame.execute_stream().await.map_err(|e| query_error(&e))?;
    collect_within_limits(stream, limits).await.map_err(QueryError::from)
}

/// Removes the database from names such as `lake.public.events`: there is one database.
fn leave_out_database(statement: &mut Statement, database: &str) {
    // The visitor never breaks off.
    let _ = visit_relations_mut(statement, |name: &mut ObjectName| {
        if let [ObjectNamePart::Identifier(first), _, _] = name.0.as_slice()
            && first.value == database
        {
            name.0.remove(0);
        }
        ControlFlow::<()>::Continue(())
    });
}

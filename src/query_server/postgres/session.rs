//! The worker process of one PostgreSQL connection, `trailhound serve-postgres`: speaks the
//! protocol with the client.

use super::catalogue;
use super::connection::Connection;
use super::cursors::OpenCursors;
use super::ipc::{CancelKey, IpcChannel, ToServer};
use super::login::random_bytes;
use super::query_handler::QueryHandler;
use super::settings::SessionSettings;
use super::startup::ConnectionStartup;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::query_server::process_limits;
use datafusion_postgres::pgwire::api::auth::StartupHandler;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::{ErrorHandler, PgWireServerHandlers};
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use datafusion_postgres::pgwire::tokio::process_socket_unix;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use trailhound_ingest::lake::find_catalog;
use trailhound_queries::session::Session;

/// Serves the client that is logged in, and whose messages come and go through standard input. Standard output is the channel to the
/// service.
///
/// # Errors
/// [`Failure`]: the connection cannot be set up or breaks.
pub(crate) async fn run(config: &Config, lake: &Path) -> Result<Exit, Failure> {
    let socket =
        UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    socket.set_nonblocking(true).map_err(Failure::internal)?;
    let channel =
        UnixStream::from(io::stdout().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    channel.set_nonblocking(true).map_err(Failure::internal)?;
    let mut channel =
        IpcChannel::new(tokio::net::UnixStream::from_std(channel).map_err(Failure::internal)?);
    let bounds = config.query_bounds();
    process_limits::apply(&bounds).map_err(Failure::internal)?;
    let location =
        find_catalog(lake)?.ok_or_else(|| Failure::Internal("there is no lake".to_owned()))?;
    let session =
        Session::over_lake(&location, Arc::clone(&config.parameters), &bounds.engine_limits())
            .await?;
    let (settings, cursors) = (Arc::new(SessionSettings::default()), OpenCursors::default());
    catalogue::install(&session, &settings, &cursors).map_err(Failure::internal)?;
    let key = BackendKey {
        pid: i32::try_from(std::process::id()).unwrap_or_default(),
        secret: i32::from_be_bytes(random_bytes()?),
    };
    channel
        .write(&ToServer::Ready(CancelKey::new(key.pid, &key.secret_key())))
        .await
        .map_err(Failure::internal)?;
    let connection =
        Connection::new(session, bounds, channel, Arc::clone(&settings), Arc::clone(&cursors));
    let handler = Arc::new(QueryHandler::new(Arc::new(connection)));
    let startup = Arc::new(ConnectionStartup::new(settings, key.pid, key.secret_key()));
    let handlers = Handlers { statements: handler, startup };
    let socket = tokio::net::UnixStream::from_std(socket).map_err(Failure::internal)?;
    process_socket_unix(socket, Arc::new(handlers)).await.map_err(Failure::internal)?;
    // Exits without waiting for tasks that still compute.
    std::process::exit(i32::from(Exit::Success.status()));
}

/// The handlers of the protocol's messages.
struct Handlers {
    statements: Arc<QueryHandler>,
    startup: Arc<ConnectionStartup>,
}

/// Key that the client receives and with which it can cancel its statements.
struct BackendKey {
    pid: i32,
    secret: i32,
}

impl BackendKey {
    fn secret_key(&self) -> SecretKey {
        SecretKey::I32(self.secret)
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.statements)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.statements)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(DefaultErrorHandler)
    }
}

/// The protocol library's own handling of errors.
struct DefaultErrorHandler;

impl ErrorHandler for DefaultErrorHandler {}

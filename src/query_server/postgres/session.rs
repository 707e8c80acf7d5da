//! The worker process of one PostgreSQL connection, `trailhound serve-postgres`: speaks the
//! protocol with the client.

use super::catalogue;
use super::connection::Connection;
use super::cursors::OpenCursors;
use super::ipc::{CancelKey, IpcChannel, ToServer};
use super::query_handler::QueryHandler;
use super::settings::SessionSettings;
use super::startup::{ConnectionStartup, ReportedSettings};
use crate::config::{Config, PostgresEndpoint};
use crate::exit::{Exit, Failure};
use crate::query_server::process_limits;
use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramAuth, gen_salted_password,
};
use datafusion_postgres::pgwire::api::auth::{AuthSource, LoginInfo, Password, StartupHandler};
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ErrorHandler, PgWireServerHandlers, PidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use datafusion_postgres::pgwire::tokio::process_socket;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trailhound_ingest::lake::find_catalog;
use trailhound_queries::session::Session;

/// Length of the salt of the hashed password.
const SALT_BYTES: usize = 16;

/// Serves the client whose socket is standard input. Standard output is the channel to the service.
///
/// # Errors
/// [`Failure`]: the connection cannot be set up or breaks.
pub(crate) async fn run(config: &Config, lake: &Path) -> Result<Exit, Failure> {
    let socket =
        TcpStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    socket.set_nonblocking(true).map_err(Failure::internal)?;
    let channel =
        UnixStream::from(io::stdout().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    channel.set_nonblocking(true).map_err(Failure::internal)?;
    let mut channel =
        IpcChannel::new(tokio::net::UnixStream::from_std(channel).map_err(Failure::internal)?);
    let endpoint = config
        .postgres_endpoint()?
        .ok_or_else(|| Failure::Internal("there is no [query.postgres]".to_owned()))?;
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
    let handlers = Handlers::new(settings, handler, key, &endpoint)?;
    let socket = tokio::net::TcpStream::from_std(socket).map_err(Failure::internal)?;
    process_socket(socket, tls_acceptor(&endpoint)?, Arc::new(handlers))
        .await
        .map_err(Failure::internal)?;
    // Exits without waiting for tasks that still compute.
    std::process::exit(i32::from(Exit::Success.status()));
}

/// TLS with the certificate of the configuration, if there is one.
fn tls_acceptor(endpoint: &PostgresEndpoint) -> Result<Option<TlsAcceptor>, Failure> {
    let Some((certificate, key)) = &endpoint.tls else { return Ok(None) };
    let tls_error = |e: &dyn std::fmt::Display| {
        Failure::Usage(format!("[query.postgres] certificate or key: {e}"))
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| tls_error(&e))?.collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| tls_error(&e))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls_error(&e))?;
    let config = config
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|e| tls_error(&e))?, key)
        .map_err(|e| tls_error(&e))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
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

impl PidSecretKeyGenerator for BackendKey {
    fn generate(&self, _client: &dyn ClientInfo) -> (i32, SecretKey) {
        (self.pid, self.secret_key())
    }
}

/// Random bytes from the system.
fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let mut source = std::fs::File::open("/dev/urandom").map_err(Failure::internal)?;
    source.read_exact(&mut bytes).map_err(Failure::internal)?;
    Ok(bytes)
}

impl Handlers {
    fn new(
        settings: Arc<SessionSettings>,
        statements: Arc<QueryHandler>,
        key: BackendKey,
        endpoint: &PostgresEndpoint,
    ) -> Result<Self, Failure> {
        let salt = random_bytes::<SALT_BYTES>()?.to_vec();
        let user = ScramUser {
            name: endpoint.user.clone(),
            salted: gen_salted_password(&endpoint.password, &salt, SCRAM_ITERATIONS),
            salt,
        };
        let password =
            SASLAuthStartupHandler::new(Arc::new(ReportedSettings(Arc::clone(&settings))))
                .with_scram(ScramAuth::new(Arc::new(user)))
                .with_pid_secret_key_generator(Arc::new(key));
        Ok(Self { statements, startup: Arc::new(ConnectionStartup::new(settings, password)) })
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

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.statements)
    }

    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(DefaultErrorHandler)
    }
}

/// The protocol library's own handling of errors.
struct DefaultErrorHandler;

impl ErrorHandler for DefaultErrorHandler {}

/// The one user with the salted hash of the password.
struct ScramUser {
    name: String,
    salt: Vec<u8>,
    salted: Vec<u8>,
}

impl std::fmt::Debug for ScramUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl AuthSource for ScramUser {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        if login.user() == Some(self.name.as_str()) {
            Ok(Password::new(Some(self.salt.clone()), self.salted.clone()))
        } else {
            // An unknown user gets the same error after the same time as a wrong password.
            Err(PgWireError::InvalidPassword(login.user().unwrap_or_default().to_owned()))
        }
    }
}

//! The process of one connection: speaks PostgreSQL's protocol with the client. `trailhound serve-postgres`, for the service only.

use super::functions::functions;
use super::ipc::{CancelKey, ToServer, Wire};
use super::query_handler::{Bounded, QueryHandler};
use crate::config::{Config, PostgresDoor};
use crate::exit::{Exit, Failure};
use crate::query_server::query_worker::confine;
use async_trait::async_trait;
use datafusion_postgres::DfSessionService;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use datafusion_postgres::hooks::QueryHook;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramAuth, gen_salted_password,
};
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
};
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

/// Name under which the engine lists the tables; clients see it as the database.
const CATALOG: &str = "datafusion";
/// Random bytes that a password is hashed with.
const SALT_BYTES: usize = 16;

/// Serves the client whose socket is standard input; standard output is the wire to the service.
pub(crate) async fn run(config: &Config, lake: &Path) -> Result<Exit, Failure> {
    let socket =
        TcpStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    socket.set_nonblocking(true).map_err(Failure::internal)?;
    let wire =
        UnixStream::from(io::stdout().as_fd().try_clone_to_owned().map_err(Failure::internal)?);
    wire.set_nonblocking(true).map_err(Failure::internal)?;
    let mut wire = Wire::new(tokio::net::UnixStream::from_std(wire).map_err(Failure::internal)?);
    let door = config
        .postgres_door()?
        .ok_or_else(|| Failure::Internal("there is no [query.postgres]".to_owned()))?;
    let bounds = config.query_bounds();
    confine(&bounds).map_err(Failure::internal)?;
    let place =
        find_catalog(lake)?.ok_or_else(|| Failure::Internal("there is no lake".to_owned()))?;
    let session =
        Session::over_lake(&place, Arc::clone(&config.parameters), &bounds.limits()).await?;
    let context = Arc::new(session.context().clone());
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(Failure::internal)?;
    for function in functions() {
        context.register_udf(function);
    }
    let own = Own {
        pid: i32::try_from(std::process::id()).unwrap_or_default(),
        secret: i32::from_be_bytes(random()?),
    };
    wire.write(&ToServer::Ready(CancelKey::new(own.pid, &own.secret_key())))
        .await
        .map_err(Failure::internal)?;
    let gatekeeper = Arc::new(QueryHandler::new(session, bounds, wire));
    let hooks: Vec<Arc<dyn QueryHook>> = vec![
        Arc::clone(&gatekeeper) as Arc<dyn QueryHook>,
        Arc::new(SetShowHook),
        Arc::new(TransactionStatementHook),
    ];
    let handlers =
        Handlers::new(DfSessionService::new_with_hooks(context, hooks), gatekeeper, own, &door)?;
    let socket = tokio::net::TcpStream::from_std(socket).map_err(Failure::internal)?;
    process_socket(socket, acceptor(&door)?, Arc::new(handlers))
        .await
        .map_err(Failure::internal)?;
    // Whatever still computes is not waited for.
    std::process::exit(i32::from(Exit::Done.status()));
}

/// TLS with the door's certificate, where it has one.
fn acceptor(door: &PostgresDoor) -> Result<Option<TlsAcceptor>, Failure> {
    let Some((certificate, key)) = &door.tls else { return Ok(None) };
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::Usage(format!("[query.postgres] certificate or key: {e}"))
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| wrong(&e))?.collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(&e))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?;
    let config = config
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|e| wrong(&e))?, key)
        .map_err(|e| wrong(&e))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// What answers the messages of this connection.
struct Handlers {
    service: Arc<Bounded>,
    startup: Arc<SASLAuthStartupHandler<DefaultServerParameterProvider>>,
    cancel: Arc<QueryHandler>,
}

/// By what the client calls off what it asks.
struct Own {
    pid: i32,
    secret: i32,
}

impl Own {
    fn secret_key(&self) -> SecretKey {
        SecretKey::I32(self.secret)
    }
}

impl PidSecretKeyGenerator for Own {
    fn generate(&self, _client: &dyn ClientInfo) -> (i32, SecretKey) {
        (self.pid, self.secret_key())
    }
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let mut source = std::fs::File::open("/dev/urandom").map_err(Failure::internal)?;
    source.read_exact(&mut bytes).map_err(Failure::internal)?;
    Ok(bytes)
}

impl Handlers {
    fn new(
        service: DfSessionService,
        gatekeeper: Arc<QueryHandler>,
        own: Own,
        door: &PostgresDoor,
    ) -> Result<Self, Failure> {
        let salt = random::<SALT_BYTES>()?.to_vec();
        let user = User {
            name: door.user.clone(),
            salted: gen_salted_password(&door.password, &salt, SCRAM_ITERATIONS),
            salt,
        };
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.server_version = super::query_handler::SERVER_VERSION.to_owned();
        let scram = ScramAuth::new(Arc::new(user));
        let startup = SASLAuthStartupHandler::new(Arc::new(parameters))
            .with_scram(scram)
            .with_pid_secret_key_generator(Arc::new(own));
        Ok(Self {
            service: Arc::new(Bounded::new(service, Arc::clone(&gatekeeper))),
            startup: Arc::new(startup),
            cancel: gatekeeper,
        })
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.service)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.service)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancel)
    }

    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(Quiet)
    }
}

struct Quiet;

impl ErrorHandler for Quiet {}

/// The one user, with a hashed password.
struct User {
    name: String,
    salt: Vec<u8>,
    salted: Vec<u8>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl AuthSource for User {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        if login.user() == Some(self.name.as_str()) {
            Ok(Password::new(Some(self.salt.clone()), self.salted.clone()))
        } else {
            // A user that is not there takes as long and is told the same as a wrong password.
            Err(PgWireError::InvalidPassword(login.user().unwrap_or_default().to_owned()))
        }
    }
}
